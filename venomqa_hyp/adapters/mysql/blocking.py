"""Which connections have a transaction open, and what they are doing."""

import re
from collections.abc import Iterable

from venomqa_hyp.adapters.mysql.driver import Connection, Result, text

#: information_schema.INNODB_TRX shows what was the case up to 0.1 s ago, and is never brought up to
#: date while it is asked more often than that.
TRANSACTIONS = "SHOW ENGINE INNODB STATUS"
_TRANSACTION = re.compile(r"^---TRANSACTION ", re.MULTILINE)
_THREAD = re.compile(r"(?:MySQL|MariaDB) thread id (\d+)")
_READ_VIEW = "Trx read view will not see"


def of_status(connection: Connection, status: Result, *, with_read_view: bool = False) -> list[int]:
    """Return the connections to this database that have a transaction open, without our own.

    :param status: what :data:`TRANSACTIONS` answered.
    :param with_read_view: only those that go on seeing the database as it was.
    """
    ((_, _, report),) = status.rows
    threads = [
        int(found[1])
        for part in _TRANSACTION.split(report)[1:]
        if ", ACTIVE" in part.partition("\n")[0]
        and (_READ_VIEW in part or not with_read_view)
        and (found := _THREAD.search(part))
    ]
    if not threads:
        return []
    rows = connection.rows(
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE ID IN ({_listed(threads)})"
        f" AND ID <> CONNECTION_ID() AND DB = {text(connection.database)}"
    )
    return [thread for (thread,) in rows]


def holders(connection: Connection) -> str:
    """Say which connections have a transaction open, and so hold locks."""
    (status,) = connection.run(TRANSACTIONS)
    return f"A transaction is open: {described(connection, of_status(connection, status))}. "


def described(connection: Connection, threads: Iterable[int]) -> str:
    """Return what connections are doing: user, host, state and the statement, if one is running."""
    rows = connection.rows(
        "SELECT ID, USER, HOST, COMMAND, TIME, STATE, INFO FROM information_schema.PROCESSLIST"
        f" WHERE ID IN ({_listed(threads)})"
    )
    parts = []
    for number, user, host, command, seconds, state, query in rows:
        doing = f"query: {' '.join(query.split())[:200]}" if query else "no statement is running"
        what = f"{command}, {state}" if state else command
        parts.append(f"connection {number} ({user} from {host}; {what} for {seconds} s; {doing})")
    return ", ".join(parts) or "a connection that has ended meanwhile"


def _listed(threads: Iterable[int]) -> str:
    return ", ".join(map(str, threads)) or "NULL"
