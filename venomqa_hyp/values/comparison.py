"""Where two values differ, and which of that atoms cannot explain."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

import attrs

from venomqa_hyp.values.digest import canonical_text
from venomqa_hyp.values.trees import ANY, KEY, ROWS, Place, is_list, is_table, json_in, place_text

#: Stands for a value that is only there once.
ABSENT = object()
#: ``(one, other, where) -> whether they are the same but for their atoms``.
Same = Callable[[Any, Any, Place], bool]
_Item = TypeVar("_Item")


@attrs.frozen(eq=False)
class Difference:
    """One place with two values.

    :ivar where: the system, or ``context``, and what leads to the place within it.
    :ivar first: what stood there the first time; ``ABSENT`` for nothing.
    :ivar second: what stood there the second time.
    :ivar row: what tells the row from others, where the place is a column.
    """

    where: Place
    first: Any
    second: Any
    row: str = ""

    @property
    def place(self) -> str:
        """The place as users name it, such as ``db.orders.status``."""
        return place_text(self.where)

    def __str__(self) -> str:
        where = f"{self.place} ({self.row})" if self.row else self.place
        if self.second is ABSENT:
            return f"{where}: {self.first!r} only the first time"
        if self.first is ABSENT:
            return f"{where}: {self.second!r} only the second time"
        return f"{where}: {self.first!r} the first time, {self.second!r} the second time"


def differences(one: Any, other: Any, where: Place, same: Same) -> Iterator[Difference]:
    """Yield the places where two values differ, without those that ``same`` explains."""
    if same(one, other, where):
        return
    if is_table(one) and is_table(other):
        yield from _in_table(one, other, where, same)
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        yield from _in_mapping(one, other, where, same)
    elif is_list(one) and is_list(other):
        _, gone, come = _paired(list(one), list(other), (*where, ANY), same, exactly=True)
        if not gone and not come:
            both = zip(one, other, strict=True)
            if not all(same(first, second, (*where, ANY)) for first, second in both):
                yield Difference(where, one, other)  # in another order
            return
        for first, second in zip(one, other, strict=False):
            yield from differences(first, second, (*where, ANY), same)
        yield from _rest(one[len(other) :], other[len(one) :], (*where, ANY))
    elif isinstance(one, AbstractSet) and isinstance(other, AbstractSet):
        pairs, gone, come = _paired(list(one), list(other), (*where, ANY), same)
        yield from _rest([*gone, *(a for a, _ in pairs)], [*come, *(b for _, b in pairs)], where)
    elif isinstance(one, str) and isinstance(other, str) and json_in(one) and json_in(other):
        yield from differences(json_in(one), json_in(other), where, same)
    else:
        yield Difference(where, one, other)


def _in_mapping(
    one: Mapping[Any, Any], other: Mapping[Any, Any], where: Place, same: Same
) -> Iterator[Difference]:
    for key in one:
        if key in other:
            yield from differences(one[key], other[key], (*where, str(key)), same)
    gone = [{key: one[key]} for key in one if key not in other]
    come = [{key: other[key]} for key in other if key not in one]
    _, gone, come = _paired(gone, come, where, same, exactly=True)
    left = [pair for item in come for pair in item.items()]
    for key, value in (pair for item in gone for pair in item.items()):
        twin = next((item for item in left if same(value, item[1], (*where, ANY))), None)
        if twin is not None:
            left.remove(twin)
            yield Difference((*where, KEY), key, twin[0])
            continue
        named = {at: item for at, item in enumerate(left) if same(key, item[0], (*where, KEY))}
        values = {at: found for at, (_, found) in named.items()}
        alike = _most_alike(value, values, (*where, ANY), same)
        if alike is None:
            yield Difference(where, {key: value}, ABSENT)
        else:
            yield from differences(value, left.pop(alike)[1], (*where, ANY), same)
    yield from _rest([], [dict([item]) for item in left], where)


def _rest(gone: Iterable[object], come: Iterable[object], where: Place) -> Iterator[Difference]:
    yield from (Difference(where, item, ABSENT) for item in gone)
    yield from (Difference(where, ABSENT, item) for item in come)


def _in_table(
    one: Mapping[str, Any], other: Mapping[str, Any], where: Place, same: Same
) -> Iterator[Difference]:
    columns = list(one["columns"])
    if columns != list(other["columns"]):
        yield Difference((*where, "columns"), tuple(columns), tuple(other["columns"]))
        return
    key = one.get("key") or ()
    for part in ROWS:
        old, new = (
            [dict(zip(columns, row, strict=True)) for row in table.get(part, ())]
            for table in (one, other)
        )
        pairs, gone, come = _paired(old, new, where, same)
        for first, second in pairs:
            row = ", ".join(f"{name} {first[name]!r}" for name in key)
            for name in columns:
                for found in differences(first[name], second[name], (*where, name), same):
                    yield attrs.evolve(found, row=found.row or row)
        yield from _rest(gone, come, where)
    if one.get("base") != other.get("base"):
        yield Difference((*where, "base"), one.get("base"), other.get("base"))


def _paired(
    one: Sequence[_Item],
    other: Sequence[_Item],
    where: Place,
    same: Same,
    *,
    exactly: bool = False,
) -> tuple[list[tuple[_Item, _Item]], list[_Item], list[_Item]]:
    """Pair what differs most alike; return the pairs, and what is left of both.

    :param exactly: pair only what is the same but for its atoms.
    """
    texts = [canonical_text(item) for item in other]
    left = dict(enumerate(other))
    alone: list[_Item] = []
    for item in one:
        text = canonical_text(item)
        equal = next((at for at in left if texts[at] == text), None)
        if equal is None:
            equal = next((at for at in left if same(item, left[at], where)), None)
        if equal is None:
            alone.append(item)
        else:
            del left[equal]
    pairs: list[tuple[_Item, _Item]] = []
    gone: list[_Item] = []
    for item in alone:
        at = None if exactly else _most_alike(item, left, where, same)
        if at is None:
            gone.append(item)
        else:
            pairs.append((item, left.pop(at)))
    return pairs, gone, list(left.values())


def _most_alike(item: object, others: Mapping[int, Any], where: Place, same: Same) -> int | None:
    if not isinstance(item, Mapping):
        return next(iter(others), None)
    scores = {
        at: sum(same(item[name], row[name], (*where, name)) for name in item)
        for at, row in others.items()
    }
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best is not None and 2 * scores[best] >= len(item) else None
