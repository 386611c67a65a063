"""The MySQL system: one front, a mode behind it."""

from collections.abc import Iterable

from venomqa_hyp.adapters.journal import Choice, Journal
from venomqa_hyp.adapters.mysql.driver import Connection, Failed, Target
from venomqa_hyp.adapters.mysql.installation import Installation, claim, remove
from venomqa_hyp.adapters.mysql.observing import observed_layouts, observed_table
from venomqa_hyp.adapters.mysql.safety import check_destructive
from venomqa_hyp.adapters.mysql.savepoint import SavepointMode, SharedConnection
from venomqa_hyp.adapters.mysql.store import JournalStore
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError, SystemUnavailable
from venomqa_hyp.world.rollbackable import Handle


class MySQLAdapter:
    """Observe and roll back one database of MySQL 8.0 or MariaDB 10.11, or later ones.

    Given a URL, the application has connections of its own, in another process or in this one: they
    stay open and valid. Triggers write down every row that is written, into a second database that
    is there while the adapter is open. A rollback removes and puts back the rows that differ, and
    sets AUTO_INCREMENT counters back; its cost does not depend on the size of the tables.

    The ``data`` of an observation shows what differs from the moment the adapter was opened::

        {"tables": {"orders": {"columns": ("id", "total"), "key": ("id",),
                               "rows": [(2, Decimal("2.50"))], "removed": [(1, Decimal("1.00"))],
                               "base": "1 rows, 737824276097438560.1032868620778425382"}},
         "auto_increment": {"orders": 3},
         "queries": {name: {"columns": (...), "rows": [...]}}}

    ``rows`` are those that were not there at the beginning, ``removed`` those that are not there
    any more. Numbers are int, float or Decimal, a DATE is a date, a DATETIME a datetime, and so is
    a TIMESTAMP, in UTC; binary and spatial values are bytes, all else is text. Generated columns
    are left out. ``base`` identifies the content at the beginning; of more than 5,000 rows only by
    their number.

    Given a ``SharedConnection``, the application in this process uses no other. Nothing is
    committed, a rollback ends the life of later handles, and an observation shows all rows. Tables
    with AUTO_INCREMENT columns are refused.

    :param source: ``mysql://user:password@127.0.0.1:3306/shop_test``, or a ``SharedConnection``.
    :param observe_tables: count only the rows of these tables; all are rolled back.
    :param ignore_columns: leave these out: ``"updated_at"`` of all tables, or
        ``"orders.updated_at"``.
    :param allow_destructive: the name of the database, to use one that is not plainly for tests.
    :param lock_timeout: seconds to wait for a transaction or lock of another connection.
    :raises DefinitionError: an argument is wrong, or the database holds what cannot be rolled back.
    :raises SystemUnavailable: the database cannot be reached or changed, or another run uses it.
    """

    def __init__(
        self,
        source: str | SharedConnection,
        *,
        observe_tables: Iterable[str] | None = None,
        ignore_columns: Iterable[str] = (),
        allow_destructive: str | None = None,
        lock_timeout: float = 5.0,
        name: str = "mysql",
    ) -> None:
        self.name = name
        choice = Choice(observe_tables, ignore_columns)
        self._mode: Journal | SavepointMode
        if isinstance(source, SharedConnection):
            self._mode = shared = SavepointMode(source, choice, lock_timeout, name)
            self._queries = shared.queries
        elif isinstance(source, str):
            target = Target.parse(source)
            check_destructive(target, allow_destructive)
            store, self._mode = _open(target, choice, lock_timeout, name)
            self._queries = store.queries
        else:
            raise DefinitionError(
                f"MySQLAdapter got a {type(source).__name__}: pass the URL of the database, also "
                "for an application in this process, such as "
                "'mysql://user:password@127.0.0.1:3306/shop_test'. To share a connection, make a "
                "SharedConnection(connection) and give it to the application and to MySQLAdapter."
            )

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too, under ``data["queries"][name]``, in sorted order.

        It must depend on the content only: no ``NOW()``, no ``RAND()``.

        :raises DefinitionError: the server refuses it, it is not one query, or the name is used.
        """
        self._queries.add(name, sql)

    def checkpoint(self, name: str) -> Handle:
        """Remember the present state.

        :raises WorldError: the application left a transaction open, or changed the schema.
        """
        return self._mode.checkpoint(name)

    def rollback(self, handle: Handle) -> None:
        """Restore the state of ``handle``.

        :raises RollbackError: the handle is not live, or the database cannot be changed.
        """
        self._mode.rollback(handle)

    def observe(self) -> Observation:
        """Return the present state.

        :raises WorldError: the application left a transaction open, or changed the schema.
        """
        return self._mode.observe()

    def is_live(self, handle: Handle) -> bool:
        """Tell whether ``handle`` can be rolled back to."""
        return self._mode.is_live(handle)

    def forget(self, handle: Handle) -> None:
        """Free what ``handle`` holds."""
        self._mode.forget(handle)

    def close(self) -> None:
        """Leave the rows as they are, and remove everything that was installed."""
        self._mode.close()


def remove_journal(url: str, *, lock_timeout: float = 5.0) -> None:
    """Remove a journal that a crash left in the database; the next adapter would do so too.

    :raises SystemUnavailable: a living run uses it, or a table is locked.
    """
    connection = Connection(Target.parse(url), lock_timeout)
    try:
        claim(connection)
        remove(connection)
    finally:
        connection.close()


def _open(
    target: Target, choice: Choice, lock_timeout: float, name: str
) -> tuple[JournalStore, Journal]:
    connection = Connection(target, lock_timeout)
    try:
        installed = Installation.create(connection)
        try:
            store = _store(installed, choice, lock_timeout, name)
            return store, Journal(store)
        except BaseException:
            remove(connection)
            raise
    except BaseException as error:
        connection.close()
        if isinstance(error, Failed):
            raise SystemUnavailable(f"{name}: {connection.where}: {error}.") from error
        raise


def _store(installed: Installation, choice: Choice, lock_timeout: float, name: str) -> JournalStore:
    tables = {
        installed.numbers[table]: observed_table(installed.connection, layout, choice)
        for table, layout in observed_layouts(installed.catalog.layouts, choice).items()
    }
    return JournalStore(installed, tables, lock_timeout, name)
