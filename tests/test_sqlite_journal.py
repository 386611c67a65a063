"""SQLite's mode ``journal``: what triggers do not see alone, what is refused, what is left."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp.adapters.sqlite import JournalWarning, SQLiteAdapter, installation
from venomqa_hyp.adapters.sqlite.choosing import JOURNAL_FROM
from venomqa_hyp.adapters.sqlite.statements import index_parts, stops_half_way, trigger_head
from venomqa_hyp.core.difference import changes
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable

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
needs_switch = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="only then the application's triggers can be switched off"
)


@pytest.fixture(params=["delete", "wal"])
def db(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "shop.db")) as db:
        db.execute(f"PRAGMA journal_mode = {request.param}")
        db.executescript(SCHEMA)
        yield db


@pytest.fixture
def path(db: sqlite3.Connection, tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


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


def check_undone(path: Path, write: Callable[[], object]) -> None:
    """Change something, roll back, and go there again."""
    before = content(path)
    with closing(journal(path)) as system:
        start, seen = system.checkpoint("before"), system.observe()
        write()
        changed = content(path)
        assert changed != before
        later, seen_later = system.checkpoint("after"), system.observe()
        assert seen_later != seen
        system.rollback(start)
        assert content(path) == before
        assert system.observe() == seen
        system.rollback(later)
        assert content(path) == changed
        assert system.observe() == seen_later
        system.rollback(start)
    assert content(path) == before


# --- the contract --------------------------------------------------------------------------------


class Store(SQLiteAdapter):
    """An adapter with the application's connection beside it, for the conformance suite."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="journal")
        self.application = connect(path)

    def close(self) -> None:
        super().close()
        self.application.close()


def add(store: Store, choose: Any) -> None:
    store.application.execute("INSERT INTO log VALUES (?)", (choose.randrange(1000),))


def count_on(store: Store, choose: Any) -> None:
    store.application.execute("INSERT INTO customers (name) VALUES (NULL)")


def update(store: Store, choose: Any) -> None:
    store.application.execute(
        "UPDATE orders SET total = total + 1 WHERE id = (SELECT min(id) FROM orders)"
    )


def replace(store: Store, choose: Any) -> None:
    store.application.execute("REPLACE INTO stock VALUES ('PEAR', ?)", (choose.random(),))


def delete(store: Store, choose: Any) -> None:
    store.application.execute("DELETE FROM log WHERE rowid = (SELECT max(rowid) FROM log)")
    store.application.execute("PRAGMA user_version = 4")
    store.application.execute("INSERT INTO orders (total) VALUES (5)")


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_journal_keeps_the_contract(tmp_path: Path, journal_mode: str) -> None:
    made: list[Path] = []

    def make() -> Store:
        made.append(tmp_path / f"{len(made)}.db")
        with closing(connect(made[-1])) as db:
            db.execute(f"PRAGMA journal_mode = {journal_mode}")
            db.executescript(SCHEMA)
        return Store(made[-1])

    check_rollbackable(make, [add, count_on, update, replace, delete])


