"""What the journal's file holds of the beginning, so that another run can go back to it."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from venomqa_hyp.adapters.sqlite.catalog import Schema, difference, read_schema
from venomqa_hyp.adapters.sqlite.driver import rows
from venomqa_hyp.adapters.sqlite.rows import Key, Layout, packed, unpacked
from venomqa_hyp.adapters.sqlite.settings import Settings
from venomqa_hyp.adapters.sqlite.triggers import NOTES, START

#: A note: its number, the number of the table, whether a row was there, and its values.
Note = tuple[Any, ...]
#: Number of a table -> key of a row -> the row as it was at first; None where there was none.
Before = Mapping[int, Mapping[Key, str | None]]

_TEXT = (
    "SELECT group_concat(type || char(1) || name || char(1) || tbl_name || char(1)"
    " || coalesce(sql, ''), char(2)) FROM sqlite_master"
)


@attrs.frozen
class Shape:
    """The schema, the statistics tables that there are, and SQLite's number of changes to both.

    :ivar text: the whole schema as one text, which is compared in a fraction of the time.
    """

    schema: Schema
    statistics: tuple[str, ...]
    version: int
    text: str

    @classmethod
    def read(cls, connection: sqlite3.Connection, known: "Shape | None" = None) -> "Shape":
        """Return the present one: ``known`` itself where it is the same."""
        text = str(rows(connection, _TEXT)[0][0])
        version = rows(connection, "PRAGMA schema_version")[0][0]
        if known is not None and (known.version, known.text) == (version, text):
            return known
        found = rows(connection, "SELECT name FROM sqlite_master WHERE name GLOB 'sqlite_stat*'")
        statistics = tuple(sorted(name for (name,) in found))
        return cls(read_schema(connection)[0], statistics, version, text)

    def problem(self, now: "Shape") -> str:
        """Return what happened to the schema that a journal of rows cannot undo; empty if nothing.

        The schema itself is compared: an edit under ``PRAGMA writable_schema`` changes no number.
        """
        if self is now or self == now:
            return ""
        problem = difference(self.schema, now.schema, NOTES)
        is_analyzed = now.version == self.version + 1 and now.statistics != self.statistics
        if problem or is_analyzed or now.version == self.version:
            return problem
        return (
            "VACUUM was executed, or a change of the schema that was taken back; meanwhile, rows "
            "can have been replaced unseen or got other rowids"
        )


@attrs.frozen
class Start:
    """The beginning of a run, but for the rows: the first note of each says what was there."""

    layouts: Mapping[int, Layout]
    settings: Settings
    shape: Shape

    def write(self, connection: sqlite3.Connection) -> None:
        """Note it in the journal, in the transaction that is open."""
        shape = attrs.astuple(self.shape, recurse=False)
        layouts = tuple(attrs.astuple(layout) for layout in self.layouts.values())
        content = packed((layouts, dict(self.settings), shape)).encode("latin-1")
        connection.execute(
            f"INSERT OR REPLACE INTO {NOTES} (seq, was) VALUES (?, ?)", (START, content)
        )

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> "Start | None":
        """Return what was noted; None where nothing is."""
        found = rows(connection, f"SELECT was FROM {NOTES} WHERE seq = {START}")
        if not found or not isinstance(found[0][0], bytes):
            return None
        layouts, settings, shape = unpacked(found[0][0].decode("latin-1"))
        known = (Layout(*layout) for layout in layouts)
        return cls({layout.number: layout for layout in known}, settings, Shape(*shape))


def before(notes: Iterable[Note], layouts: Mapping[int, Layout]) -> Before:
    """Return what was there before the first of some notes, for each row that they name."""
    found: dict[int, dict[Key, str | None]] = {}
    for _, number, was, *values in notes:
        layout = layouts[number]
        row = packed(values[: len(layout.stored)]) if was else None
        found.setdefault(number, {}).setdefault(layout.key_of(values), row)
    return found
