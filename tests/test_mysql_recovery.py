"""MySQL runs that were killed: the next run, or ``venomqa clean``, goes back to their beginning.

The whole database is compared by ``mysqldump``. ``VENOMQA_KILLS`` sets how many runs are
killed.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import mysql_victim
import pytest
import servers

from venomqa_hyp.adapters.mysql import MySQLAdapter, remove_journal
from venomqa_hyp.adapters.mysql.driver import Connection
from venomqa_hyp.adapters.recovery import RecoveryWarning
from venomqa_hyp.cli import main
from venomqa_hyp.errors import SystemUnavailable

KILLS = int(os.environ.get("VENOMQA_KILLS", "20"))
AT_ONCE = 5
LONGEST_DELAY = 0.5


class Database:
    """A database of the application, filled, and what it held at the beginning."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = urlsplit(url).path[1:]
        self.journal = f"{self.name}_venomqa_journal"
        self.execute(*mysql_victim.SCHEMA)
        self.beginning = self.dump()

    def execute(self, *statements: str) -> Any:
        with closing(servers.mysql_connect(self.url)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def dump(self) -> list[str]:
        """Return the output of ``mysqldump``: one line for each row, which are sorted."""
        program = shutil.which("mysqldump") or shutil.which("mariadb-dump")
        if program is None:
            pytest.skip("mysqldump, which shows the whole database, is not installed")
        parts = urlsplit(self.url)
        login = [f"--host={parts.hostname}", f"--port={parts.port or 3306}"]
        login += [f"--user={unquote(parts.username or 'root')}"]
        if parts.password:
            login.append(f"--password={unquote(parts.password)}")
        whole = ["--routines", "--triggers", "--events", "--hex-blob", "--skip-extended-insert"]
        command = [program, *login, *whole, "--skip-dump-date", self.name]
        lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split(
            "\n"
        )
        rows = sorted(line for line in lines if line.startswith("INSERT "))
        return [line for line in lines if not line.startswith("INSERT ")] + rows

    def has_journal(self) -> bool:
        return bool(self.execute(f"SHOW DATABASES LIKE '{self.journal}'"))

    def leave_a_killed_run(self, *statements: str) -> None:
        """Open an adapter, write, roll back once, write again, and end its connection."""
        adapter = MySQLAdapter(self.url)
        self.execute("DELETE FROM orders WHERE id = 2", "INSERT INTO log VALUES ('a', 1)")
        middle = adapter.checkpoint("middle")
        self.execute("INSERT INTO orders (customer) VALUES (3)")
        adapter.rollback(middle)
        self.execute(*statements or ("DELETE FROM customers WHERE id = 1",))
        self.end_connections()

    def end_connections(self) -> None:
        """End all connections to the database; its locks go with them."""
        for (number,) in self.execute(
            "SELECT ID FROM information_schema.PROCESSLIST"
            " WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
        ):
            with suppress(Exception):
                self.execute(f"KILL {number}")


@pytest.fixture
def database(mysql_url: str) -> Iterator[Database]:
    with servers.mysql_database(mysql_url) as url:
        made = Database(url)
        try:
            yield made
        finally:
            made.execute(f"DROP DATABASE IF EXISTS `{made.journal}`")


def open_and_close(database: Database) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecoveryWarning)
        MySQLAdapter(database.url).close()


def clean(database: Database) -> None:
    assert main(["clean", database.url]) == 0


RECOVERIES: tuple[Callable[[Database], None], ...] = (open_and_close, clean)


