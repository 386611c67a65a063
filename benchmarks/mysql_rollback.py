"""Measure a rollback of MySQL or MariaDB, and what else sets a database back.

    python benchmarks/mysql_rollback.py [--quick] [--url mysql://root@127.0.0.1:3306/]

prints, for a table of 1,000 and one of 500,000 rows:

- the rollback of a step in which another connection changed 3 rows (one inserted, one updated, one
  deleted), and its ratio between the two sizes (at most 2);
- an observation, and a checkpoint;
- TRUNCATE and INSERT ... SELECT from a copy, and reloading the output of ``mysqldump``, where that
  is installed;
- how much slower the application's writes are under the triggers.

Times are medians of repeats in which both sizes take turns. The URL is that of a server on which
databases may be created; by default ``VENOMQA_TEST_MYSQL``. ``--quick`` uses 5,000 rows in place
of 500,000, and asserts no time.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pymysql

from venomqa_hyp.adapters.mysql import MySQLAdapter

SMALL, LARGE, QUICK = 1_000, 500_000, 5_000
ROUNDS, REPEATS, QUICK_REPEATS = 3, 15, 3
TARGET = 2.0


def step(number: int = 0) -> tuple[str, ...]:
    """Return statements that insert, update and delete one row each."""
    row = 500 + 2 * (number % 200)
    return (
        "INSERT INTO items (name, amount) VALUES ('new', 1)",
        f"UPDATE items SET amount = amount + 1 WHERE id = {row}",
        f"DELETE FROM items WHERE id = {row + 1}",
    )


class Database:
    """A database of its own with one table of so many rows, and a copy of it."""

    def __init__(self, url: str, rows: int) -> None:
        parts = urlsplit(url)
        self.rows = rows
        self.name = f"venomqa_bench_{uuid4().hex[:12]}"
        self.url = parts._replace(path=f"/{self.name}").geturl()
        self._login = {
            "host": parts.hostname,
            "port": parts.port or 3306,
            "user": unquote(parts.username or "root"),
            "password": unquote(parts.password or ""),
        }
        self.connection = pymysql.connect(**self._login, autocommit=True)

    def __enter__(self) -> "Database":
        self.execute(f"CREATE DATABASE {self.name}", f"USE {self.name}")
        self.execute(
            "CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), amount INT,"
            " KEY (name))"
        )
        self.execute("INSERT INTO items (name, amount) VALUES ('item', 1)")
        filled = 1
        while filled < self.rows:
            more = min(filled, self.rows - filled)
            self.execute(
                "INSERT INTO items (id, name, amount)"
                f" SELECT id + {filled}, CONCAT('item ', id), 1 FROM items WHERE id <= {more}"
            )
            filled += more
        return self

    def __exit__(self, *error: object) -> None:
        self.execute(f"DROP DATABASE {self.name}")
        self.connection.close()

    def execute(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def reload_from_copy(self) -> None:
        self.execute("TRUNCATE items", "INSERT INTO items SELECT * FROM copy")

    def program(self, name: str) -> list[str]:
        login = self._login
        password = [f"--password={login['password']}"] if login["password"] else []
        address = [f"--host={login['host']}", f"--port={login['port']}", f"--user={login['user']}"]
        return [name, *address, *password, self.name]


def milliseconds(act: Callable[[], Any]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


def measure_journal(databases: list[Database], repeats: int) -> dict[str, list[float]]:
    """Return the medians of what the adapter does, for each database.

    One adapter is open at a time: each looks closer when another changes the schema of its own.
    """
    times: dict[str, list[list[float]]] = {
        what: [[] for _ in databases] for what in ("rollback", "observe", "checkpoint")
    }
    for _ in range(ROUNDS):
        for at, database in enumerate(databases):
            with closing(MySQLAdapter(database.url)) as adapter:
                start = adapter.checkpoint("start")
                for _ in range(repeats):
                    database.execute(*step())
                    times["observe"][at].append(milliseconds(adapter.observe))
                    times["checkpoint"][at].append(milliseconds(partial(adapter.checkpoint, "x")))
                    times["rollback"][at].append(milliseconds(partial(adapter.rollback, start)))
    return {what: [statistics.median(one) for one in all_] for what, all_ in times.items()}


def measure_steps(plain: Database, journaled: Database, repeats: int) -> tuple[float, float]:
    """Return the median of the application's step without triggers, and with them."""
    times: list[list[float]] = [[], []]
    with closing(MySQLAdapter(journaled.url)) as adapter:
        start = adapter.checkpoint("start")
        for number in range(5 * repeats):
            for found, database in zip(times, (plain, journaled), strict=True):
                found.append(milliseconds(partial(database.execute, *step(number))))
        adapter.rollback(start)
    return statistics.median(times[0]), statistics.median(times[1])


