"""From what the triggers wrote down to rows written and removed."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from venomqa_hyp.adapters.journal import Entry
from venomqa_hyp.adapters.mysql.rows import Layout
from venomqa_hyp.errors import RollbackError

_WITH_OLD = frozenset("udb")
_WITH_NEW = frozenset("iua")
_FOLLOWED = frozenset("ba")

#: Table and keys -> the rows that have them now.
ReadRows = Callable[[Layout, Sequence[tuple[str, ...]]], Iterable[str]]


@attrs.frozen
class Note:
    """One row of the journal.

    :ivar seq: grows, so it says which note of one row of a table is the older.
    """

    seq: int
    kind: str
    table: int
    old: str | None
    new: str | None


def counted(
    notes: Sequence[Note], layouts: Mapping[int, Layout], read_rows: ReadRows
) -> list[Entry]:
    """Return the rows that were written (+1) and removed (-1).

    Where a foreign key may have changed rows of a table, the notes say which rows to look at:
    their first note says what a row was, and the table what it is.

    :raises RollbackError: a row is too long to be written down.
    """
    by_table: dict[int, list[Note]] = {}
    for note in notes:
        _check_length(note, layouts[note.table])
        by_table.setdefault(note.table, []).append(note)
    entries: list[Entry] = []
    for table, listed in by_table.items():
        if any(note.kind in _FOLLOWED for note in listed):
            before = _first_seen(listed, layouts[table])
            entries += [(table, -1, row) for row in before.values() if row is not None]
            rows = read_rows(layouts[table], list(before))
            entries += [(table, 1, row) for row in rows]
        else:
            entries += [(table, -1, note.old) for note in listed if note.old is not None]
            entries += [(table, 1, note.new) for note in listed if note.new is not None]
    return entries


def _first_seen(notes: Iterable[Note], layout: Layout) -> dict[tuple[str, ...], str | None]:
    """Return key -> the row before the first note of it; None where there was none."""
    before: dict[tuple[str, ...], str | None] = {}
    for note in notes:
        if note.old is not None:
            before.setdefault(layout.key_of(note.old), note.old)
        if note.new is not None:
            before.setdefault(layout.key_of(note.new), None)
    return before


def _check_length(note: Note, layout: Layout) -> None:
    if (note.kind in _WITH_OLD and note.old is None) or (
        note.kind in _WITH_NEW and note.new is None
    ):
        raise RollbackError(
            f"MySQL: a row of table {layout.name!r} that was written is too long for the journal, "
            "so it cannot be rolled back: the server makes no text longer than max_allowed_packet, "
            "and bytes are written with two letters each. Raise it for all connections: SET GLOBAL "
            "max_allowed_packet = 268435456, and connect again."
        )