# --- what is set back ----------------------------------------------------------------------------


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize(
    "script",
    [
        "REPLACE INTO customers VALUES (1, 'bob')",  # two rows and their orders go
        "INSERT OR REPLACE INTO customers (name) VALUES ('bob')",
        "UPDATE OR REPLACE customers SET name = 'bob' WHERE id = 1",
        "UPDATE OR REPLACE orders SET id = 3 WHERE id = 1",
        "DELETE FROM customers WHERE id = 2",
        "UPDATE customers SET id = 9 WHERE id = 2",
        "UPDATE orders SET rowid = id + 100",
        "DELETE FROM customers",
        "INSERT INTO customers (name) VALUES ('bob') ON CONFLICT DO UPDATE SET name = 'z'",
        "REPLACE INTO stock VALUES ('PEAR', 1); UPDATE stock SET sku = 'FIG' WHERE sku = 'fig'",
        "UPDATE OR REPLACE stock SET sku = 'fig' WHERE sku = 'pear'",
        "INSERT INTO log (rowid, line) VALUES (77, 'far'); DELETE FROM log WHERE rowid = 1",
        "REPLACE INTO log (rowid, line) VALUES (2, 'other')",
        "BEGIN; DELETE FROM log; SAVEPOINT s; DELETE FROM orders; ROLLBACK TO s; COMMIT",
        "DELETE FROM sqlite_sequence; UPDATE customers SET name = NULL",
        "PRAGMA user_version = 7; PRAGMA application_id = 3",
        "INSERT INTO log VALUES (char(97, 0, 98)), (CAST(x'61ff' AS TEXT)), (x'6100'), (-0.0),"
        " (9e999), (1.0), (1), ('1'), (NULL), (9223372036854775807), (zeroblob(9))",
    ],
)
def test_what_a_statement_changed_is_undone(
    db: sqlite3.Connection, path: Path, script: str, recursive: str
) -> None:
    db.execute(f"PRAGMA recursive_triggers = {recursive}")
    check_undone(path, lambda: db.executescript(script))


@pytest.mark.parametrize(
    ("table", "rows", "statement"),
    [
        (
            "(a INT UNIQUE ON CONFLICT REPLACE, b)",
            "(1, 2), (2, 3)",
            "INSERT INTO t VALUES ('1', 9)",
        ),
        (
            "(a INT UNIQUE ON CONFLICT REPLACE, b)",
            "(1, 2), (2, 3)",
            "UPDATE t SET a = 2 WHERE a = 1",
        ),
        (
            "(a INTEGER PRIMARY KEY ON CONFLICT REPLACE, b)",
            "(1, 2)",
            "INSERT INTO t VALUES (1.0, 3)",
        ),
        (
            "(a NOT NULL ON CONFLICT REPLACE DEFAULT 5 UNIQUE)",
            "(5)",
            "REPLACE INTO t VALUES (NULL)",
        ),
        (
            "(a NOT NULL DEFAULT CURRENT_DATE UNIQUE)",
            "(CURRENT_DATE)",
            "REPLACE INTO t VALUES (NULL)",
        ),
        (
            "(a TEXT DEFAULT 5 PRIMARY KEY) WITHOUT ROWID",
            "(5)",
            "REPLACE INTO t VALUES (NULL), (6)",
        ),
        ("(a, made AS (lower(a)) UNIQUE)", "('A'), ('b')", "REPLACE INTO t VALUES ('B'), ('a')"),
        ("(a, b, made AS (a || b) STORED UNIQUE)", "('A', 1)", "REPLACE INTO t VALUES ('A1', '')"),
        ("(a TEXT COLLATE NOCASE UNIQUE, b)", "('A', 1)", "REPLACE INTO t VALUES ('a', 2)"),
        ("(rowid TEXT, oid TEXT UNIQUE)", "('x', 'y')", "REPLACE INTO t VALUES ('z', 'y')"),
        ("(a INTEGER PRIMARY KEY DESC, b)", "(7, 8)", "REPLACE INTO t VALUES (7, 9)"),
        ("(a REAL, b PRIMARY KEY) WITHOUT ROWID", "(1, -0.0)", "UPDATE t SET b = 1.0"),
        ("(a REAL PRIMARY KEY) WITHOUT ROWID", "(-0.0), (5)", "DELETE FROM t"),
        ("(a ANY, b INT UNIQUE) STRICT", "('1', 1)", "REPLACE INTO t VALUES (1.0, 1)"),
        (
            "(a TEXT COLLATE NOCASE, b, PRIMARY KEY (a COLLATE BINARY)) WITHOUT ROWID",
            "('x', 1), ('X', 2)",
            "DELETE FROM t WHERE a = 'x'",
        ),
    ],
)
def test_tables_of_every_kind_are_undone(
    db: sqlite3.Connection, path: Path, table: str, rows: str, statement: str
) -> None:
    db.execute(f"CREATE TABLE t {table}")
    db.execute(f"INSERT INTO t VALUES {rows}")
    check_undone(path, lambda: db.execute(statement))


