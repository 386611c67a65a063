"""Which states have one shape."""

import enum
from collections.abc import Mapping
from typing import Any

import pytest

from venomqa_hyp import Observation
from venomqa_hyp.explore.shape import LOW_CARDINALITY, Shaper, kind_of


def shape(data: Mapping[str, Any], shaper: Shaper | None = None) -> Any:
    return (shaper or Shaper()).features([Observation.create("db", data)])


def orders(*rows: tuple[Any, ...]) -> dict[str, Any]:
    table = {"columns": ("id", "total", "status"), "key": ("id",), "rows": list(rows)}
    return {"tables": {"orders": table}}


class Color(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 2, True),
        (9, 10, False),
        (1, 1.0, False),
        (0, 1, False),
        (-5, 5, False),
        (True, 1, False),
        (None, 0, False),
        ("paid", "open", True),
        ("", "x", False),
        ([1], [2], True),
        ([1], [], False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, {"b": 1}, False),
        (Color.RED, Color.RED, True),
        (float("inf"), 1e308, True),
        (object(), object(), True),
    ],
)
def test_kinds_of_values(one: Any, other: Any, same: bool) -> None:
    """Sign and magnitude, length, the value itself where there are few."""
    assert (kind_of(one) == kind_of(other)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (orders((1, 250, "paid")), orders((7, 999, "paid")), True),
        (orders((1, 250, "paid")), orders((1, 250, "open")), False),
        (orders((1, 250, "paid")), orders((1, 25, "paid")), False),
        (orders((1, 250, "paid")), orders((1, 250, "paid"), (2, 300, "paid")), False),
        (orders(*[(n, 5, "a") for n in range(5)]), orders(*[(n, 5, "a") for n in range(8)]), True),
        ({"order:1": {"status": "paid"}}, {"order:2": {"status": "paid"}}, True),
        ({"order:1": {"status": "paid"}}, {"order:2": {"status": "open"}}, False),
        ({"order:1": "x"}, {"user:1": "x"}, False),
        ({"order:9f3c-11": "x"}, {"order:77ab-25": "x"}, True),
        ({"order:1": "x"}, {"order:1": "x", "order:2": "x"}, False),
        ({"cart": {"order:1": "x"}}, {"box": {"order:1": "x"}}, False),
        ({"items": [{"kind": "a"}]}, {"items": [{"kind": "b"}]}, False),
        ({"items": [1, 2, 3]}, {"items": [4, 5, 6, 7]}, True),
        ({1: "x", 2: "y"}, {5: "x", 6: "y"}, True),
    ],
)
def test_shapes_of_states(one: Any, other: Any, same: bool) -> None:
    """How many there are, roughly, and which values stand in columns with few of them."""
    assert (shape(one) == shape(other)) is same


def test_rows_that_are_gone_from_the_base_count() -> None:
    gone = orders()
    gone["tables"]["orders"]["removed"] = [(1, 2, "paid")]
    assert shape(gone) != shape(orders())


def test_columns_with_many_values_are_told_by_their_kind() -> None:
    """What was told by value before does not count any more."""
    shaper = Shaper()
    seen = [
        shape({"name": "x" * 20 + str(number)}, shaper) for number in range(LOW_CARDINALITY + 5)
    ]
    assert len({*seen[:LOW_CARDINALITY]}) == LOW_CARDINALITY
    assert seen[-1] == seen[-2]
    assert not any(shaper.is_current(feature) for feature in seen[0])
    assert all(shaper.is_current(feature) for feature in seen[-1])


def test_clocks_and_random_ids_make_no_state_rare() -> None:
    """Of a text with atoms only the template counts."""
    one, other = orders((1, 2, "2026-01-01 10:00")), orders((1, 2, "2026-01-01 10:01"))
    assert shape(one) == shape(other)
    assert shape(one) != shape(orders((1, 2, "new")))


def test_values_without_a_hash_are_told_by_their_kind() -> None:
    assert shape({"a": bytearray(b"1")}) == shape({"a": bytearray(b"2")})
