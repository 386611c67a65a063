"""Notice what other connections committed.

While an application works on a shared connection, nothing it does is committed. So a committed
change means that it also writes elsewhere, where no savepoint can take it back.

InnoDB gives each transaction that writes a number, from one row for all databases of the server.
While that row has not moved, and none of the other transactions that have a number was open at the
last look, nobody has committed: that is asked often, and is cheap. Only then it is looked, through
a second connection that does not see uncommitted rows, whether those of this database are still the
same: the number may belong to another database, to the shared connection or to the server itself.

``Innodb_rows_*`` and ``INNODB_TABLESTATS`` would not do: they count what the shared connection
changes too, and that of transactions which roll back.
"""

import re
from collections.abc import Sequence
from typing import Any

from venomqa_hyp.adapters.mysql.blocking import TRANSACTIONS, holders
from venomqa_hyp.adapters.mysql.driver import Connection, Failed, Target, quoted, text
from venomqa_hyp.errors import DefinitionError, RollbackError

_NEEDS_PRIVILEGE = 1227
_NEXT_NUMBER = re.compile(r"^Trx id counter (\d+)", re.MULTILINE)
_TRANSACTION = re.compile(r"^---TRANSACTION ", re.MULTILINE)
# Of MariaDB, one that has only read has an address in parentheses instead.
_NUMBER = re.compile(r"(\d+), (?!not started)")
_THREAD = re.compile(r"(?:MySQL|MariaDB) thread id (\d+)")
#: Of MySQL, one that has only read has its address as a number.
_FIRST_ADDRESS = 1 << 40
_CLIENT_SSL = 1 << 11
_CUT_SHORT = "... truncated..."


class Witness:
    """Looks at a database from outside of a shared connection.

    :param target: the database.
    :param thread: the id of the shared connection.
    :raises SystemUnavailable: there is no second connection.
    """

    def __init__(self, target: Target, thread: int, lock_timeout: float, name: str) -> None:
        self._name = name
        self._thread = thread
        self._outside = Connection(target, lock_timeout)
        self._next: int | None = None
        self._others_open = False
        self._changed: Sequence[str] = ()
        try:
            self._refuse_other_server()
            self._others_may_have_committed()
            self._committed = self._checksums()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Look whether others have committed something.

        :raises RollbackError: they have; also each time after that, as it stays so.
        """
        if not self._changed and self._others_may_have_committed():
            now, before = self._checksums(), self._committed
            both = {*now, *before}
            self._changed = sorted(one for one in both if now.get(one) != before.get(one))
        if self._changed:
            raise RollbackError(
                f"{self._name}: changes of {', '.join(self._changed)} were committed, which no "
                "savepoint can take back. Where the application did that, it does not use the "
                "shared connection (everywhere): give it the SharedConnection that the adapter "
                "has, as its only one; or it sent COMMIT as SQL on that: call commit(). Or pass "
                "the URL: MySQLAdapter('mysql://...') rolls back what any connection has "
                "committed."
            )

    def close(self) -> None:
        """Close the second connection."""
        self._outside.close()

    def _refuse_other_server(self) -> None:
        database = text(self._outside.database)
        where = f"ID = {self._thread} AND DB = {database}"
        if not self._outside.rows(f"SELECT 1 FROM information_schema.PROCESSLIST WHERE {where}"):
            raise DefinitionError(
                f"{self._name}: {self._outside.where} does not show the shared connection (number "
                f"{self._thread}) to a second one, so it cannot be seen whether the application "
                "writes past it. Give SharedConnection the URL of the same server and database, "
                "with the same user."
            )

    def _others_may_have_committed(self) -> bool:
        try:
            ((_, _, report),) = self._outside.rows(TRANSACTIONS)
        except Failed as error:
            if error.code == _NEEDS_PRIVILEGE:
                return True  # this user may not ask, so that it is looked each time
            raise self._failed(error) from error
        found = _NEXT_NUMBER.search(report)
        last, self._next = self._next, int(found[1]) if found else None
        were_open, self._others_open = self._others_open, self._shows_others(report)
        return were_open or self._next is None or self._next != last

    def _shows_others(self, report: str) -> bool:
        """Tell whether a transaction is open that has written, other than the shared one."""
        for part in _TRANSACTION.split(report)[1:]:
            number, thread = _NUMBER.match(part), _THREAD.search(part)
            shared = thread is not None and int(thread[1]) == self._thread
            if number and int(number[1]) < _FIRST_ADDRESS and not shared:
                return True
        return _CUT_SHORT in report

    def _checksums(self) -> dict[str, Any]:
        """Return table -> checksum of its committed rows."""
        database = self._outside.database
        try:
            tables = self._outside.rows(
                "SELECT TABLE_NAME FROM information_schema.TABLES"
                f" WHERE TABLE_SCHEMA = {text(database)} AND TABLE_TYPE <> 'VIEW'"
            )
            if not tables:
                return {}
            listed = ", ".join(quoted(database, table) for (table,) in tables)
            found = self._outside.rows(f"CHECKSUM TABLE {listed}")
        except Failed as error:
            raise self._failed(error) from error
        return {table: checksum for (table,), (_, checksum) in zip(tables, found, strict=True)}

    def _failed(self, error: Failed) -> RollbackError:
        why = holders(self._outside) if error.is_lock else ""
        return RollbackError(
            f"{self._name}: cannot see whether other connections have committed: {error}. {why}"
        )


def beside(connection: Any, database: str) -> Target:
    """Return where a connection of PyMySQL leads.

    :raises DefinitionError: it is of another package, which does not tell.
    """
    try:
        options = {name: getattr(connection, name) for name in ("host", "port", "user", "password")}
    except AttributeError:
        raise DefinitionError(
            f"a connection of {type(connection).__module__} does not tell how to open a second "
            "one, which looks whether the application writes past the shared connection. Give its "
            "URL too: SharedConnection(connection, 'mysql://user:password@127.0.0.1:3306/shop_test')"
        ) from None
    options["database"] = database
    if connection.unix_socket:
        options["unix_socket"] = connection.unix_socket
    if connection.client_flag & _CLIENT_SSL:
        options["ssl"] = connection.ctx
    return Target(connection.unix_socket or connection.host, database, options)
