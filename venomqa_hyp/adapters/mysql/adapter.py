"""The MySQL system: one front, a mode behind it."""

from collections.abc import Iterable

from venomqa_hyp.adapters.journal import Journal, JournalHandle
from venomqa_hyp.adapters.mysql.driver import Connection, Failed, Target
from venomqa_hyp.adapters.mysql.installation import Installation, remove
from venomqa_hyp.adapters.mysql.observing import Choice
from venomqa_hyp.adapters.mysql.safety import check_destructive
from venomqa_hyp.adapters.mysql.store import JournalStore
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import SystemUnavailable


class MySQLAdapter:
    """Observe and roll back one database of MySQL 8 or MariaDB 10.11, or later ones.

    The application is another process, or has connections of its own: they stay open and valid.
    Triggers write down every row that is written, into a second database that is there while the
    adapter is open. A rollback removes and puts back the rows that differ, and sets AUTO_INCREMENT
    counters back; its cost does not depend on the size of the tables.

    The ``data`` of an observation shows what differs from the moment the adapter was opened::

        {"tables": {"orders": {"columns": ("id", "total"), "key": ("id",),
                               "rows": [(2, Decimal("2.50"))], "removed": [(1, Decimal("1.00"))],
                               "base": "1 rows, 5577006791947779410.3916589616287113937"}},
         "auto_increment": {"orders": 3},
         "queries": {name: {"columns": (...), "rows": [...]}}}

    ``rows`` are those that were not there at the beginning, ``removed`` those that are not there
    any more. Numbers are int, float or Decimal, a DATETIME is a datetime, and so is a TIMESTAMP, in
    UTC; binary and spatial values are bytes, all else is text. Generated columns are left out.
    ``base`` identifies the content at the beginning; of more than 5,000 rows only by their number.

    :param url: ``mysql://user:password@127.0.0.1:3306/shop_test``.
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
        url: str,
        *,
        observe_tables: Iterable[str] | None = None,
        ignore_columns: Iterable[str] = (),
        allow_destructive: str | None = None,
        lock_timeout: float = 5.0,
        name: str = "mysql",
    ) -> None:
        self.name = name
        choice = Choice(observe_tables, ignore_columns)
        target = Target.parse(url)
        check_destructive(target, allow_destructive)
        connection = Connection(target, lock_timeout)
        try:
            self._store, self._journal = _open(connection, choice, lock_timeout, name)
        except BaseException as error:
            connection.close()
            if isinstance(error, Failed):
                raise SystemUnavailable(f"{name}: {connection.where}: {error}.") from error
            raise

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too, under ``data["queries"][name]``, in sorted order.

        It must depend on the content only: no ``NOW()``, no ``RAND()``.

        :raises DefinitionError: the server refuses it, it is not one query, or the name is used.
        """
        self._store.queries.add(name, sql)

    def checkpoint(self, name: str) -> JournalHandle:
        """Remember the present state.

        :raises WorldError: the application left a transaction open, or changed the schema.
        """
        return self._journal.checkpoint(name)

    def rollback(self, handle: JournalHandle) -> None:
        """Restore the state of ``handle``.

        :raises RollbackError: the handle is not live, or the database cannot be changed.
        """
        self._journal.rollback(handle)

    def observe(self) -> Observation:
        """Return the present state.

        :raises WorldError: the application left a transaction open, or changed the schema.
        """
        return self._journal.observe()

    def is_live(self, handle: JournalHandle) -> bool:
        """Tell whether ``handle`` can be rolled back to: any one, until forgotten."""
        return self._journal.is_live(handle)

    def forget(self, handle: JournalHandle) -> None:
        """Free what ``handle`` holds."""
        self._journal.forget(handle)

    def close(self) -> None:
        """Leave the rows as they are, and remove everything that was installed."""
        self._journal.close()


def _open(
    connection: Connection, choice: Choice, lock_timeout: float, name: str
) -> tuple[JournalStore, Journal]:
    installed = Installation.create(connection)
    try:
        choice.check(installed.catalog.layouts)
        tables = {
            number: table
            for name_, number in installed.numbers.items()
            if (table := choice.table(connection, installed.catalog.layouts[name_]))
        }
        store = JournalStore(installed, tables, lock_timeout, name)
        return store, Journal(store)
    except BaseException:
        remove(connection)
        raise
