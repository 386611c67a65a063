"""A run over a SQLite file that a test kills, and the exact content of the file."""

import random
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

SCHEMA = """
    CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, body);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, total,
        owner REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE stock (sku TEXT COLLATE NOCASE PRIMARY KEY, amount) WITHOUT ROWID;
    CREATE TABLE log (line);
    CREATE INDEX totals ON orders (total);
    INSERT INTO users (name, body) VALUES ('ann', x'00ff'), ('bob', 1.5), ('cy', NULL);
    INSERT INTO orders VALUES (1, 10, 1), (2, 20, 2), (3, '30', 2);
    INSERT INTO stock VALUES ('Pear', 3), ('fig', 4);
    INSERT INTO log VALUES ('a'), ('b'), ('a');
    PRAGMA user_version = 4;
"""
_PRAGMAS = ("user_version", "application_id", "journal_mode", "auto_vacuum", "page_size")


def create(path: Path, journal_mode: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA journal_mode = {journal_mode}")
        db.executescript(SCHEMA)


def dump(path: Path) -> tuple[Any, ...]:
    """Return everything in a file: as SQL, with its rowids and its settings."""
    with closing(sqlite3.connect(path)) as db:
        text = sorted(db.iterdump())
        rowids = [
            db.execute(f"SELECT rowid, * FROM {name} ORDER BY 1").fetchall()
            for name in ("users", "orders", "log", "sqlite_sequence")
        ]
        return text, rowids, [db.execute(f"PRAGMA {name}").fetchone() for name in _PRAGMAS]


def write(db: sqlite3.Connection, chance: random.Random) -> None:
    """Change something, as an application would."""
    number = chance.randrange(9)
    change = chance.choice(
        (
            f"INSERT OR REPLACE INTO users (id, name) VALUES ({number}, 'u{number % 3}')",
            f"INSERT INTO users (name) VALUES ('n{chance.random()}')",
            f"UPDATE users SET id = id + 20 WHERE id = {number}",
            f"DELETE FROM users WHERE id = {number}",
            f"INSERT INTO orders (total, owner) SELECT {number}, max(id) FROM users",
            f"UPDATE orders SET total = total + 1 WHERE id > {number}",
            f"INSERT OR REPLACE INTO stock VALUES ('{chance.choice(['PEAR', 'pear', 'kiwi'])}', 1)",
            f"DELETE FROM stock WHERE amount < {number}",
            f"INSERT INTO log VALUES ({chance.random()})",
            f"DELETE FROM log WHERE rowid % 3 = {number % 3}",
            f"PRAGMA user_version = {number}",
            f"PRAGMA application_id = {number}",
            "ANALYZE",
        )
    )
    with suppress(sqlite3.IntegrityError):
        db.execute(change)


def run(path: str, mode: Any, seed: int) -> None:
    """Change and roll back without end; the application is a connection of its own."""
    from venomqa_hyp.adapters.sqlite import SQLiteAdapter

    chance = random.Random(seed)
    system = SQLiteAdapter(path, mode=mode)
    handles = [system.checkpoint("beginning")]
    db = sqlite3.connect(path, isolation_level=None, timeout=5)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = OFF")
    print("ready", flush=True)
    while True:
        for _ in range(chance.randrange(4)):
            write(db, chance)
        if chance.random() < 0.5:
            handles = [*handles[-5:], system.checkpoint("later")]
        if chance.random() < 0.7:
            system.rollback(chance.choice(handles))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
