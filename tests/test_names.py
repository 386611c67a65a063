"""Random ids are numbered by what is said of them, whatever they are and however they come."""

import random
import time
import uuid
from typing import Any

import pytest

from venomqa_hyp.core import Place, number_names, rename, volatile_places

COLUMNS = ("id", "parent", "status")
PLACES: dict[str, frozenset[Place]] = {
    "db": frozenset({("tables", "orders", "id"), ("tables", "orders", "parent")}),
    "context": frozenset({("orders", "*"), ("last",)}),
}


def orders(*rows: tuple[Any, ...]) -> dict[str, Any]:
    return {"tables": {"orders": {"columns": COLUMNS, "key": ("id",), "rows": list(rows)}}}


def new_id() -> str:
    return str(uuid.uuid4())


def identity(db: Any, **context: Any) -> str:
    return number_names({"db": db, "context": context}, PLACES).identity


def test_which_row_an_id_names_is_part_of_the_state() -> None:
    """The same rows and lists, with the names of two rows exchanged, are another state."""
    one, two = new_id(), new_id()
    rows = orders((one, None, "paid"), (two, None, "new"))
    assert identity(rows, orders=[one, two]) != identity(rows, orders=[two, one])
    assert identity(rows, last=one) != identity(rows, last=two)


def test_what_an_id_is_and_the_order_of_rows_make_no_difference() -> None:
    """A hundred forests of rows, each with new ids and in another order, are one state each."""
    for number in range(100):
        chosen = random.Random(number)
        size = chosen.randint(1, 8)
        parents = [chosen.choice([None, *range(at)]) for at in range(size)]
        status = [chosen.choice(["new", "paid"]) for _ in range(size)]
        last = chosen.randrange(size)
        seen = set()
        for _ in range(4):
            ids: list[Any] = [new_id() for _ in range(size)]
            rows = [
                (ids[at], None if above is None else ids[above], status[at])
                for at, above in enumerate(parents)
            ]
            chosen.shuffle(rows)
            seen.add(identity(orders(*rows), last=ids[last]))
        assert len(seen) == 1


def test_numbers_lead_from_one_name_to_the_other() -> None:
    """The id that has a number in one execution is the one that has it in the other."""
    told = []
    for _ in range(2):
        first, second = new_id(), new_id()
        rows = [(second, first, "new"), (first, None, "paid")]
        named = number_names({"db": orders(*rows), "context": {"last": second}}, PLACES)
        told.append((named, {first: "first", second: "second"}))
    (one, roles), (other, other_roles) = told
    assert [roles[str(name)] for name in one.names] == [
        other_roles[str(name)] for name in other.names
    ]


def test_a_uuid_is_the_same_id_as_its_text() -> None:
    """A driver may show a UUID where the API answers with its text."""
    key = uuid.uuid4()
    as_text = number_names({"db": orders(), "context": {"last": str(key)}}, PLACES)
    as_uuid = number_names({"db": orders(), "context": {"last": key}}, PLACES)
    assert as_text.names == as_uuid.names == (str(key),)


CLOCKS = {
    "seconds": time.time(),
    "whole seconds": int(time.time()),
    "nanoseconds": time.time_ns(),
    "text of milliseconds": str(int(time.time() * 1000)),
    "ISO 8601": "2026-11-21T03:12:45.123456+00:00",
    "SQL": "2026-11-21 03:12:45",
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS.keys())
def test_clocks_are_left_out_and_nothing_is_not_a_clock(clock: Any) -> None:
    """What a clock shows makes no difference, but that it shows something does."""
    assert identity(orders(), last=clock) == identity(orders(), last=time.time())
    assert identity(orders(), last=clock) != identity(orders(), last=None)
    assert identity(orders(), last=clock) != identity(orders(), last=new_id())


def test_an_id_within_a_text_is_the_same_id() -> None:
    """The address of a row names the row."""
    one, two = new_id(), new_id()
    rows = orders((one, None, "paid"), (two, None, "new"))
    assert identity(rows, last=f"/orders/{one}") != identity(rows, last=f"/orders/{two}")
    assert identity(rows, last=f"/orders/{one}") != identity(rows, last=f"/users/{one}")


def test_entries_under_random_keys_are_numbered() -> None:
    """Of a mapping with random keys, which entry a key elsewhere names is part of the state."""
    places: dict[str, frozenset[Place]] = {
        "store": frozenset({("*",)}),
        "context": frozenset({("last",)}),
    }

    def named(last: int) -> str:
        keys = [new_id(), new_id()]
        store = {keys[0]: {"status": "paid"}, keys[1]: {"status": "new"}}
        return number_names({"store": store, "context": {"last": keys[last]}}, places).identity

    assert named(0) == named(0) != named(1)


def test_ids_are_renamed_wherever_they_stand() -> None:
    """In lists and mappings, as UUIDs, and within texts; all else stays as it is."""
    old, new = uuid.uuid4(), uuid.uuid4()
    value = {"key": old, "at": [f"/orders/{old}", 7], str(old): (b"x", True, None)}
    assert rename(value, {str(old): str(new)}) == {
        "key": new,
        "at": [f"/orders/{new}", 7],
        str(new): (b"x", True, None),
    }


def test_many_ids_that_nothing_tells_apart_are_numbered() -> None:
    """Two hundred equal rows are one state, whatever they are called."""
    rows = [[(new_id(), None, "new") for _ in range(200)] for _ in range(2)]
    assert identity(orders(*rows[0])) == identity(orders(*rows[1]))
    places = volatile_places(orders(*rows[0]), orders(*rows[1]))
    assert places == {("tables", "orders", "id")}
