"""MySQL with one connection for application and test: nothing is committed, and that is checked."""

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
import servers

from venomqa_hyp.adapters.mysql import MySQLAdapter, SharedConnection
from venomqa_hyp.adapters.mysql.driver import Target
from venomqa_hyp.adapters.mysql.witness import Witness
from venomqa_hyp.errors import DefinitionError, RollbackError
from venomqa_hyp.testing import check_rollbackable


@pytest.fixture
def url(mysql_url: str) -> Iterator[str]:
    with servers.mysql_database(mysql_url) as url:
        execute(url, "CREATE TABLE stock (sku VARCHAR(20) PRIMARY KEY, amount INT)")
        yield url


@pytest.fixture
def shared(url: str) -> Iterator[SharedConnection]:
    options = {"cursorclass": pymysql.cursors.DictCursor}
    shared = SharedConnection(servers.mysql_connect(url, **options))
    shared.autocommit(False)
    yield shared
    shared.disconnect()


def execute(url: str, sql: str) -> Any:
    with closing(servers.mysql_connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def add(shared: SharedConnection, sku: str, amount: int = 1) -> None:
    with shared.cursor() as cursor:
        cursor.execute("REPLACE INTO stock VALUES (%s, %s)", [sku, amount])


def test_the_contract_holds(shared: SharedConnection, url: str) -> None:
    """With commits of the application; another connection never sees anything."""

    def replace(_: Any, choices: random.Random) -> None:
        add(shared, choices.choice("abc"), choices.randrange(10**9))
        shared.commit()

    check_rollbackable(lambda: MySQLAdapter(shared), replace, operations=80)
    assert execute(url, "SELECT * FROM stock") == ()


def test_the_applications_transactions_work(shared: SharedConnection) -> None:
    """commit() keeps, rollback() and close() take back, with autocommit each statement is kept."""
    adapter = MySQLAdapter(shared, name="db")
    adapter.add_observation_query("sum", "SELECT SUM(amount) AS total FROM stock")
    start, before = adapter.checkpoint("start"), adapter.observe()
    add(shared, "a")
    shared.commit()
    add(shared, "b")
    shared.rollback()
    add(shared, "c")
    shared.close()
    seen = adapter.observe().data
    assert seen["tables"]["stock"]["rows"] == [("a", 1)]
    assert seen["queries"]["sum"]["rows"] == [(1,)]
    shared.autocommit(True)
    add(shared, "b")
    shared.rollback()
    shared.begin()
    add(shared, "c")
    shared.rollback()
    assert adapter.observe().data["tables"]["stock"]["rows"] == [("a", 1), ("b", 1)]
    adapter.rollback(start)
    assert adapter.observe() == before


@pytest.mark.parametrize("sql", ["COMMIT", "CREATE TABLE more (id INT)", "START TRANSACTION"])
def test_vanished_savepoint_is_explained(shared: SharedConnection, sql: str) -> None:
    """At the next checkpoint or rollback, with its causes and the remedy."""
    adapter = MySQLAdapter(shared)
    start = adapter.checkpoint("start")
    with shared.cursor() as cursor:
        cursor.execute(sql)
    for attempt in (shared.commit, lambda: adapter.rollback(start)):
        with pytest.raises(RollbackError, match=r"has vanished.*commits by itself \(CREATE"):
            attempt()


def test_later_handles_die(shared: SharedConnection) -> None:
    """A rollback to an earlier savepoint destroys them, and they say so."""
    adapter = MySQLAdapter(shared)
    first, second = adapter.checkpoint("first"), adapter.checkpoint("second")
    adapter.rollback(second)
    adapter.rollback(first)
    assert adapter.is_live(first)
    assert not adapter.is_live(second)
    with pytest.raises(RollbackError, match="Take a new checkpoint"):
        adapter.rollback(second)


def test_counters_are_refused(shared: SharedConnection, url: str) -> None:
    """A savepoint does not set them back; the URL does."""
    execute(url, "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY)")
    with pytest.raises(DefinitionError, match=r"\['orders'\] have AUTO_INCREMENT.*Pass the URL"):
        MySQLAdapter(shared)


# --- the wrong connection ------------------------------------------------------------------------


@pytest.fixture
def other(url: str) -> Iterator["pymysql.Connection[Any]"]:
    """A connection that the application should not have."""
    execute(url, "CREATE TABLE log (text VARCHAR(20))")
    execute(url, "INSERT INTO stock VALUES ('a', 1), ('b', 2)")
    with closing(servers.mysql_connect(url)) as connection:
        yield connection


def send(connection: "pymysql.Connection[Any]", sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("INSERT INTO log VALUES ('x')", "log"),
        ("UPDATE stock SET amount = 3 WHERE sku = 'b'", "stock"),
        ("DELETE FROM stock WHERE sku = 'b'", "stock"),
        ("CREATE TABLE fresh (id INT)", "fresh"),
        ("DROP TABLE log", "log"),
        ("TRUNCATE log", None),
        ("UPDATE stock SET amount = amount WHERE sku = 'b'", None),
    ],
)
def test_a_write_through_another_connection_is_refused(
    shared: SharedConnection, other: "pymysql.Connection[Any]", statement: str, table: str | None
) -> None:
    """Each time, with the tables, whatever is observed; but not what changes nothing."""
    adapter = MySQLAdapter(shared, observe_tables=["stock"])
    start = adapter.checkpoint("start")
    add(shared, "c")
    shared.commit()
    adapter.observe()
    send(other, statement)
    attempts = (adapter.observe, lambda: adapter.rollback(start), lambda: adapter.checkpoint("x"))
    for attempt in attempts:
        if table is None:
            attempt()
        else:
            with pytest.raises(RollbackError, match=rf"changes of {table} were.*Or pass the URL"):
                attempt()
    adapter.close()


