"""Values as text: with the names of those that a path made, without secrets, and cut."""

import json
import re
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from venomqa_hyp.core.redaction import REDACTED, Redaction
from venomqa_hyp.explore.counterexample.names import Names
from venomqa_hyp.explore.counterexample.nouns import collection, is_plural, noun

#: A name within a text stands between these until the text is done: they are never quoted.
_OPEN, _CLOSE = "\ue000", "\ue001"
_HIDDEN = f"{_OPEN}{REDACTED}{_CLOSE}"
#: Characters of a body, and of a value.
LONGEST_BODY, LONGEST_VALUE = 600, 120
#: Characters and lines of a message.
LONGEST_LINE, MOST_LINES = 1000, 20
_BARE = re.compile(r"(?!None$|True$|False$|[\d.+-]+$)[\w.@:/+-]+")
_DEEPEST = 30


def cut(text: str, longest: int) -> str:
    """Return a text with its middle left out where it is too long, and say how long it is."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... ({len(text):,} characters) ... {text[-half:]}"


@attrs.frozen(eq=False)
class Wording:
    """Writes the values of one path.

    :ivar secrets: texts that stood under the name of a secret somewhere.
    :ivar step: the number of the step; names of what later ones made are not used.
    """

    names: Names
    redaction: Redaction
    secrets: frozenset[str] = frozenset()
    step: int = 0

    def at(self, step: int) -> "Wording":
        """Return the wording for a step."""
        return attrs.evolve(self, step=step)

    def done(self, text: str, longest: int = LONGEST_VALUE) -> str:
        """Return a text for people: one line, nothing that a terminal would act on, and cut."""
        text = re.sub(f"([\"']){_OPEN}([^{_CLOSE}]*){_CLOSE}\\1", r"\2", text)
        text = text.replace(_OPEN, "").replace(_CLOSE, "")
        text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
        return cut(text, longest)

    def plain(self, text: str, *, numbers: bool = False) -> str:
        """Return free text in which names stand for values, and without secrets.

        :param numbers: whether ``order 1`` is ``order_1`` in it.
        """
        text = self._named(text)
        if numbers:
            text = self._with_local(text)
        return self.redaction.text(text)

    def message(self, text: str) -> str:
        """Return the message of a failure."""
        lines = [self._without_nouns(self.plain(line, numbers=True)) for line in text.splitlines()]
        return "\n".join(self.done(line, LONGEST_LINE) for line in lines[:MOST_LINES])

    def _without_nouns(self, text: str) -> str:
        """Return ``order_1`` for ``order order_1``."""
        return re.sub(rf"\b(\w+) (?={_OPEN}\1_\d)", "", text, flags=re.IGNORECASE)

    def argument(self, name: str, value: object) -> str:
        """Return an argument of a call, as Python would write it."""
        if self.redaction.hides(name) and self._name_of(value) is None and _has_text(value):
            return REDACTED
        if _is_tree(value):
            return self.done(repr(_Marked(self._tree(value, name))))
        return self.done(self.plain(_repr(value)))

    def body(self, body: Any, url: str) -> str:
        """Return the body of a request or a reply: JSON, text, or bytes."""
        if body is None:
            return ""
        if isinstance(body, bytes):
            return self.done(f"({len(body):,} bytes) {body[:40]!r}", LONGEST_BODY)
        if isinstance(body, str):
            return self.done(self.plain(body.strip()), LONGEST_BODY)
        tree = self._tree(body, place=collection(url))
        return self.done(json.dumps(tree, ensure_ascii=False, default=str), LONGEST_BODY)

    def address(self, url: str) -> str:
        """Return path and query of a URL."""
        parts = urlsplit(url)
        segments = parts.path.split("/")
        path = [self._segment(segments, at) for at in range(len(segments))]
        query = [self._parameter(item) for item in parts.query.split("&")] if parts.query else []
        return self.done("/".join(path) + ("?" + "&".join(query) if query else ""), LONGEST_BODY)

    def column(self, name: str, value: object, table: str = "") -> str:
        """Return a value of a row, or one that stands under a key."""
        return self.done(_bare(self._leaf(name, value, noun(table))))

    def value(self, value: object, name: str = "") -> str:
        """Return a value in a system that has no tables."""
        if isinstance(value, (Mapping, list, tuple)):
            return self.done(repr(_Marked(self._tree(value, name))), 2 * LONGEST_VALUE)
        return self.done(_bare(self._leaf(name, value, "")))

    def key(self, value: object, table: str) -> str:
        """Return the key of a row."""
        return self.done(_bare(self._leaf("id", value, noun(table))))

    def _tree(self, value: Any, name: str = "", place: str = "", depth: int = 0) -> Any:
        """Return a value with marked texts in place of values that have a name or are secret."""
        if depth > _DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            if self.redaction.hides(name):
                return _HIDDEN
            inner = self._kind(value) or noun(name) or place
            return {
                self._key(key): self._tree(item, str(key), inner, depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            one = noun(name) or name
            return [self._tree(item, one, place, depth + 1) for item in value]
        return self._leaf(name, value, place)

    def _kind(self, value: Mapping[Any, Any]) -> str:
        """Return the noun of an object that has the keys of one which a step made."""
        keys = frozenset(map(str, value))
        return next((min(one.nouns) for one in self.names.local if keys in one.shapes), "")

    def _key(self, key: Any) -> Any:
        return self.plain(key) if isinstance(key, str) else key

    def _leaf(self, name: str, value: Any, place: str) -> Any:
        """Return a plain value, its name in marks, or what says that it is secret."""
        known = self._name_of(value) or self._local_name(name, value, place)
        if known is not None:
            return f"{_OPEN}{known}{_CLOSE}"
        if self.redaction.hides(name) and _has_text(value):
            return _HIDDEN
        if isinstance(value, str):
            return cut(self.plain(value), LONGEST_VALUE)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.plain(repr(bytes(value)))
        is_json = value is None or isinstance(value, (bool, int, float))
        return value if is_json else self.plain(str(value))

    def _name_of(self, value: object) -> str | None:
        if isinstance(value, (str, int, uuid.UUID)) and not isinstance(value, bool):
            return self.names.unique.get(str(value))
        return None

    def _local_name(self, field: str, value: object, place: str) -> str | None:
        """Return the name of a value that has one only in such a place.

        :param field: what it stands under.
        :param place: the noun of the table, or of the object around it.
        """
        if isinstance(value, (bool, float, type(None))):
            return None
        if is_plural(field):
            return None  # it counts them
        word = noun(field)
        for item in self.names.local:
            if item.made > self.step or item.text != str(value):
                continue
            if (word or place) in item.nouns:
                return item.name
        return None

    def _segment(self, segments: list[str], at: int) -> str:
        text = unquote(segments[at])
        known = self.names.unique.get(text)
        if known is None and at:
            known = self._local_name("", text, noun(segments[at - 1]))
        if known is not None:
            return f"{_OPEN}{known}{_CLOSE}"
        is_secret = at and self.redaction.hides(segments[at - 1]) and len(text) >= 16
        return _HIDDEN if is_secret else self.plain(segments[at])

    def _parameter(self, text: str) -> str:
        name, equals, value = text.partition("=")
        found = self._leaf(unquote(name), unquote(value), "")
        return f"{name}{equals}{found if found != unquote(value) else value}"

    def _named(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(self._replacement, text)

    def _replacement(self, found: re.Match[str]) -> str:
        known = self.names.unique.get(found[0])
        return _HIDDEN if known is None else f"{_OPEN}{known}{_CLOSE}"

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        texts = sorted({*self.names.unique, *self.secrets}, key=len, reverse=True)
        if not texts:
            return None
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, texts))})(?![^\W_])")

    def _with_local(self, text: str) -> str:
        for item in self.names.local:
            for word in sorted(item.nouns):
                number = re.escape(item.text)
                mark = f"{_OPEN}{item.name}{_CLOSE}"
                named = rf"(?<![^\W_]){word}"
                field = rf"({named}(?:_?id['\"]?(?: |[:=] ?)| ?[:=] ?)){number}(?![\w.])"
                text = re.sub(field, rf"\1{mark}", text, flags=re.IGNORECASE)
                text = re.sub(rf"{named} #?{number}(?![\w.])", mark, text, flags=re.IGNORECASE)
        return text


class _Marked:
    """Shows a tree as Python does, with the names in marks."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree

    def __repr__(self) -> str:
        return repr(self._tree).replace("\\ue000", _OPEN).replace("\\ue001", _CLOSE)


def _is_tree(value: object) -> bool:
    return isinstance(value, (Mapping, list, tuple, str)) or value is None


def _has_text(value: object) -> bool:
    """Return whether a value can be a secret."""
    return value is not None and not isinstance(value, bool) and value != ""


def _repr(value: object) -> str:
    try:
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    except Exception:  # a user's code, and only for people
        return f"<{type(value).__qualname__}>"


def _bare(value: object) -> str:
    """Return a value without quotes where it is a word or has a name."""
    if isinstance(value, str):
        plain = value.replace(_OPEN, "").replace(_CLOSE, "")
        is_marked = value.startswith(_OPEN) and value.endswith(_CLOSE)
        return value if is_marked or _BARE.fullmatch(plain) else repr(_Marked(value))
    return repr(value)
