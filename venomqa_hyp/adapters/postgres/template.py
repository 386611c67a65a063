"""Mode ``template``: a checkpoint is a copy of the whole database, a rollback puts one in place.

It covers everything a database holds: schema, views, functions, large objects. It costs what
copying costs, and the connections of the application end at each checkpoint and each rollback.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from venomqa_hyp.adapters.handles import Handle, HandleOwner
from venomqa_hyp.adapters.postgres.contents import Contents
from venomqa_hyp.adapters.postgres.databases import IN_USE, Server
from venomqa_hyp.adapters.postgres.driver import NOT_ALLOWED, Connection, Failed
from venomqa_hyp.adapters.sql import Answer, Choice
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError, SystemUnavailable, VenomError

#: Copies that are kept; each takes as much of the disk as the database.
MOST_COPIES = 16
_WARM_UP_ATTEMPTS = 10


class TemplateMode(HandleOwner):
    """Roll back a whole database by copies of it.

    At most 16 copies are kept. Of more checkpoints than that the one unused longest dies, but
    never the first: ``is_live`` tells.

    :param choice: what is observed; everything rolls back.
    :param schemas: names of the schemas that are observed.
    :param warm_up: called after connections were ended, until it neither raises nor returns an
        answer with a status of 500 or more, at most 10 times: a request that changes nothing, by a
        client of its own. The pool of the application then has live connections again.
    :param lock_timeout: seconds to wait until the connections of others have ended.
    :raises DefinitionError: something is to be observed that does not exist.
    :raises SystemUnavailable: the database cannot be reached, or not be copied.
    """

    _ended_by = f"more than {MOST_COPIES} copies are not kept"

    def __init__(
        self,
        source: Any,
        *,
        name: str = "postgres",
        choice: Choice | None = None,
        schemas: Iterable[str] | None = None,
        lock_timeout: float = 5.0,
        warm_up: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(name)
        self._warm_up = warm_up
        self._session = _Session(source, lock_timeout)
        self._handles: list[Handle] = []
        try:
            ((self._database,),) = self._session.execute("SELECT current_database()")
            self._contents = Contents(self._session, name, choice, schemas)
            self._server = Server(source, self._database, lock_timeout)
        finally:
            self._session.leave()
        for left in self._server.left_over():
            self._server.drop(left)

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of a query too.

        :raises DefinitionError: PostgreSQL refuses it, it answers with no rows, or the name is
            used.
        """
        self._contents.queries.add(name, sql)

    def checkpoint(self, name: str) -> Handle:
        """Copy the database.

        :raises RollbackError: the application has a transaction open that has written, or the
            database cannot be copied.
        """
        self._refuse_closed()
        if writing := self._server.sessions(self._database, writing=True):
            raise RollbackError(
                f"{self.name}: the application has written and did not commit, and a copy would "
                f"end that transaction: {writing}. Commit or roll back before the action returns."
            )
        self._make_room()
        copy = self._server.new_name()
        self._alone(lambda: self._server.copy(self._database, copy), "copied")
        handle = self._handle(name, copy)
        self._handles.append(handle)
        return handle

    def rollback(self, handle: Handle) -> None:
        """Put a copy of what ``handle`` holds in place of the database.

        :raises RollbackError: the handle is not live, or the database cannot be replaced.
        """
        copy = self._content(handle)
        if handle is not self._handles[0]:
            self._handles.remove(handle)
            self._handles.append(handle)
        fresh, replaced = self._server.new_name(), self._server.new_name()
        try:
            self._server.copy(copy, fresh)
            self._server.give_properties(self._database, fresh)
        except Failed as error:
            raise self._failure("copied", error) from error
        self._alone(lambda: self._server.swap(self._database, fresh, replaced), "replaced")
        self._server.drop(replaced)

    def observe(self) -> Observation:
        """Return the whole content that is committed.

        :raises SystemUnavailable: it cannot be read.
        """
        self._refuse_closed()
        return self._contents.observe()

    def forget(self, handle: Handle) -> None:
        """Drop the copy."""
        if self.is_live(handle):
            self._handles.remove(handle)
            self._server.drop(handle.content)
            super().forget(handle)

    def close(self) -> None:
        """Leave the database as it is, and drop all copies."""
        if not self._closed:
            super().close()
            self._session.leave()
            try:
                self._server.close()
            except Failed as error:
                raise SystemUnavailable(
                    f"{self.name}: the copies of database {self._database!r} cannot be dropped: "
                    f"{error} The next run drops them, or: venomqa clean DSN"
                ) from error

    def _make_room(self) -> None:
        while len(self._handles) >= MOST_COPIES:
            self.forget(self._handles[1])

    def _alone(self, action: Callable[[], None], done: str) -> None:
        self._session.leave()
        try:
            self._server.alone(self._database, action)
        except Failed as error:
            raise self._failure(done, error) from error
        except SystemUnavailable as error:
            raise RollbackError(f"{self.name}: {error}") from error
        self._warm()

    def _failure(self, done: str, error: Failed) -> RollbackError:
        problem = f"{self.name}: database {self._database!r} cannot be {done}: {error}"
        if error.sqlstate == NOT_ALLOWED:
            problem += (
                " The role needs CREATEDB and must own the database: ALTER ROLE ... CREATEDB, "
                "ALTER DATABASE ... OWNER TO ..."
            )
        elif error.sqlstate == IN_USE:
            problem += (
                " Its connections were ended and came back at once: "
                f"{self._server.sessions(self._database) or 'nobody is connected now'}."
            )
        return RollbackError(problem)

    def _warm(self) -> None:
        if self._warm_up is None:
            return
        problem: Exception | None = None
        for _ in range(_WARM_UP_ATTEMPTS):
            try:
                answer = self._warm_up()
            except VenomError:
                raise
            except Exception as error:  # whatever the user's client raises
                problem = error
                continue
            status = getattr(answer, "status_code", 0)
            if status < 500:
                return
            problem = RuntimeError(f"it answered {status}")
        raise SystemUnavailable(
            f"{self.name}: the application does not come back after its connections were ended: "
            f"warm_up failed {_WARM_UP_ATTEMPTS} times, at last with {problem!r}. Let its pool "
            "test connections before use (SQLAlchemy: create_engine(..., pool_pre_ping=True); "
            "psycopg_pool: check=ConnectionPool.check_connection)."
        ) from problem


class _Session:
    """Connects to the database when it is asked something, and leaves it when told to."""

    def __init__(self, source: Any, lock_timeout: float) -> None:
        self._source = source
        self._lock_timeout = lock_timeout
        self._connection: Connection | None = None

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        return self._connected().execute(sql, parameters)

    def read(self, statements: Sequence[str]) -> list[Answer]:
        return self._connected().read(statements)

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._source, self._lock_timeout)
        return self._connection