def test_a_write_that_is_committed_late_is_refused(
    shared: SharedConnection, other: "pymysql.Connection[Any]"
) -> None:
    """Also one that only inserts, which takes no further number when it is committed."""
    other.autocommit(False)
    send(other, "INSERT INTO log VALUES ('x')")
    adapter = MySQLAdapter(shared)
    adapter.observe()
    adapter.checkpoint("start")
    other.commit()
    with pytest.raises(RollbackError, match="changes of log were committed"):
        adapter.observe()
    adapter.close()


def test_writes_elsewhere_are_no_concern(
    shared: SharedConnection, other: "pymysql.Connection[Any]", mysql_url: str
) -> None:
    """Another database, a write that was rolled back, reading, and the server's own upkeep."""
    adapter = MySQLAdapter(shared)
    start = adapter.checkpoint("start")
    with servers.mysql_database(mysql_url) as elsewhere:
        execute(elsewhere, "CREATE TABLE stock (sku VARCHAR(20) PRIMARY KEY, amount INT)")
        execute(elsewhere, "INSERT INTO stock VALUES ('a', 9)")
        adapter.observe()
    other.autocommit(False)
    send(other, "INSERT INTO log VALUES ('x')")
    adapter.observe()
    other.rollback()
    send(other, "SELECT * FROM stock")
    adapter.observe()
    other.commit()
    send(other, "ANALYZE TABLE stock")
    adapter.rollback(start)
    adapter.observe()
    adapter.close()


class Server:
    """Answers with a report of its transactions, and counts how often rows are compared."""

    database = "shop_test"

    def __init__(self) -> None:
        self.next, self.open, self.looks = 100, "", 0

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if query.startswith("SHOW ENGINE"):
            listed = "---TRANSACTION 421, not started\n0 lock struct(s)\n" + self.open
            return [("InnoDB", "", f"\nTrx id counter {self.next}\nLIST:\n{listed}----\n")]
        if query.startswith("CHECKSUM"):
            self.looks += 1
            return [("shop_test.stock", 7)]
        return [("stock",)]


