"""The triggers that write down a superset of the rows that a statement touches.

Each note is a row of one table: the number of the table, whether a row was there before, and its
values, or only those of its key. The first note of a key since the last look says what was there.

- BEFORE DELETE and BEFORE UPDATE note the old row.
- BEFORE INSERT and BEFORE UPDATE note the rows that a REPLACE could delete without a trigger.
- AFTER INSERT notes the key: before, a rowid that SQLite chooses is not known. AFTER UPDATE notes
  the key where it is another one; BEFORE UPDATE does as well, before foreign keys act on it.

Notes have no declared types, so that no value is converted. Of several triggers SQLite fires the
one that was created last first; these are.
"""

import uuid
from collections.abc import Iterator, Sequence

from venomqa_hyp.adapters.sqlite.catalog import TableInfo
from venomqa_hyp.adapters.sqlite.driver import quoted
from venomqa_hyp.adapters.sqlite.rows import Layout

NOTES = "venomqa_journal"
#: The note that holds the beginning but for its rows, and the first of the others, of no table.
START, FIRST = 0, 1
#: GLOB patterns of the names of the triggers, and of what creates the table.
TRIGGERS = f"{NOTES}_[0-9]*"
CREATED = f"CREATE TABLE {NOTES} (/[*] ????????-*"


def statements(tables: Sequence[TableInfo]) -> Iterator[str]:
    """Return what creates the table of notes and all triggers."""
    width = max((len(table.layout.stored) for table in tables), default=0)
    values = "".join(f", c{place}" for place in range(width))
    # By the comment a journal is told from that of another adapter.
    comment = f"/* {uuid.uuid4()} */"
    yield f"CREATE TABLE {NOTES} ({comment} seq INTEGER PRIMARY KEY, number, was{values})"
    # It and the last note taken stay: without them, notes were deleted.
    yield f"INSERT INTO {NOTES} (seq) VALUES ({FIRST})"
    for table in tables:
        yield from _of_table(table)


def _of_table(table: TableInfo) -> Iterator[str]:
    layout = table.layout
    old_row = _note(layout, range(len(layout.stored)), 1, "OLD.")
    key = _note(layout, layout.key, 0, "NEW.")
    replaced = [_replaced(layout, condition) for condition in table.conflicts]
    moved = " OR ".join(f"({new} IS NOT {old} COLLATE BINARY)" for new, old in _key_pairs(layout))
    others = [f"{statement} AND {_another_row(layout)}" for statement in replaced]
    yield _trigger(layout, 1, "BEFORE DELETE", "", [old_row])
    # Foreign keys act, and notes are made of that, before AFTER UPDATE.
    key_moved = f"{key} WHERE {moved}"
    yield _trigger(layout, 2, "BEFORE UPDATE", "", [old_row, *others, key_moved])
    yield _trigger(layout, 3, "AFTER UPDATE", f" WHEN {moved}", [key])
    yield _trigger(layout, 4, "BEFORE INSERT", "", replaced)
    yield _trigger(layout, 5, "AFTER INSERT", "", [key])


def _trigger(layout: Layout, place: int, event: str, when: str, body: list[str]) -> str:
    name = quoted(f"{NOTES}_{layout.number}_{place}")
    steps = " ".join(f"{statement};" for statement in body)
    return f"CREATE TRIGGER {name} {event} ON {layout.sql}{when} BEGIN {steps} END"


def _note(layout: Layout, places: Sequence[int], was: int, row: str) -> str:
    return (
        f"INSERT INTO {NOTES} (number, was{''.join(f', c{place}' for place in places)}) "
        f"SELECT {layout.number}, {was}{''.join(f', {row}{layout.stored[at]}' for at in places)}"
    )


def _replaced(layout: Layout, condition: str) -> str:
    every = range(len(layout.stored))
    note = _note(layout, every, 1, f"{layout.sql}.")
    return f"{note} FROM {layout.sql} WHERE {condition}"


def _key_pairs(layout: Layout) -> list[tuple[str, str]]:
    return [(f"NEW.{layout.stored[at]}", f"OLD.{layout.stored[at]}") for at in layout.key]


def _another_row(layout: Layout) -> str:
    pairs = [(f"{layout.sql}.{layout.stored[at]}", f"OLD.{layout.stored[at]}") for at in layout.key]
    return f"({' OR '.join(f'{row} IS NOT {old} COLLATE BINARY' for row, old in pairs)})"
