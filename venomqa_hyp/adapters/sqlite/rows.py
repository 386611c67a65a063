"""Rows of the journal: values as SQLite gives them, and one text per row for the difference.

The text is what ``marshal`` writes of the values, one letter per byte: equal for equal values of
equal types, and for nothing else. Text that is not UTF-8 is decoded with ``surrogateescape``.
"""

import hashlib
import marshal
import sqlite3
from collections.abc import Sequence
from typing import Any

import attrs

from venomqa_hyp.adapters.sql import IDENTIFIED_ROWS, Table
from venomqa_hyp.adapters.sqlite.driver import quoted

# Later versions write references to objects met before, which depend on identity.
_MARSHAL_VERSION = 2

Key = tuple[Any, ...]


@attrs.frozen
class Layout:
    """What of a table is written down, and how its rows are found again.

    :ivar number: what the journal calls the table.
    :ivar stored: the values of a row, as SQL; the rowid comes first where there is one.
    :ivar key: positions, in ``stored``, of the values that a row is found by.
    :ivar collations: how the values of the key are compared; empty for a rowid.
    :ivar shown: names of the observed columns.
    :ivar shown_key: those of them that tell rows apart.
    :ivar places: position, in ``stored``, of each observed column.
    """

    number: int
    name: str
    stored: tuple[str, ...]
    key: tuple[int, ...]
    collations: tuple[str, ...]
    shown: tuple[str, ...]
    shown_key: tuple[str, ...]
    places: tuple[int, ...]

    @property
    def sql(self) -> str:
        """Return the name of the table."""
        return quoted(self.name)

    def key_of(self, values: Sequence[Any]) -> Key:
        """Return the values that the row is found by."""
        return tuple(values[place] for place in self.key)

    def select(self, key: Key) -> tuple[str, list[Any]]:
        """Return the query for the row with a key, and its arguments."""
        where, arguments = self._found_by(key)
        return f"SELECT {', '.join(self.stored)} FROM {self.sql} WHERE {where}", arguments

    def delete(self, key: Key) -> tuple[str, list[Any]]:
        """Return the statement that deletes the row with a key, and its arguments."""
        where, arguments = self._found_by(key)
        return f"DELETE FROM {self.sql} WHERE {where}", arguments

    def insert(self, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """Return the statement that writes a row, and its arguments."""
        marks, arguments = _bound(values)
        # What a column does ON CONFLICT could be to replace another row.
        return (
            f"INSERT OR ABORT INTO {self.sql} ({', '.join(self.stored)}) VALUES"
            f" ({', '.join(marks)})",
            arguments,
        )

    def read(self, row: str) -> tuple[Any, ...]:
        """Return the observed values of a row."""
        values = unpacked(row)
        return tuple(values[place] for place in self.places)

    def _found_by(self, key: Key) -> tuple[str, list[Any]]:
        marks, arguments = _bound(key)
        terms = [
            f"{self.stored[place]} = {mark}{collation and f' COLLATE {quoted(collation)}'}"
            for place, mark, collation in zip(self.key, marks, self.collations, strict=True)
        ]
        return " AND ".join(terms), arguments


def observed_table(connection: sqlite3.Connection, layout: Layout) -> Table:
    """Return how a table is observed."""
    base = _base(connection, layout)
    return Table(layout.name, layout.shown, layout.shown_key, base, layout.read)


def _base(connection: sqlite3.Connection, layout: Layout) -> str:
    sql = f"SELECT {', '.join(layout.stored)} FROM {layout.sql} NOT INDEXED"
    first = connection.execute(f"{sql} LIMIT {IDENTIFIED_ROWS + 1}").fetchall()
    if len(first) > IDENTIFIED_ROWS:
        (count,) = connection.execute(f"SELECT count(*) FROM {layout.sql}").fetchone()
        return f"{count} rows"
    seen = [tuple(row[place] for place in layout.places) for row in first]
    content = hashlib.blake2b(packed(seen).encode("latin-1"), digest_size=8)
    return f"{len(first)} rows, {content.hexdigest()}"


def packed(values: Sequence[Any]) -> str:
    """Return the text of a row."""
    return marshal.dumps(tuple(values), _MARSHAL_VERSION).decode("latin-1")


def unpacked(row: str) -> tuple[Any, ...]:
    """Return the values of a row."""
    values: tuple[Any, ...] = marshal.loads(row.encode("latin-1"))
    return values


def _bound(values: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Return a mark and an argument for each value; text that is no UTF-8 goes as its bytes."""
    marks, arguments = ["?"] * len(values), list(values)
    for place, value in enumerate(values):
        if isinstance(value, str) and not _is_utf8(value):
            marks[place] = "CAST(? AS TEXT)"
            arguments[place] = value.encode("utf-8", "surrogateescape")
    return marks, arguments


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