@pytest.mark.parametrize(
    ("index", "statement"),
    [
        ("t (a COLLATE NOCASE)", "REPLACE INTO t VALUES ('X', 9)"),
        ("t (b, a COLLATE RTRIM DESC)", "REPLACE INTO t VALUES ('x  ', 1)"),
        ("t (lower(a) /* ), */ DESC, 'a,(' || b)", "REPLACE INTO t VALUES ('X', 1)"),
        ("t (a) WHERE b > 0 AND a <> ') WHERE'", "UPDATE OR REPLACE t SET a = 'y' WHERE a = 'x'"),
        ("t (a) WHERE t.b IS NOT NULL", "REPLACE INTO t VALUES ('x', 4)"),
        ("t (abs(b) COLLATE NOCASE)", "UPDATE OR REPLACE t SET b = -2 WHERE a = 'x'"),
    ],
)
def test_rows_replaced_through_an_index_are_undone(
    db: sqlite3.Connection, path: Path, index: str, statement: str
) -> None:
    db.executescript("CREATE TABLE t (a, b); INSERT INTO t VALUES ('x', 1), ('y', 2)")
    db.execute(f"CREATE UNIQUE INDEX i ON {index}")
    before = db.execute("SELECT count(*) FROM t").fetchall()
    check_undone(path, lambda: db.execute(statement))
    db.execute(statement)
    assert db.execute("SELECT count(*) FROM t").fetchall() != before or "REPLACE INTO" in statement


def test_writes_through_an_attached_database_are_undone(path: Path, tmp_path: Path) -> None:
    with closing(connect(tmp_path / "main.db")) as other:
        other.execute("CREATE TABLE log (line)")
        other.execute(f"ATTACH '{path}' AS shop")
        check_undone(path, lambda: other.execute("REPLACE INTO shop.customers VALUES (1, 'bob')"))


@pytest.mark.parametrize("how", ["FAIL", "ABORT"])
def test_statement_that_failed_midway_is_undone(
    db: sqlite3.Connection, path: Path, how: str
) -> None:
    def write() -> None:
        db.execute("INSERT INTO log VALUES ('so that something changes')")
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(f"INSERT OR {how} INTO orders (id) VALUES (50), (51), (1), (52)")

    check_undone(path, write)


def test_other_process_sees_the_rollback(path: Path) -> None:
    script = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for line in sys.stdin:\n"
        "    print(db.execute(line).fetchall(), flush=True)\n"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", script, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        closing(journal(path)) as system,
    ):
        assert process.stdin is not None
        assert process.stdout is not None

        def execute(sql: str) -> str:
            print(sql, file=process.stdin, flush=True)
            return process.stdout.readline().strip()  # type: ignore[union-attr]

        count = "SELECT count(*), sum(total) FROM orders"
        assert execute(count) == "[(3, 60)]"
        handle = system.checkpoint("before")
        execute("UPDATE orders SET total = 1")
        system.rollback(handle)
        assert execute(count) == "[(3, 60)]"
        process.stdin.close()


@needs_switch
def test_triggers_of_the_application_are_undone_and_do_not_fire_meanwhile(
    db: sqlite3.Connection, path: Path
) -> None:
    db.executescript(
        """
        CREATE TRIGGER a AFTER INSERT ON orders BEGIN
            INSERT INTO log VALUES ('insert'); UPDATE stock SET amount = amount - 1; END;
        CREATE TRIGGER b BEFORE DELETE ON orders BEGIN INSERT INTO log VALUES (OLD.total); END;
        CREATE TRIGGER c BEFORE INSERT ON orders WHEN NEW.total = 0
            BEGIN DELETE FROM customers WHERE id = 2; SELECT RAISE(IGNORE); END;
        CREATE VIEW big AS SELECT * FROM orders;
        CREATE TRIGGER d INSTEAD OF INSERT ON big BEGIN
            REPLACE INTO customers VALUES (2, 'ann'); END;
        """
    )
    check_undone(path, lambda: db.execute("REPLACE INTO orders VALUES (1, 5, 2)"))
    check_undone(path, lambda: db.execute("DELETE FROM orders"))
    check_undone(path, lambda: db.execute("INSERT INTO orders (total) VALUES (0)"))
    check_undone(path, lambda: db.execute("INSERT INTO big (total) VALUES (0)"))


