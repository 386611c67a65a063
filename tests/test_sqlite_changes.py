"""What is no row of a table: each change is undone exactly, or refused by its name."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp.adapters.sqlite import SQLiteAdapter
from venomqa_hyp.errors import RollbackError

_SCHEMA = """
    CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b AS (a + 1));
    CREATE TABLE named (name TEXT PRIMARY KEY, twice AS (name || name) STORED) WITHOUT ROWID;
    CREATE TABLE typed (id INT PRIMARY KEY, words TEXT) STRICT;
    CREATE INDEX by_b ON t (b);
    INSERT INTO t (a) VALUES (1), (2);
    INSERT INTO named VALUES ('x');
    INSERT INTO typed VALUES (1, 'one');
"""
_PRAGMAS = (
    "journal_mode",
    "user_version",
    "application_id",
    "auto_vacuum",
    "page_size",
    "encoding",
    "default_cache_size",
)


@pytest.fixture(params=["delete", "wal"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as db:
        db.execute(f"PRAGMA journal_mode = {request.param}")
        db.executescript(_SCHEMA)
    return tmp_path / "shop.db"


@pytest.fixture(params=["copy", "journal"])
def system(path: Path, request: pytest.FixtureRequest) -> Iterator[SQLiteAdapter]:
    with closing(SQLiteAdapter(path, mode=request.param, lock_timeout=0.5)) as system:
        yield system


def dump(path: Path) -> tuple[Any, ...]:
    """Return everything in a file but the journal: as SQL, with the settings."""
    with closing(sqlite3.connect(path)) as db:
        text = sorted(line for line in db.iterdump() if "venomqa_journal" not in line)
        return text, [db.execute(f"PRAGMA {name}").fetchone() for name in _PRAGMAS]


def execute(path: Path, statements: str) -> None:
    """Execute statements as an application that closes its connection."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=1)) as db:
        for statement in statements.split(";"):
            db.execute(statement)


UNDONE = {
    "wal": "PRAGMA journal_mode = wal",
    "wal and rows": "PRAGMA journal_mode = wal; DELETE FROM t",
    "user_version": "PRAGMA user_version = 7",
    "application_id": "PRAGMA application_id = 7",
    "default_cache_size": "PRAGMA default_cache_size = 77",
    "encoding": "PRAGMA encoding = 'UTF-16'",
    "auto_vacuum alone": "PRAGMA auto_vacuum = 1",
    "page_size alone": "PRAGMA page_size = 8192",
    "analyze": "ANALYZE",
    "optimize": "PRAGMA optimize(0xfffe)",
    "analyze and rows": "INSERT INTO t (a) VALUES (9); ANALYZE; DELETE FROM t WHERE a = 9",
    "counter": "UPDATE sqlite_sequence SET seq = 70",
    "counters": "DELETE FROM sqlite_sequence",
    "without rowid": "UPDATE named SET name = 'y'; INSERT INTO named VALUES ('x'), ('z')",
    "strict": "REPLACE INTO typed VALUES (1, 'two'); INSERT INTO typed VALUES (2, 'x')",
    "generated": "UPDATE t SET a = 5 WHERE b = 2; DELETE FROM t WHERE b = 3",
}


@pytest.mark.parametrize("change", UNDONE.values(), ids=UNDONE)
def test_change_is_undone(system: SQLiteAdapter, path: Path, change: str) -> None:
    beginning = dump(path)
    handle, seen = system.checkpoint("beginning"), system.observe()
    execute(path, change)
    after, changed = system.checkpoint("after"), dump(path)
    system.rollback(handle)
    assert dump(path) == beginning
    assert system.observe().digest == seen.digest
    system.rollback(after)
    assert dump(path) == changed
    system.rollback(handle)
    assert dump(path) == beginning


#: What a journal of rows refuses, and how it names it.
SCHEMA = {
    "auto_vacuum": ("PRAGMA auto_vacuum = 1; VACUUM", "VACUUM was executed"),
    "page_size": ("PRAGMA page_size = 8192; VACUUM", "VACUUM was executed"),
    "index": ("CREATE INDEX i ON t (a)", "new: index i"),
    "dropped index": ("DROP INDEX by_b", "gone: index by_b"),
    "view": ("CREATE VIEW v AS SELECT 1", "new: view v"),
    "trigger": ("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", "new: trigger r"),
    "without rowid": ("CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID", "new: .*table w"),
    "strict": ("CREATE TABLE s (a INT) STRICT", "new: table s"),
    "generated": ("CREATE TABLE g (a, b AS (a) UNIQUE)", "new: .*table g"),
    "virtual": ("CREATE VIRTUAL TABLE f USING fts5 (a)", "new: table f"),
    "column": ("ALTER TABLE t ADD COLUMN c", "changed: table t"),
    "writable_schema": (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = "
        "replace(sql, 'words TEXT', 'words ANY') WHERE name = 'typed'",
        "changed: table typed",
    ),
    "writable_schema and rows": (
        "DELETE FROM t; PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'by_b'",
        "gone: index by_b",
    ),
}


@pytest.mark.parametrize(("change", "words"), SCHEMA.values(), ids=SCHEMA)
def test_change_of_the_schema_is_undone_or_refused(
    system: SQLiteAdapter, path: Path, change: str, words: str
) -> None:
    beginning = dump(path)
    handle = system.checkpoint("beginning")
    for statement in [change] if "TRIGGER" in change else change.split("; "):
        if statement.startswith(("UPDATE", "DELETE FROM sqlite")):
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA writable_schema = ON")
                db.execute(statement)
        elif "VACUUM" not in change or statement == "VACUUM":
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                if statement == "VACUUM":
                    db.execute(change.split(";")[0])
                db.execute(statement)
    if system.mode == "copy":
        system.rollback(handle)
        assert dump(path) == beginning
    else:
        with pytest.raises(RollbackError, match=rf"{words}.*mode=\"copy\""):
            system.rollback(handle)


def test_journal_mode_that_cannot_be_set_back_is_refused(tmp_path: Path) -> None:
    for mode in ("copy", "journal"):
        path = tmp_path / f"{mode}.db"
        execute(path, "CREATE TABLE t (a)")
        with (
            closing(SQLiteAdapter(path, mode=mode, lock_timeout=0.2)) as system,  # type: ignore[arg-type]
            closing(sqlite3.connect(path, isolation_level=None)) as application,
        ):
            handle = system.checkpoint("beginning")
            application.execute("PRAGMA journal_mode = wal")
            application.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(RollbackError, match="journal_mode = wal once before the run"):
                system.rollback(handle)
            application.close()
            system.rollback(handle)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert db.execute("SELECT * FROM t").fetchall() == []


def test_journal_mode_of_a_shared_connection_is_set_back(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as db:
        db.executescript("CREATE TABLE t (a); PRAGMA journal_mode = truncate")
        with closing(SQLiteAdapter(db)) as system:
            handle = system.checkpoint("beginning")
            db.execute("PRAGMA journal_mode = wal")
            system.rollback(handle)
            assert db.execute("PRAGMA journal_mode").fetchone() == ("truncate",)


def test_database_attached_to_a_shared_connection_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a)")
        with closing(SQLiteAdapter(db)) as system:
            handle = system.checkpoint("beginning")
            db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
            with pytest.raises(RollbackError, match=r"1 attached database.*per attached file"):
                system.rollback(handle)
