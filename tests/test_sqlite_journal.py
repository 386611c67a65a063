"""SQLite's mode ``journal``: what triggers do not see alone is set back, observed, and cheap."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_shop import NEEDS_SWITCH, SCHEMA, connect, content, journal

from venomqa_hyp.adapters.sqlite import SQLiteAdapter
from venomqa_hyp.core.difference import changes
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.testing import check_rollbackable


@pytest.fixture(params=["delete", "wal"])
def db(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "shop.db")) as db:
        db.execute(f"PRAGMA journal_mode = {request.param}")
        db.executescript(SCHEMA)
        yield db


@pytest.fixture
def path(db: sqlite3.Connection, tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


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
        ("t (a) WHERE b > 0 AND a <> ') WHERE'", "UPDATE OR REPLACE t SET a = 'y' WHERE a = 'x'"),
        ("t (a) WHERE t.b IS NOT NULL", "REPLACE INTO t VALUES ('x', 4)"),
    ],
)
def test_rows_replaced_through_an_index_are_undone(
    db: sqlite3.Connection, path: Path, index: str, statement: str
) -> None:
    db.executescript("CREATE TABLE t (a, b); INSERT INTO t VALUES ('x', 1), ('y', 2)")
    db.execute(f"CREATE UNIQUE INDEX i ON {index}")
    check_undone(path, lambda: db.execute(statement))
    db.execute(statement)
    left = 1 if statement.startswith("UPDATE") else 2  # so a row was replaced
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(left,)]


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


@NEEDS_SWITCH
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


@NEEDS_SWITCH
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


def test_statistics_are_no_change_of_the_schema(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "keyed.db")) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        db.execute("CREATE INDEX i ON t (a)")
        db.execute("INSERT INTO t VALUES (1, 2)")
        with closing(journal(tmp_path / "keyed.db")) as system:
            handle = system.checkpoint("before")
            db.execute("UPDATE t SET a = 3")
            db.execute("ANALYZE")
            system.rollback(handle)
            assert db.execute("SELECT * FROM t").fetchall() == [(1, 2)]


@pytest.mark.parametrize("more", ["", " WITHOUT ROWID"])
def test_a_key_that_a_foreign_key_follows_into_its_own_table_is_undone(
    db: sqlite3.Connection, path: Path, more: str
) -> None:
    """The cascade changes the row under its new key before AFTER UPDATE notes that key."""
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"CREATE TABLE n (id INT PRIMARY KEY, p REFERENCES n ON UPDATE CASCADE){more}")
    db.execute("INSERT INTO n VALUES (1, 1)")
    check_undone(path, lambda: db.execute("UPDATE n SET id = 2"))


# --- what it costs -------------------------------------------------------------------------------


def steps_of_a_rollback(path: Path, rows: int) -> int:
    """Count the instructions that SQLite executes on the adapter's connection."""
    with closing(connect(path)) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", ((at,) * 3 for at in range(rows)))
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


def test_other_content_at_the_beginning_is_another_state(
    db: sqlite3.Connection, path: Path
) -> None:
    digests = []
    for total in (10, 11, 10):
        db.execute("UPDATE orders SET total = ? WHERE id = 1", (total,))
        with closing(journal(path)) as system:
            digests.append(system.observe().digest)
    assert digests[0] == digests[2] != digests[1]


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
