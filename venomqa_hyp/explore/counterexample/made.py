"""What replies made, so that later requests are bound to it.

A value is bound by its text alone where it can be nothing else (a UUID, a token), by its place
where it can (the 1 of ``/orders/1``), and by its field where it is a version (``If-Match``). What
a request sent before any reply had it was made by the client, and is bound to nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from venomqa_hyp.core.script import HEADER, JSON, Binding, Place
from venomqa_hyp.explore.counterexample.names import ID_FIELD, Names, unique_text
from venomqa_hyp.explore.counterexample.nouns import collection, is_plural, noun
from venomqa_hyp.values import atoms_in_text

#: Headers of requests that name a version -> the header of the reply that made it.
_VERSION_HEADERS = {
    "if-match": "etag",
    "if-none-match": "etag",
    "if-modified-since": "last-modified",
    "if-unmodified-since": "last-modified",
}
_VERSION_FIELD = re.compile(r"(?:^|_)(?:version|rev|revision|etag)$|[a-z]Version$", re.IGNORECASE)
#: Headers of replies that say nothing that a client would send back.
_DULL = frozenset({"date", "server", "content-length", "content-type", "connection", "set-cookie"})
#: Characters of a text around an atom that are kept to find it again.
_AROUND = 24
_DEEPEST = 30


@attrs.frozen
class Source:
    """A value in a reply.

    :ivar step: the number of the request.
    :ivar word: what it is called there: ``order``.
    :ivar field: what it stands under, where it is a version.
    """

    step: int
    text: str
    source: str
    place: Place
    word: str
    is_text: bool = True
    before: str = ""
    after: str = ""
    field: str = ""


class Made:
    """What the replies of one path made, and what of it is used.

    :param names: those that the counterexample has.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._unique: dict[str, Source] = {}
        self._local: list[Source] = []
        self._sent: set[str] = set()
        self._bound: dict[Source, str] = {}

    def reply(self, step: int, url: str, headers: Any, body: Any) -> None:
        """Note what a reply holds."""
        found = [*_of_body(step, url, body), *_of_headers(step, headers)]
        whole = [item for item in found if not item.before and not item.after]
        # The text of a link says less than the id itself, where a reply has both.
        for item in [*whole, *found]:
            if unique_text(item.text) and item.text not in self._sent:
                self._unique.setdefault(item.text, item)
        self._local += [item for item in found if item.word or item.field]

    def sent(self, text: str) -> None:
        """Note a text that a request had from nobody."""
        self._sent |= {text, *(atom for _, atom, _ in atoms_in_text(text))}

    def find(self, text: str, field: str, place: str) -> str | None:
        """Return the name of a value that is all of a text.

        :param field: what it stands under.
        :param place: the noun of the path around it.
        """
        if text in self._unique:
            return self._name(self._unique[text])
        key = _VERSION_HEADERS.get(field.lower()) or (field if _VERSION_FIELD.search(field) else "")
        word = noun(field) or place
        for item in reversed(self._local):
            if item.text == text and key and item.field.lower() == key.lower():
                return self._name(item)
        for item in self._local:
            if item.text == text and word and item.word == word and not item.field:
                return self._name(item)
        return None

    def within(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield literal text, and the name of the value that follows it (empty at the end)."""
        known = [item for item in self._unique if item in text]
        at = 0
        if known:
            ordered = sorted(known, key=len, reverse=True)
            pattern = rf"(?<![^\W_])(?:{'|'.join(map(re.escape, ordered))})(?![^\W_])"
            for found in re.finditer(pattern, text):
                yield text[at : found.start()], self._name(self._unique[found[0]])
                at = found.end()
        yield text[at:], ""

    @property
    def used(self) -> set[str]:
        """The texts that are bound."""
        return {item.text for item in self._bound}

    def bindings(self, step: int) -> tuple[Binding, ...]:
        """Return what is read from the reply to a request."""
        return tuple(
            Binding(name, i.source, i.place, i.before, i.after, i.is_text, i.text)
            for i, name in self._bound.items()
            if i.step == step
        )

    def _name(self, item: Source) -> str:
        """Return the name of a value, which is bound from now on."""
        if item not in self._bound:
            word = item.word or noun(item.field) or noun(str(item.place[-1])) or "value"
            name = _plain(self._known(item) or self._names.new(word))
            while name in self._bound.values():
                name = _plain(self._names.new(word))
            self._bound[item] = name
        return self._bound[item]

    def _known(self, item: Source) -> str | None:
        """Return the name that the counterexample has for a value."""
        if unique_text(item.text):
            return self._names.unique.get(item.text)
        names = (
            local.name
            for local in self._names.local
            if local.text == item.text and item.word in local.nouns
        )
        return next(names, None)


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _of_body(step: int, url: str, body: Any) -> Iterator[Source]:
    for place, value, word in leaves(body, collection(url)):
        field = next((key for key in reversed(place) if isinstance(key, str)), "")
        in_list = bool(place) and isinstance(place[-1], int) and is_plural(field)
        is_id = bool(ID_FIELD.search(field)) or in_list
        version = field if _VERSION_FIELD.search(field) else ""
        own = noun(field) or word if is_id else ""
        text, is_text = str(value), isinstance(value, str)
        yield Source(step, text, JSON, place, own, is_text, field=version)
        if is_text:
            yield from _atoms(step, text, JSON, place, noun(field) or word)


def _of_headers(step: int, headers: Any) -> Iterator[Source]:
    for name, value in headers:
        key = name.lower()
        if key in _DULL:
            continue
        version = key if key in _VERSION_HEADERS.values() else ""
        yield Source(step, value, HEADER, (key,), "", field=version)
        if version and value.startswith('"') and value.endswith('"'):
            yield Source(step, value[1:-1], HEADER, (key,), "", True, '"', '"', version)
        if key in ("location", "content-location"):
            yield from _of_location(step, value, key)
        yield from _atoms(step, value, HEADER, (key,), noun(key.removeprefix("x-")))


def _of_location(step: int, value: str, header: str) -> Iterator[Source]:
    """Yield the last segment of a URL, as the 17 of ``/orders/17``."""
    before, _, last = urlsplit(value).path.rpartition("/")
    parent = before.rpartition("/")[2]
    if last and noun(parent):
        yield Source(step, unquote(last), HEADER, (header,), noun(parent), True, f"/{parent}/")


def _atoms(step: int, text: str, source: str, place: Place, word: str) -> Iterator[Source]:
    """Yield each atom in a longer text, with what stands around it."""
    for before, atom, after in atoms_in_text(text):
        if atom != text:
            near = before[-_AROUND:], after[:_AROUND]
            yield Source(step, atom, source, place, word, True, *near)


def leaves(
    value: Any, word: str = "", place: Place = (), depth: int = 0
) -> Iterator[tuple[Place, Any, str]]:
    """Yield place, value and noun of each plain value in JSON, but for truth values and null."""
    if depth > _DEEPEST or value is None or isinstance(value, bool):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            own = noun(str(key)) if isinstance(item, (Mapping, list)) else ""
            yield from leaves(item, own or word, (*place, str(key)), depth + 1)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from leaves(item, word, (*place, at), depth + 1)
    elif place:
        yield place, value, word


def json_of(content: bytes) -> Any:
    """Return the value of JSON, ``None`` where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
