"""Mode ``journal``: take what triggers wrote down, and set rows and counters back."""

import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import attrs

from venomqa_hyp.adapters.handles import Handle
from venomqa_hyp.adapters.sql import Answer, Choice, Entry, Journal, Move, Queries, Table, Taken
from venomqa_hyp.adapters.sqlite import installation
from venomqa_hyp.adapters.sqlite.catalog import (
    COUNTERS,
    Catalog,
    readable,
)
from venomqa_hyp.adapters.sqlite.driver import File, answer, decoded
from venomqa_hyp.adapters.sqlite.rows import (
    Key,
    Layout,
    observed_table,
    packed,
    unpacked,
)
from venomqa_hyp.adapters.sqlite.settings import (
    HIDDEN,
    JOURNAL_MODE,
    SHOWN_COUNTERS,
    Settings,
    read_settings,
    write_journal_mode,
    write_settings,
)
from venomqa_hyp.adapters.sqlite.start import Note, Shape, Start, before
from venomqa_hyp.adapters.sqlite.triggers import FIRST, NOTES
from venomqa_hyp.errors import RollbackError, SystemUnavailable


class JournalWarning(UserWarning):
    """Something was committed that the journal of a SQLite database does not show."""


def open_journal(file: File, choice: Choice, name: str) -> Journal:
    """Install a journal, and return what rolls back by it.

    :param choice: which tables are observed; all are rolled back.
    :raises Unfit: a journal would not be sound for this database.
    :raises DefinitionError: an observed table does not exist.
    :raises SystemUnavailable: the file cannot be written.
    """
    run = file.connection.execute
    run("PRAGMA foreign_keys = OFF")
    run("PRAGMA ignore_check_constraints = ON")
    file.connection.text_factory = decoded
    with file.errors("install the journal"), file.transaction("IMMEDIATE"):
        catalog = installation.install(file.connection)
        settings = read_settings(file.connection, counted=catalog.counted)
        Start(catalog.layouts, settings, Shape.read(file.connection)).write(file.connection)
        store = _Store(file, catalog, choice, name)
        run("COMMIT")
    try:
        return _FileJournal(store, file)
    except BaseException:
        store.close()
        raise


class _FileJournal(Journal):
    """A journal of a file in which others can leave transactions open, which nobody sees."""

    def __init__(self, store: "_Store", file: File) -> None:
        super().__init__(store)
        self._file = file

    def checkpoint(self, name: str) -> Handle:
        """Remember the present state.

        :raises RollbackError: another connection has a transaction open, or changed the schema.
        """
        self._refuse_closed()
        self._file.refuse_open_transaction("checkpoint")
        return super().checkpoint(name)

    def rollback(self, handle: Handle) -> None:
        """Restore the state of ``handle``, in the file itself.

        :raises RollbackError: the handle is not live, or the file cannot be changed.
        """
        self._content(handle)
        # Also where there is nothing to change: an open transaction would outlive us.
        self._file.refuse_open_transaction("roll back")
        super().rollback(handle)