@needs_switch
def test_change_is_noted_where_a_later_trigger_fails_without_undoing_it(
    db: sqlite3.Connection, path: Path
) -> None:
    db.execute("CREATE TABLE once (id UNIQUE)")
    db.execute("CREATE TRIGGER a AFTER INSERT ON log BEGIN INSERT INTO once VALUES (1); END")
    db.execute("INSERT INTO once VALUES (1)")

    def write() -> None:
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("INSERT OR FAIL INTO log VALUES ('stays')")

    check_undone(path, write)


def test_settings_of_statistics_and_vacuum_are_no_change_of_the_schema(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "keyed.db")) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        db.execute("CREATE INDEX i ON t (a)")
        db.execute("INSERT INTO t VALUES (1, 2)")

        def write() -> None:
            db.execute("UPDATE t SET a = 3")
            db.execute("VACUUM")

        check_undone(tmp_path / "keyed.db", write)
        with closing(journal(tmp_path / "keyed.db")) as system:
            handle = system.checkpoint("before")
            db.execute("UPDATE t SET a = 3")
            db.execute("ANALYZE")
            system.rollback(handle)
            assert db.execute("SELECT * FROM t").fetchall() == [(1, 2)]


# --- what it costs -------------------------------------------------------------------------------


def steps_of_a_rollback(path: Path, rows: int) -> int:
    """Count the instructions that SQLite executes on the adapter's connection."""
    with closing(connect(path)) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?1, ?1, ?1)", ((number,) for number in range(rows)))
        db.execute("COMMIT")
        with closing(journal(path)) as system:
            executed = 0

            def count() -> None:
                nonlocal executed
                executed += 1

            connection: sqlite3.Connection = system._mode._file.connection  # type: ignore[attr-defined]
            connection.set_progress_handler(count, 1)
            handle = system.checkpoint("before")
            db.execute("DELETE FROM t WHERE id = 5")
            db.execute("REPLACE INTO t VALUES (6, 7, 8)")
            system.observe()
            system.rollback(handle)
            connection.set_progress_handler(None, 0)
        assert db.execute("SELECT count(*) FROM t").fetchall() == [(rows,)]
        return executed


def test_rollback_costs_what_changed(tmp_path: Path) -> None:
    small = steps_of_a_rollback(tmp_path / "small.db", 100)
    assert steps_of_a_rollback(tmp_path / "large.db", 50_000) <= small + 10


# --- what is observed ----------------------------------------------------------------------------


def test_observation_shows_what_differs(db: sqlite3.Connection, path: Path) -> None:
    with closing(journal(path)) as system:
        before = system.observe()
        db.execute("UPDATE orders SET total = 11 WHERE id = 1")
        db.execute("INSERT INTO customers (name) VALUES ('cid')")
        seen = system.observe()
        orders = dict(seen.data["tables"]["orders"])
        assert orders.pop("base").startswith("3 rows, ")
        assert orders == {
            "columns": ("id", "total", "customer"),
            "key": ("id",),
            "rows": [(1, 11, 1)],
            "removed": [(1, 10, 1)],
        }
        assert seen.data["settings"]["autoincrement"]["rows"] == [("customers", 3)]
        told = {table.table: table for table in changes(before, seen)}
        assert told["orders"].changed[0].columns == ("total",)
        assert set(told) == {"orders", "customers"}


