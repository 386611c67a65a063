"""Random ids, numbered: so what they name stays part of the state, and what they are does not.

Where a value is volatile, a clock is left out and a random id is replaced by a number. Numbers
depend on what is said of an id (its row, its place in a list, the ids beside it) and never on the
id itself, so two executions of the same steps get the same numbers. They are found by colour
refinement: ids start alike, and are told apart by the colours of what they stand with, until that
tells no more of them apart.
"""

import datetime
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from venomqa_hyp.core.digest import canonical_text, hash_text
from venomqa_hyp.core.volatile import ANY, Place, is_list, is_table, may_vary, name_of

#: A random id; a UUID is the same id as its text.
Name = int | str | bytes

_HOLE = "\0"  # no canonical text has it
_CLOCK = "\1"
_INSIDE = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?<!\w)[0-9a-fA-F]{16,}(?!\w)"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:[\d:.,+ Zz-]*)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNITS = (1, 10**3, 10**6, 10**9)  # clocks count seconds, or thousandths of them, and so on
_YEAR = 365 * 86_400
_SPLITS = 20


@attrs.frozen
class Named:
    """What identifies a state apart from its random ids, and those ids by number."""

    identity: str
    names: tuple[Name, ...]


def number_names(parts: Mapping[str, Any], places: Mapping[str, frozenset[Place]]) -> Named:
    """Return what identifies the content of some parts, whose volatile places are given."""
    units = _Units(places)
    for part, data in parts.items():
        units.add_part(part, data)
    numbers = _numbers(units.units)
    lines = sorted((text, *(numbers[name] for name in names)) for text, names in units.units)
    return Named(hash_text(repr(lines)), tuple(sorted(numbers, key=numbers.__getitem__)))


