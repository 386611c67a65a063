"""One connection for the application and its test, on which nothing is ever committed.

All of it is one transaction of PostgreSQL. What the application takes for a transaction is a
savepoint in it: commit() keeps what was done since, rollback() takes it back, and with autocommit
each statement has one of its own, so an error ends only what the application had begun.

Savepoints of the test lie below that of the application::

    BEGIN > checkpoint 1 > checkpoint 2 > application

Two things would end the transaction itself: COMMIT and ROLLBACK sent as SQL. A trigger that is
deferred to the end of the transaction makes COMMIT fail, and the connection is closed after either.
"""

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self

from venomqa_hyp.adapters.postgres.driver import Failed, answer, load_psycopg
from venomqa_hyp.adapters.postgres.sharing.guard import GUARD, IS_GUARDED
from venomqa_hyp.adapters.sql import Answer
from venomqa_hyp.errors import RollbackError

if TYPE_CHECKING:
    import psycopg
else:
    psycopg = load_psycopg()

_APPLICATION = "venomqa_application"
_INTRANS = psycopg.pq.TransactionStatus.INTRANS
_INERROR = psycopg.pq.TransactionStatus.INERROR
_ACTIVE = psycopg.pq.TransactionStatus.ACTIVE

_ENDED = (
    "The application sent COMMIT or ROLLBACK as SQL on the shared PostgreSQL connection, which "
    "ended the transaction of the test; the connection is closed. Call commit() and rollback() of "
    "the connection, or use connection.transaction(); or use mode 'journal', which shares no "
    "connection."
)
_COMMIT = (
    f"SELECT pg_temp.venomqa_commit(); RELEASE SAVEPOINT {_APPLICATION}; SAVEPOINT {_APPLICATION}"
)


