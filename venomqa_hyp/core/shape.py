"""What of a value, or of a state, matters for telling kinds of them apart.

Two states of one *shape* differ in ids, amounts and texts, and not in what they are examples of:
an order that is paid and one that is not. A shape is a set of *features*: of each table, list or
family of keys how many members there are, and of each of their columns which values occur.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from venomqa_hyp.core.observation import Observation

#: Where something stands, how exactly it is told (``"="`` a value, ``"~"`` its kind), and what.
Feature = tuple[str, str, Any]

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
        self._seen: dict[str, set[Any]] = {}

    def features(self, observations: Iterable[Observation]) -> frozenset[Feature]:
        """Return the shape of a state.

        What a column is told apart by gets coarser once, when its values turn out to be many.
        """
        found: set[Feature] = set()
        for seen in observations:
            if seen.system != "api":
                for place, values in _columns(seen.data, seen.system):
                    known = self._seen.setdefault(place, set())
                    if len(known) <= LOW_CARDINALITY:
                        known.update(values)
                    if len(known) <= LOW_CARDINALITY:
                        found.update((place, "=", value) for value in values)
                    else:
                        found.update((place, "~", kind_of(value)) for value in values)
        return frozenset(found)

    def is_current(self, feature: Feature) -> bool:
        """Return whether states are still told apart by such features."""
        place, told, _ = feature
        return told == "~" or len(self._seen.get(place, ())) <= LOW_CARDINALITY


def _count(number: int) -> int:
    """Return a number that grows with the logarithm: 0, 1, 2, 3 for 3 and 4, 4 for 5 to 8, ..."""
    return number if number < 2 else (number - 1).bit_length() + 1


def _columns(data: Any, at: str) -> Iterator[tuple[str, Counter[Any]]]:
    found: dict[str, Counter[Any]] = {}
    _gather(data, at, found)
    yield from found.items()


def _gather(data: Any, at: str, found: dict[str, Counter[Any]]) -> None:
    if isinstance(data, Mapping):
        if "columns" in data and "rows" in data:
            rows = (dict(zip(data["columns"], row, strict=True)) for row in data["rows"])
            _gather_members(rows, at, found)
            if data.get("removed"):
                _note(found, f"{at} removed", _count(len(data["removed"])))
        elif data and all(map(_is_id, data)):
            _gather_members(data.values(), at, found)
        else:
            for key, item in data.items():
                _gather(item, f"{at}.{_family(key)}", found)
    elif isinstance(data, (list, tuple, AbstractSet)):
        _gather_members(data, at, found)
    elif isinstance(data, bool) or not isinstance(data, (int, float)):
        _note(found, at, data)
    else:
        _note(found, at, kind_of(data))  # ids and amounts are many, and there is no end of them


def _gather_members(members: Iterable[Any], at: str, found: dict[str, Counter[Any]]) -> None:
    number = 0
    for number, member in enumerate(members, 1):  # noqa: B007  # the last one is the count
        _gather(member, f"{at}[]", found)
    _note(found, f"{at} count", _count(number))


def _note(found: dict[str, Counter[Any]], at: str, value: Any) -> None:
    try:
        found.setdefault(at, Counter())[value] += 1
    except TypeError:
        found[at][kind_of(value)] += 1


def _is_id(key: Any) -> bool:
    return not isinstance(key, str) or any(letter.isdigit() for letter in key)


def _family(key: Any) -> str:
    """Return what the keys of a family have in common: ``order:*`` for ``order:12``."""
    text = key if isinstance(key, str) else repr(key)
    return "".join("*" if letter.isdigit() else letter for letter in text).replace("**", "*")
