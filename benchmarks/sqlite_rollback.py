"""Measure ways to checkpoint and roll back a SQLite database after a step that changed 3 rows.

    python benchmarks/sqlite_rollback.py [--quick]

prints medians, in milliseconds, at 100 kB, 10 MB and 200 MB, for `SQLiteAdapter` and for what it
could do instead. Another connection makes the step and stays open. Each way is checked: after a
rollback that connection reads the rows of the checkpoint. The database is one table with an index,
so whatever is read again of a changed table is everything. Times are of the wall clock.
"""

import argparse
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from venomqa_hyp.adapters.sqlite import SQLiteAdapter

ROW = 220
PAGE = 4096


class Adapter:
    """SQLiteAdapter: serialize, pages shared with the state before, backup API. Observes too."""

    journal_mode = "wal"

    def __init__(self, path: Path) -> None:
        self.adapter = SQLiteAdapter(path)
        self.close = self.adapter.close

    def checkpoint(self) -> Any:
        return self.adapter.checkpoint("before")

    def rollback(self, handle: Any) -> None:
        self.adapter.rollback(handle)


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


class TriggerJournal(Backup):
    """Row triggers that write old rows to a table; rows of this one table only."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.connection.executescript(
            """
            CREATE TABLE journal (at INTEGER PRIMARY KEY, added, id, customer, total, note);
            CREATE TABLE journal_off (yes);
            CREATE TRIGGER j1 AFTER INSERT ON orders WHEN NOT EXISTS (SELECT 1 FROM journal_off)
                BEGIN INSERT INTO journal (added) VALUES (NEW.id); END;
            CREATE TRIGGER j2 AFTER DELETE ON orders WHEN NOT EXISTS (SELECT 1 FROM journal_off)
                BEGIN INSERT INTO journal (id, customer, total, note)
                VALUES (OLD.id, OLD.customer, OLD.total, OLD.note); END;
            CREATE TRIGGER j3 AFTER UPDATE ON orders WHEN NOT EXISTS (SELECT 1 FROM journal_off)
                BEGIN INSERT INTO journal (added, id, customer, total, note)
                VALUES (NEW.id, OLD.id, OLD.customer, OLD.total, OLD.note); END;
            """
        )

    def checkpoint(self) -> Any:
        return self.connection.execute("SELECT ifnull(max(at), 0) FROM journal").fetchone()[0]

    def rollback(self, handle: Any) -> None:
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        run("INSERT INTO journal_off VALUES (1)")
        undo = run("SELECT * FROM journal WHERE at > ? ORDER BY at DESC", (handle,)).fetchall()
        for _, added, *row in undo:
            run("DELETE FROM orders WHERE id = ?", (added,))
            if row[0] is not None:
                run("INSERT INTO orders VALUES (?, ?, ?, ?)", row)
        run("DELETE FROM journal WHERE at > ?", (handle,))
        run("DELETE FROM journal_off")
        self.connection.commit()


WAYS: list[Callable[[Path], Any]] = [
    Adapter,
    FileCopy,
    Backup,
    Serialize,
    PageDifferences,
    TriggerJournal,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    quick = parser.parse_args().quick
    sizes = [100_000, 1_000_000] if quick else [100_000, 10_000_000, 200_000_000]
    print(f"SQLite {sqlite3.sqlite_version}, a step that changes 3 rows, medians in ms")
    print(f"{'':24}{'':>10}{'checkpoint':>12}{'rollback':>12}")
    for size in sizes:
        for way in WAYS:
            measure(way, size, 3 if size > 50_000_000 else 9)


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