@contextmanager
def victim(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own, which is killed at the end."""
    command = [sys.executable, str(Path(mysql_victim.__file__)), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def kill(choices: random.Random, moments: tuple[str, ...], *arguments: str) -> str:
    """Start a process and kill it some time after it has said that it is at some moment."""
    moment = choices.choice(moments)
    with victim(*arguments) as process:
        assert process.stdout
        for line in process.stdout:
            if line.strip() == moment:
                break
        else:
            raise AssertionError(process.stderr.read() if process.stderr else "")
        time.sleep(choices.uniform(0, LONGEST_DELAY))
    return moment


@pytest.mark.parametrize("seed", range(-(-KILLS // AT_ONCE)))
def test_a_killed_run_is_rolled_back(database: Database, seed: int) -> None:
    """Killed while it installs, works or closes; rows, counters and triggers are as before."""
    choices = random.Random(seed)
    for number in range(min(AT_ONCE, KILLS - seed * AT_ONCE)):
        moments = ("opening", "open", "open", "closing")
        moment = kill(choices, moments, "run", database.url, f"{seed}{number}")
        choices.choice(RECOVERIES)(database)
        assert database.dump() == database.beginning, f"killed after {moment!r}"
        assert not database.has_journal()


def test_a_killed_recovery_is_continued(database: Database) -> None:
    """Also where that one is killed, several times."""
    choices = random.Random(0)
    for number in range(3):
        kill(choices, ("open",), "run", database.url, str(number))
        for _ in range(choices.randint(1, 3)):
            kill(choices, ("opening",), "clean", database.url)
        clean(database)
        assert database.dump() == database.beginning
        assert not database.has_journal()


@pytest.mark.parametrize(("recover", "more"), [(clean, 1), (open_and_close, 9)])
def test_a_recovery_may_end_after_every_round_trip(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    recover: Callable[[Database], None],
    more: int,
) -> None:
    """The first attempt ends before its first one, and each further one after some more."""
    database.leave_a_killed_run()
    send, left = Connection._send, [0]

    def send_or_end(connection: Connection, sql: str | bytes) -> Any:
        if not left[0]:
            connection.close()
            raise KeyboardInterrupt
        left[0] -= 1
        return send(connection, sql)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_send", send_or_end)
        for allowed in range(0, 300, more):
            left[0] = allowed
            with suppress(KeyboardInterrupt):
                if recover is clean:
                    remove_journal(database.url)
                else:
                    open_and_close(database)
                break
            database.end_connections()
        else:
            raise AssertionError("it does not come to an end")
    open_and_close(database)
    assert database.dump() == database.beginning
    assert not database.has_journal()


def test_the_next_run_says_what_it_did(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once: where nothing is left, nothing is said."""
    database.leave_a_killed_run("INSERT INTO log VALUES ('b', 2)")
    with pytest.warns(RecoveryWarning, match=rf"'{database.name}'.* was killed; 4 rows were"):
        MySQLAdapter(database.url).close()
    MySQLAdapter(database.url).close()
    assert database.dump() == database.beginning
    database.leave_a_killed_run("INSERT INTO log VALUES ('b', 2)")
    clean(database)
    assert f"database '{database.name}' on 127.0.0.1 was killed; 4 rows" in capsys.readouterr().out
    assert remove_journal(database.url) is None
    assert database.dump() == database.beginning


def test_what_was_written_after_the_kill_is_rolled_back_too(database: Database) -> None:
    """The triggers are still there."""
    database.leave_a_killed_run()
    database.execute("INSERT INTO orders (customer) VALUES (2)", "DELETE FROM items")
    clean(database)
    assert database.dump() == database.beginning


def test_closing_keeps_the_rows(database: Database) -> None:
    """Also where it was interrupted after its first statement."""
    adapter = MySQLAdapter(database.url)
    database.execute("DELETE FROM items WHERE amount = 3")
    after = sorted(database.execute("SELECT * FROM items"))
    database.execute(f"DELETE FROM `{database.journal}`.beginning")
    database.end_connections()
    with suppress(SystemUnavailable):
        adapter.close()
    assert "0 rows were" in str(remove_journal(database.url))
    assert sorted(database.execute("SELECT * FROM items")) == after
    assert not database.has_journal()


@pytest.mark.parametrize("recover", [lambda url: MySQLAdapter(url).close(), remove_journal])
def test_a_changed_schema_keeps_the_journal(
    database: Database, recover: Callable[[str], None]
) -> None:
    """It says what differs and how to go on; undone, the beginning is restored."""
    database.leave_a_killed_run()
    database.execute("CREATE INDEX placed_at ON orders (placed)")
    words = r"cannot be set back.*index placed_at of table orders: new.*DELETE FROM `.*beginning`"
    for _ in range(2):
        with pytest.raises(SystemUnavailable, match=words):
            recover(database.url)
    database.execute("DROP INDEX placed_at ON orders")
    clean(database)
    assert database.dump() == database.beginning


def test_a_truncated_table_is_named_and_can_be_given_up(database: Database) -> None:
    """By the statement that the error says."""
    database.leave_a_killed_run()
    database.execute("TRUNCATE items")
    with pytest.raises(SystemUnavailable, match="table items was emptied by TRUNCATE") as refused:
        remove_journal(database.url)
    database.execute(str(refused.value).partition("execute: ")[2])
    assert "0 rows were" in str(remove_journal(database.url))
    assert database.execute("SELECT COUNT(*) FROM items") == ((0,),)
    assert not database.has_journal()
    assert len(database.execute("SHOW TRIGGERS")) == 3


def test_a_database_made_anew_is_left_alone(database: Database) -> None:
    """What the killed run had changed is gone with the old one."""
    database.leave_a_killed_run()
    database.execute(
        f"DROP DATABASE `{database.name}`",
        f"CREATE DATABASE `{database.name}`",
        f"USE `{database.name}`",
        *mysql_victim.SCHEMA,
    )
    after = database.dump()
    MySQLAdapter(database.url).close()
    assert database.dump() == after
    assert not database.has_journal()


def test_the_journal_grows_with_the_rows_and_not_with_the_run(database: Database) -> None:
    """After a rollback it holds the difference from the beginning."""
    with closing(MySQLAdapter(database.url)) as adapter:
        start = adapter.checkpoint("start")
        sizes = []
        for number in range(12):
            database.execute(f"UPDATE items SET amount = {number + 100} WHERE sku = 'sku1'")
            middle = adapter.checkpoint("middle")
            database.execute("DELETE FROM customers")
            adapter.rollback(middle)
            counts = f"SELECT (SELECT COUNT(*) FROM `{database.journal}`.kept),"
            sizes += database.execute(
                f"{counts} (SELECT COUNT(*) FROM `{database.journal}`.entries)"
            )
        assert set(sizes) == {(2, 0)}
        adapter.rollback(start)
        assert database.execute(f"SELECT COUNT(*) FROM `{database.journal}`.kept") == ((0,),)
