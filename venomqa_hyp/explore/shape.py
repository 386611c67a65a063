"""What of a value, or of a state, matters for telling kinds of them apart.

Two states of one *shape* differ in ids, amounts and texts, and not in what they are examples of:
an order that is paid and one that is not. A shape is a set of *features*: of each table, list or
family of keys how many members there are, and of each of their columns which values occur.
"""

import enum
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from venomqa_hyp.core.observation import Observation
from venomqa_hyp.values import Place, json_in, template_of

#: Where something stands, how exactly it is known (``"="`` a value, ``"~"`` its kind), and what.
Feature = tuple[Place, str, Any]

#: A column with more different texts than this tells states apart by the kinds of its values.
LOW_CARDINALITY = 30


def kind_of(value: object) -> Any:
    """Return what stands for all values like this one: sign and magnitude, length, or itself."""
    if value is None or isinstance(value, (bool, enum.Enum)):
        return value
    if isinstance(value, (int, float)):
        magnitude = len(str(int(abs(value)))) if abs(value) < 1e300 else 300
        return (type(value).__name__, 0 if value == 0 else magnitude if value > 0 else -magnitude)
    if isinstance(value, Mapping):
        return ("mapping", frozenset((str(key), kind_of(item)) for key, item in value.items()))
    if isinstance(value, (str, bytes, Sequence, AbstractSet)):
        return (type(value).__name__, _count(len(value)))
    return type(value).__name__


class Shaper:
    """Finds the features of states, and learns which columns hold few different values."""

    def __init__(self) -> None:
        self._seen: dict[Place, set[object]] = {}

    def features(self, observations: Iterable[Observation]) -> frozenset[Feature]:
        """Return the shape of a state.

        What a column is told apart by gets coarser once, when its values turn out to be many.
        """
        found: set[Feature] = set()
        for seen in observations:
            if seen.system == "api":
                continue
            columns: dict[Place, set[object]] = {}
            _gather(seen.data, (), columns)
            for place in columns:
                found.update(self._features_of((seen.system, *place), columns[place]))
        return frozenset(found)

    def is_current(self, feature: Feature) -> bool:
        """Return whether states are still told apart by such features."""
        place, exactness, _ = feature
        return exactness == "~" or len(self._seen.get(place, ())) <= LOW_CARDINALITY

    def _features_of(self, place: Place, values: set[object]) -> Iterator[Feature]:
        known = self._seen.setdefault(place, set())
        if len(known) <= LOW_CARDINALITY:
            known.update(values)
        few = len(known) <= LOW_CARDINALITY
        return ((place, "=", item) if few else (place, "~", kind_of(item)) for item in values)


def _count(number: int) -> int:
    """Return a number that grows with the logarithm: 0, 1, 2, 3 for 3 and 4, 4 for 5 to 8, ..."""
    return number if number < 2 else (number - 1).bit_length() + 1


def _gather(data: object, at: Place, found: dict[Place, set[object]]) -> None:
    if isinstance(data, str):
        inner = json_in(data)
        if inner is None:
            _note(found, at, template_of(data))
        else:
            _gather(inner, at, found)
    elif isinstance(data, Mapping) and "columns" in data and "rows" in data:
        _gather_rows(data, at, found)
    elif isinstance(data, Mapping):
        _gather_families(data, at, found)
    elif isinstance(data, (list, tuple, AbstractSet)):
        _note(found, (*at, "number"), _count(len(data)))
        for member in data:
            _gather(member, (*at, "*"), found)
    elif data is None or isinstance(data, (bool, enum.Enum)):
        _note(found, at, data)
    else:
        _note(found, at, kind_of(data))  # ids and amounts are many, and there is no end of them


def _gather_rows(table: Mapping[str, Any], at: Place, found: dict[Place, set[Any]]) -> None:
    for name in ("rows", "removed"):
        _note(found, (*at, f"number of {name}"), _count(len(table.get(name, ()))))
    for row in table["rows"]:
        for column, value in zip(table["columns"], row, strict=True):
            _gather(value, (*at, column), found)


def _gather_families(data: Mapping[Any, Any], at: Place, found: dict[Place, set[object]]) -> None:
    families: Counter[str] = Counter()
    for key, item in data.items():
        family = _family(key)
        families[family] += 1
        _gather(item, (*at, family), found)
    for family, number in families.items():
        if "*" in family:
            _note(found, (*at, family, "number"), _count(number))


def _note(found: dict[Place, set[object]], at: Place, value: object) -> None:
    known = found.setdefault(at, set())
    try:
        known.add(value)
    except TypeError:
        known.add(kind_of(value))


#: A part of a key that is an id: it has a digit.
_ID = re.compile(r"[^:/.\s]*\d[^:/.\s]*")


def _family(key: object) -> str:
    """Return what the keys of a family have in common: ``order:*`` for ``order:12``."""
    return _ID.sub("*", key if isinstance(key, str) else repr(key))
