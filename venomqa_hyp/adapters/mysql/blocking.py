"""Which connections have a transaction open, and what they are doing."""

import random
import re
import time
from collections.abc import Iterable
from uuid import uuid4

from venomqa_hyp.adapters.mysql.driver import Connection, Failed, Result, text

#: information_schema.INNODB_TRX shows what was the case up to 0.1 s ago, and is never brought up to
#: date while it is asked more often than that.
TRANSACTIONS = "SHOW ENGINE INNODB STATUS"
_OUTDATED_AFTER = 0.1
_ATTEMPTS = 25
_TRANSACTION = re.compile(r"^---TRANSACTION ", re.MULTILINE)
_THREAD = re.compile(r"(?:MySQL|MariaDB) thread id (\d+)")
_READ_VIEW = "Trx read view will not see"
_NO_READ_VIEW = re.compile(r"^0 read views open inside InnoDB", re.MULTILINE)
_KEEPING = ("REPEATABLE READ", "SERIALIZABLE")


def of_status(connection: Connection, status: Result, *, with_read_view: bool = False) -> list[int]:
    """Return the connections to this database that have a transaction open, without our own.

    :param status: what :data:`TRANSACTIONS` answered.
    :param with_read_view: only those that go on seeing the database as it was. On MySQL, a
        transaction of our own must be open then.
    """
    ((_, _, report),) = status.rows
    if connection.is_mariadb:
        threads = list(_of_report(report, with_read_view))
    elif with_read_view and _NO_READ_VIEW.search(report):
        threads = []
    else:
        # The report of MySQL counts read views, but leaves out the transactions that only read.
        threads = _of_list(connection, with_read_view)
    if not threads:
        return []
    rows = connection.rows(
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE ID IN ({_listed(threads)})"
        f" AND ID <> CONNECTION_ID() AND DB = {text(connection.database)}"
    )
    return [thread for (thread,) in rows]


def _of_report(report: str, with_read_view: bool) -> Iterable[int]:
    for part in _TRANSACTION.split(report)[1:]:
        if (
            ", ACTIVE" in part.partition("\n")[0]
            and (_READ_VIEW in part or not with_read_view)
            and (found := _THREAD.search(part))
        ):
            yield int(found[1])


def _of_list(connection: Connection, with_read_view: bool) -> list[int]:
    for _ in range(_ATTEMPTS):
        time.sleep(_OUTDATED_AFTER * random.uniform(1.1, 2))
        mark = uuid4().hex
        rows = connection.rows(
            "SELECT trx_mysql_thread_id, trx_isolation_level, COALESCE(trx_query, '')"
            f" FROM information_schema.INNODB_TRX /* {mark} */"
        )
        if not with_read_view:
            return [thread for thread, _, _ in rows]
        # What shows this very query is not a list that somebody else has asked for.
        if any(mark in query for _, _, query in rows):
            return [thread for thread, level, _ in rows if level in _KEEPING]
    raise Failed(0, "information_schema.INNODB_TRX is out of date: others ask it without a pause")


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