def names_in(value: Any) -> Iterator[Name]:
    """Yield what may be a random id in a value, or in what it is made of."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from names_in(key)
            yield from names_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from names_in(item)
    else:
        yield from _split(value)[1]


def rename(value: Any, names: Mapping[Name, Name]) -> Any:
    """Return a value in which random ids have other names."""
    kind = type(value)
    if kind is dict:
        return {rename(key, names): rename(item, names) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind([rename(item, names) for item in value])
    if kind is uuid.UUID:
        return uuid.UUID(str(names.get(str(value), value)))
    if kind is str and value not in names:
        return _INSIDE.sub(lambda found: str(names.get(found[0], found[0])), value)
    return names.get(value, value) if kind in (int, str, bytes) else value


def _split(value: Any) -> tuple[str, list[Name]]:
    """Return a value as text with holes for random ids, and these."""
    if isinstance(value, uuid.UUID):
        return _HOLE, [str(value)]
    if not may_vary(value):
        return canonical_text(value), []
    if _is_clock(value):
        return _CLOCK, []
    if isinstance(value, str):
        rest = _INSIDE.sub("", value)
        if rest != value and not may_vary(rest):
            return repr(_INSIDE.sub("{}", value)), _INSIDE.findall(value)
    return _HOLE, [value]


def _is_clock(value: Any) -> bool:
    if isinstance(value, (float, datetime.date, datetime.time)):
        return True
    if isinstance(value, str):
        if _TIME.fullmatch(value):
            return True
        value = float(value) if _NUMBER.fullmatch(value) else value
    if not isinstance(value, (int, float)):
        return False
    now = time.time()
    return any(abs(value / unit - now) < _YEAR for unit in _UNITS)


class _Units:
    """Content taken apart into units whose order has no meaning: rows, and entries under ids."""

    def __init__(self, places: Mapping[str, frozenset[Place]]) -> None:
        self._all_places = places
        self._places: frozenset[Place] = frozenset()
        self.units: list[tuple[str, list[Name]]] = []

    def add_part(self, part: str, data: Any) -> None:
        self._places = self._all_places.get(part, frozenset())
        self._add(part, [], data, ())

    def _add(self, text: str, names: list[Name], data: Any, at: Place) -> None:
        """Add a unit: ``data``, and where it stands."""
        names = names.copy()
        inner = self._text(data, at, text, names)
        self.units.append((f"{text}:{inner}", names))

    def _text(self, data: Any, at: Place, above: str, names: list[Name]) -> str:
        """Return ``data`` as text with holes, whose names are added to ``names``.

        :param above: where the unit stands, with a hole for each of the names at the call.
        """
        if at in self._places and not isinstance(data, Mapping) and not is_list(data):
            text, found = _split(data)
            names.extend(found)
            return text
        if not any(place[: len(at)] == at for place in self._places):
            return canonical_text(data)
        if is_table(data):
            return self._table(data, at, above, names)
        if isinstance(data, Mapping):
            return self._mapping(data, at, above, names)
        if is_list(data):
            inner = [self._text(item, (*at, ANY), above, names) for item in data]
            return f"[{','.join(inner)}]"
        return canonical_text(data)

    def _table(self, data: Mapping[str, Any], at: Place, above: str, names: list[Name]) -> str:
        columns = list(data["columns"])
        varying = [i for i, name in enumerate(columns) if (*at, name) in self._places]
        plain = [i for i in range(len(columns)) if i not in varying]
        where = f"{above}{'.'.join(at)}"
        for key in ("rows", "removed"):
            for row in data.get(key, ()):
                held = names.copy()
                text = canonical_text(tuple([row[i] for i in plain]))
                for i in varying:
                    inner, found = _split(row[i])
                    held.extend(found)
                    text += inner
                self.units.append((f"{where} {key}{text}", held))
        rest = {key: item for key, item in data.items() if key not in ("rows", "removed")}
        return canonical_text(rest)

    def _mapping(self, data: Mapping[Any, Any], at: Place, above: str, names: list[Name]) -> str:
        if (*at, ANY) not in self._places:
            # The keys in an order of their own, as canonical texts have them.
            keys = sorted(data, key=canonical_text)
            inner = [
                f"{canonical_text(key)}:{self._text(data[key], (*at, name_of(key)), above, names)}"
                for key in keys
            ]
            return f"{{{','.join(inner)}}}"
        for key, item in data.items():
            text, found = _split(key)
            self._add(f"{above}{'.'.join(at)}[{text}]", [*names, *found], item, (*at, name_of(key)))
        return f"{len(data)} entries"


_Colours = dict[Name, int]


def _numbers(units: list[tuple[str, list[Name]]]) -> _Colours:
    """Return name -> number, from 0."""
    ranks = {text: rank for rank, text in enumerate(sorted({text for text, _ in units}))}
    looks = [(ranks[text], names) for text, names in units if names]
    colours: _Colours = {name: 0 for _, names in looks for name in names}
    order = {name: number for number, name in enumerate(colours)}
    colours = _refined(looks, colours)
    for _ in range(_SPLITS):
        if not (tied := _smallest_tie(colours)):
            return colours
        # Ids that nothing tells apart are numbered as they come.
        colours = _ranked(
            {name: (colour, order[name] if name in tied else 0) for name, colour in colours.items()}
        )
        colours = _refined(looks, colours)
    return _ranked({name: (colour, order[name]) for name, colour in colours.items()})


def _refined(looks: list[tuple[int, list[Name]]], colours: _Colours) -> _Colours:
    """Tell ids apart by the units they stand in, and by the colours of the ids beside them."""
    count = len(set(colours.values()))
    while count < len(colours):
        seen: dict[Name, list[Any]] = defaultdict(list)
        for rank, names in looks:
            look = (rank, tuple([colours[name] for name in names]))
            for position, name in enumerate(names):
                seen[name].append((look, position))
        colours = _ranked({name: (colour, sorted(seen[name])) for name, colour in colours.items()})
        if (reached := len(set(colours.values()))) == count:
            break
        count = reached
    return colours


def _smallest_tie(colours: _Colours) -> set[Name]:
    together: dict[int, set[Name]] = defaultdict(set)
    for name, colour in colours.items():
        together[colour].add(name)
    tied = [(len(names), colour) for colour, names in together.items() if len(names) > 1]
    return together[min(tied)[1]] if tied else set()


def _ranked(keys: Mapping[Name, Any]) -> _Colours:
    """Return the rank of each key among the others; equal keys have the same."""
    by_key: Callable[[Name], Any] = keys.__getitem__
    ranks: _Colours = {}
    rank, last = -1, None
    for name in sorted(keys, key=by_key):
        if last is None or keys[name] != last:
            rank += 1
        ranks[name], last = rank, keys[name]
    return ranks
