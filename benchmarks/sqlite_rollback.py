"""Measure ways to checkpoint and roll back a SQLite database after a step that changed 3 rows.

    python benchmarks/sqlite_rollback.py [--quick]

prints medians, in milliseconds, at 100 kB, 1 MB, 10 MB and 200 MB, for the modes of `SQLiteAdapter`
and for what it could do instead; then what the journal costs the application when it writes, and
how long 500 steps take with it. Another connection makes the step and stays open. Each way is
checked: after a rollback that connection reads the rows of the checkpoint. The database is one
table with an index, so whatever is read again of a changed table is everything. Times are of the
wall clock, unless it says CPU.
"""

import argparse
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from venomqa_hyp.adapters.sqlite import SQLiteAdapter

ROW = 220
PAGE = 4096
#: Of 500 steps on SQLite, in the design documents.
THEIR_SECONDS = 38.0


class AdapterCopy:
    """SQLiteAdapter: serialize, pages shared with the state before, backup API."""

    journal_mode = "wal"
    mode: Literal["copy", "journal"] = "copy"

    def __init__(self, path: Path) -> None:
        self.adapter = SQLiteAdapter(path, mode=self.mode)
        self.close = self.adapter.close

    def checkpoint(self) -> Any:
        return self.adapter.checkpoint("before")

    def rollback(self, handle: Any) -> None:
        self.adapter.rollback(handle)


class AdapterJournal(AdapterCopy):
    """SQLiteAdapter: triggers write down the rows that change, and those are put back."""

    mode = "journal"


class FileCopy:
    """Copy the file; an open connection may go on with what it holds in memory."""

    journal_mode = "delete"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.close = lambda: None

    def checkpoint(self) -> bytes:
        return self.path.read_bytes()

    def rollback(self, handle: bytes) -> None:
        # The change counter of the header tells the other connections to read anew.
        counter = int.from_bytes(self.path.read_bytes()[24:28], "big") + 1
        self.path.write_bytes(handle[:24] + counter.to_bytes(4, "big") + handle[28:])


class Backup:
    """The online backup API, to memory and back."""

    journal_mode = "wal"

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path)
        self.connection.execute("PRAGMA synchronous = OFF")
        self.close = self.connection.close

    def checkpoint(self) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:")
        self.connection.backup(copy)
        return copy

    def rollback(self, handle: sqlite3.Connection) -> None:
        handle.backup(self.connection)


class Serialize(Backup):
    """serialize(), and deserialize() with the backup API."""

    def checkpoint(self) -> Any:
        raw = bytearray(self.connection.serialize())
        raw[18:20] = b"\x01\x01"  # a copy in memory has no write-ahead log
        return bytes(raw)

    def rollback(self, handle: Any) -> None:
        with closing(sqlite3.connect(":memory:")) as copy:
            copy.deserialize(handle)
            copy.backup(self.connection)


class PageDifferences(Backup):
    """Compare with the file, and write the changed pages past SQLite, under an exclusive lock."""

    journal_mode = "delete"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # Closing it would drop the locks of this process on the file: it stays open.
        self.file = os.open(path, os.O_RDWR)

    def checkpoint(self) -> Any:
        return os.pread(self.file, os.fstat(self.file).st_size, 0)

    def rollback(self, handle: Any) -> None:
        self.connection.execute("BEGIN EXCLUSIVE")
        now, then = memoryview(self.checkpoint()), memoryview(handle)
        counter = int.from_bytes(now[24:28], "big") + 1
        for at in range(0, len(then), PAGE):
            if now[at : at + PAGE] != then[at : at + PAGE]:
                os.pwrite(self.file, then[at : at + PAGE], at)
        os.ftruncate(self.file, len(then))
        os.pwrite(self.file, counter.to_bytes(4, "big"), 24)
        self.connection.execute("ROLLBACK")