class _Store:
    """A ``Store`` over the triggers of one file."""

    counted = "settings"

    def __init__(self, file: File, catalog: Catalog, choice: Choice, name: str) -> None:
        existing = readable(catalog.schema)
        choice.check(existing, {})
        self.name = name
        self._file = file
        self._run = file.connection.execute
        self._layouts = catalog.layouts
        self._counted = catalog.counted
        self.tables: Mapping[int, Table] = {
            number: observed_table(file.connection, layout)
            for number, layout in self._layouts.items()
            if choice.observes(layout.name)
        }
        self.queries = Queries(self._read, name, "SQLite", sqlite3.Error, is_sorted=False)
        shows_counters = self._counted and choice.observes(COUNTERS)
        self._hidden = HIDDEN if shows_counters else HIDDEN | {SHOWN_COUNTERS}
        names = {layout.name for layout in self._layouts.values()}
        left_out = {name for name in names if not choice.observes(name)}
        self.metadata: Mapping[str, Any] = {"mode": "journal", "tables_left_out": sorted(left_out)}
        self._start = Start.read(file.connection)
        self._shape = Shape.read(file.connection)
        #: Rows of which the first note is known, and the later notes, which nothing needs.
        self._begun: set[tuple[int, Key]] = set()
        self._superfluous: list[tuple[int]] = []
        self._seen: int | None = None
        self._first = self._taken = FIRST
        #: Committed by ``restore`` where the check after it failed; the next ``take`` reports it.
        self._unreported: Sequence[Entry] = ()
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
            self._note_first(notes)
        unreported, self._unreported = self._unreported, ()
        return Taken([*unreported, *self._entries(notes)], counters, self._hidden)

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, Any]) -> bool:
        """Change the rows and counters in one transaction.

        :return: False if something was committed meanwhile; nothing was changed then.
        :raises RollbackError: a lock was held, or the tables are not what the journal says.
        """
        target = {**self._counters, **counters}
        with self._file.errors("roll back", RollbackError):
            write_journal_mode(self._file.connection, target[JOURNAL_MODE], self._file.where)
            with self._file.transaction("IMMEDIATE"):
                version = self._file.version()
                if version != self._seen:
                    return False
                self._seen = None
                self._change_rows(moves)
                write_settings(self._file.connection, target)
                first = self._delete_notes()
                self._check(moves)
                found, shape = self._read_counters(), self._kept_shape()
                self._run("COMMIT")
            self._first = self._taken = first
            self._shape, self._superfluous = shape, []
            self._counters, self._unreported = found, _entries_of(moves)
            self._file.refuse_old_readers()
            after = self._file.version()
        self._unreported = ()
        # Our own commit does not count in data_version.
        self._seen = after if after == version else None
        return True

    def close(self) -> None:
        """Remove the triggers and the notes; of a file that is gone, they are gone as well."""
        with closing(self._file):
            try:
                self._file.refuse_replaced()
            except SystemUnavailable:
                return
            with self._file.errors("remove the journal (the next SQLiteAdapter on the file will)"):
                installation.remove(self._file.connection)

    # Looking

    def _read(self, queries: Sequence[str]) -> list[Answer]:
        connection = self._file.connection
        connection.execute("PRAGMA query_only = ON")
        try:
            return [answer(connection, sql) for sql in queries]
        finally:
            connection.execute("PRAGMA query_only = OFF")

    def _entries(self, notes: Sequence[Note]) -> list[Entry]:
        entries: list[Entry] = []
        for number, rows in before(notes, self._layouts).items():
            entries += [(number, -1, row) for row in rows.values() if row is not None]
            now = {self._find(self._layouts[number], key, rows) for key in rows}
            entries += [(number, 1, row) for row in now if row is not None]
        return entries

    def _note_first(self, notes: Sequence[Note]) -> None:
        """Find the notes that stay: the first of each row, by which a killed run is undone."""
        for seq, number, _, *values in notes:
            row = number, self._layouts[number].key_of(values)
            if row in self._begun:
                self._superfluous.append((seq,))
            self._begun.add(row)

    def _read_notes(self) -> list[Note]:
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

    def _read_counters(self) -> Settings:
        return read_settings(self._file.connection, counted=self._counted)

    def _refuse_changed_schema(self) -> None:
        now = Shape.read(self._file.connection, self._shape)
        if problem := self._shape.problem(now):
            raise RollbackError(
                f"{self._file.where}: {problem}. A journal of rows cannot roll that back: pass "
                'SQLiteAdapter(..., mode="copy"), which rolls back everything, or let migrations '
                "run before the adapter is made."
            )
        self._shape = now

    def _warn(self) -> None:
        warnings.warn(
            f"{self._file.where}: another connection has committed, and the triggers of the "
            "journal have seen no row change. Harmless causes are a savepoint that was rolled "
            "back and PRAGMA wal_checkpoint. But changes by incremental blob I/O, by a "
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
        """Delete the notes that a killed run would not be undone by.

        Among them are those that our own changes made where triggers cannot be off.

        :return: the number of the first of those to come, which is of no table.
        """
        ((last,),) = self._run(f"SELECT max(seq) FROM {NOTES}").fetchall()
        delete = f"DELETE FROM {NOTES} WHERE seq = ?"
        self._file.connection.executemany(delete, [(self._first,), *self._superfluous])
        self._run(f"DELETE FROM {NOTES} WHERE seq > ?", (self._taken,))
        # A number that was never there: an older copy of the file does not have it.
        self._run(f"INSERT INTO {NOTES} (seq) VALUES (?)", (last + 1,))
        return int(last) + 1

    def _kept_shape(self) -> Shape:
        """Return the present shape, and note it where we created or dropped statistics."""
        shape = Shape.read(self._file.connection, self._shape)
        if shape is not self._shape and self._start is not None:
            self._start = attrs.evolve(self._start, shape=shape)
            self._start.write(self._file.connection)
        return shape

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


def _entries_of(moves: Mapping[int, Move]) -> list[Entry]:
    removed = [(number, -1, row) for number, move in moves.items() for row in move.remove]
    return removed + [(number, 1, row) for number, move in moves.items() for row in move.add]
