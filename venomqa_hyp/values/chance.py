"""What differs as chance makes it differ, whatever it is."""

from collections.abc import Sequence
from typing import Any

from venomqa_hyp.values.chunks import NUMBER, Shape, shapes_of, vary
from venomqa_hyp.values.identity import identify
from venomqa_hyp.values.trees import HELD, Reader, is_list


def pattern_of(value: object) -> str:
    """Return what identifies a value but for its atoms, whatever they are."""
    unit = Reader().unit(value, (HELD,))
    return identify([unit], dict.fromkeys((hole.name for hole in unit.atoms()), "")).identity


def are_shuffled(values: Sequence[Any]) -> bool:
    """Return whether lists hold the same in other orders."""
    if not all(map(is_list, values)):
        return False
    return len({tuple(sorted(map(pattern_of, item))) for item in values}) == 1


def shapes_in(values: Sequence[Any]) -> frozenset[Shape]:
    """Return the shapes of values that chance may have made; none where it may not."""
    kinds = {type(item) for item in values}
    if kinds == {str}:
        return shapes_of(values)
    is_number = kinds in ({int}, {float}, {int, float})
    return frozenset([NUMBER]) if is_number and vary(values) else frozenset()
