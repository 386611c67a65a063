"""Names for the values that a path makes: ``order_1`` in place of a UUID or a number.

A value is *unique* where it can be nothing else wherever it stands: a UUID, a long token. Another,
as the number 1, has its name only in a place that says what it is: ``/orders/1``, ``order_id``, the
key of a row of ``orders``.
"""

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from venomqa_hyp.core.counterexample import ADDED
from venomqa_hyp.explore.counterexample.effects import Effect
from venomqa_hyp.explore.counterexample.nouns import collection, noun
from venomqa_hyp.explore.counterexample.transcript import Entered
from venomqa_hyp.explore.given import Drawn, Owner
from venomqa_hyp.explore.position import Entry
from venomqa_hyp.values import template_of
from venomqa_hyp.world import values_under

_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
#: What has a name though no step holds it: UUIDs, ULIDs and long hexadecimal ids.
RANDOM_ID = re.compile(
    rf"(?<![\w-])(?:{_UUID}|(?=\w*\d)[0-9a-f]{{24,64}}|[0-7][0-9A-HJKMNP-TV-Z]{{25}})(?![\w-])"
)
#: A field that holds the id of something.
ID_FIELD = re.compile(r"(?:^|_)(?:id|uuid|number|key)$|[a-z]Id$")
_SHORTEST_UNIQUE = 6


@attrs.frozen
class Local:
    """The name of a value that is not unique.

    :ivar nouns: what it is called in places where it stands.
    :ivar made: the number of the step that made it.
    :ivar shapes: the keys of the objects in replies whose id it was when it was made.
    """

    text: str
    name: str
    nouns: frozenset[str]
    made: int
    shapes: frozenset[frozenset[str]] = frozenset()


@attrs.define
class Names:
    """The names of one path.

    :ivar unique: text -> name.
    :ivar owned: pool and owner of a value -> its name.
    :ivar assigned: step -> the names of the values it made that a path holds.
    """

    unique: dict[str, str] = attrs.field(factory=dict)
    local: list[Local] = attrs.field(factory=list)
    owned: dict[tuple[str, Owner], str] = attrs.field(factory=dict)
    assigned: dict[int, list[str]] = attrs.field(factory=dict)
    _counts: Counter[str] = attrs.field(factory=Counter)

    def new(self, word: str) -> str:
        """Return the next name of a noun."""
        self._counts[word] += 1
        return f"{word}_{self._counts[word]}"

    def add_unique(self, text: str, name: str) -> None:
        """Give a text its name, in each usual spelling."""
        for spelling in _spellings(text):
            self.unique.setdefault(spelling, name)

    def assign(self, step: int, name: str) -> None:
        """Note that a step made what is called so."""
        held = self.assigned.setdefault(step, [])
        if name not in held:
            held.append(name)


@attrs.frozen(eq=False)
class _Held:
    """A value that a step put into a Bundle or the context.

    :ivar entry: in a pool that arguments are picked from; else ``None``.
    """

    pool: str
    value: Any
    entry: Entry | None


@attrs.define
class _Path:
    """What is known of a path before its values are named.

    :ivar uses: pool and owner of a value -> the arguments that later steps took it as.
    :ivar drawn: step, argument and text of each value that a strategy made.
    :ivar constant: texts that no step made.
    """

    entered: tuple[Entered, ...]
    uses: Mapping[tuple[str, Owner], list[str]]
    drawn: list[tuple[int, str, str]]
    constant: set[str]

    def makes(self, value: object, word: str, takers: list[str], number: int) -> bool:
        """Return whether a value that is not unique is the system's, and not one that was drawn."""
        if isinstance(value, Mapping) or not isinstance(value, (int, str)):
            return value is not None
        if isinstance(value, bool):
            return False
        same = [(at, name) for at, name, text in self.drawn if text == str(value) and at <= number]
        if any(noun(name) == word or name in takers for _, name in same):
            return False
        if not any(at == number for at, _ in same):
            return True
        step = self.entered[number]
        return bool(_places(step, value)) or str(value) in _reply_ids(step)


