"""Digests are equal for equal values of equal types only, and copies share nothing mutable."""

import dataclasses
import datetime
import decimal
import enum
import os
import re
import subprocess
import sys
import uuid
from collections import OrderedDict, defaultdict, deque, namedtuple
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from venomqa_hyp.errors import DigestError
from venomqa_hyp.values import canonical_text, digest, snapshot

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([-1.0, 0.0, -0.0, 1.0, 1.5]),
    st.text(max_size=3),
    st.binary(max_size=3),
)
keys = st.one_of(scalars, st.tuples(scalars, scalars), st.frozensets(scalars, max_size=2))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.sets(scalars, max_size=3),
        st.frozensets(keys, max_size=3),
    ),
    max_leaves=8,
)


def explicit(value: Any) -> Any:
    """Rebuild a value so that == tells what a digest must tell: each type is written down."""
    if isinstance(value, dict):
        return dict, frozenset((explicit(key), explicit(item)) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(map(explicit, value))
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(explicit, value))
    return type(value), repr(value)


def shuffled(value: Any) -> Any:
    """Rebuild a value with the opposite order of dict entries and set elements."""
    if isinstance(value, dict):
        return {shuffled(key): shuffled(value[key]) for key in reversed(value)}
    if isinstance(value, (set, frozenset)):
        return type(value)(reversed([shuffled(item) for item in value]))
    if isinstance(value, (list, tuple)):
        return type(value)(map(shuffled, value))
    return value


class Status(enum.Enum):
    OPEN = 1
    PAID = 2


class Number(enum.IntEnum):
    ONE = 1


class Flags(enum.IntFlag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Order:
    id: int
    lines: list[Any]
    seen: int = dataclasses.field(default=0, compare=False)


@attrs.define
class Payment:
    id: int
    notes: str = attrs.field(default="", eq=False)


@given(values, values)
def test_digests_are_equal_exactly_where_values_and_types_are(left: Any, right: Any) -> None:
    """Two nested values share a digest if and only if a second, explicit form of them is equal."""
    assert (digest(left) == digest(right)) == (explicit(left) == explicit(right))


@given(values)
def test_order_of_dicts_and_sets_does_not_count(value: Any) -> None:
    """The digest of a value built in the opposite order is the same."""
    assert digest(shuffled(value)) == digest(value)


@given(values)
def test_wrapping_a_value_changes_its_digest(value: Any) -> None:
    """A value, a list of it, a tuple of it and a dict of it are four different values."""
    assert len({digest(item) for item in (value, [value], (value,), {"": value})}) == 4


def test_look_alikes_differ() -> None:
    """Values that compare or print alike have digests of their own."""
    alike: list[Any] = [
        *(1, True, 1.0, 1 + 0j, "1", b"1", bytearray(b"1"), decimal.Decimal(1), Number.ONE),
        *([1], (1,), {1}, frozenset({1}), {1: None}, deque([1]), range(1)),
        *(None, "None", Status.OPEN, Status.PAID, Flags.READ, Flags.READ | Flags.WRITE),
        *({"a": 1}, OrderedDict(a=1), defaultdict(int, a=1), MappingProxyType({"a": 1})),
        *([1, 2], ["1, 2"], [[1], 2], [[1, 2]], {1: 2}, {(1, 2)}),
        *(decimal.Decimal("1.0"), decimal.Decimal("1.00"), -0.0, 0.0),
        *(datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), datetime.time(1)),
        datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        *(datetime.timedelta(1), uuid.UUID(int=1), str(uuid.UUID(int=1)), uuid.UUID(int=2)),
        *(Order(1, []), Order(1, [1]), Order(2, []), Payment(1), Payment(2)),
    ]
    assert len({digest(value) for value in alike}) == len(alike)


def test_fields_left_out_of_comparison_do_not_count() -> None:
    """A dataclass and an attrs class are digested by the fields that their == looks at."""
    assert digest(Order(1, [2], seen=3)) == digest(Order(1, [2], seen=4))
    assert digest(Payment(1, notes="a")) == digest(Payment(1, notes="b"))


@pytest.mark.parametrize("base", [list, str, bytes, int, deque])
def test_a_subclass_with_a_repr_of_its_own_is_told_apart_by_content(base: type) -> None:
    """Content counts, also where repr() does not show it."""
    kind = type("Short", (base,), {"__repr__": lambda self: "Short"})
    one, two = (kind([item]) if base in (list, deque) else kind(item) for item in contents(base))
    assert digest(one) != digest(two)


