"""The journal's arithmetic: any handle from any moment, in whatever order changes were reported."""

import pickle
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from venomqa_hyp.adapters.sql import Delta, Entry, Journal, Move, Queries, Table, Taken
from venomqa_hyp.core import Observation, RowChange, changes
from venomqa_hyp.errors import RollbackError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable, volatile_places

ORDERS, LINES, HIDDEN = 1, 2, 3


def orders_row(row: str) -> tuple[Any, ...]:
    number, _, total = row.partition("|")
    return (int(number), total)


class Store:
    """Tables as multisets of rows, and a journal that reports changes in a shuffled order."""

    name = "db"
    counted = "sequences"
    metadata: Mapping[str, Any] = {}
    queries = Queries(lambda statements: [], "db", "a database", ValueError)
    tables: Mapping[int, Table] = {
        ORDERS: Table("orders", ("id", "total"), ("id",), "base of orders", orders_row),
        LINES: Table("lines", ("line",), (), "base of lines", lambda row: (row.partition("|")[2],)),
    }

    def __init__(self) -> None:
        self.content: dict[int, Counter[str]] = {
            ORDERS: Counter(["1|10"]),
            LINES: Counter({"a|same": 2}),
            HIDDEN: Counter(),
        }
        self.sequence = 1
        self.entries: list[Entry] = []
        self.restored: list[Mapping[int, Move]] = []
        self.busy = 0
        self.closed = 0

    def write(self, table: int, sign: int, row: str) -> None:
        self.content[table][row] += sign
        self.entries.append((table, sign, row))

    def take(self) -> Taken:
        entries, self.entries = self.entries, []
        random.Random(0).shuffle(entries)
        return Taken(entries, {"orders_id_seq": self.sequence})

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, Any]) -> bool:
        if self.busy:
            self.busy -= 1
            self.write(LINES, 1, "b|background")
            return False
        self.restored.append(moves)
        for table, move in moves.items():
            self.content[table].subtract(move.remove)
            assert min(self.content[table].values(), default=0) >= 0
            self.content[table].update(move.add)
        self.sequence = counters.get("orders_id_seq", self.sequence)
        return True

    def close(self) -> None:
        self.closed += 1

    def rows(self, table: int) -> list[str]:
        return sorted(self.content[table].elements())


class System(Journal):
    def __init__(self) -> None:
        self.store = Store()
        super().__init__(self.store)


def insert(system: System, choose: random.Random) -> None:
    store = system.store
    store.sequence += 1
    store.write(ORDERS, 1, f"{store.sequence}|{choose.randrange(99)}")


def update_with_a_nested_trigger(system: System, choose: random.Random) -> None:
    store = system.store
    old = choose.choice(store.rows(ORDERS) or ["none"])
    if old == "none":
        insert(system, choose)
        return
    number = old.partition("|")[0]
    # A trigger of the application changes the row again; its statement ends first.
    store.write(ORDERS, -1, f"{number}|inner")
    store.write(ORDERS, 1, f"{number}|{choose.randrange(100, 10**9)}")
    store.write(ORDERS, -1, old)
    store.write(ORDERS, 1, f"{number}|inner")


def delete_or_add_an_equal_row(system: System, choose: random.Random) -> None:
    if system.store.rows(LINES) and choose.random() < 0.5:
        system.store.write(LINES, -1, choose.choice(system.store.rows(LINES)))
    else:
        system.store.write(LINES, 1, "a|same")


def test_it_keeps_the_contract() -> None:
    check_rollbackable(System, [insert, update_with_a_nested_trigger, delete_or_add_an_equal_row])


def test_any_handle_restores_every_table() -> None:
    """Also the rows of a table that is not observed come back, with equal rows counted."""
    system, choose = System(), random.Random(1)
    store = system.store
    taken = []
    for step in range(60):
        random_change = choose.choice(
            [insert, update_with_a_nested_trigger, delete_or_add_an_equal_row]
        )
        random_change(system, choose)
        store.write(HIDDEN, 1, f"hidden {step}")
        taken.append((system.checkpoint(""), {t: store.rows(t) for t in store.content}))
        handle, content = choose.choice(taken)
        system.rollback(handle)
        assert {table: store.rows(table) for table in store.content} == content


