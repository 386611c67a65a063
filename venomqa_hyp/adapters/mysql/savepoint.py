"""Mode ``savepoint``: one connection for the application and its test, which commits nothing.

All of it is one transaction of MySQL. Savepoints of the test lie below that of the application::

    START TRANSACTION > base > checkpoint 1 > checkpoint 2 > application
"""

from collections.abc import Mapping
from typing import Any, Self

from venomqa_hyp.adapters.journal import Choice
from venomqa_hyp.adapters.lifetime import closed, not_live
from venomqa_hyp.adapters.mysql import catalog
from venomqa_hyp.adapters.mysql.driver import Failed, Result, Target, quoted
from venomqa_hyp.adapters.mysql.observing import observed_columns, observed_layouts
from venomqa_hyp.adapters.mysql.queries import Queries
from venomqa_hyp.adapters.mysql.witness import Witness, beside
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError, RollbackError
from venomqa_hyp.values.digest import canonical_text

_APPLICATION = "venomqa_application"
_NO_SAVEPOINT = 1305


class SharedConnection:
    """A connection that an application in this process uses, and a test rolls back.

    Give it to the application as its only connection, and to ``MySQLAdapter``. ``commit()``,
    ``rollback()``, ``begin()``, ``autocommit()`` and ``close()`` do what they did for the
    application, but nothing becomes visible to other connections. ``disconnect()`` ends it, and
    leaves the database as it was. All else is that of the connection itself.

    :param connection: of PyMySQL or mysqlclient, with no transaction open.
    :param url: where it leads, for a second connection of the adapter's own, which looks whether
        the application writes past this one; PyMySQL tells it by itself.
    """

    def __init__(self, connection: Any, url: str | None = None) -> None:
        self._connection = connection
        self._autocommit = bool(connection.get_autocommit())
        self._in_block = False
        self.run("SET autocommit = 0", "START TRANSACTION", f"SAVEPOINT {_APPLICATION}")
        ((database,),) = self.run("SELECT DATABASE()")[0].rows
        if not database:
            raise DefinitionError(
                "the shared MySQL connection has no database chosen, so it is not known what to "
                "observe. Write pymysql.connect(..., database='shop_test')."
            )
        self.database: str = database
        self.target = Target.parse(url) if url is not None else beside(connection, database)

    def commit(self) -> None:
        """Keep what was done since the last commit() or rollback()."""
        self.run(f"RELEASE SAVEPOINT {_APPLICATION}", f"SAVEPOINT {_APPLICATION}")
        self._in_block = False

    def rollback(self) -> None:
        """Take back what was done since the last commit() or rollback()."""
        if self._in_block or not self._autocommit:
            self.run(f"ROLLBACK TO SAVEPOINT {_APPLICATION}")
            self._in_block = False

    def begin(self) -> None:
        """Begin a transaction of the application; what was open is kept, as MySQL does."""
        self.commit()
        self._in_block = True

    def autocommit(self, value: bool) -> None:
        """Make each statement a transaction of its own, or not."""
        self.commit()
        self._autocommit = bool(value)

    def get_autocommit(self) -> bool:
        """Tell whether each statement is a transaction of its own."""
        return self._autocommit

    def close(self) -> None:
        """Take back what was not committed. The connection stays open: see ``disconnect()``."""
        self.rollback()

    def disconnect(self) -> None:
        """Take everything back and close the connection."""
        self._connection.rollback()
        self._connection.close()

    def run(self, *statements: str) -> list[Result]:
        """Execute statements of the test and return what each answered.

        :raises RollbackError: the transaction of the test was ended.
        """
        results = []
        with self._connection.cursor() as cursor:
            for statement in statements:
                self._execute(cursor, statement)
                columns = tuple(column[0] for column in cursor.description or ())
                found = cursor.fetchall() if columns else ()
                # The application may have chosen cursors that answer with dicts.
                rows = [tuple(row.values()) if isinstance(row, dict) else row for row in found]
                results.append(Result(columns, rows, cursor.rowcount))
        return results

    def _execute(self, cursor: Any, statement: str) -> None:
        try:
            cursor.execute(statement)
        except Exception as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if code != _NO_SAVEPOINT:
                raise Failed(code, str(error.args[-1] if error.args else error)) from error
            raise RollbackError(
                f"a savepoint of the shared MySQL connection has vanished ({error.args[-1]}): its "
                "transaction was ended, and all that was done on it is committed, or gone. The "
                "application sent COMMIT, ROLLBACK, BEGIN or SET autocommit as SQL, or a statement "
                "that commits by itself (CREATE, ALTER, DROP, TRUNCATE, LOCK TABLES). Call "
                "commit() and rollback() of the connection; let migrations run before; or pass "
                "the URL: MySQLAdapter('mysql://...') needs no shared connection."
            ) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SavepointHandle:
    """What ``checkpoint`` returns; a rollback to an earlier one ends its life."""

    __slots__ = ("name", "savepoint")

    def __init__(self, name: str, savepoint: str) -> None:
        self.name = name
        self.savepoint = savepoint

    def __repr__(self) -> str:
        return f"<SavepointHandle {self.name!r}>"


