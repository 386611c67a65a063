"""Values that differ each time the same thing is done: clocks and random ids.

A *place* is where such a value stands: the keys that lead to it, with ``*`` for the elements of a
list and for keys that are no names, and the name of a column at the end where rows are held as
``{"columns": ..., "rows": ...}``. Such a table may be a difference from a base: ``"removed"`` then
holds the rows that only the base has.
"""

import datetime
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from venomqa_hyp.core.digest import canonical_text

Place = tuple[str, ...]

ANY = "*"
_CLOCK_OR_RANDOM = (bytes, uuid.UUID, datetime.datetime, datetime.date, datetime.time)
#: Other texts and smaller numbers are content: a status, a document, an amount, a count.
_TOKEN = re.compile(r"[\w.:+/=-]{8,}|\d{4}-\d\d-\d\d \d\d:[\d:.+ -]+")
_SMALLEST_NUMBER = 1_000_000


def volatile_places(first: Mapping[str, Any], second: Mapping[str, Any]) -> frozenset[Place] | None:
    """Return the places that explain all differences between two runs of the same thing.

    :return: empty where there is no difference; ``None`` where one cannot be explained by clocks
        and random ids.
    """
    places = frozenset(_differing(first, second, ()))
    if canonical_text(without(first, places)) != canonical_text(without(second, places)):
        return None
    return places


def without(data: Any, places: frozenset[Place]) -> Any:
    """Return ``data`` with what stands at ``places`` left out."""
    return _without(data, places, ()) if places else data


def _differing(first: Any, second: Any, at: Place) -> Iterator[Place]:
    if canonical_text(first) == canonical_text(second):
        return
    if is_table(first) and is_table(second):
        yield from _differing_columns(first, second, at)
    elif isinstance(first, Mapping) and isinstance(second, Mapping):
        if set(first) == set(second):
            for key in first:
                yield from _differing(first[key], second[key], (*at, name_of(key)))
        elif len(first) == len(second) and all(map(may_vary, {*first} ^ {*second})):
            yield (*at, ANY)
    elif is_list(first) and is_list(second) and len(first) == len(second):
        for one, other in zip(first, second, strict=True):
            yield from _differing(one, other, (*at, ANY))
    elif may_vary(first) and type(first) is type(second):
        yield at


def _differing_columns(first: Any, second: Any, at: Place) -> Iterator[Place]:
    if list(first["columns"]) != list(second["columns"]):
        return
    parts = [(first.get(part, ()), second.get(part, ())) for part in ("rows", "removed")]
    if any(len(one) != len(other) for one, other in parts):
        return
    for index, column in enumerate(first["columns"]):
        changed = [value for one, other in parts for value in _one_sided(one, other, index)]
        if changed and all(map(may_vary, changed)):
            yield (*at, column)


def _one_sided(one: Sequence[Any], other: Sequence[Any], index: int) -> list[Any]:
    gone = {canonical_text(row[index]): row[index] for row in one}
    come = {canonical_text(row[index]): row[index] for row in other}
    return [(gone | come)[text] for text in gone.keys() ^ come.keys()]


def _without(data: Any, places: frozenset[Place], at: Place) -> Any:
    if is_table(data):
        columns = data["columns"]
        kept = [index for index, name in enumerate(columns) if (*at, name) not in places]
        return data if len(kept) == len(columns) else {**data, **_kept_rows(data, kept)}
    if isinstance(data, Mapping):
        inner = {key: (*at, name_of(key)) for key in data}
        if (*at, ANY) in places:
            return sorted(canonical_text(_without(data[key], places, inner[key])) for key in data)
        return {
            key: _without(data[key], places, inner[key]) for key in data if inner[key] not in places
        }
    if is_list(data):
        if (*at, ANY) in places:
            return len(data)
        return [_without(item, places, (*at, ANY)) for item in data]
    return data


def _kept_rows(table: Mapping[str, Any], kept: list[int]) -> dict[str, list[str]]:
    """Return the rows with some columns only; what is then both there and removed is neither."""
    count: Counter[str] = Counter()
    for part, sign in (("rows", 1), ("removed", -1)):
        for row in table.get(part, ()):
            count[canonical_text(tuple(row[index] for index in kept))] += sign
    left = {"rows": sorted(count.elements())}
    if "removed" in table:
        left["removed"] = sorted((-count).elements())
    return left


def is_table(data: Any) -> bool:
    """Return whether rows are held, as the SQL adapters show them."""
    return isinstance(data, Mapping) and "columns" in data and "rows" in data


def is_list(data: Any) -> bool:
    """Return whether the order of elements has a meaning."""
    return isinstance(data, Sequence) and not isinstance(data, (str, bytes, bytearray))


def name_of(key: Any) -> str:
    """Return what a key is called in a place."""
    return key if isinstance(key, str) and not may_vary(key) else ANY


def may_vary(value: Any) -> bool:
    """Return whether a value is of a kind that clocks and random ids have."""
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return abs(value) >= _SMALLEST_NUMBER
    if isinstance(value, str):
        return bool(_TOKEN.fullmatch(value)) and any(letter.isdigit() for letter in value)
    return isinstance(value, _CLOCK_OR_RANDOM)
