"""The file with its journal: take what was written down, and set rows and counters back."""

import sqlite3
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from venomqa_hyp.adapters.journal import Entry, Move, Table, Taken
from venomqa_hyp.adapters.sqlite import installation
from venomqa_hyp.adapters.sqlite.catalog import Catalog
from venomqa_hyp.adapters.sqlite.file import File
from venomqa_hyp.adapters.sqlite.reading import COUNTERS, Schema, read_schema
from venomqa_hyp.adapters.sqlite.rows import Key, Layout, packed, unpacked
from venomqa_hyp.adapters.sqlite.triggers import FIRST, NOTES
from venomqa_hyp.errors import RollbackError, SystemUnavailable

_SETTINGS = ("user_version", "application_id")
_SHOWN_COUNTERS = "autoincrement"


class JournalWarning(UserWarning):
    """Something was committed that the journal of a SQLite database does not show."""


class JournalStore:
    """A ``Store`` over the triggers of one file.

    :param tables: number -> each observed table.
    :param observes_counters: whether AUTOINCREMENT counters are observed.
    :param answers: returns the answers of the observation queries.
    """

    counted = "settings"

    def __init__(
        self,
        file: File,
        catalog: Catalog,
        schema: Schema,
        tables: Mapping[int, Table],
        *,
        observes_counters: bool,
        name: str,
        answers: Callable[[], Mapping[str, Mapping[str, Any]]],
    ) -> None:
        self.name = name
        self.tables = tables
        self.answers = answers
        self._file = file
        self._run = file.connection.execute
        self._layouts = catalog.layouts
        self._counted = catalog.counted
        self._hidden = frozenset([COUNTERS] if observes_counters else [COUNTERS, _SHOWN_COUNTERS])
        left_out = {layout.name for layout in self._layouts.values()}
        left_out -= {table.name for table in tables.values()}
        self.metadata: Mapping[str, Any] = {"mode": "journal", "tables_left_out": sorted(left_out)}
        self._schema = schema
        self._schema_version = file.number("schema_version")
        self._statistics = self._statistics_tables()
        self._seen: int | None = None
        self._first = self._taken = FIRST
        #: What was committed by ``restore`` and could not be answered for.
        self._untold: Sequence[Entry] = ()
        self._counters: Mapping[str, Any] = {}

    def take(self) -> Taken:
        """Take what was written since the last time.

        :raises RollbackError: the schema was changed.
        :raises SystemUnavailable: the file cannot be read.
        """
        self._file.refuse_replaced()
        with self._file.errors("read"):
            if self._seen is not None and self._seen == self._file.version():
                return Taken((), self._counters, self._hidden)
            with self._file.transaction("DEFERRED"):
                return self._take()

    def _take(self) -> Taken:
        version = self._file.version()
        self._refuse_changed_schema()
        notes = self._read_notes()
        counters = self._read_counters()
        unexplained = self._seen is not None and not notes and counters == self._counters
        self._seen, self._counters = version, counters
        if unexplained:
            self._warn()
        if notes:
            self._taken = notes[-1][0]
        untold, self._untold = self._untold, ()
        return Taken([*untold, *self._entries(notes)], counters, self._hidden)

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, Any]) -> bool:
        """Change the rows and counters in one transaction.

        :return: False if something was committed meanwhile; nothing was changed then.
        :raises RollbackError: a lock was held, or the tables are not what the journal says.
        """
        with self._file.errors("roll back", RollbackError):
            with self._file.transaction("IMMEDIATE"):
                before = self._file.version()
                if before != self._seen:
                    return False
                self._seen = None
                self._change_rows(moves)
                self._set_counters({**self._counters, **counters})
                first = self._delete_notes()
                self._check(moves)
                found = self._read_counters()
                self._run("COMMIT")
            self._first = self._taken = first
            self._counters, self._untold = found, _entries_of(moves)
            self._file.refuse_old_readers()
            after = self._file.version()
        self._untold = ()
        # Our own commit does not count in data_version.
        self._seen = after if after == before else None
        return True

    def close(self) -> None:
        """Remove the triggers and the notes; of a file that is gone, they are gone as well."""
        try:
            self._file.refuse_replaced()
        except SystemUnavailable:
            return
        with self._file.errors("remove the journal (the next SQLiteAdapter on the file will)"):
            installation.remove(self._file.connection)

    # Looking

    def _entries(self, notes: Sequence[tuple[Any, ...]]) -> list[Entry]:
        touched: dict[int, dict[Key, str | None]] = {}
        for _, number, was, *values in notes:
            layout = self._layouts[number]
            key = layout.key_of(values)
            before = packed(values[: len(layout.stored)]) if was else None
            touched.setdefault(number, {}).setdefault(key, before)
        entries: list[Entry] = []
        for number, rows in touched.items():
            entries += [(number, -1, row) for row in rows.values() if row is not None]
            now = {self._find(self._layouts[number], key, rows) for key in rows}
            entries += [(number, 1, row) for row in now if row is not None]
        return entries

    def _read_notes(self) -> list[tuple[Any, ...]]:
        """Return the notes that were not taken yet."""
        found = self._run(
            f"SELECT * FROM {NOTES} WHERE seq IN (?, ?) OR seq > ? ORDER BY seq",
            (self._first, self._taken, self._taken),
        ).fetchall()
        # A note of the application's tables can get the number of the first one, but has a table.
        is_first_there = bool(found) and found[0][:2] == (self._first, None)
        if not is_first_there or all(seq != self._taken for seq, *_ in found):
            raise self._emptied()
        return [note for note in found if note[0] > self._taken]

    def _find(self, layout: Layout, key: Key, touched: Mapping[Key, Any]) -> str | None:
        """Return the row that has a key, and not only one that SQLite takes for equal."""
        found = self._run(*layout.select(key)).fetchone()
        return None if found is None or layout.key_of(found) not in touched else packed(found)

    def _read_counters(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {name: self._file.number(name) for name in _SETTINGS}
        if self._counted:
            rows = self._run(f"SELECT rowid, name, seq FROM {COUNTERS} ORDER BY rowid").fetchall()
            shown = sorted((row[1:] for row in rows if isinstance(row[1], str)), key=repr)
            odd = [row[1:] for row in rows if not isinstance(row[1], str)]
            found[COUNTERS] = tuple(rows)
            found[_SHOWN_COUNTERS] = {
                "columns": ("name", "seq"),
                "key": ("name",),
                "rows": [*shown, *odd],
            }
        return found

    def _refuse_changed_schema(self) -> None:
        """Look closer when the schema has another version: the first ANALYZE gives one as well."""
        version = self._file.number("schema_version")
        if version == self._schema_version:
            return
        schema, _ = read_schema(self._file.connection)
        problem = _difference(self._schema, schema)
        statistics = self._statistics_tables()
        analyzed = version == self._schema_version + 1 and statistics != self._statistics
        if not problem and not analyzed:
            problem = (
                "VACUUM was executed, or a change of the schema that was taken back; meanwhile, "
                "rows can have been replaced unseen or got other rowids"
            )
        if problem:
            raise RollbackError(
                f"{self._file.where}: {problem}. A journal of rows cannot roll that back: pass "
                'SQLiteAdapter(..., mode="copy"), which rolls back everything, or let migrations '
                "run before the adapter is made."
            )
        self._schema_version, self._statistics = version, statistics

    def _statistics_tables(self) -> list[Any]:
        sql = "SELECT name FROM sqlite_master WHERE name GLOB 'sqlite_stat*' ORDER BY name"
        return self._run(sql).fetchall()

    def _warn(self) -> None:
        warnings.warn(
            f"{self._file.where}: another connection has committed, and the triggers of the "
            "journal have seen no row change. Harmless causes are a savepoint that was rolled "
            "back, ANALYZE and PRAGMA wal_checkpoint. But changes by incremental blob I/O, by a "
            "connection that has switched triggers off, or by writing past SQLite look the same, "
            "and are neither seen nor rolled back. If that can be, pass "
            'SQLiteAdapter(..., mode="copy").',
            JournalWarning,
            stacklevel=2,
        )

    # Changing

    def _change_rows(self, moves: Mapping[int, Move]) -> None:
        for number, move in moves.items():
            layout = self._layouts[number]
            for row in move.remove:
                changed = self._run(*layout.delete(layout.key_of(unpacked(row)))).rowcount
                if changed != 1:
                    raise self._unexpected(layout)
        for number, move in moves.items():
            layout = self._layouts[number]
            for row in move.add:
                try:
                    self._run(*layout.insert(unpacked(row)))
                except sqlite3.IntegrityError as error:
                    raise self._unexpected(layout) from error

    def _delete_notes(self) -> int:
        """Delete all notes, also what our own changes made where triggers cannot be off.

        :return: the number of the first of those to come, which is of no table.
        """
        ((last,),) = self._run(f"SELECT max(seq) FROM {NOTES}").fetchall()
        self._run(f"DELETE FROM {NOTES}")
        # A number that was never there: an older copy of the file does not have it.
        self._run(f"INSERT INTO {NOTES} (seq) VALUES (?)", (last + 1,))
        return int(last) + 1

    def _check(self, moves: Mapping[int, Move]) -> None:
        for number, move in moves.items():
            layout = self._layouts[number]
            for row in move.add:
                found = self._run(*layout.select(layout.key_of(unpacked(row)))).fetchone()
                if found is None or packed(found) != row:
                    raise self._unexpected(layout)

    def _emptied(self) -> RollbackError:
        return RollbackError(
            f"{self._file.where}: notes are missing in the table {NOTES}. The application deletes "
            "the rows of every table that it finds, or went back to an older copy of the file. Let "
            f'it leave out {NOTES}, or pass SQLiteAdapter(..., mode="copy").'
        )

    def _unexpected(self, layout: Layout) -> RollbackError:
        return RollbackError(
            f"{self._file.where}: cannot roll back: table {layout.name!r} is not what its triggers "
            "have written down, or would not be. Something was written past them, by a connection "
            "that has switched triggers off or past SQLite; or a row does not go with the types of "
            'its columns. Pass SQLiteAdapter(..., mode="copy").'
        )

    def _set_counters(self, target: Mapping[str, Any]) -> None:
        found = self._read_counters()
        for name in _SETTINGS:
            if found[name] != target[name]:
                self._run(f"PRAGMA {name} = {target[name]}")
        # Rows that were put back may have counted on.
        if self._counted and found[COUNTERS] != target[COUNTERS]:
            self._run(f"DELETE FROM {COUNTERS}")
            self._file.connection.executemany(
                f"INSERT INTO {COUNTERS} (rowid, name, seq) VALUES (?, ?, ?)", target[COUNTERS]
            )


def _entries_of(moves: Mapping[int, Move]) -> list[Entry]:
    removed = [(number, -1, row) for number, move in moves.items() for row in move.remove]
    return removed + [(number, 1, row) for number, move in moves.items() for row in move.add]


def _difference(before: Schema, after: Schema) -> str:
    """Say what happened to the schema; nothing if it is the same."""
    old, new = set(before), set(after)
    lost, come = sorted(map(_name, old - new)), sorted(map(_name, new - old))
    if any(NOTES in name for name in lost):
        return (
            "triggers of the journal are gone: another SQLiteAdapter was opened on the file, or a "
            "table was dropped"
        )
    parts = [
        f"{verb}: {', '.join(names[:5])}"
        for verb, names in (("gone", lost), ("new", come))
        if names
    ]
    return f"the schema was changed during the run ({'; '.join(parts)})" if parts else ""


def _name(entry: tuple[str, str, str, str | None]) -> str:
    return f"{entry[0]} {entry[1]}"