def contents(base: type) -> tuple[Any, Any]:
    if base is str:
        return "1", "2"
    return (b"1", b"2") if base is bytes else (1, 2)


def test_named_tuples_with_a_repr_of_their_own_are_told_apart_by_content() -> None:
    """Content counts, also where repr() does not show it."""

    class Point(namedtuple("Point", "x y")):
        def __repr__(self) -> str:
            return "Point"

    assert digest(Point(1, 2)) != digest(Point(1, 3))


def test_flags_with_unnamed_bits_differ() -> None:
    """A flag's bits count, whether they have a name or not."""
    assert digest(Flags(8)) != digest(Flags(16))


def test_digest_is_the_same_in_every_process() -> None:
    """The digest depends on nothing but the value: not on the seed of hash() either."""
    value = "{'b': {'x', 'y', 'z', b'w', 1}, 'a': frozenset({'p', 'q'})}"
    code = f"from venomqa_hyp.values import digest; print(digest({value}), end='')"
    shown = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert shown[0] == shown[1]
    assert re.fullmatch("[0-9a-f]{32}", shown[0])


@pytest.mark.parametrize(
    ("value", "culprit"),
    [
        (object(), "value is a builtins.object "),
        ({"a": [1, {"b": object()}]}, "value[a][1][b] is a builtins.object "),
        ([(1, print)], "value[0][1] is a builtins.builtin_function_or_method "),
        ({"order": Order(1, [len])}, "value['order'].lines[0] is a "),
        ({1: int}, "value[1] is a builtins.type "),
    ],
)
def test_says_which_nested_value_has_no_digest(value: Any, culprit: str) -> None:
    """The error gives the way down to the culprit, its type and its text."""
    with pytest.raises(DigestError) as caught:
        digest(value)
    assert str(caught.value).replace("'a'", "a").replace("'b'", "b").startswith(culprit)


def test_message_for_a_value_without_digest() -> None:
    """The whole message: what it is, why it cannot work, what to write instead."""

    class Response:
        def __repr__(self) -> str:
            return "<Response 200>"

    Response.__qualname__ = "Response"
    with pytest.raises(DigestError) as caught:
        digest({"last": Response()}, where="context")
    assert str(caught.value) == (
        f"context['last'] is a {__name__}.Response (<Response 200>), which has no canonical "
        "digest: two states that hold one cannot be compared. Store plain values instead (an id, "
        'response.json()["id"]), or a dataclass, or leave the key out with '
        "World(..., state_from_context=[the keys that matter])."
    )


def test_message_for_a_cycle() -> None:
    """A value that holds itself is refused and named."""
    cycle: list[Any] = [1]
    cycle.append({"again": cycle})
    with pytest.raises(DigestError) as caught:
        digest(cycle, where="context")
    assert str(caught.value) == (
        "context refers to itself or is nested too deeply, so it has no digest. "
        "Store the plain values that matter instead."
    )


@given(values)
def test_snapshot_is_equal_and_shares_nothing_mutable(value: Any) -> None:
    """Emptying every container of the copy leaves the original as it was."""
    before = canonical_text(value)
    copied = snapshot(value)
    assert explicit(copied) == explicit(value)
    empty(copied)
    assert canonical_text(value) == before


def empty(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.values():
            empty(item)
        value.clear()
    elif isinstance(value, (list, tuple)):
        for item in value:
            empty(item)
        if isinstance(value, list):
            value.clear()
    elif isinstance(value, set):
        value.clear()


def test_snapshot_copies_records_and_rare_containers() -> None:
    """Dataclasses, attrs classes, deques, byte arrays and subclasses of dict are copied too."""
    original = [Order(1, [2]), Payment(1), deque([[1]]), bytearray(b"a"), defaultdict(list, a=[1])]
    copied = snapshot(original)
    assert digest(copied) == digest(original)
    copied[0].lines.append(3)
    copied[1].id = 2
    copied[2][0].append(2)
    copied[3].append(1)
    copied[4]["a"].append(2)
    assert original == [
        Order(1, [2]),
        Payment(1),
        deque([[1]]),
        bytearray(b"a"),
        defaultdict(list, a=[1]),
    ]


def test_what_has_a_digest_can_be_copied() -> None:
    """A read-only mapping has a digest, so a context may hold one, so it must copy."""
    held = MappingProxyType({"a": [1]})
    copied = snapshot({"settings": held})
    assert digest(copied["settings"]) == digest(held)
