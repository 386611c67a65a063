"""A small shop in SQLite for the tests of mode ``journal``, and an independent look at a file."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp.adapters.sqlite import SQLiteAdapter

SCHEMA = """
    CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY, total, customer REFERENCES customers ON DELETE CASCADE
        ON UPDATE CASCADE);
    CREATE TABLE stock (sku TEXT COLLATE NOCASE PRIMARY KEY, amount) WITHOUT ROWID;
    CREATE TABLE log (line);
    INSERT INTO customers VALUES (1, 'ann'), (2, 'bob');
    INSERT INTO orders VALUES (1, 10, 1), (2, 20, 2), (3, 30, 2);
    INSERT INTO stock VALUES ('Pear', 3), ('fig', 4);
    INSERT INTO log VALUES ('a'), ('b');
"""
NEEDS_SWITCH = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="only then the application's triggers can be switched off"
)


def connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=2)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = OFF")
    return db


def journal(path: Path, **options: Any) -> SQLiteAdapter:
    return SQLiteAdapter(path, mode="journal", **options)


def content(path: Path) -> dict[str, Any]:
    """Return all rows with their rowids, types and bytes, by a connection of its own."""
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        found: dict[str, Any] = {}
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'venomqa_journal'"
        for (raw,) in db.execute(tables).fetchall():
            name = f'"{raw.decode()}"'
            columns = [row[1].decode() for row in db.execute(f"PRAGMA table_info({name})")]
            types = "".join(f', typeof("{column}")' for column in columns)
            try:
                rows = db.execute(f"SELECT oid, *{types} FROM {name} NOT INDEXED").fetchall()
            except sqlite3.Error:
                rows = db.execute(f"SELECT *{types} FROM {name} NOT INDEXED").fetchall()
            found[name] = [repr(row) for row in rows]
        found["version"] = db.execute("PRAGMA user_version").fetchone()
        return found


def schema(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
