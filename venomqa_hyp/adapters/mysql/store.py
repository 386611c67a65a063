"""The database with its journal: take what was written down, and set rows and counters back."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import attrs

from venomqa_hyp.adapters.journal import Entry, Move, Table, Taken
from venomqa_hyp.adapters.mysql import blocking, catalog, installation
from venomqa_hyp.adapters.mysql.driver import BYTES_AT_ONCE, Failed, Result, quoted, text
from venomqa_hyp.adapters.mysql.entries import Key, Note, sort_out, too_long
from venomqa_hyp.adapters.mysql.queries import Queries
from venomqa_hyp.errors import RollbackError, SystemUnavailable

_AT_ONCE = 500
_ALTERED = "Com_alter_table"
_T = TypeVar("_T")


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
    """

    counted = "auto_increment"

    def __init__(
        self,
        installed: installation.Installation,
        tables: Mapping[int, Table],
        lock_timeout: float,
        name: str,
    ) -> None:
        self.name = name
        self.tables = tables
        layouts = installed.catalog.layouts
        left_out = sorted(layouts.keys() - {table.name for table in tables.values()})
        self.metadata: Mapping[str, Any] = {"mode": "journal", "tables_left_out": left_out}
        self._installed = installed
        self._connection = installed.connection
        self.queries = Queries(self._connection.run_reading, name)
        self._timeout = lock_timeout
        self._layouts = {
            number: installed.catalog.layouts[table] for table, number in installed.numbers.items()
        }
        self._entries = quoted(installed.journal, "entries")
        self._taken = 0
        self._undeleted = 0
        self._schema = catalog.fingerprint(self._connection)
        self._executed: Mapping[str, str] = {}

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
                for some in _chunks(list(rows), _AT_ONCE)
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
            look = attrs.evolve(again, notes=())
        return Taken(entries, look.counters)

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, int]) -> bool:
        """Change the rows in one transaction, then set the counters back.

        :return: False if something was written meanwhile; nothing was changed then.
        :raises RollbackError: a lock was held, or the tables are not what the journal says.
        """
        deadline, pause = time.monotonic() + self._timeout, 0.001
        try:
            while reading := self._change_rows(moves):
                if time.monotonic() > deadline:
                    raise RollbackError(self._has_old_readers(reading))
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
            if reading is None:
                return False
            self._finish(counters)
        except Failed as error:
            raise RollbackError(self._explained(error)) from error
        return True

    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the observation queries answer."""
        return self.queries.answers()

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
            "SHOW GLOBAL STATUS WHERE Variable_name RLIKE"
            " '^Com_(alter|create|drop|rename|truncate)_?'",
        )

    def _seen(
        self, committed: Result, _: Result, written: Result, counters: Result, executed: Result
    ) -> _Look:
        self._refuse_changed_schema(dict(executed.rows))
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

    def _refuse_changed_schema(self, executed: Mapping[str, str]) -> None:
        """Look closer when the server has executed statements that change some schema.

        :param executed: kind of statement -> how many of it the server has executed so far.
        """
        kinds = {kind for kind, count in executed.items() if count != self._executed.get(kind)}
        if not kinds:
            return
        triggers = any("trigger" in kind for kind in kinds)
        found = catalog.fingerprint(self._connection, triggers=triggers)
        known = {
            what: value
            for what, value in self._schema.items()
            if triggers or not what.startswith("trigger ")
        }
        if found != known:
            raise RollbackError(f"{self.name}: {_difference(known, found)}")
        self._executed = executed

    # Changing

    def _change_rows(self, moves: Mapping[int, Move]) -> Collection[int] | None:
        """Change the rows in a transaction, which is left open if it can be committed.

        :return: nothing, or the connections that would not see the change; None if something was
            written meanwhile.
        """
        removals = {number: self._removals(number, move) for number, move in moves.items()}
        additions = [
            self._layouts[number].inserted(some)
            for number, move in moves.items()
            for some in _batches(move.add)
        ]
        statements = [
            blocking.TRANSACTIONS,
            "START TRANSACTION",
            *(statement for listed in removals.values() for statement in listed),
            *additions,
            f"SELECT COUNT(*) FROM {self._entries} WHERE seq > {self._taken}",
            f"DELETE FROM {self._entries} WHERE seq <= {self._taken}",
        ]
        done = False
        try:
            status, _, *results, newer, older = self._connection.run_all(statements)
            reading = blocking.of_status(self._connection, status, with_read_view=True)
            if reading or newer.rows[0][0]:
                return reading or None
            self._check(moves, removals, results, older.affected)
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

    def _finish(self, counters: Mapping[str, int]) -> None:
        # Counters cannot be set in a transaction, nor while there are rows with higher numbers.
        self._connection.run(
            "COMMIT",
            *(
                f"ALTER TABLE {quoted(self._connection.database, table)} AUTO_INCREMENT = {value}"
                for table, value in counters.items()
            ),
        )
        self._undeleted = 0
        ours = int(self._executed[_ALTERED]) + len(counters)
        self._executed = {**self._executed, _ALTERED: str(ours)}

    def _removals(self, number: int, move: Move) -> Sequence[str]:
        layout = self._layouts[number]
        if layout.key:
            conditions = (
                layout.found_by_key([layout.key_of(row) for row in some])
                for some in _chunks(move.remove, _AT_ONCE)
            )
            return [f"DELETE FROM {layout.sql} WHERE {condition}" for condition in conditions]
        return [
            f"DELETE FROM {layout.sql} WHERE {layout.found_by_all(row)} LIMIT 1"
            for row in move.remove
        ]

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


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _batches(rows: Iterable[str]) -> Iterator[Sequence[str]]:
    """Cut rows into parts that are short enough for one statement, or have one row only."""
    batch: list[str] = []
    size = 0
    for row in rows:
        if batch and size + len(row) > BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row)
    if batch:
        yield batch


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say what happened to the schema, and what to do instead."""
    gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    changed = sorted(what for what in before.keys() & after.keys() if before[what] != after[what])
    parts = [
        f"{verb}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        for verb, names in (("gone", gone), ("new", come), ("changed", changed))
        if names
    ]
    if changed and not gone and not come and all(name.startswith("table ") for name in changed):
        return (
            f"table {', '.join(name.removeprefix('table ') for name in changed)} was emptied by "
            "TRUNCATE, or rebuilt. That fires no trigger, so it cannot be rolled back. Let the "
            "application, or the action that resets it, use DELETE FROM instead."
        )
    return (
        f"the schema was changed during the run ({'; '.join(parts)}). MySQL cannot roll such a "
        "statement back, and it commits what was open. Let migrations run before the MySQLAdapter "
        "is made, and leave actions out that change tables."
    )
