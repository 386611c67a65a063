"""The MySQL system: a journal over one database."""

from collections.abc import Iterable
from typing import Literal

from venomqa_hyp.adapters.mysql.driver import Connection, Failed, Target
from venomqa_hyp.adapters.mysql.installation import Installation, claim, remove
from venomqa_hyp.adapters.mysql.journal import JournalStore
from venomqa_hyp.adapters.mysql.recovery import recover
from venomqa_hyp.adapters.mysql.rows import observed_tables
from venomqa_hyp.adapters.recovery import recovered, warn_of_recovery
from venomqa_hyp.adapters.sql import Choice, Journal, refuse_unknown_mode
from venomqa_hyp.adapters.sql.safety import check_destructive
from venomqa_hyp.core.redaction import Redaction
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

_TOUCHES = (
    "For the length of a run, triggers would be installed on all its tables and a second database "
    "beside it, and rows of every table would be deleted and written to set them back."
)


class MySQLAdapter(Journal):
    """Observe and roll back one database of MySQL 8.0 or MariaDB 10.11, or later ones.

    The application has connections of its own, in another process or in this one: they stay open
    and valid. Triggers write down every row that is written, into a second database that
    is there while the adapter is open. A rollback removes and puts back the rows that differ, and
    sets AUTO_INCREMENT counters back; its cost does not depend on the size of the tables.

    Where an earlier run was killed, the database is first set back to what it was when that run
    began, with a ``RecoveryWarning``.

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

    :param source: ``mysql://user:password@127.0.0.1:3306/shop_test``.
    :param mode: ``journal`` is the only one.
    :param observe_tables: count only the rows of these tables; all are rolled back.
    :param ignore_columns: leave these out: ``"updated_at"`` of all tables, or
        ``"orders.updated_at"``.
    :param allow_destructive: the name of the database, to use one that is not plainly for tests.
    :param lock_timeout: seconds to wait for a transaction or lock of another connection.
    :ivar mode: ``journal``.
    :ivar location: the URL, without a password.
    :raises DefinitionError: an argument is wrong, or the database holds what cannot be rolled back.
    :raises SystemUnavailable: the database cannot be reached or changed, another run uses it, or
        what a run that was killed has changed cannot be rolled back.
    """

    def __init__(
        self,
        source: str,
        *,
        mode: Literal["auto", "journal"] = "auto",
        observe_tables: Iterable[str] | None = None,
        ignore_columns: Iterable[str] = (),
        allow_destructive: str | None = None,
        lock_timeout: float = 5.0,
        name: str = "mysql",
    ) -> None:
        _refuse_mode(mode)
        if not isinstance(source, str):
            raise DefinitionError(
                f"MySQLAdapter got a {type(source).__name__}: pass the URL of the database, also "
                "for an application in this process, such as "
                "'mysql://user:password@127.0.0.1:3306/shop_test'. No connection is shared: the "
                "application keeps its own."
            )
        choice = Choice(observe_tables, ignore_columns)
        target = Target.parse(source)
        check_destructive(
            "MySQL", target.host, target.database, _TOUCHES, allow_destructive, source="URL"
        )
        store = _open_store(target, choice, lock_timeout, name)
        try:
            super().__init__(store)
        except BaseException:
            store.close()
            raise
        self.mode = "journal"
        self.location = Redaction().text(source)


def _open_store(target: Target, choice: Choice, lock_timeout: float, name: str) -> JournalStore:
    connection = Connection(target, lock_timeout)
    try:
        claim(connection)
        rows = recover(connection, lock_timeout, name)
        if rows is not None:
            warn_of_recovery(name, recovered(connection.where, rows))
        installed = Installation.create(connection)
        try:
            return _begun(installed, choice, lock_timeout, name)
        except BaseException:
            remove(connection)
            raise
    except BaseException as error:
        connection.close()
        if isinstance(error, Failed):
            raise SystemUnavailable(f"{name}: {connection.where}: {error}.") from error
        raise


def _begun(installed: Installation, choice: Choice, lock_timeout: float, name: str) -> JournalStore:
    observed = observed_tables(installed.connection, installed.catalog.layouts, choice)
    tables = {installed.numbers[table.name]: table for table in observed}
    store = JournalStore(installed, tables, lock_timeout, name)
    store.begin()
    return store


def _refuse_mode(mode: str) -> None:
    if mode == "savepoint":
        raise DefinitionError(
            "mode='savepoint' is not there for MySQL: leave mode out. Mode 'journal' lets the "
            "application keep its own connections, also in this process: "
            "MySQLAdapter('mysql://user:password@127.0.0.1:3306/shop_test')."
        )
    refuse_unknown_mode(mode, ("auto", "journal"))