def test_rowid_of_a_table_with_another_key_is_restored_and_not_observed(
    db: sqlite3.Connection, path: Path
) -> None:
    db.executescript("CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('a'), ('b')")
    before = content(path)
    with closing(journal(path)) as system:
        handle, seen = system.checkpoint("before"), system.observe()
        db.executescript("DELETE FROM t WHERE k = 'a'; INSERT INTO t VALUES ('a')")
        assert system.observe() == seen
        system.rollback(handle)
    assert content(path) == before


def test_observed_tables_restrict_the_rows_and_the_counters(
    db: sqlite3.Connection, path: Path
) -> None:
    with closing(journal(path, observe_tables=["log"])) as system:
        handle, seen = system.checkpoint("before"), system.observe()
        db.execute("INSERT INTO customers (name) VALUES ('cid')")
        assert system.observe() == seen
        assert seen.metadata["tables_left_out"] == ["customers", "orders", "stock"]
        db.execute("INSERT INTO log VALUES (1)")
        assert system.observe() != seen
        system.rollback(handle)
        assert db.execute("SELECT count(*) FROM customers").fetchall() == [(2,)]


def test_observation_query_is_observed(db: sqlite3.Connection, path: Path) -> None:
    with closing(journal(path, observe_tables=[])) as system:
        system.add_observation_query("sum", "SELECT sum(total) AS s FROM orders")
        seen = system.observe()
        assert seen.data["queries"] == {"sum": {"columns": ("s",), "rows": [(60,)]}}
        db.execute("DELETE FROM orders WHERE id = 1")
        assert system.observe() != seen
        with pytest.raises(DefinitionError, match="there is an observation query 'sum' already"):
            system.add_observation_query("sum", "SELECT 1")
        with pytest.raises(DefinitionError, match="no such table: missing"):
            system.add_observation_query("other", "SELECT * FROM missing")
        with pytest.raises(DefinitionError, match="readonly"):
            system.add_observation_query("other", "DELETE FROM log RETURNING line")


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
    "computed": (
        "CREATE TABLE t (a NOT NULL DEFAULT 1, b AS (a) UNIQUE)",
        "the default of column a",
    ),
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


@needs_switch
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
    check_undone(path, lambda: db.execute("DELETE FROM customers"))
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


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("ALTER TABLE log ADD COLUMN more", r"gone: table log; new: table log"),
        ("CREATE INDEX i ON log (line)", r"new: index i"),
        ("DROP TABLE log", "triggers of the journal are gone"),
        ("VACUUM", r"VACUUM .* other rowids \(log\)"),
    ],
)
def test_change_of_the_schema_is_refused(
    db: sqlite3.Connection, path: Path, sql: str, words: str
) -> None:
    system = journal(path)
    handle = system.checkpoint("before")
    db.execute(sql)
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
    with closing(journal(path)) as system:
        handle = system.checkpoint("before")
        db.execute("UPDATE customers SET name = 'cid' WHERE id = 1")
        db.execute("PRAGMA writable_schema = ON")
        with closing(silent(path)) as other:
            other.execute("INSERT INTO customers VALUES (7, 'ann')")
        before = content(path)
        with pytest.raises(RollbackError, match="written past them"):
            system.rollback(handle)
        assert content(path) == before


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
    db.execute("INSERT INTO log VALUES ('the application goes on')")
    rows = content(path)
    with closing(SQLiteAdapter(path, mode=mode)) as system:
        system.checkpoint("again")
    assert schema(path) == before
    assert content(path) == rows


# --- reading CREATE statements -------------------------------------------------------------------


def test_parts_of_an_index_are_found() -> None:
    sql = """CREATE UNIQUE INDEX "a(b" ON [t,(] ("x)" DESC, lower(y, ')') asc -- where (
        , z COLLATE nocase) WHERE ("where" > ',')"""
    assert index_parts(sql) == (
        ['"x)"', "lower(y, ')')", "z COLLATE nocase"],
        "(\"where\" > ',')",
    )
    assert index_parts("CREATE UNIQUE INDEX i ON t(a)") == (["a"], "")


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