def names_of(entered: tuple[Entered, ...], initial: Mapping[str, Any]) -> Names:
    """Find the names of the values that steps made.

    :param initial: the context at the start.
    """
    names, drawn = Names(), list(_drawn(entered))
    constant = {str(leaf) for leaf, _ in _leaves(initial)} | {text for _, _, text in drawn}
    if entered and entered[0].before is not None:
        constant |= _ids_in(entered[0].before.observations)
    path = _Path(entered, _uses(entered), drawn, constant)
    for number, step in enumerate(entered):
        # What is sent before anything returned it was made by nobody on this path.
        constant |= _ids_sent(step) - names.unique.keys()
        for held in _made(step):
            _name_held(names, held, number, path)
        for text, word in _seen(step):
            if text not in constant and text not in names.unique:
                names.add_unique(text, names.new(word or "id"))
    return names


def _name_held(names: Names, held: _Held, number: int, path: "_Path") -> None:
    """Give a value that a step made its name, if it is to have one."""
    owner = None if held.entry is None else (held.pool, held.entry.owner)
    takers = path.uses.get(owner, []) if owner is not None else []
    word = noun(held.pool.partition(":")[2]) or next(filter(None, map(noun, takers)), "value")
    unique = [
        (text, key)
        for leaf, key in _leaves(held.value)
        if (text := unique_text(leaf)) and text not in path.constant
    ]
    if unique:
        name = next((names.unique[text] for text, _ in unique if text in names.unique), None)
        name = name or names.new(word)
        for text, key in unique:
            is_sole = len(unique) == 1 or noun(key or "id") in ("", word)
            names.add_unique(text, name if is_sole else f"{name}.{key}")
    elif takers and path.makes(held.value, word, takers, number):
        name = _known_local(names, held.value, word, number) or names.new(word)
        _add_local(names, held.value, name, number, {word, *map(noun, takers)}, path)
    else:
        return
    if owner is not None:
        names.owned[owner] = name
    names.assign(number, name)


def _add_local(
    names: Names, value: object, name: str, number: int, nouns: set[str], path: "_Path"
) -> None:
    if not isinstance(value, Mapping):
        step, text = path.entered[number], str(value)
        places = frozenset((nouns | _places(step, value)) - {""})
        names.local.append(Local(text, name, places, number, frozenset(_shapes(step, text))))


def _known_local(names: Names, value: object, word: str, number: int) -> str | None:
    """Return the name of the same value, held in a Bundle and in the context."""
    return next(
        (
            item.name
            for item in names.local
            if (item.text, item.made) == (str(value), number) and word in item.nouns
        ),
        None,
    )


def _made(step: Entered) -> Iterator[_Held]:
    """Yield what a step put into Bundles, and then into the context."""
    at, before = step.at, step.at.parent
    assert at.taken is not None
    assert before is not None
    for pool in sorted(at.pools):
        for entry in at.pools[pool]:
            if entry.owner[0] == at.taken.draft.number:
                yield _Held(pool, entry.value, entry)
    for key in at.state.context:
        if f"context:{key}" not in at.pools:
            known = {repr(value) for value in values_under(before.state.context, key)}
            for value in values_under(at.state.context, key):
                if repr(value) not in known:
                    yield _Held(f"context:{key}", value, None)


def _uses(entered: Iterable[Entered]) -> dict[tuple[str, Owner], list[str]]:
    """Return pool and owner -> the arguments that later steps took the value as."""
    uses: dict[tuple[str, Owner], list[str]] = {}
    for step in entered:
        for name, item in step.at.chosen.items():
            uses.setdefault((item.pool, item.owner), []).append(name)
    return uses


def _drawn(entered: Iterable[Entered]) -> Iterator[tuple[int, str, str]]:
    """Yield step, argument and text of each value that a strategy made."""
    for number, step in enumerate(entered):
        assert step.at.taken is not None
        for name, given in step.at.taken.draft.given.items():
            if isinstance(given, Drawn):
                for leaf, key in _leaves(given.value):
                    yield number, key or name, str(leaf)


