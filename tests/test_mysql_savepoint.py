"""MySQL with one connection for application and test: nothing is committed, and that is checked."""

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
import servers

from venomqa_hyp.adapters.mysql import MySQLAdapter, SharedConnection
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


def test_plain_connection_is_refused(url: str) -> None:
    """The URL, or a SharedConnection."""
    with (
        closing(servers.mysql_connect(url)) as plain,
        pytest.raises(DefinitionError, match="got a Connection: pass the URL"),
    ):
        MySQLAdapter(plain)  # type: ignore[arg-type]