class SavepointMode:
    """Roll back by savepoints, and observe all rows.

    :param lock_timeout: seconds to wait where another connection has locked a table.
    :raises DefinitionError: a table has an AUTO_INCREMENT column, or cannot roll back at all.
    :raises SystemUnavailable: the database cannot be reached by a second connection.
    """

    def __init__(
        self, connection: SharedConnection, choice: Choice, lock_timeout: float, name: str
    ) -> None:
        self.name = name
        self._connection = connection
        self._live: list[SavepointHandle] = []
        self._number = 0
        self._closed = False
        found = catalog.read(connection)
        if found.counted:
            raise DefinitionError(
                f"{name}: the tables {sorted(found.counted)} have AUTO_INCREMENT columns, and no "
                "rollback of MySQL's sets their counters back: after one, the same action would "
                "create other ids. Pass the URL instead of the connection; that works for an "
                "application in this process too: MySQLAdapter('mysql://...')."
            )
        self.queries = Queries(self._ask, name)
        self._layouts = observed_layouts(found.layouts, choice)
        self._columns = {
            table: observed_columns(layout, choice) for table, layout in self._layouts.items()
        }
        ((thread,),) = connection.run("SELECT CONNECTION_ID()")[0].rows
        self._witness = Witness(connection.target, thread, lock_timeout, name)

    def checkpoint(self, name: str) -> SavepointHandle:
        """Set a savepoint.

        :raises RollbackError: the transaction of the test was ended, or the application used
            another connection.
        """
        self._refuse_closed()
        self._number += 1
        handle = SavepointHandle(name, f"venomqa_{self._number}")
        self._connection.run(
            f"RELEASE SAVEPOINT {_APPLICATION}",
            f"SAVEPOINT {handle.savepoint}",
            f"SAVEPOINT {_APPLICATION}",
        )
        self._witness.check()
        self._live.append(handle)
        return handle

    def rollback(self, handle: SavepointHandle) -> None:
        """Go back to a savepoint, which ends the life of the later ones.

        :raises RollbackError: the handle is not live, the transaction of the test was ended, or the
            application used another connection.
        """
        if not self.is_live(handle):
            ended_by = "a rollback to an earlier savepoint destroyed it"
            raise not_live(self.name, handle, ended_by=ended_by)
        self._connection.run(
            f"ROLLBACK TO SAVEPOINT {handle.savepoint}", f"SAVEPOINT {_APPLICATION}"
        )
        del self._live[self._live.index(handle) + 1 :]
        self._witness.check()

    def observe(self) -> Observation:
        """Return all rows.

        :raises RollbackError: the application used another connection.
        """
        self._refuse_closed()
        self._witness.check()
        tables = {table: self._read(table) for table in self._layouts}
        data = {"tables": tables, "queries": self.queries.answers()}
        return Observation.create(self.name, data, {"mode": "savepoint"})

    def _refuse_closed(self) -> None:
        if self._closed:
            raise closed(self.name)

    def is_live(self, handle: SavepointHandle) -> bool:
        """Tell whether ``handle`` can be rolled back to."""
        return not self._closed and handle in self._live

    def forget(self, handle: SavepointHandle) -> None:
        """End the life of ``handle``; the server keeps its savepoint until an earlier one."""
        if handle in self._live:
            self._live.remove(handle)

    def close(self) -> None:
        """End the life of all handles; the connection stays as it is."""
        self._closed = True
        self._witness.close()

    def _ask(self, queries: list[str]) -> list[Result]:
        run = self._connection.run
        run("SAVEPOINT venomqa_asking")
        try:
            return run(*queries)
        finally:
            run("ROLLBACK TO SAVEPOINT venomqa_asking", "RELEASE SAVEPOINT venomqa_asking")

    def _read(self, table: str) -> Mapping[str, Any]:
        layout, columns = self._layouts[table], self._columns[table]
        row = layout.written(quoted(table))
        (found,) = self._connection.run(f"SELECT {row} FROM {layout.sql}")
        read = layout.reader(columns)
        key = tuple(column.name for column in layout.key_columns)
        return {
            "columns": columns,
            "key": key if set(key) <= set(columns) else (),
            "rows": sorted((read(written) for (written,) in found.rows), key=canonical_text),
        }