class SharedConnection(psycopg.Connection[Any]):
    """A psycopg connection that an application in this process uses, and a test rolls back.

    Open it with ``SharedConnection.connect(dsn)``, which takes what ``psycopg.connect`` takes; let
    the application use it as its only connection, and give it to ``PostgresAdapter``. To other
    connections, everything done on it stays invisible. ``commit()``, ``rollback()``, ``close()``,
    ``autocommit``, ``transaction()`` and ``with connection:`` do what they did for the
    application. ``disconnect()`` ends it, and leaves the database as it was before.

    One request at a time: two that overlap would share a transaction.

    Not the same as on a connection of its own: ``now()`` stands still, NOTIFY is never delivered,
    isolation levels have no effect, and what cannot run inside a transaction is refused (VACUUM,
    CREATE INDEX CONCURRENTLY, two-phase commit, pipelines).
    """

    #: Names of the savepoints of the test, the last one on top.
    savepoints: list[str]
    _last_savepoint = 0
    _shared = False
    _aside = False
    _application_autocommit = False
    _busy = False
    _blocks = 0
    _checked_out = 0
    _problem: str | None = None

    @classmethod
    def connect(
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = None,
        **options: Any,
    ) -> Self:
        """Connect, and open the transaction that is never committed.

        :param prepare_threshold: statements are not prepared by default: a plan may refer to what
            a rollback takes away.
        """
        made = super().connect(
            conninfo, autocommit=True, prepare_threshold=prepare_threshold, **options
        )
        try:
            made._send("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            made._send(GUARD)
            made._send(f"SAVEPOINT {_APPLICATION}")
        except BaseException:
            made.disconnect()
            raise
        made.savepoints = []
        made._application_autocommit = autocommit
        made._shared = True
        return made

    # What the application calls

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait for the server, as the base class does; then end a transaction of one statement."""
        if not self._shared or self._aside:
            return super().wait(*arguments, **options)
        try:
            return super().wait(*arguments, **options)
        finally:
            self._after_statement()

    def commit(self) -> None:
        """Keep what was done since the last commit() or rollback() of the application."""
        self._refuse_in_block("commit")
        if self.has_failed:
            self._undo()  # as COMMIT of a failed transaction does
        else:
            self._keep()

    def rollback(self) -> None:
        """Take back what was done since the last commit() or rollback() of the application."""
        self._refuse_in_block("rollback")
        self._undo()

    def close(self) -> None:
        """Take back what was not committed. The connection stays open: see ``disconnect()``."""
        if self._shared and not self.closed and not self._blocks:
            self._undo()

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Run a block as a transaction, or as a savepoint inside of one."""
        outermost = not self._blocks and not self._busy
        self._blocks += 1
        try:
            with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
        except BaseException:
            self._blocks -= 1
            if outermost and not self.closed:
                self._undo()
            raise
        self._blocks -= 1
        if outermost:
            self._keep()

    @property
    def autocommit(self) -> bool:
        """Tell whether each statement of the application is a transaction of its own."""
        return self._application_autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.set_autocommit(value)

    def set_autocommit(self, value: bool) -> None:
        """Make each statement a transaction of its own, or not."""
        if self._busy or self._blocks:
            raise psycopg.ProgrammingError(
                "can't change 'autocommit' now: a transaction is open; commit or roll back first"
            )
        self._application_autocommit = bool(value)

    def set_isolation_level(self, value: psycopg.IsolationLevel | None) -> None:
        """Remember the level; on one connection there is nobody to be isolated from."""
        self._isolation_level = value

    def set_read_only(self, value: bool | None) -> None:
        """Refuse read-only transactions, which a savepoint cannot be."""
        if value:
            raise psycopg.NotSupportedError(
                "a shared connection has no read-only transactions; use mode 'journal'"
            )

    def set_deferrable(self, value: bool | None) -> None:
        """Accept and ignore: it concerns read-only transactions."""

    def pipeline(self) -> NoReturn:
        """Refuse: an error in a pipeline would end the transaction of the test."""
        raise psycopg.NotSupportedError(
            "a shared connection has no pipeline mode; use mode 'journal'"
        )

    # What the test calls

    def disconnect(self) -> None:
        """Roll everything back and close the connection."""
        self._shared = False
        super().close()

    def ask(self, query: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the test, which the application does not notice.

        :raises Failed: PostgreSQL refuses it.
        """
        with self._asking(query, parameters) as cursor:
            return cursor.fetchall() if cursor.description else []

    def ask_values(self, query: str) -> Answer:
        """Return columns and rows of a query of the test.

        :raises Failed: PostgreSQL refuses it.
        """
        with self._asking(query) as cursor:
            return answer(cursor)

    def set_savepoint(self) -> str:
        """Set a savepoint below that of the application, and return its name."""
        self._last_savepoint += 1
        name = f"venomqa_{self._last_savepoint}"
        self._send(f"RELEASE SAVEPOINT {_APPLICATION}; SAVEPOINT {name}; SAVEPOINT {_APPLICATION}")
        self.savepoints.append(name)
        return name

    def return_to(self, name: str) -> None:
        """Take everything back that was done since a savepoint, committed or not.

        The savepoints that were set later are gone.
        """
        self._send(f"ROLLBACK TO SAVEPOINT {name}; SAVEPOINT {_APPLICATION}")
        del self.savepoints[self.savepoints.index(name) + 1 :]
        self._busy = False

    def release(self, names: Set[str]) -> None:
        """Drop those of the named savepoints that no other lies on; what was done since stays."""
        # Not while the application has begun something: it would be committed by this.
        while self.savepoints and self.savepoints[-1] in names and self._is_idle:
            self._send(
                f"RELEASE SAVEPOINT {_APPLICATION}; RELEASE SAVEPOINT {self.savepoints.pop()}; "
                f"SAVEPOINT {_APPLICATION}"
            )

    def check_usable(self) -> None:
        """Raise if the transaction of the test is gone, or was not the application's only one.

        :raises RollbackError: says what happened and what to write instead.
        """
        if self._problem is not None:
            raise RollbackError(self._problem)
        if self.closed or self.pgconn.transaction_status not in (_INTRANS, _INERROR):
            raise RollbackError(
                "The shared PostgreSQL connection is closed: the server ended it, or "
                "disconnect() was called. What was done on it is gone. Open a new one with "
                "SharedConnection.connect(dsn)."
            )
        # ROLLBACK AND CHAIN begins another transaction at once.
        if not self.has_failed and self.ask(IS_GUARDED) == [(False,)]:
            self._problem = _ENDED
            self.pgconn.finish()
            raise RollbackError(self._problem)

    @property
    def has_failed(self) -> bool:
        """Tell whether a statement failed in a transaction that the application left open."""
        return self.pgconn.transaction_status == _INERROR

    def refuse_failed_transaction(self) -> None:
        """Raise if nothing can be read before the application has rolled back.

        :raises RollbackError: a statement failed, and the application did not roll back.
        """
        if self.has_failed:
            self._refuse_open("left a failed transaction open")

    def refuse_open_transaction(self) -> None:
        """Raise if the application has begun something and neither committed nor rolled back.

        :raises RollbackError: it has written, or its transaction has failed.
        """
        self.refuse_failed_transaction()
        if self._blocks:
            self._refuse_open("is in a transaction block")
        if self._busy:
            if self._wrote():
                self._refuse_open("has written or locked rows and did not commit")
            self._busy = False  # it has only read

    def check_out(self) -> None:
        """Note that a pool gives the connection to somebody.

        :raises RollbackError: somebody else has it; the test ends with this error as well.
        """
        if self._checked_out:
            self._problem = self._problem or (
                "The application took a second connection while it had one. Both would be the "
                "shared one, and a rollback of either would undo the work of both. Return the "
                "first before taking another, or use mode 'journal', which needs no sharing."
            )
            raise RollbackError(self._problem)
        self._checked_out += 1

    def check_in(self) -> None:
        """Note that it was returned."""
        self._checked_out -= 1

    # How it is done

    @contextmanager
    def _asking(
        self, query: str, parameters: Sequence[Any] | None = None
    ) -> Iterator["psycopg.Cursor[Any]"]:
        self._aside = True
        try:
            with psycopg.Cursor(self, row_factory=psycopg.rows.tuple_row) as cursor:
                yield cursor.execute(query, parameters)
        except psycopg.Error as error:
            raise Failed(str(error), error.sqlstate) from error
        finally:
            self._aside = False

    def _send(self, commands: str) -> None:
        """Send commands that no hook sees."""
        with self.lock:
            self._send_locked(commands)

    def _send_locked(self, commands: str) -> None:
        result = self.pgconn.exec_(commands.encode())
        if result.status not in (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK):
            state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b""
            kind = _error_class(state.decode())
            raise kind(self.pgconn.get_error_message(), info=result)

    def _after_statement(self) -> None:
        """Called with the lock held."""
        status = self.pgconn.transaction_status
        if status == psycopg.pq.TransactionStatus.IDLE:
            self._problem = _ENDED
            self.pgconn.finish()
        elif not self._application_autocommit:
            self._busy = True
        elif self._blocks or status == _ACTIVE:
            return  # a COPY goes on
        elif status == _INERROR:
            self._send_locked(f"ROLLBACK TO SAVEPOINT {_APPLICATION}")
        elif status == _INTRANS:
            try:
                self._send_locked(_COMMIT)
            except psycopg.Error:
                self._send_locked(f"ROLLBACK TO SAVEPOINT {_APPLICATION}")
                raise

    def _keep(self) -> None:
        try:
            self._send(_COMMIT)
        except psycopg.Error:
            if not self.closed:
                self._undo()
            raise
        self._busy = False

    def _undo(self) -> None:
        self._send(f"ROLLBACK TO SAVEPOINT {_APPLICATION}")
        self._busy = False

    @property
    def _is_idle(self) -> bool:
        status = self.pgconn.transaction_status
        return status == _INTRANS and not self._busy and not self._blocks

    def _wrote(self) -> bool:
        # A transaction that writes gets an id, and with it those it is inside of. Each holds a
        # lock on its own; the id of a released savepoint is no longer locked.
        ((locked,),) = self.ask(
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
            " AND locktype = 'transactionid' AND mode = 'ExclusiveLock'"
        )
        return bool(locked >= len(("transaction", *self.savepoints, _APPLICATION)))

    def _refuse_in_block(self, call: str) -> None:
        if self._blocks:
            raise psycopg.ProgrammingError(
                f"Explicit {call}() forbidden within a Transaction context. (Transaction will be "
                "automatically committed on successful exit from context.)"
            )

    def _refuse_open(self, what: str) -> NoReturn:
        raise RollbackError(
            f"The application {what} on the shared PostgreSQL connection, so the next action "
            "would begin in the middle of it. Call commit() or rollback() before the action "
            "returns (a request usually does at its end)."
        )


def _error_class(sqlstate: str) -> type[psycopg.Error]:
    try:
        return psycopg.errors.lookup(sqlstate)
    except KeyError:
        return psycopg.OperationalError