def measure_reloads(database: Database, repeats: int) -> dict[str, float | None]:
    """Return the medians of the other ways to set the table back; None where one is missing."""
    database.execute("CREATE TABLE copy LIKE items", "INSERT INTO copy SELECT * FROM items")
    copied = statistics.median(milliseconds(database.reload_from_copy) for _ in range(repeats))
    database.execute("DROP TABLE copy")
    dumped: float | None = None
    if shutil.which("mysqldump") and shutil.which("mysql"):
        dump = subprocess.run(database.program("mysqldump"), capture_output=True, check=True).stdout
        dumped = statistics.median(
            milliseconds(lambda: subprocess.run(database.program("mysql"), input=dump, check=True))
            for _ in range(repeats)
        )
    return {"TRUNCATE and INSERT ... SELECT": copied, "reload of mysqldump": dumped}


def line(what: str, small: float | None, large: float | None, note: str = "") -> None:
    shown = [f"{each:11.2f} ms" if each is not None else "" for each in (small, large)]
    print(f"{what:32}{shown[0]:>14}{shown[1]:>14}  {note}".rstrip())


def main(url: str, quick: bool) -> int:
    sizes = (SMALL, QUICK if quick else LARGE)
    repeats = QUICK_REPEATS if quick else REPEATS
    with Database(url, SMALL) as plain, Database(url, SMALL) as journaled:
        without, with_triggers = measure_steps(plain, journaled, ROUNDS * repeats)
    with ExitStack() as stack:
        databases = [stack.enter_context(Database(url, size)) for size in sizes]
        reloads = [measure_reloads(each, 1 if quick else 3) for each in databases]
        journal = measure_journal(databases, repeats)
        with databases[0].connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            print(f"server {cursor.fetchall()[0][0]}; medians of {ROUNDS * repeats}")
    print(f"{'rows':32}{sizes[0]:>14,}{sizes[1]:>14,}")
    ratio = journal["rollback"][1] / journal["rollback"][0]
    line(
        "rollback of 3 changed rows", *journal["rollback"], f"ratio {ratio:.2f} (target: {TARGET})"
    )
    line("observe", *journal["observe"])
    line("checkpoint", *journal["checkpoint"])
    for what in reloads[0]:
        small, large = (each[what] for each in reloads)
        times = f"{large / journal['rollback'][1]:,.0f} times the rollback" if large else ""
        line(what, small, large, times)
    slower = f"{with_triggers / without:.2f} times that without"
    line("the application's 3 writes", with_triggers, None, slower)
    return int(not quick and ratio > TARGET)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, and asserts no time")
    parser.add_argument("--url", default=os.environ.get("VENOMQA_TEST_MYSQL"))
    arguments = parser.parse_args()
    if not arguments.url:
        print("skipped: no server. Set VENOMQA_TEST_MYSQL, or pass --url mysql://root@127.0.0.1/")
        sys.exit(0)
    sys.exit(main(arguments.url, arguments.quick))