def test_only_what_changed_is_touched() -> None:
    """A step of one row is undone by one row, whatever happened before."""
    system = System()
    for _ in range(50):
        insert(system, random.Random(0))
    handle = system.checkpoint("many")
    system.store.write(LINES, 1, "b|new")
    system.rollback(handle)
    assert system.store.restored == [{LINES: Move(("b|new",), ())}]
    system.rollback(handle)
    assert len(system.store.restored) == 1


def test_observation_shows_rows_added_and_removed() -> None:
    system = System()
    before = system.observe()
    system.store.write(ORDERS, -1, "1|10")
    system.store.write(ORDERS, 1, "1|20")
    system.store.write(LINES, -1, "a|same")
    after = system.observe()
    assert after.data["tables"]["orders"] == {
        "columns": ("id", "total"),
        "key": ("id",),
        "rows": [(1, "20")],
        "removed": [(1, "10")],
        "base": "base of orders",
    }
    assert after.data["tables"]["lines"]["removed"] == [("same",)]
    changed, removed = changes(before, after)[1], changes(before, after)[0]
    assert changed.changed == (RowChange((1,), {"id": 1, "total": "10"}, {"id": 1, "total": "20"}),)
    assert removed.removed == (RowChange(("same",), {"line": "same"}, None),)


def test_what_is_not_observed_does_not_tell_states_apart() -> None:
    """A difference in a hidden table or column is rolled back, and shows nowhere."""
    system = System()
    before = system.observe()
    system.store.write(HIDDEN, 1, "x")
    system.store.write(LINES, -1, "a|same")
    system.store.write(LINES, 1, "b|same")
    after = system.observe()
    assert after == before
    assert after.data["tables"]["lines"] == before.data["tables"]["lines"]


def test_an_observation_survives_pickling() -> None:
    system = System()
    insert(system, random.Random(0))
    seen = system.observe()
    assert pickle.loads(pickle.dumps(seen)).data == {
        **seen.data,
        "tables": dict(seen.data["tables"]),
    }


def test_a_delta_without_changes_is_the_same() -> None:
    assert Delta().after([], lambda _table, _row: 0).moves_to(Delta()) == {}


def test_a_writer_in_the_background_is_waited_for_and_then_refused() -> None:
    system = System()
    handle = system.checkpoint("quiet")
    insert(system, random.Random(0))
    system.store.busy = 1
    system.rollback(handle)
    assert system.store.rows(LINES) == ["a|same", "a|same"]
    system.store.busy = 99
    insert(system, random.Random(0))
    with pytest.raises(RollbackError, match="went on writing during 3 attempts"):
        system.rollback(handle)


def test_dead_handles_and_closed_journals_refuse() -> None:
    system, other = System(), System()
    handle = system.checkpoint("x")
    with pytest.raises(RollbackError, match="<Handle 'x'>"):
        other.rollback(handle)
    system.forget(handle)
    with pytest.raises(RollbackError, match="it was forgotten"):
        system.rollback(handle)
    system.close()
    system.close()
    assert system.store.closed == 1
    with pytest.raises(SystemUnavailable, match="closed"):
        system.observe()


def orders(rows: list[Any], removed: list[Any]) -> dict[str, Any]:
    table = {"columns": ("id", "at"), "key": ("id",), "rows": rows, "removed": removed}
    return {"tables": {"orders": table}}


def test_changes_between_two_differences_from_one_base() -> None:
    """Also where a row of the base comes back, and where one was changed in both."""
    before = Observation("db", orders([(1, "b"), (9, "z")], [(1, "a"), (2, "a")]))
    after = Observation("db", orders([(1, "c")], [(1, "a")]))
    (table,) = changes(before, after)
    assert [(row.before, row.after) for row in table.changed] == [
        ({"id": 1, "at": "b"}, {"id": 1, "at": "c"})
    ]
    assert [row.after for row in table.added] == [{"id": 2, "at": "a"}]
    assert [row.before for row in table.removed] == [{"id": 9, "at": "z"}]
    assert changes(after, after) == ()


def test_a_clock_in_a_changed_row_is_volatile() -> None:
    """The column alone, and not a row of another key."""
    first = orders([(1, "2026-01-01 10:00:00")], [(1, "2025-01-01 10:00:00")])
    second = orders([(1, "2026-01-01 10:00:09")], [(1, "2025-01-01 10:00:00")])
    assert volatile_places(first, second) == ("orders.at",)
    other = orders([(2, "2026-01-01 10:00:00")], [(1, "2025-01-01 10:00:00")])
    assert volatile_places(first, other) is None
