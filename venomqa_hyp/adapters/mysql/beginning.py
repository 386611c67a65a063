"""What the journal's database keeps, so that a run that was killed can be undone later.

``beginning`` has one row from the moment at which a run begins until it is closed: the schema and
the AUTO_INCREMENT values of that moment. ``kept`` has the rows by which the database differed from
that moment after the last rollback, with signed counts, written in the transaction of that
rollback. What was written since stands in ``entries``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import attrs

from venomqa_hyp.adapters.mysql.driver import Connection, quoted, text
from venomqa_hyp.adapters.mysql.schema import Schema
from venomqa_hyp.adapters.mysql.statements import batches
from venomqa_hyp.adapters.sql import Entry

TABLE, _KEPT = "beginning", "kept"
#: Number of a table and one of its rows.
Row = tuple[int, str]


def tables(journal: str) -> tuple[str, str]:
    """Return the statements that create both tables in the database ``journal``."""
    return (
        f"CREATE TABLE {quoted(journal, TABLE)} (id INT PRIMARY KEY, content LONGTEXT)"
        " ENGINE=InnoDB CHARACTER SET utf8mb4",
        f"CREATE TABLE {quoted(journal, _KEPT)} (id BIGINT PRIMARY KEY, tab INT NOT NULL,"
        " times INT NOT NULL, content LONGTEXT NOT NULL)"
        " ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin",
    )


def forgotten(journal: str) -> str:
    """Return the statement after which rows stay as they are when the journal is removed."""
    return f"DELETE FROM {quoted(journal, TABLE)}"


@attrs.frozen
class Beginning:
    """The moment at which a run began.

    :ivar counters: table -> its AUTO_INCREMENT value.
    """

    schema: Schema
    counters: Mapping[str, int]

    def saved(self, journal: str) -> str:
        """Return the statement that writes this down, in place of what was."""
        content = text(json.dumps([self.schema, self.counters]))
        return f"REPLACE INTO {quoted(journal, TABLE)} VALUES (1, {content})"

    @classmethod
    def load(cls, connection: Connection, journal: str) -> "Beginning | None":
        """Return what was written down; None where no run was in progress."""
        there = connection.rows(
            "SELECT 1 FROM information_schema.TABLES"
            f" WHERE TABLE_SCHEMA = {text(journal)} AND TABLE_NAME = '{TABLE}'"
        )
        if not there:
            return None
        rows = connection.rows(f"SELECT content FROM {quoted(journal, TABLE)}")
        return cls(*json.loads(rows[0][0])) if rows else None


@attrs.frozen
class Update:
    """A change of the table ``kept``.

    :ivar rows: row -> its number in the table and its new count; None where it is removed.
    """

    statements: Sequence[str]
    rows: Mapping[Row, tuple[int, int] | None]


class Kept:
    """The table ``kept``, and a copy of it here, so that only what changes is written.

    :param rows: row -> its number in the table, and how many more of it there are than at first.
    """

    def __init__(self, journal: str, rows: Mapping[Row, tuple[int, int]] | None = None) -> None:
        self._table = quoted(journal, _KEPT)
        self._rows = dict(rows or {})
        self._next = max((number for number, _ in self._rows.values()), default=0) + 1

    @classmethod
    def load(cls, connection: Connection, journal: str) -> "Kept":
        """Read the table."""
        found = connection.rows(f"SELECT tab, content, id, times FROM {quoted(journal, _KEPT)}")
        return cls(journal, {(table, row): (number, n) for table, row, number, n in found})

    def entries(self) -> Iterator[Entry]:
        """Yield the rows written and removed since the beginning."""
        for (table, row), (_, times) in self._rows.items():
            for _ in range(abs(times)):
                yield table, 1 if times > 0 else -1, row

    def update(self, changes: Mapping[Row, int]) -> Update:
        """Return what to do to the table so that it has ``changes`` more.

        :param changes: row -> by how much its count grows; not 0.
        """
        rows: dict[Row, tuple[int, int] | None] = {}
        for row, change in changes.items():
            number, times = self._rows.get(row, (self._next + len(rows), 0))
            rows[row] = (number, times + change) if times + change else None
        return Update(tuple(self._statements(rows)), rows)

    def apply(self, update: Update) -> None:
        """Remember an update whose statements were committed."""
        for row, content in update.rows.items():
            if content is None:
                self._rows.pop(row, None)
            else:
                self._rows[row] = content
        self._next += len(update.rows)

    def _statements(self, rows: Mapping[Row, tuple[int, int] | None]) -> Iterator[str]:
        gone = [str(self._rows[row][0]) for row, content in rows.items() if content is None]
        if gone:
            yield f"DELETE FROM {self._table} WHERE id IN ({','.join(gone)})"
        written = [
            f"({content[0]},{table},{content[1]},{text(row)})"
            for (table, row), content in rows.items()
            if content is not None
        ]
        for some in batches(written):
            yield f"REPLACE INTO {self._table} (id, tab, times, content) VALUES {','.join(some)}"