def _seen(step: Entered) -> Iterator[tuple[str, str]]:
    """Yield each random id in rows and replies with the noun of its place."""
    for request in step.requests:
        place = collection(str(request.url))
        for leaf, key in _leaves(request.response_body):
            yield from _ids_with_nouns(leaf, noun(key) or place)
    for effect in step.effects:
        yield from _ids_of_effect(effect)


def _ids_of_effect(effect: Effect) -> Iterator[tuple[str, str]]:
    words = [noun(str(part)) for part in effect.place if not _ids_of(part)]
    place = next(filter(None, reversed(words[:1] if effect.is_row else words)), "")
    if not effect.is_row:
        for part in effect.place:
            yield from _ids_with_nouns(str(part), place)
    for leaf, key in _leaves(effect.after):
        yield from _ids_with_nouns(leaf, noun(key) or place)


def _places(step: Entered, value: object) -> set[str]:
    """Return the nouns of the tables, or maps, in which a step added something under a value."""
    return {
        noun(str(effect.place[-2]))
        for effect in step.effects
        if effect.kind == ADDED and len(effect.place) > 1 and str(effect.place[-1]) == str(value)
    }


def _reply_ids(step: Entered) -> set[str]:
    """Return the texts of what stands under the name of an id in replies."""
    return {
        str(leaf)
        for request in step.requests
        for leaf, key in _leaves(request.response_body)
        if ID_FIELD.search(key)
    }


def _shapes(step: Entered, text: str) -> Iterator[frozenset[str]]:
    """Yield the keys of each object in a reply that has a value as its id."""
    for request in step.requests:
        body = request.response_body
        for item in body.values() if isinstance(body, Mapping) else ():
            if _has_id(item, text):
                yield frozenset(map(str, item))
        if _has_id(body, text):
            yield frozenset(map(str, body))


def _has_id(item: object, text: str) -> bool:
    """Return whether an object with enough keys to know it by has that id."""
    return isinstance(item, Mapping) and len(item) > 2 and str(item.get("id")) == text


def _leaves(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[Any, str]]:
    """Yield each plain value in a value with the key it stands under."""
    if depth > 20 or value is None or isinstance(value, bool):
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            # An id within "order" is the id of an order.
            own = str(name) if noun(str(name)) or not key else key
            yield from _leaves(item, own, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _leaves(item, key, depth + 1)
    elif isinstance(value, (str, int, float, uuid.UUID)):
        yield value, key


def unique_text(value: Any) -> str:
    """Return the text of a value that can be nothing else; empty for others."""
    text = str(value)
    if isinstance(value, uuid.UUID):
        return text
    is_long = isinstance(value, str) and len(text) >= _SHORTEST_UNIQUE
    is_token = is_long and " " not in text and template_of(text) != text
    return text if is_token or (isinstance(value, int) and value >= 10**6) else ""


def _ids_of(value: object) -> set[str]:
    if isinstance(value, uuid.UUID):
        return {str(value)}
    return set(RANDOM_ID.findall(value)) if isinstance(value, str) else set()


def _ids_with_nouns(value: object, word: str) -> Iterator[tuple[str, str]]:
    """Yield the ids in a value, each with its noun: in a text what stands before it says more."""
    for text in sorted(_ids_of(value)):
        before = str(value).partition(text)[0]
        own = re.search(r"([A-Za-z][\w-]*)[=:/]$", before)
        yield text, (noun(own[1]) if own else "") or word


def _ids_in(value: object) -> set[str]:
    if isinstance(value, Mapping):
        value = {str(key): getattr(item, "data", item) for key, item in value.items()}
    return {text for leaf, _ in _leaves(value) for text in _ids_of(leaf)}


def _ids_sent(step: Entered) -> set[str]:
    sent = [str(request.url) for request in step.requests]
    sent += [str(leaf) for item in step.requests for leaf, _ in _leaves(item.request_body)]
    return {found for text in sent for found in _ids_of(text)}


def _spellings(text: str) -> set[str]:
    found = {text}
    if re.fullmatch(_UUID, text) or re.fullmatch(r"[0-9a-f]{32}", text):
        plain = uuid.UUID(text)
        found |= {str(plain), plain.hex, str(plain).upper()}
    return found
