"""Mode ``journal``: the application is another process, with connections of its own."""

from collections.abc import Iterable, Mapping
from typing import Any

from venomqa_hyp.adapters.journal import Choice, Journal, JournalHandle, Move, Table, Taken
from venomqa_hyp.adapters.postgres import install, locks, schema
from venomqa_hyp.adapters.postgres.advancing import Advancing
from venomqa_hyp.adapters.postgres.catalog import JOURNAL, quoted, read
from venomqa_hyp.adapters.postgres.driver import Connection, Failed
from venomqa_hyp.adapters.postgres.observing import observed_tables
from venomqa_hyp.adapters.postgres.queries import Queries
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError, SystemUnavailable

_VACUUM_AFTER = 20_000
_NOT_ALLOWED = "42501"
_CHANGED_BEHIND = "27000"


class JournalMode:
    """Roll back by what triggers wrote down.

    :param source: a DSN, or a psycopg connection or pool that says where to connect to.
    :param schemas: names of the schemas to cover; all by default.
    :param lock_timeout: seconds to wait for a lock of the application.
    :param advance: let sequences go on counting.
    :raises DefinitionError: the database holds what a journal cannot roll back.
    :raises SystemUnavailable: it cannot be reached or changed, or another run uses it.
    """

    def __init__(
        self,
        source: Any,
        *,
        name: str = "postgres",
        choice: Choice | None = None,
        schemas: Iterable[str] | None = None,
        lock_timeout: float = 5.0,
        advance: bool = False,
    ) -> None:
        connection = Connection(source, lock_timeout)
        try:
            self._store = _Store(
                connection, name, choice or Choice(), schemas, lock_timeout, advance
            )
            try:
                self._journal = Journal(self._store)
            except BaseException:
                self._store.close()
                raise
        except BaseException:
            connection.close()
            raise

    def checkpoint(self, name: str) -> JournalHandle:
        """Remember the present moment, in one round trip.

        :raises WorldError: a transaction is open, or the schema was changed.
        """
        return self._journal.checkpoint(name)

    def rollback(self, handle: JournalHandle) -> None:
        """Remove and put back the rows that differ, in two round trips.

        :raises RollbackError: the handle is not live, a lock was held for too long, or the tables
            do not hold what the journal says.
        """
        self._journal.rollback(handle)

    def observe(self) -> Observation:
        """Return the rows that differ from the beginning, in one round trip.

        :raises WorldError: a transaction is open, or the schema was changed.
        """
        return self._journal.observe()

    def is_live(self, handle: JournalHandle) -> bool:
        """Tell whether ``handle`` can be rolled back to: any one, until forgotten."""
        return self._journal.is_live(handle)

    def forget(self, handle: JournalHandle) -> None:
        """Free the rows that only ``handle`` holds."""
        self._journal.forget(handle)

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too.

        :raises DefinitionError: PostgreSQL refuses it, or the name is used.
        """
        self._store.queries.add(name, sql)

    def close(self) -> None:
        """Leave the rows as they are, and remove the journal."""
        self._journal.close()


def remove_journal(source: Any, *, lock_timeout: float = 5.0) -> bool:
    """Remove a journal that a crash left in the database; return whether there was one.

    :raises SystemUnavailable: a living run uses it, or a table is locked.
    """
    connection = Connection(source, lock_timeout)
    try:
        install.claim(connection)
        return install.remove(connection)
    except Failed as error:
        raise SystemUnavailable(
            f"The journal of {connection.where} cannot be removed: {error}"
        ) from error
    finally:
        connection.close()


class _Store:
    """The database and its journal."""

    counted = "sequences"
    tables: Mapping[int, Table]
    metadata: Mapping[str, Any]

    def __init__(
        self,
        connection: Connection,
        name: str,
        choice: Choice,
        schemas: Iterable[str] | None,
        lock_timeout: float,
        advance: bool,
    ) -> None:
        self.name = name
        self._connection = connection
        self._lock_timeout = lock_timeout
        self._since_vacuum = 0
        self.queries = Queries(connection, name)
        install.claim(connection)
        _silence(connection)
        try:
            install.remove(connection)
            self._catalog = read(connection, schemas)
            self.tables = observed_tables(connection, self._catalog, choice)
            install.install(connection, self._catalog)
        except Failed as error:
            raise SystemUnavailable(self._explained("install the journal", error)) from error
        self._advancing = Advancing(connection, self._catalog) if advance else None
        self._schema = schema.lines(connection, self._catalog)
        self._fingerprint = self._ask()[-1][2]
        self._counters: tuple[str, Mapping[str, Any]] = ("", {})
        self._names = {sequence.number: sequence.name for sequence in self._catalog.sequences}
        self._numbers = {name: number for number, name in self._names.items()}
        self._hidden = frozenset(
            sequence.name
            for sequence in self._catalog.sequences
            if choice.tables is not None and sequence.owner not in self.tables
        )
        self.metadata = {"mode": "journal", "left_out": self._catalog.left_out}

    def take(self) -> Taken:
        try:
            *entries, (_, _, sequences), (_, _, fingerprint) = self._ask()
        except Failed as error:
            self._refuse_changed_schema(error)
            raise SystemUnavailable(self._explained("observe", error)) from error
        if fingerprint != self._fingerprint:
            self._refuse_changed_schema(None)
        if sequences != self._counters[0]:
            self._counters = (sequences, self._read_counters(sequences))
        self._clean_up(len(entries))
        return Taken(entries, self._counters[1], self._hidden)

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, Any]) -> bool:
        rows = [
            (number, sign, row)
            for number, move in moves.items()
            for sign, of_sign in ((-1, move.remove), (1, move.add))
            for row in of_sign
        ]
        values = [(self._numbers[name], *value) for name, value in counters.items()]
        columns = [[row[at] for row in part] for part in (rows, values) for at in range(3)]
        try:
            ((outcome,),) = self._connection.execute(_RESTORE, columns)
        except Failed as error:
            self._refuse_changed_schema(error)
            raise RollbackError(self._explained("roll back", error)) from error
        return bool(outcome)

    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        return self.queries.answers()

    def close(self) -> None:
        try:
            if self._advancing:
                self._advancing.set_back()
            install.remove(self._connection)
        except Failed as error:
            raise SystemUnavailable(
                f"{self._explained('remove the journal', error)} What is left of it is removed by "
                "the next run, or by: venomqa clean DSN"
            ) from error
        finally:
            self._connection.close()

    def _ask(self) -> list[Any]:
        return self._connection.execute(_TAKE)

    def _read_counters(self, sequences: str) -> dict[str, tuple[int, bool]]:
        numbers = (map(int, one.split()) for one in sequences.split(","))
        advancing = self._advancing.numbers if self._advancing else ()
        return {
            self._names[number]: (value, called == 1)
            for number, value, called in numbers
            if number not in advancing
        }

    def _clean_up(self, entries: int) -> None:
        """Free the space of the entries that were taken, before it takes time to skip them."""
        self._since_vacuum += entries
        if self._since_vacuum > _VACUUM_AFTER:
            self._since_vacuum = 0
            self._connection.execute(f"VACUUM {JOURNAL}.entry")

    def _refuse_changed_schema(self, cause: Failed | None) -> None:
        """Raise RollbackError if the schema is not what it was.

        :param cause: what failed, if anything; a lock and a lost connection have other reasons.
        """
        if cause is not None and (cause.is_lock or cause.sqlstate is None):
            return
        present = schema.lines(self._connection, self._catalog)
        if cause is None or present != self._schema:
            raise RollbackError(
                f"{self.name}: the schema of {self._connection.where} was changed during the run "
                f"({schema.difference(self._schema, present)}), which a journal cannot roll back. "
                "Run the migrations before the adapter is created; where the application changes "
                'the schema as it works, use PostgresAdapter(..., mode="template").'
            ) from cause

    def _explained(self, attempt: str, error: Failed) -> str:
        problem = f"{self.name}: cannot {attempt} in {self._connection.where}: "
        if error.is_lock:
            return problem + locks.holders(self._connection, self._lock_timeout)
        if error.sqlstate is None:
            return f"{problem}{error} The connection is lost: look at the log of PostgreSQL."
        if error.sqlstate == _NOT_ALLOWED:
            return f"{problem}{error} Connect as the owner of the tables, or as a superuser."
        if error.sqlstate == _CHANGED_BEHIND:
            return (
                f"{problem}{error} So rows were written that no trigger reported: triggers were "
                "disabled for a while, or TRUNCATE met rows that its transaction could not see."
            )
        return problem + str(error)


def _silence(connection: Connection) -> None:
    """Keep the application's triggers and foreign keys, and the journal, out of our session."""
    try:
        connection.execute("SET session_replication_role = replica")
    except Failed as error:
        if error.sqlstate != _NOT_ALLOWED:
            raise
        ((role,),) = connection.execute("SELECT current_user")
        grant = (
            f"GRANT SET ON PARAMETER session_replication_role TO {quoted(role)}"
            if connection.version >= 150000
            else "nothing can be granted before PostgreSQL 15"
        )
        raise SystemUnavailable(
            f"{connection.where}: the role {role!r} may not set "
            "session_replication_role, without which putting a row back would fire the triggers "
            f"and foreign keys of the application. As a superuser: {grant}; or connect as a "
            "superuser of the test server."
        ) from error
    connection.execute(f"SET {install.OWN_SESSION} = 'on'")


_TAKE = f"SELECT number, sign, content FROM {JOURNAL}.take()"
_RESTORE = (
    f"SELECT {JOURNAL}.restore(%s::bigint[], %s::integer[], %s::text[], "
    "%s::bigint[], %s::bigint[], %s::boolean[])"
)
