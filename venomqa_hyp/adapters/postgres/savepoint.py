"""Mode ``savepoint``: the application shares one connection, and savepoints lie on a stack."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from venomqa_hyp.adapters.handles import Handle, HandleOwner
from venomqa_hyp.adapters.postgres.contents import Contents, read_sequences, set_sequences
from venomqa_hyp.adapters.postgres.driver import EXACT, Connection, Failed
from venomqa_hyp.adapters.postgres.locks import holders
from venomqa_hyp.adapters.postgres.sharing.connection import SharedConnection
from venomqa_hyp.adapters.postgres.witness import Witness
from venomqa_hyp.adapters.sql import Answer, Choice
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError

_SETTINGS = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in EXACT.items())


class SavepointMode(HandleOwner):
    """Roll back what an application in this process does on a ``SharedConnection``.

    A rollback destroys the checkpoints that were taken later: ``is_live`` tells. Changes of the
    schema roll back too. A checkpoint refuses an open transaction that has written.

    :param choice: what is observed.
    :param schemas: names of the schemas that are observed; everything rolls back.
    :param lock_timeout: seconds to wait where another connection has locked a table.
    :raises DefinitionError: something is to be observed that does not exist.
    :raises SystemUnavailable: the database cannot be reached by a second connection.
    """

    _ended_by = "a rollback to an earlier savepoint destroyed it"

    def __init__(
        self,
        connection: SharedConnection,
        *,
        name: str = "postgres",
        choice: Choice | None = None,
        schemas: Iterable[str] | None = None,
        lock_timeout: float = 5.0,
    ) -> None:
        super().__init__(name)
        self._connection = connection
        self._session = _Session(connection)
        self._lock_timeout = lock_timeout
        self._set: set[str] = set()
        self._forgotten: set[str] = set()
        connection.check_usable()
        self._contents = Contents(self._session, name, choice, schemas)
        self._outside = Connection(connection, lock_timeout)
        try:
            with self._lock_errors():
                pid = connection.info.backend_pid
                self._witness = Witness(self._session, self._outside, pid)
        except BaseException:
            self._outside.close()
            raise

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of a query too.

        :raises DefinitionError: PostgreSQL refuses it, it answers with no rows, or the name is
            used.
        """
        self._contents.queries.add(name, sql)

    def checkpoint(self, name: str) -> Handle:
        """Set a savepoint.

        :raises RollbackError: the application has a transaction open, or used another connection.
        """
        self._check()
        self._connection.refuse_open_transaction()
        sequences = read_sequences(self._session)
        savepoint = self._connection.set_savepoint()
        self._set.add(savepoint)
        return self._handle(name, (savepoint, sequences))

    def rollback(self, handle: Handle) -> None:
        """Take back what was done since ``handle``; an open transaction ends.

        :raises RollbackError: the handle is not live, or the application used another connection.
        """
        savepoint, sequences = self._content(handle)
        self._check()
        self._connection.return_to(savepoint)
        set_sequences(self._session, sequences)

    def observe(self) -> Observation:
        """Return the whole content, with what an open transaction has changed.

        :raises SystemUnavailable: it cannot be read.
        :raises RollbackError: the application left a failed transaction, or used another
            connection.
        """
        self._check()
        self._connection.refuse_failed_transaction()
        with self._session.aside():
            return self._contents.observe()

    def is_live(self, handle: Handle) -> bool:
        """Tell whether ``handle`` can be rolled back to."""
        return super().is_live(handle) and handle.content[0] in self._connection.savepoints

    def forget(self, handle: Handle) -> None:
        """Release the savepoint, once no later one needs it."""
        if self.is_live(handle):
            self._forgotten.add(handle.content[0])
            super().forget(handle)
            self._connection.release(self._forgotten)

    def close(self) -> None:
        """Forget all checkpoints; what was done since the connection was opened stays on it."""
        if not self._closed:
            super().close()
            self._outside.close()
            self._connection.release(self._set)

    def _check(self) -> None:
        self._refuse_closed()
        self._connection.check_usable()
        if self._connection.has_failed:
            return  # what is left to do is to roll back
        with self._lock_errors():
            tables = self._witness.changed_tables()
        if tables:
            raise RollbackError(
                f"{self.name}: something other than the shared connection has committed changes "
                f"of {', '.join(tables)}, which no savepoint can take back. Where the application "
                "does that, it does not use the shared connection (everywhere): give it the one "
                "that the adapter has, see SharedPool, share_engine and share_with_django; or use "
                "mode 'journal', which rolls back what any connection has committed."
            )

    @contextmanager
    def _lock_errors(self) -> Iterator[None]:
        try:
            yield
        except Failed as error:
            why = f"{error}"
            if error.is_lock:
                why = holders(self._outside, self._lock_timeout)
            raise RollbackError(
                f"{self.name}: cannot see whether other connections have committed: {why}"
            ) from error


class _Session:
    """The shared connection, as far as our own questions are concerned."""

    def __init__(self, connection: SharedConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        return self._connection.ask(sql, parameters)

    def read(self, statements: Sequence[str]) -> list[Answer]:
        with self.aside():
            return [self._connection.ask_values(statement) for statement in statements]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Read with our settings, and so that an error is none of the application's."""
        try:
            self.execute(f"SAVEPOINT venomqa_reading; SELECT {_SETTINGS}")
            yield
        finally:
            self.execute("ROLLBACK TO venomqa_reading; RELEASE venomqa_reading")
