"""What reports do not show: passwords, tokens and other secrets, by name and by form."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

import attrs

from venomqa_hyp.values import json_in

#: Stands for a value that is not shown.
REDACTED = "[redacted]"
#: Parts of the names of fields whose values are secrets; compared without case and punctuation.
PATTERNS = (
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "authorization",
    "cookie",
    "private_key",
)
#: Rows of a table in which secrets are looked for.
_MOST_ROWS = 1000
#: Shorter secrets are hidden where they stand under their name, not within other text.
_SHORTEST_SECRET = 5
#: Shorter words of a header are names and flags, as ``Path`` and ``Bearer``.
_SHORTEST_IN_HEADER = 8
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?")
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest|Token) +[\w.~+/=-]{4,}", re.IGNORECASE)
_DSN = re.compile(r"(\b[a-z][\w+.-]*://[^\s/:@]*:)[^\s@/]+(?=@)", re.IGNORECASE)


_added: list[str] = []


def also_hide(patterns: Iterable[str]) -> None:
    """Let all that this process writes from now on hide fields of these names, too."""
    _added.extend(patterns)


def _patterns() -> tuple[str, ...]:
    return (*PATTERNS, *_added)


@attrs.frozen
class Redaction:
    """Decides what is hidden.

    :ivar patterns: a field is secret if its name contains one of these.
    """

    patterns: tuple[str, ...] = attrs.field(factory=_patterns, converter=tuple)

    def hides(self, name: object) -> bool:
        """Return whether the value of a field of this name is a secret."""
        plain = _plain(str(name))
        return any(_plain(pattern) in plain for pattern in self.patterns)

    def text(self, text: str) -> str:
        """Return a text without JWTs, credentials, passwords of URLs, and ``password=...``."""
        if "eyJ" in text:
            text = _JWT.sub(REDACTED, text)
        text = _DSN.sub(rf"\1{REDACTED}", text)
        text = self._assigned.sub(rf"\1{REDACTED}", text)
        return _SCHEME.sub(rf"\1 {REDACTED}", text)

    def secrets(self, value: object, name: object = "", depth: int = 0) -> Iterator[str]:
        """Yield the texts that stand under the name of a secret somewhere in a value."""
        if depth > 20:
            return
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from self.secrets(item, name if self.hides(name) else key, depth + 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                yield from self.secrets(item, name, depth + 1)
        elif isinstance(value, str):
            if len(value) >= _SHORTEST_SECRET and self.hides(name):
                yield value
            if (inner := json_in(value)) is not None:
                yield from self.secrets(inner, name, depth + 1)

    def secrets_of_system(self, data: Mapping[str, Any]) -> Iterator[str]:
        """Yield the secrets in what a system shows: in columns of tables, headers and cookies."""
        tables = data.get("tables")
        for table in tables.values() if isinstance(tables, Mapping) else ():
            columns = (table.get("columns") or ()) if isinstance(table, Mapping) else ()
            secret = [at for at, column in enumerate(columns) if self.hides(column)]
            for row in table["rows"][:_MOST_ROWS] if secret else ():
                for at in secret:
                    yield from self.secrets(row[at], columns[at])
        for text in self.secrets(data):
            yield text
            yield from words(text)

    @cached_property
    def _assigned(self) -> re.Pattern[str]:
        """A field and its value in free text: ``password=x``, ``"token": "x"``."""
        names = "|".join(
            r"[_.\- ]?".join(map(re.escape, re.split(r"[_.\- ]", pattern)))
            for pattern in self.patterns
        )
        # A value that has a name is in marks, and stays. Quotes may be escaped, where the text was
        # quoted in another, and the closing one missing, where the text was cut.
        quoted = r"\\*\"[^\"]*(?:\"|\Z)|\\*'[^']*(?:'|\Z)"
        value = rf"(?:{quoted}|(?!\[redacted)[^\s,;&)}}\]\ue000\"']+)"
        field = rf"\b[\w.\-]*(?:{names})[\w.\-]*\\*[\"']?\s*[=:]\s*(?:(?:Bearer|Basic|Token) +)?"
        return re.compile(f"({field}){value}", re.IGNORECASE)


def words(text: str) -> Iterator[str]:
    """Yield what may be a secret in the value of a header: ``Bearer x``, ``session=x; Path=/``."""
    yield from (word for word in re.split(r"[\s;=]+", text) if len(word) >= _SHORTEST_IN_HEADER)


@lru_cache(4096)  # the names of columns, again and again
def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
