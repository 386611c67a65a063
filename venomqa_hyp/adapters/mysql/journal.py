"""The ``Store`` of the journal: take what triggers wrote down, and set rows and counters back."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import attrs

from venomqa_hyp.adapters.mysql import blocking, installation
from venomqa_hyp.adapters.mysql.beginning import Beginning, Kept, Row, Update
from venomqa_hyp.adapters.mysql.driver import Failed, Result, quoted, text
from venomqa_hyp.adapters.mysql.entries import Key, Note, sort_out, too_long
from venomqa_hyp.adapters.mysql.schema_watch import COUNTS, SchemaWatch
from venomqa_hyp.adapters.mysql.statements import AT_ONCE, additions, chunks, removals
from venomqa_hyp.adapters.sql import Entry, Move, Queries, Table, Taken
from venomqa_hyp.errors import RollbackError, SystemUnavailable


@attrs.frozen
class _Look:
    """What one look at the journal has shown.

    :ivar writing: connections whose transaction has written and is not committed.
    """

    notes: Sequence[Note]
    writing: frozenset[int]
    counters: Mapping[str, int]


class JournalStore:
    """A ``Store`` over the triggers of one database.

    :param tables: number -> each observed table.
    :param lock_timeout: seconds to wait for transactions of the application.
    :param name: of the system.
    :param kept: what differed from the beginning after the last rollback; nothing in a new run.
    :param beginning: of a run that was killed; :meth:`begin` makes that of a new one.
    """

    counted = "auto_increment"

    def __init__(
        self,
        installed: installation.Installation,
        tables: Mapping[int, Table],
        lock_timeout: float,
        name: str,
        kept: Kept | None = None,
        beginning: Beginning | None = None,
    ) -> None:
        self.name = name
        self.tables = tables
        layouts = installed.catalog.layouts
        left_out = sorted(layouts.keys() - {table.name for table in tables.values()})
        self.metadata: Mapping[str, Any] = {"mode": "journal", "tables_left_out": left_out}
        self._installed = installed
        self._connection = installed.connection
        self.queries = Queries(self._connection.read, name, "MySQL", Failed)
        self._timeout = lock_timeout
        self._layouts = {
            number: installed.catalog.layouts[table] for table, number in installed.numbers.items()
        }
        self._entries = quoted(installed.journal, "entries")
        self._taken = 0
        self._undeleted = 0
        self._kept = kept or Kept(installed.journal)
        self._since: Counter[Row] = Counter()
        self._beginning = beginning
        self._watch = SchemaWatch(self._connection, name, beginning.schema if beginning else None)

    def begin(self) -> None:
        """Make the present moment the one that a later run restores if this one is killed.

        :raises WorldError: a transaction that wrote stays open, or the server does not answer.
        """
        counters = self.take().counters
        self._beginning = Beginning(self._watch.schema, counters)
        try:
            self._connection.run_all(
                [
                    "START TRANSACTION",
                    f"DELETE FROM {self._entries} WHERE seq <= {self._taken}",
                    self._beginning.saved(self._installed.journal),
                    "COMMIT",
                ]
            )
        except Failed as error:
            raise SystemUnavailable(f"{self.name}: {self._connection.where}: {error}.") from error
        self._undeleted = 0
        self._since.clear()

    def take(self) -> Taken:
        """Take what was written since the last time.

        :raises RollbackError: a transaction that wrote stays open; the schema was changed.
        :raises SystemUnavailable: the server does not answer.
        """
        try:
            return self._take()
        except Failed as error:
            raise SystemUnavailable(
                f"{self.name}: the journal of {self._connection.where} cannot be read: {error}. "
                "Look whether the server is up and its test database is as it was."
            ) from error

    def _take(self) -> Taken:
        look, _ = self._quiet_look([])
        entries: Sequence[Entry] = ()
        while look.notes:
            touched = sort_out(look.notes, self._layouts)
            queries = [
                (number, self._rows_query(number, some))
                for number, rows in touched.before.items()
                for some in chunks(list(rows), AT_ONCE)
            ]
            # Rows that are read now may have been written after the look.
            again, answers = self._quiet_look([query for _, query in queries])
            if len(again.notes) > len(look.notes):
                look = again
                continue
            found: dict[int, list[str]] = {number: [] for number in touched.before}
            for (number, _), answer in zip(queries, answers, strict=True):
                if (None,) in answer.rows:
                    raise too_long(self._layouts[number])
                found[number] += [row for (row,) in answer.rows]
            entries = touched.entries_with(found)
            self._taken = look.notes[-1].seq
            self._undeleted += len(look.notes)
            for table, sign, row in entries:
                self._since[table, row] += sign
            look = attrs.evolve(again, notes=())
        return Taken(entries, look.counters)

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, int]) -> bool:
        """Change the rows in one transaction, then set the counters back.

        :return: False if something was written meanwhile; nothing was changed then.
        :raises RollbackError: a lock was held, or the tables are not what the journal says.
        """
        deadline, pause = time.monotonic() + self._timeout, 0.001
        try:
            update = self._kept.update(self._changes(moves))
            while reading := self._change_rows(moves, update):
                if time.monotonic() > deadline:
                    raise RollbackError(self._has_old_readers(reading))
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
            if reading is None:
                return False
            self._finish(counters, update)
        except Failed as error:
            raise RollbackError(self._explained(error)) from error
        return True

    def close(self) -> None:
        """Remove the journal and its triggers, and put back the application's."""
        try:
            installation.remove(self._connection)
        finally:
            self._connection.close()

    # Looking

    def _quiet_look(self, queries: Sequence[str]) -> tuple[_Look, Sequence[Result]]:
        """Ask queries and look, until no transaction that wrote is open."""
        deadline, pause = time.monotonic() + self._timeout, 0.001
        while True:
            results = self._connection.run_all([*queries, *self._looking])
            look = self._seen(*results[len(queries) :])
            if not look.writing:
                return look, results[: len(queries)]
            if time.monotonic() > deadline:
                raise RollbackError(
                    f"{self.name}: the application has written and did not commit within "
                    f"lock_timeout={self._timeout:g} s: "
                    f"{blocking.described(self._connection, look.writing)}. Let it commit or roll "
                    "back before the action returns."
                )
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    @property
    def _looking(self) -> Sequence[str]:
        since = f"FROM {self._entries} WHERE seq > {self._taken}"
        return (
            f"SELECT seq, kind, tab, old_row, new_row {since} ORDER BY seq",
            # What is seen only by who looks at uncommitted rows too, an open transaction wrote.
            "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
            f"SELECT seq, thread {since}",
            self._counters_query(),
            COUNTS,
        )

    def _seen(
        self, committed: Result, _: Result, written: Result, counters: Result, executed: Result
    ) -> _Look:
        if self._watch.refuse_changes(dict(executed.rows)) and self._beginning:
            self._beginning = attrs.evolve(self._beginning, schema=self._watch.schema)
            self._connection.run(self._beginning.saved(self._installed.journal))
        notes = [Note(*row) for row in committed.rows]
        known = {note.seq for note in notes}
        writing = frozenset(thread for seq, thread in written.rows if seq not in known)
        return _Look(notes, writing, {table: int(value) for table, value in counters.rows})

    def _counters_query(self) -> str:
        names = ", ".join(map(text, sorted(self._installed.catalog.counted))) or "NULL"
        return (
            "SELECT TABLE_NAME, COALESCE(AUTO_INCREMENT, 1) FROM information_schema.TABLES"
            f" WHERE TABLE_SCHEMA = {text(self._connection.database)} AND TABLE_NAME IN ({names})"
        )

    def _rows_query(self, number: int, keys: Sequence[Key]) -> str:
        layout = self._layouts[number]
        row = layout.written(quoted(layout.name))
        return f"SELECT {row} FROM {layout.sql} WHERE {layout.found_by_key(keys)}"

    # Changing

    def _changes(self, moves: Mapping[int, Move]) -> Mapping[Row, int]:
        """Return what a rollback leaves to be noted since the last one."""
        changes = Counter(self._since)
        for number, move in moves.items():
            changes.subtract((number, row) for row in move.remove)
            changes.update((number, row) for row in move.add)
        return {row: change for row, change in changes.items() if change}

    def _change_rows(self, moves: Mapping[int, Move], update: Update) -> Collection[int] | None:
        """Change the rows in a transaction, which is left open if it can be committed.

        :return: nothing, or the connections that would not see the change; None if something was
            written meanwhile.
        """
        removing = {
            number: removals(self._layouts[number], move.remove) for number, move in moves.items()
        }
        adding = [additions(self._layouts[number], move.add) for number, move in moves.items()]
        statements = [
            blocking.TRANSACTIONS,
            "START TRANSACTION",
            *chain(*removing.values(), *adding, update.statements),
            f"SELECT COUNT(*) FROM {self._entries} WHERE seq > {self._taken}",
            f"DELETE FROM {self._entries} WHERE seq <= {self._taken}",
        ]
        done = False
        try:
            status, _, *results, newer, older = self._connection.run_all(statements)
            reading = blocking.of_status(self._connection, status, with_read_view=True)
            if reading or newer.rows[0][0]:
                return reading or None
            self._check(moves, removing, results, older.affected)
            done = True
        finally:
            if not done:
                self._connection.roll_back()
        return ()

    def _check(
        self,
        moves: Mapping[int, Move],
        removals: Mapping[int, Sequence[str]],
        results: Sequence[Result],
        taken: int,
    ) -> None:
        """Raise RollbackError if the tables or the journal were not what they should be."""
        rest = iter(results)
        for number, statements in removals.items():
            removed = sum(result.affected for result in islice(rest, len(statements)))
            if removed != len(moves[number].remove):
                raise RollbackError(
                    f"{self.name}: of {len(moves[number].remove)} rows that the journal says are "
                    f"new in table {self._layouts[number].name!r}, the table has {removed}. "
                    "Something was written past the triggers: by a connection that sets "
                    "@venomqa_quiet, or by an UPDATE IGNORE that skipped rows of a table with no "
                    "primary key. Make a new World."
                )
        if taken != self._undeleted:
            raise RollbackError(
                f"{self.name}: the application wrote while it was being observed, and part of that "
                "was overlooked. It works in the background: wait for it with "
                "World(..., settle=...), or stop it for the test."
            )

    def _finish(self, counters: Mapping[str, int], update: Update) -> None:
        # Counters cannot be set in a transaction, nor while there are rows with higher numbers.
        try:
            self._connection.run(
                "COMMIT",
                *(
                    f"ALTER TABLE {quoted(self._connection.database, table)} AUTO_INCREMENT = {n}"
                    for table, n in counters.items()
                ),
            )
        finally:
            self._kept.apply(update)
            self._since.clear()
            self._undeleted = 0
            self._watch.expect_altered(len(counters))

    def _has_old_readers(self, reading: Collection[int]) -> str:
        return (
            f"{self.name}: cannot roll back: for lock_timeout={self._timeout:g} s a transaction "
            "has been open that goes on seeing the database as it was, so the application would "
            f"not see the rollback: {blocking.described(self._connection, reading)}. Let each "
            "request commit or roll back also when it has only read, or use autocommit, or READ "
            "COMMITTED."
        )

    def _explained(self, error: Failed) -> str:
        problem = f"{self.name}: cannot roll back {self._connection.where}: {error}."
        if not error.is_lock:
            return problem
        return (
            f"{problem} The application holds a lock for longer than lock_timeout="
            f"{self._timeout:g} s. {blocking.holders(self._connection)}Let it commit or roll back "
            "before the action returns."
        )
