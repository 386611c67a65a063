"""From what the triggers wrote down to rows written and removed.

In a table with a key the notes say which rows to look at, and the first note of a row what it was;
what it is now, only the table says. For MySQL fires no trigger for what a foreign key does to child
rows, and MariaDB fires one for a row that UPDATE IGNORE has left alone. In a table with no key the
notes are all there is.
"""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from venomqa_hyp.adapters.mysql.rows import Layout
from venomqa_hyp.adapters.sql import Entry
from venomqa_hyp.errors import RollbackError

Key = tuple[str, ...]
_WITH_OLD = frozenset("udb")
_WITH_NEW = frozenset("iua")


@attrs.frozen
class Note:
    """One row of the journal.

    :ivar seq: grows, so it says which note of one row of a table is the older.
    :ivar old: the row before, if there was one.
    :ivar new: the key of the row after, if there is one; the whole row in a table with no key.
    """

    seq: int
    kind: str
    table: int
    old: str | None
    new: str | None


@attrs.frozen
class Touched:
    """The notes, sorted out.

    :ivar before: number of a table with a key -> key -> the row before; None where there was none.
    :ivar entries: those of tables with no key.
    """

    before: Mapping[int, Mapping[Key, str | None]]
    entries: Sequence[Entry]

    def entries_with(self, rows: Mapping[int, Iterable[str]]) -> list[Entry]:
        """Return what was written and removed, given the rows that now have the touched keys."""
        entries = list(self.entries)
        for table, before in self.before.items():
            entries += [(table, -1, row) for row in before.values() if row is not None]
            entries += [(table, 1, row) for row in rows[table]]
        return entries


def sort_out(notes: Sequence[Note], layouts: Mapping[int, Layout]) -> Touched:
    """Sort notes by table and key; they are in the order in which they were written.

    :raises RollbackError: a row was too long to be written down.
    """
    before: dict[int, dict[Key, str | None]] = {}
    entries: list[Entry] = []
    for note in notes:
        layout = layouts[note.table]
        if (note.kind in _WITH_OLD and note.old is None) or (
            note.kind in _WITH_NEW and note.new is None
        ):
            raise too_long(layout)
        if not layout.key:
            entries += [(note.table, -1, note.old)] if note.old is not None else []
            entries += [(note.table, 1, note.new)] if note.new is not None else []
            continue
        of_table = before.setdefault(note.table, {})
        if note.old is not None:
            of_table.setdefault(layout.key_of(note.old), note.old)
        if note.new is not None:
            of_table.setdefault(tuple(note.new.split(",")), None)
    return Touched(before, entries)


def too_long(layout: Layout) -> RollbackError:
    """Return the error for a row whose text the server cannot make: it gives NULL instead."""
    return RollbackError(
        f"MySQL: a row of table {layout.name!r} that was changed is too long for the journal, so "
        "it cannot be rolled back: the server makes no text longer than max_allowed_packet, and "
        "bytes are written with two letters each. Raise it for all connections: SET GLOBAL "
        "max_allowed_packet = 268435456, and connect again."
    )
