"""SQLite's mode ``journal``: when it is chosen, what it refuses, and what it leaves."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_shop import NEEDS_SWITCH, SCHEMA, connect, content, journal, schema

from venomqa_hyp.adapters.sqlite import JournalWarning, SQLiteAdapter, installation
from venomqa_hyp.adapters.sqlite.adapter import JOURNAL_FROM
from venomqa_hyp.adapters.sqlite.statements import index_condition, stops_half_way, trigger_head
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable


@pytest.fixture(params=["delete", "wal"])
def db(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "shop.db")) as db:
        db.execute(f"PRAGMA journal_mode = {request.param}")
        db.executescript(SCHEMA)
        yield db


@pytest.fixture
def path(db: sqlite3.Connection, tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


# --- which mode ----------------------------------------------------------------------------------


def test_auto_takes_the_journal_for_a_large_file(db: sqlite3.Connection, path: Path) -> None:
    with closing(SQLiteAdapter(path)) as small:
        assert small.mode == "copy"
        assert "copies of it are cheap" in small.mode_reason
    db.execute("INSERT INTO log VALUES (zeroblob(?))", (JOURNAL_FROM,))
    with closing(SQLiteAdapter(path)) as large:
        assert large.mode == "journal"
        assert repr(large) == "SQLiteAdapter(mode='journal', because the file has 1.0 MB)"
    with closing(SQLiteAdapter(path, mode="copy")) as asked:
        assert (asked.mode, asked.mode_reason) == ("copy", "mode='copy' was asked for")
    with closing(SQLiteAdapter(db)) as shared:
        assert (shared.mode, shared.mode_reason) == ("copy", "the connection is shared")


UNFIT = {
    "virtual": ("CREATE VIRTUAL TABLE v USING fts4 (body)", "v is a virtual table"),
    "hidden": ("CREATE TABLE t (rowid, _rowid_, oid)", "hide its rowid"),
    "named": ('CREATE TABLE "New" (a)', "is called what triggers call a row"),
    "default": ("CREATE TABLE t (a NOT NULL DEFAULT (abs(3)) UNIQUE)", "the default of column a"),
    "number": ("CREATE TABLE t (a REAL NOT NULL DEFAULT 1e99 UNIQUE)", "the default of column a"),
    "key": ("CREATE TABLE t (a TEXT DEFAULT 5 PRIMARY KEY) WITHOUT ROWID", "the default of column"),
    "generated": ("CREATE TABLE t (a, b AS (a) UNIQUE)", "unique over the generated column b"),
    "expression": ("CREATE UNIQUE INDEX i ON log (line || 'x')", "unique over an expression"),
    "taken": ("CREATE TABLE venomqa_journal (a)", "table venomqa_journal already exists"),
    "function": ("CREATE INDEX i ON log (own(line))", "unknown function: own"),
    "collation": ("CREATE TABLE t (a COLLATE own UNIQUE)", "no such collation sequence: own"),
}


@pytest.mark.parametrize(("sql", "words"), UNFIT.values(), ids=UNFIT)
def test_what_has_no_sound_journal_is_copied(
    db: sqlite3.Connection, path: Path, sql: str, words: str
) -> None:
    db.create_function("own", 1, str, deterministic=True)
    db.create_collation("own", lambda one, other: (one > other) - (one < other))
    db.execute("INSERT INTO log VALUES (zeroblob(?))", (JOURNAL_FROM,))
    db.execute(sql)
    before = schema(path)
    with pytest.raises(DefinitionError, match=words):
        journal(path)
    assert schema(path) == before
    with closing(SQLiteAdapter(path, observe_tables=["orders"])) as system:
        assert system.mode == "copy"
        assert words in system.mode_reason
        assert schema(path) == before
        handle = system.checkpoint("before")
        db.execute("DELETE FROM orders")
        system.rollback(handle)
        assert db.execute("SELECT count(*) FROM orders").fetchall() == [(3,)]


def test_text_in_utf16_is_refused(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "wide.db")) as db:
        db.execute("PRAGMA encoding = 'UTF-16le'")
        db.execute("CREATE TABLE t (a)")
    with pytest.raises(DefinitionError, match="UTF-16le, and has to be UTF-8"):
        journal(tmp_path / "wide.db")


@NEEDS_SWITCH
@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("own AFTER INSERT ON LOG BEGIN SELECT raise /**/ ( ignore ); END", "RAISE"),
        ("own AFTER UPDATE ON log BEGIN SELECT RAISE(FAIL, 'x'); END", "RAISE"),
        ("own UPDATE OF a ON WIDE BEGIN UPDATE wide SET b = 1; END", "can change a row while"),
    ],
)
def test_trigger_that_a_journal_cannot_bear_is_refused(
    db: sqlite3.Connection, path: Path, trigger: str, words: str
) -> None:
    db.execute("CREATE TABLE wide (a, b, UNIQUE (a, b))")
    db.execute(f"CREATE TRIGGER {trigger}")
    with pytest.raises(DefinitionError, match=words):
        journal(path)


def test_triggers_that_cannot_be_switched_off_are_refused(
    db: sqlite3.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_ENABLE_TRIGGER", None)
    before = content(path)
    with closing(journal(path)) as system:
        handle = system.checkpoint("before")
        db.execute("DELETE FROM customers")
        system.rollback(handle)
    assert content(path) == before
    db.execute("CREATE TRIGGER own AFTER INSERT ON LOG BEGIN SELECT 1; END")
    with pytest.raises(DefinitionError, match=r"own, and only Python 3\.12 and later"):
        journal(path)


def test_mode_that_is_none_is_refused(path: Path, db: sqlite3.Connection) -> None:
    with pytest.raises(DefinitionError, match="'auto', 'copy', 'journal'"):
        SQLiteAdapter(path, mode="fast")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="Pass the path of the file instead"):
        SQLiteAdapter(db, mode="journal")
    with pytest.raises(DefinitionError, match=r"observe_tables names \['none'\]"):
        journal(path, observe_tables=["none"])
    assert [name for _, name, _, _ in schema(path) if "venomqa" in name] == []


def test_a_table_of_the_application_with_the_name_of_the_journal_stays(
    db: sqlite3.Connection, path: Path
) -> None:
    db.execute("CREATE TABLE venomqa_journal (a)")
    db.execute("INSERT INTO venomqa_journal VALUES (1)")
    with closing(SQLiteAdapter(path)) as system:
        assert system.mode == "copy"
    assert db.execute("SELECT a FROM venomqa_journal").fetchall() == [(1,)]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("rolled_back", [False, True])
def test_notes_that_the_application_deletes_are_missed(
    db: sqlite3.Connection, path: Path, rolled_back: bool
) -> None:
    """As it does where it empties all tables that it finds, or restores a copy of the file."""
    with closing(journal(path)) as system:
        handle = system.checkpoint("before")
        if rolled_back:
            db.execute("DELETE FROM log")
            system.rollback(handle)
        db.execute("DELETE FROM log")
        db.execute("DELETE FROM venomqa_journal")
        db.execute("INSERT INTO log VALUES ('first')")
        with pytest.raises(RollbackError, match="notes are missing in the table venomqa_journal"):
            system.rollback(handle)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("ALTER TABLE log ADD COLUMN more", r"\(changed: table log\)"),
        ("CREATE INDEX i ON log (line)", r"new: index i"),
        ("DROP TABLE log", "triggers of the journal are gone"),
        ("VACUUM", "VACUUM was executed, or a change of the schema that was taken back"),
        ("CREATE INDEX i ON log (line); DROP INDEX i", "a change of the schema that was taken"),
    ],
)
def test_change_of_the_schema_is_refused(
    db: sqlite3.Connection, path: Path, sql: str, words: str
) -> None:
    system = journal(path)
    handle = system.checkpoint("before")
    for statement in sql.split(";"):
        db.execute(statement)
    for attempt in (
        lambda: system.rollback(handle),
        lambda: system.checkpoint("x"),
        system.observe,
    ):
        with pytest.raises(RollbackError, match=words) as caught:
            attempt()
        assert 'mode="copy"' in str(caught.value)
    system.close()
    assert [name for _, name, _, _ in schema(path) if "venomqa" in name] == []


def test_second_adapter_ends_the_first(path: Path) -> None:
    with closing(journal(path)) as first:
        handle = first.checkpoint("before")
        with closing(journal(path)) as second:
            with pytest.raises(RollbackError, match="another SQLiteAdapter was opened"):
                first.rollback(handle)
            second.checkpoint("works")


def test_open_write_transaction_ends_in_a_bounded_error(db: sqlite3.Connection, path: Path) -> None:
    with closing(journal(path, lock_timeout=0.1)) as system:
        handle = system.checkpoint("before")
        db.execute("BEGIN")
        db.execute("DELETE FROM log")
        with pytest.raises(RollbackError, match=r"cannot checkpoint.*lock_timeout=0\.1 s"):
            system.checkpoint("during")
        with pytest.raises(RollbackError, match=r"cannot roll back.*lock_timeout=0\.1 s"):
            system.rollback(handle)
        db.execute("COMMIT")
        system.rollback(handle)
        assert db.execute("SELECT count(*) FROM log").fetchall() == [(2,)]


def test_read_transaction_left_open_is_refused(db: sqlite3.Connection, path: Path) -> None:
    with closing(journal(path, lock_timeout=0.1)) as system:
        handle = system.checkpoint("before")
        db.execute("DELETE FROM log")
        with closing(connect(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM log").fetchall()
            with pytest.raises(RollbackError, match=r"locked|still reads the state before"):
                system.rollback(handle)
            reader.execute("COMMIT")
        system.rollback(handle)
        assert db.execute("SELECT count(*) FROM log").fetchall() == [(2,)]


def test_commit_that_no_trigger_saw_is_told(db: sqlite3.Connection, path: Path) -> None:
    db.execute("INSERT INTO log VALUES (x'0102')")
    with closing(journal(path)) as system:
        handle = system.checkpoint("before")
        with db.blobopen("log", "line", 3) as blob:
            blob.write(b"\7")
        with pytest.warns(JournalWarning, match="incremental blob I/O"):
            system.observe()
        system.rollback(handle)


def test_row_written_past_the_triggers_ends_the_run(db: sqlite3.Connection, path: Path) -> None:
    db.executescript("CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE); INSERT INTO t VALUES (1)")
    with closing(journal(path)) as system:
        handle = system.checkpoint("before")
        db.execute("UPDATE t SET a = 2")
        with closing(silent(path)) as other:
            other.execute("INSERT INTO t VALUES (1)")
        before = content(path)
        with pytest.raises(RollbackError, match="written past them"):
            system.rollback(handle)
        assert content(path) == before


def test_row_that_cannot_be_written_again_ends_the_run(db: sqlite3.Connection, path: Path) -> None:
    db.executescript("CREATE TABLE t (a); INSERT INTO t VALUES ('5')")
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INT)' WHERE name = 't'")
    db.execute("PRAGMA writable_schema = RESET")
    with closing(journal(path)) as system:
        handle = system.checkpoint("before")
        db.execute("DELETE FROM t")
        with pytest.raises(RollbackError, match="table 't' is not what"):
            system.rollback(handle)
        assert db.execute("SELECT * FROM t").fetchall() == []


def silent(path: Path) -> sqlite3.Connection:
    """Return a connection that fires no triggers."""
    if installation._ENABLE_TRIGGER is None:
        pytest.skip("needs a connection that fires no triggers")
    db = sqlite3.connect(path, isolation_level=None)
    db.setconfig(installation._ENABLE_TRIGGER, False)  # type: ignore[attr-defined, unused-ignore]
    return db


def test_dead_handles_are_refused(path: Path) -> None:
    system = journal(path)
    handle, forgotten = system.checkpoint("kept"), system.checkpoint("forgotten")
    system.forget(forgotten)
    assert not system.is_live(forgotten)
    with pytest.raises(RollbackError, match="it was forgotten"):
        system.rollback(forgotten)
    system.close()
    system.close()
    assert not system.is_live(handle)
    with pytest.raises(SystemUnavailable, match="closed") as caught:
        system.observe()
    assert caught.value.__notes__ == [repr(system)]


# --- what is left --------------------------------------------------------------------------------


def test_nothing_is_left_after_closing(db: sqlite3.Connection, path: Path) -> None:
    before, rows = schema(path), content(path)
    with closing(journal(path)) as system:
        assert [name for _, name, _, _ in schema(path) if name == "venomqa_journal"]
        handle = system.checkpoint("before")
        db.execute("DELETE FROM customers")
        system.rollback(handle)
    assert schema(path) == before
    assert content(path) == rows


def test_file_that_is_gone_can_be_closed(db: sqlite3.Connection, path: Path) -> None:
    system = journal(path)
    path.unlink()
    system.close()


@pytest.mark.parametrize("mode", ["copy", "journal"])
def test_what_a_killed_run_left_is_removed(db: sqlite3.Connection, path: Path, mode: Any) -> None:
    before = schema(path)
    script = (
        "import os, signal, sys; from venomqa_hyp.adapters.sqlite import SQLiteAdapter\n"
        "system = SQLiteAdapter(sys.argv[1], mode='journal'); system.checkpoint('x')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert killed.returncode == -9
    assert schema(path) != before
    rows = content(path)
    with closing(SQLiteAdapter(path, mode=mode)) as system:
        system.checkpoint("again")
    assert schema(path) == before
    assert content(path) == rows


# --- reading CREATE statements -------------------------------------------------------------------


def test_the_condition_of_an_index_is_found() -> None:
    sql = """CREATE UNIQUE INDEX "a(b" ON [t,(] ("x)" DESC, lower(y, ')') asc -- where (
        , z COLLATE nocase) WHERE ("where" > ',')"""
    assert index_condition(sql) == "(\"where\" > ',')"
    assert index_condition("CREATE UNIQUE INDEX i ON t(a)") == ""


@pytest.mark.parametrize(
    ("sql", "head"),
    [
        ("CREATE TRIGGER a before insert ON t BEGIN", ("BEFORE", "INSERT")),
        ("CREATE TRIGGER main . 'after' UPDATE OF x ON t", ("BEFORE", "UPDATE")),
        ("CREATE TRIGGER IF NOT EXISTS x /* BEFORE */ AFTER DELETE ON t", ("AFTER", "DELETE")),
        ("CREATE TRIGGER x INSTEAD OF INSERT ON v", ("INSTEAD", "INSERT")),
    ],
)
def test_head_of_a_trigger_is_read(sql: str, head: tuple[str, str]) -> None:
    assert trigger_head(sql) == head


def test_trigger_that_stops_half_way_is_known() -> None:
    assert stops_half_way("... SELECT raise\n( ignore )")
    assert not stops_half_way("... SELECT RAISE(ABORT, 'RAISE(IGNORE)')")