WAYS: list[Callable[[Path], Any]] = [
    AdapterCopy,
    AdapterJournal,
    FileCopy,
    Backup,
    Serialize,
    PageDifferences,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    quick = parser.parse_args().quick
    sizes = [100_000, 1_000_000] if quick else [100_000, 1_000_000, 10_000_000, 200_000_000]
    print(f"SQLite {sqlite3.sqlite_version}, a step that changes 3 rows, medians in ms")
    print(f"{'':24}{'':>10}{'checkpoint':>12}{'rollback':>12}")
    for size in sizes:
        for way in WAYS:
            measure(way, size, 3 if size > 50_000_000 else 9)
    slowdown(1_000 if quick else 20_000)
    many_steps(20 if quick else 500, 1_000 if quick else 100_000)


def measure(way: Callable[[Path], Any], size: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "orders.db")
        rows = create(path, size, way.journal_mode)  # type: ignore[attr-defined]
        system = way(path)
        checkpoints, rollbacks = [], []
        with closing(sqlite3.connect(path, isolation_level=None)) as application:
            for number in range(steps):
                change(application, rows, number)  # so that there is something to look at
                began = time.perf_counter()
                handle = system.checkpoint()
                checkpoints.append(time.perf_counter() - began)
                before = content(application, rows)
                change(application, rows, number + 1)
                assert content(application, rows) != before
                began = time.perf_counter()
                system.rollback(handle)
                rollbacks.append(time.perf_counter() - began)
                assert content(application, rows) == before, way
                del handle
        system.close()
    figures = (1000 * statistics.median(each) for each in (checkpoints, rollbacks))
    shown = "".join(f"{figure:12.2f}" for figure in figures)
    print(f"{way.__name__:24}{size / 1e6:>7.1f} MB{shown}", flush=True)  # type: ignore[attr-defined]


def slowdown(rows: int) -> None:
    """Time the application's own statements with the journal and without it."""
    statements = {
        "insert": "INSERT INTO orders (customer, total, note)"
        " SELECT at % 1000, at, 'new' FROM (SELECT ? AS at)",
        "update": "UPDATE orders SET total = total + 1 WHERE id = ?",
        "delete": "DELETE FROM orders WHERE id = ?",
    }
    print(f"\nCPU seconds for {rows} statements of the application in one transaction: best of 5")
    for name, sql in statements.items():
        plain, noted = (time_of(sql, rows, mode) for mode in ("copy", "journal"))
        print(f"{name:24}{plain:10.3f} s without{noted:10.3f} s with{noted / plain:10.2f} times")


def time_of(sql: str, rows: int, mode: Literal["copy", "journal"]) -> float:
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(5):
            path = Path(folder, f"{number}.db")
            create(path, rows * ROW, "wal")
            with (
                closing(SQLiteAdapter(path, mode=mode)),
                closing(sqlite3.connect(path, isolation_level=None)) as application,
            ):
                application.execute("BEGIN")
                began = time.process_time()
                for row in range(1, rows + 1):
                    application.execute(sql, (row,))
                application.execute("COMMIT")
                times.append(time.process_time() - began)
    return min(times)


def many_steps(steps: int, rows: int) -> None:
    """Time steps that each checkpoint, change 3 rows, observe, and go back to any checkpoint.

    The application does not wait for the disk, as is usual in tests.
    """
    choose = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "orders.db")
        create(path, rows * ROW, "wal")
        with (
            closing(SQLiteAdapter(path, mode="journal")) as system,
            closing(sqlite3.connect(path, isolation_level=None)) as application,
        ):
            application.execute("PRAGMA synchronous = OFF")
            began, cpu = time.perf_counter(), time.process_time()
            handles = []
            for number in range(steps):
                handles.append(system.checkpoint("step"))
                change(application, rows, number)
                system.observe()
                system.rollback(choose.choice(handles))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"\n{steps} steps, {rows} rows, each with a rollback: {seconds:.2f} s,", end="")
    print(f" CPU {cpu:.2f} s ({THEIR_SECONDS / cpu:.0f} times faster than {THEIR_SECONDS:.0f} s)")


def create(path: Path, size: int, journal_mode: str) -> int:
    rows = size // ROW
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        connection.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INT, total INT, note TEXT)"
        )
        connection.execute("CREATE INDEX by_customer ON orders (customer)")
        connection.executemany(
            "INSERT INTO orders (customer, total, note) VALUES (?, ?, ?)",
            ((number % 1000, number, "x" * 180) for number in range(rows)),
        )
        connection.commit()
    return rows


def change(application: sqlite3.Connection, rows: int, number: int) -> None:
    application.execute("BEGIN")
    application.execute("UPDATE orders SET total = total + 1 WHERE id = ?", (rows // 2,))
    application.execute(
        "INSERT INTO orders (customer, total, note) VALUES (1, ?, 'new')", (number,)
    )
    application.execute("DELETE FROM orders WHERE id = ?", (rows // 3 + number,))
    application.execute("COMMIT")


def content(application: sqlite3.Connection, rows: int) -> list[Any]:
    """Read the rows that any step may change."""
    return application.execute(
        "SELECT * FROM orders WHERE id IN (?, ?, ?, ?) OR id > ? ORDER BY id",
        (rows // 2, *(rows // 3 + number for number in range(3)), rows),
    ).fetchall()


if __name__ == "__main__":
    main()