@pytest.mark.parametrize("product", ["MySQL", "MariaDB"])
def test_rows_are_compared_only_when_somebody_may_have_committed(
    monkeypatch: pytest.MonkeyPatch, product: str
) -> None:
    """When a number was given since the last look, or another had one then."""
    server = Server()
    monkeypatch.setattr("venomqa_hyp.adapters.mysql.witness.Connection", lambda *_: server)
    witness = Witness(Target("localhost", "shop_test", {}), 8, 5.0, "db")

    def looks(next_number: int, *transactions: str) -> int:
        before = server.looks
        server.next, server.open = next_number, "".join(transactions)
        witness.check()
        return server.looks - before

    def transaction(number: str, thread: int) -> str:
        return f"---TRANSACTION {number}, ACTIVE 3 sec\n{product} thread id {thread}, OS thread\n"

    own, other = transaction("100", 8), transaction("101", 9)
    reader = transaction("421968274821336" if product == "MySQL" else "(0x7f88fada9b80)", 9)
    assert looks(100) == 0
    assert [looks(101, own), looks(101, own, reader), looks(101, reader)] == [1, 0, 0]
    assert [looks(102, own, other), looks(102, own, other), looks(102), looks(102)] == [1, 1, 1, 0]


def test_a_user_who_may_not_see_transactions_is_protected(
    shared: SharedConnection, other: "pymysql.Connection[Any]", url: str
) -> None:
    """The rows are compared each time then."""
    name = f"u_{random.randrange(10**9)}"
    execute(url, f"CREATE USER {name}@'%' IDENTIFIED BY 'secret'")
    try:
        execute(url, f"GRANT SELECT ON {shared.database}.* TO {name}@'%'")
        parts = urlsplit(url)
        place = parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port or 3306}")
        mine = SharedConnection(servers.mysql_connect(place.geturl()))
        adapter = MySQLAdapter(mine)
        adapter.observe()
        send(other, "INSERT INTO log VALUES ('x')")
        with pytest.raises(RollbackError, match="changes of log were committed"):
            adapter.observe()
        adapter.close()
        mine.disconnect()
    finally:
        execute(url, f"DROP USER {name}@'%'")


def test_commit_sent_as_sql_is_named_when_it_is_observed(shared: SharedConnection) -> None:
    """What it committed looks like a write of another connection."""
    adapter = MySQLAdapter(shared)
    add(shared, "a")
    send(shared, "COMMIT")  # type: ignore[arg-type]
    with pytest.raises(RollbackError, match="sent COMMIT as SQL on that: call commit"):
        adapter.observe()
    adapter.close()


def test_a_connection_that_does_not_tell_where_it_leads_needs_the_url(url: str) -> None:
    """As those of mysqlclient; a URL that leads elsewhere is refused."""

    class Silent:
        def __init__(self) -> None:
            self._real = servers.mysql_connect(url)
            self.cursor, self.get_autocommit = self._real.cursor, self._real.get_autocommit
            self.rollback, self.close = self._real.rollback, self._real.close

    with pytest.raises(DefinitionError, match=r"SharedConnection\(connection, 'mysql://"):
        SharedConnection(Silent())
    shared = SharedConnection(Silent(), url)
    adapter = MySQLAdapter(shared)
    adapter.observe()
    adapter.close()
    elsewhere = urlsplit(url)._replace(path="/mysql").geturl()
    astray = SharedConnection(Silent(), elsewhere)
    with pytest.raises(DefinitionError, match="URL of the same server and database"):
        MySQLAdapter(astray)
    astray.disconnect()
    shared.disconnect()


def test_plain_connection_is_refused(url: str) -> None:
    """The URL, or a SharedConnection."""
    with (
        closing(servers.mysql_connect(url)) as plain,
        pytest.raises(DefinitionError, match="got a Connection: pass the URL"),
    ):
        MySQLAdapter(plain)  # type: ignore[arg-type]
