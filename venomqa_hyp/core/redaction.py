"""What reports do not show: passwords, tokens and other secrets, by name and by form."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import attrs

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
#: Shorter secrets are hidden where they stand under their name, not within other text.
_SHORTEST_SECRET = 5
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
        elif isinstance(value, str) and len(value) >= _SHORTEST_SECRET and self.hides(name):
            yield value

    @cached_property
    def _assigned(self) -> re.Pattern[str]:
        """A field and its value in free text: ``password=x``, ``"token": "x"``."""
        names = "|".join(
            r"[_.\- ]?".join(map(re.escape, re.split(r"[_.\- ]", pattern)))
            for pattern in self.patterns
        )
        # A value that has a name is in marks, and stays.
        value = r"(?:\"[^\"]*\"|'[^']*'|(?!\[redacted)[^\s,;&)}\]\ue000\"']+)"
        field = rf"\b[\w.\-]*(?:{names})[\w.\-]*[\"']?\s*[=:]\s*(?:(?:Bearer|Basic|Token) +)?"
        return re.compile(f"({field}){value}", re.IGNORECASE)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
