"""SQLite: what a second process sees in the file, exact content, bounded waits, clear errors."""

import pickle
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp.adapters.sqlite import SQLiteAdapter
from venomqa_hyp.core.difference import RowChange, changes
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable
from venomqa_hyp.values.digest import digest

SCHEMA = """
    CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
    CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, total, note TEXT);
    CREATE TABLE stock (sku TEXT PRIMARY KEY, amount INTEGER) WITHOUT ROWID;
    CREATE TABLE log (line TEXT);
    CREATE INDEX orders_by_total ON orders (total);
    CREATE VIEW open_orders AS SELECT id FROM orders;
"""

# Runs the lines it is sent on one connection that stays open, and answers with repr(rows).
APPLICATION = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=2)
for line in sys.stdin:
    try:
        print(repr(connection.execute(line).fetchall()), flush=True)
    except sqlite3.Error as error:
        print(repr(str(error)), flush=True)
"""


class Application:
    """Another process with one connection to the file, open all the time."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def execute(self, sql: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(sql.split()) + "\n")
        self._process.stdin.flush()
        answer = eval(self._process.stdout.readline())
        assert not isinstance(answer, str), answer
        return answer

    def stop(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


def create(path: Path, journal_mode: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        connection.executescript(SCHEMA)
    return path


@pytest.fixture(params=["delete", "wal"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return create(tmp_path / "shop.db", request.param)


@pytest.fixture
def application(path: Path) -> Iterator[Application]:
    application = Application(path)
    application.execute("SELECT * FROM orders")
    yield application
    application.stop()


@pytest.fixture
def adapter(application: Application, path: Path) -> Iterator[SQLiteAdapter]:
    with closing(SQLiteAdapter(path, lock_timeout=0.3)) as adapter:
        yield adapter


@pytest.fixture
def shared() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        yield connection


def table(adapter: SQLiteAdapter, name: str) -> list[Any]:
    rows: list[Any] = adapter.observe().data["tables"][name]["rows"]
    return rows


# --- the contract --------------------------------------------------------------------------------


class Store(SQLiteAdapter):
    """An adapter with the application's connection beside it, for the conformance suite."""

    def __init__(self, application: sqlite3.Connection, **options: Any) -> None:
        super().__init__(options.pop("path", application), **options)
        self.application = application

    def close(self) -> None:
        super().close()
        self.application.close()


def change_rows(store: Store, chance: random.Random) -> None:
    run = store.application.execute
    total = chance.choice([chance.randrange(9**9), str(chance.random()), b"\0", None])
    run("INSERT INTO orders (total, note) VALUES (?, ?)", (total, "x" * chance.randrange(9000)))
    store.application.commit()


def change_a_value(store: Store, chance: random.Random) -> None:
    run = store.application.execute
    run("INSERT INTO stock VALUES ('a', 1) ON CONFLICT DO UPDATE SET amount = amount + 1")
    store.application.commit()


def delete_a_row(store: Store, chance: random.Random) -> None:
    run = store.application.execute
    run("INSERT INTO log VALUES ('deleted')")
    run("DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)")
    store.application.commit()


def change_schema(store: Store, chance: random.Random) -> None:
    version = store.application.execute("PRAGMA user_version").fetchone()[0] + 1
    store.application.execute(f"PRAGMA user_version = {version}")
    store.application.execute(f"CREATE TABLE IF NOT EXISTS t{chance.randrange(5)} (a)")
    store.application.commit()


MUTATIONS = [change_rows, change_a_value, delete_a_row, change_schema]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_file_keeps_the_contract(tmp_path: Path, journal_mode: str) -> None:
    """Every rule of Rollbackable holds for a file that another connection writes."""
    numbers = iter(range(99))

    def make() -> Store:
        path = create(tmp_path / f"{next(numbers)}.db", journal_mode)
        return Store(sqlite3.connect(path), path=path)

    check_rollbackable(make, MUTATIONS)


def test_shared_connection_keeps_the_contract() -> None:
    """Every rule of Rollbackable holds for a connection on which the application commits."""

    def make() -> Store:
        connection = sqlite3.connect(":memory:")
        connection.executescript(SCHEMA)
        return Store(connection)

    check_rollbackable(make, MUTATIONS)


# --- another process has the file open -----------------------------------------------------------


def test_other_process_sees_the_rollback(application: Application, adapter: SQLiteAdapter) -> None:
    """Its open connection stays valid and reads the old rows at once."""
    application.execute("INSERT INTO orders (total) VALUES (250)")
    handle, before = adapter.checkpoint("one order"), adapter.observe()
    application.execute("UPDATE orders SET total = 0")
    application.execute("INSERT INTO orders (total) VALUES (1)")
    adapter.rollback(handle)
    assert application.execute("SELECT id, total FROM orders") == [(1, 250)]
    assert adapter.observe() == before
    assert application.execute("PRAGMA integrity_check") == [("ok",)]


def test_autoincrement_counter_rolls_back(application: Application, adapter: SQLiteAdapter) -> None:
    """The id that is given after a rollback is the one that was given the first time."""
    handle = adapter.checkpoint("empty")
    for _ in range(3):
        application.execute("INSERT INTO orders (total) VALUES (1)")
        application.execute("DELETE FROM orders")
    assert ("orders", 3) in table(adapter, "sqlite_sequence")
    adapter.rollback(handle)
    application.execute("INSERT INTO orders (total) VALUES (1)")
    assert application.execute("SELECT id FROM orders") == [(1,)]


def test_schema_change_rolls_back(application: Application, adapter: SQLiteAdapter) -> None:
    """Tables, columns, indexes and user_version are those of the checkpoint, both ways."""
    before, first = adapter.observe(), adapter.checkpoint("old")
    application.execute("ALTER TABLE orders ADD COLUMN paid DEFAULT 0")
    application.execute("CREATE TABLE refunds (id INTEGER PRIMARY KEY)")
    application.execute("DROP INDEX orders_by_total")
    application.execute("PRAGMA user_version = 7")
    changed, second = adapter.observe(), adapter.checkpoint("new")
    assert changed.data["settings"]["user_version"] == 7
    adapter.rollback(first)
    assert adapter.observe() == before
    assert "refunds" not in str(application.execute("SELECT name FROM sqlite_master"))
    adapter.rollback(second)
    assert adapter.observe() == changed
    assert application.execute("PRAGMA user_version") == [(7,)]
    application.execute("INSERT INTO orders (total, paid) VALUES (1, 1)")


def test_journal_mode_stays(application: Application, adapter: SQLiteAdapter) -> None:
    """A rollback does not turn the write-ahead log off or on."""
    mode = application.execute("PRAGMA journal_mode")
    handle = adapter.checkpoint("start")
    application.execute("INSERT INTO orders (total) VALUES (1)")
    adapter.rollback(handle)
    assert application.execute("PRAGMA journal_mode") == mode


def test_open_write_transaction_ends_in_a_bounded_error(
    application: Application, adapter: SQLiteAdapter
) -> None:
    """Checkpoint and rollback wait lock_timeout for it, say so, and work once it has ended."""
    start = adapter.checkpoint("start")
    application.execute("INSERT INTO orders (total) VALUES (1)")
    later = adapter.checkpoint("later")
    application.execute("BEGIN IMMEDIATE")
    application.execute("INSERT INTO orders (total) VALUES (2)")
    started = time.monotonic()
    for attempt in (
        lambda: adapter.rollback(later),  # nothing was committed since
        lambda: adapter.checkpoint("in between"),
        lambda: adapter.rollback(start),
    ):
        with pytest.raises(RollbackError, match=r"shop\.db.*is locked.*lock_timeout=0\.3 s"):
            attempt()
    assert 0.8 < time.monotonic() - started < 3
    application.execute("COMMIT")
    adapter.rollback(start)
    assert application.execute("SELECT * FROM orders") == []


def test_exclusive_lock_ends_in_a_bounded_error(tmp_path: Path) -> None:
    """A lock that forbids reading makes observe() fail, not wait for ever."""
    path = create(tmp_path / "shop.db", "delete")
    with (
        closing(sqlite3.connect(path)) as other,
        closing(SQLiteAdapter(path, lock_timeout=0.2)) as adapter,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SystemUnavailable, match="cannot read: database is locked"):
            adapter.observe()


def test_read_transaction_left_open_is_refused(path: Path) -> None:
    """A reader that would go on with the old state ends the rollback with an error."""
    with (
        closing(sqlite3.connect(path)) as other,
        closing(SQLiteAdapter(path, lock_timeout=0.2)) as adapter,
    ):
        start = adapter.checkpoint("start")
        other.executemany("INSERT INTO orders (total) VALUES (?)", [(1,), (2,)])
        other.commit()
        cursor = other.execute("SELECT * FROM orders")
        cursor.fetchone()
        with pytest.raises(RollbackError, match="cursor"):
            adapter.rollback(start)
        cursor.close()
        adapter.rollback(start)
        assert other.execute("SELECT * FROM orders").fetchall() == []


def test_no_files_are_left(tmp_path: Path) -> None:
    """Beside the database there is nothing after close that was not there before."""
    for mode in ("delete", "wal"):
        create(tmp_path / f"{mode}.db", mode)
    before = sorted(tmp_path.iterdir())
    for mode in ("delete", "wal"):
        with closing(SQLiteAdapter(tmp_path / f"{mode}.db")) as adapter:
            handle = adapter.checkpoint("start")
            with closing(sqlite3.connect(tmp_path / f"{mode}.db")) as other:
                other.execute("INSERT INTO log VALUES ('a')")
                other.commit()
            adapter.observe()
            adapter.rollback(handle)
    assert sorted(tmp_path.iterdir()) == before


def test_close_leaves_the_content(application: Application, adapter: SQLiteAdapter) -> None:
    """The World decides about rolling back, close() does not."""
    adapter.checkpoint("start")
    application.execute("INSERT INTO orders (total) VALUES (5)")
    adapter.close()
    assert application.execute("SELECT total FROM orders") == [(5,)]


def test_empty_file_is_a_state(tmp_path: Path) -> None:
    """A file of no bytes is not written to by looking, and can be rolled back to."""
    path = tmp_path / "empty.db"
    path.touch()
    with closing(SQLiteAdapter(path)) as adapter:
        empty, before = adapter.checkpoint("empty"), adapter.observe()
        assert path.stat().st_size == 0
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE t (a)")
            assert adapter.observe() != before
            adapter.rollback(empty)
            assert adapter.observe() == before
            assert other.execute("SELECT * FROM sqlite_master").fetchall() == []


# --- the application shares the connection -------------------------------------------------------


def test_commits_of_the_application_do_not_end_checkpoints(shared: sqlite3.Connection) -> None:
    """A checkpoint outlives commits, and rollbacks, of the application."""
    adapter = SQLiteAdapter(shared)
    handle = adapter.checkpoint("start")
    for total in (1, 2):
        shared.execute("INSERT INTO orders (total) VALUES (?)", (total,))
        shared.commit()
    adapter.rollback(handle)
    assert shared.execute("SELECT * FROM orders").fetchall() == []
    shared.execute("INSERT INTO orders (total) VALUES (3)")
    shared.rollback()
    assert adapter.is_live(handle)


def test_open_transaction_is_no_checkpoint(shared: sqlite3.Connection) -> None:
    """It is observed, but a checkpoint of it is refused with the remedy."""
    adapter = SQLiteAdapter(shared)
    shared.execute("INSERT INTO orders (total) VALUES (1)")
    assert table(adapter, "orders") == [(1, 1, None)]
    with pytest.raises(RollbackError, match=r"transaction open.*connection\.commit\(\)"):
        adapter.checkpoint("in transaction")


def test_rollback_ends_an_open_transaction(shared: sqlite3.Connection) -> None:
    """None was open at any checkpoint, so ending it restores exactly that state."""
    adapter = SQLiteAdapter(shared)
    handle = adapter.checkpoint("start")
    shared.execute("INSERT INTO orders (total) VALUES (1)")
    adapter.rollback(handle)
    assert not shared.in_transaction
    assert table(adapter, "orders") == []


def test_unread_cursor_is_named(shared: sqlite3.Connection) -> None:
    """A cursor in the middle of its rows keeps the database in use."""
    adapter = SQLiteAdapter(shared)
    handle = adapter.checkpoint("start")
    shared.executemany("INSERT INTO orders (total) VALUES (?)", [(1,), (2,)])
    shared.commit()
    cursor = shared.execute("SELECT * FROM orders")
    cursor.fetchone()
    with pytest.raises(RollbackError, match=r"fetchall\(\)"):
        adapter.rollback(handle)
    cursor.close()
    adapter.rollback(handle)


def test_blob_written_in_place_is_seen(shared: sqlite3.Connection) -> None:
    """Incremental blob writes do not count in total_changes, and are a change all the same."""
    adapter = SQLiteAdapter(shared)
    shared.execute("INSERT INTO orders (note) VALUES (zeroblob(9000))")
    shared.commit()
    before = adapter.observe()
    with shared.blobopen("orders", "note", 1) as blob:
        blob.seek(8000)
        blob.write(b"x")
    shared.commit()
    assert adapter.observe() != before


def test_settings_of_the_connection_stay(shared: sqlite3.Connection) -> None:
    """Row factory, text factory and busy timeout are the application's own."""
    shared.row_factory = lambda cursor, row: {"row": row}
    shared.text_factory = bytes
    shared.execute("PRAGMA busy_timeout = 77")
    adapter = SQLiteAdapter(shared)
    handle = adapter.checkpoint("start")
    shared.execute("INSERT INTO stock VALUES ('a', 1)")
    shared.commit()
    assert table(adapter, "stock") == [("a", 1)]
    adapter.rollback(handle)
    assert shared.execute("PRAGMA busy_timeout").fetchone() == {"row": (77,)}


# --- what is observed ----------------------------------------------------------------------------


def test_shape_of_the_data(shared: sqlite3.Connection) -> None:
    """Columns, key and rows per table; no primary key means rowid; views are SQL only."""
    shared.execute("INSERT INTO stock VALUES ('b', 1), ('a', 2)")
    shared.execute("INSERT INTO log VALUES ('hello')")
    data = SQLiteAdapter(shared).observe().data
    assert data["tables"]["stock"] == {
        "columns": ("sku", "amount"),
        "key": ("sku",),
        "rows": [("a", 2), ("b", 1)],
    }
    assert data["tables"]["log"] == {
        "columns": ("rowid", "line"),
        "key": ("rowid",),
        "rows": [(1, "hello")],
    }
    assert data["tables"]["sqlite_sequence"]["key"] == ("name",)
    assert data["schema"]["view open_orders"] == "CREATE VIEW open_orders AS SELECT id FROM orders"
    assert sorted(data["tables"]) == ["customers", "log", "orders", "sqlite_sequence", "stock"]


def test_type_of_a_value_counts(shared: sqlite3.Connection) -> None:
    """1, '1', 1.0, b'1', NULL and '' are six states."""
    adapter = SQLiteAdapter(shared)
    shared.execute("INSERT INTO orders (id) VALUES (1)")
    digests = set()
    for value in (1, "1", 1.0, b"1", None, ""):
        shared.execute("UPDATE orders SET total = ?", (value,))
        digests.add(adapter.observe().digest)
    assert len(digests) == 6


def test_digest_depends_on_content_only(tmp_path: Path) -> None:
    """Another file, another history and another process give the equal digest."""
    digests = []
    for number, detour in enumerate((False, True)):
        path = create(tmp_path / f"{number}.db", "wal" if detour else "delete")
        with closing(sqlite3.connect(path)) as connection:
            if detour:
                connection.execute("INSERT INTO stock VALUES ('z', zeroblob(50000)), ('a', 0)")
                connection.execute("DELETE FROM stock")
            connection.execute("INSERT INTO stock VALUES ('a', 1)")
            connection.commit()
            if detour:
                connection.execute("ANALYZE")
        script = (
            "import sys; from venomqa_hyp.adapters.sqlite import SQLiteAdapter; "
            "a = SQLiteAdapter(sys.argv[1]); print(a.observe().digest); a.close()"
        )
        arguments = [sys.executable, "-c", script, str(path)]
        digests.append(subprocess.check_output(arguments, text=True))
        with closing(SQLiteAdapter(path)) as adapter:
            assert adapter.observe().digest == digests[0].strip()
    assert digests[0] == digests[1]


def test_unusual_tables_are_read(shared: sqlite3.Connection) -> None:
    """Odd names, generated columns, a column called rowid, full text, text that is not UTF-8."""
    shared.executescript(
        """
        CREATE TABLE "odd ""name" ("a b" INTEGER, "order" TEXT, PRIMARY KEY ("order", "a b"));
        INSERT INTO "odd ""name" VALUES (1, 'x');
        CREATE TABLE generated (a INTEGER PRIMARY KEY, twice AS (a * 2), thrice AS (a * 3) STORED);
        INSERT INTO generated VALUES (4);
        CREATE TABLE hidden (rowid TEXT);
        INSERT INTO hidden VALUES ('mine');
        CREATE TABLE no_rowid_left (rowid, _rowid_, oid);
        INSERT INTO no_rowid_left VALUES (3, 2, 1), (1, 2, 3);
        CREATE VIRTUAL TABLE words USING fts5 (body);
        INSERT INTO words VALUES ('hello');
        CREATE TABLE bytes (t TEXT);
        INSERT INTO bytes VALUES (CAST(x'ff41' AS TEXT));
        """
    )
    adapter = SQLiteAdapter(shared)
    before = adapter.observe()
    tables = before.data["tables"]
    assert tables['odd "name']["key"] == ("order", "a b")
    assert tables["generated"]["columns"] == ("a",)
    assert tables["hidden"]["columns"] == ("_rowid_", "rowid")
    assert tables["hidden"]["rows"] == [(1, "mine")]
    assert tables["no_rowid_left"]["rows"] == [(3, 2, 1), (1, 2, 3)]
    assert "words" not in tables
    assert tables["words_content"]["rows"] == [(1, "hello")]
    assert tables["bytes"]["rows"] == [(1, "\udcffA")]
    for change in (
        "INSERT INTO words VALUES ('again')",
        "UPDATE bytes SET t = CAST(x'fe41' AS TEXT)",
        "UPDATE no_rowid_left SET oid = 9 WHERE oid = 3",
    ):
        shared.execute(change)
        after = adapter.observe()
        assert after != before
        before = after


def test_every_change_in_a_large_database_is_seen(tmp_path: Path) -> None:
    """Tables whose digest is kept are those that did not change: compared with a fresh reading."""
    path = create(tmp_path / "large.db", "wal")
    chance = random.Random(3)
    with closing(sqlite3.connect(path)) as other, closing(SQLiteAdapter(path)) as adapter:
        for name in ("customers (name)", "log (line)", "orders (note)"):
            rows = [
                ("x" * chance.choice([9, 90, 20_000 if number % 50 == 0 else 9]),)
                for number in range(1500)
            ]
            other.executemany(f"INSERT INTO {name} VALUES (?)", rows)
        other.commit()
        seen = [adapter.observe().digest]
        for number in range(60):
            statement = chance.choice(
                [
                    "UPDATE orders SET note = substr(note, 2) || :n WHERE id = :id",
                    "UPDATE customers SET name = name || :n WHERE id = :id",
                    "DELETE FROM log WHERE rowid BETWEEN :id AND :id + 30",
                    "INSERT INTO log VALUES (zeroblob(:id * 20) || :n)",
                    "INSERT INTO stock VALUES (:n, :id)",
                ]
            )
            other.execute(statement, {"n": f"n{number}", "id": chance.randrange(1, 1501)})
            other.commit()
            observed = adapter.observe()
            with closing(SQLiteAdapter(path)) as fresh:
                assert fresh.observe().digest == observed.digest, statement
            seen.append(observed.digest)
    assert len(set(seen)) > 40


def test_rows_stay_readable_after_close(shared: sqlite3.Connection) -> None:
    """Reports read the rows of an observation when the World has ended, or in another process."""
    adapter = SQLiteAdapter(shared)
    shared.execute("INSERT INTO stock VALUES ('a', 1)")
    observed = adapter.observe()
    shared.execute("UPDATE stock SET amount = 2")
    adapter.close()
    assert observed.data["tables"]["stock"]["rows"] == [("a", 1)]
    copied = pickle.loads(pickle.dumps(dict(observed.data)))
    assert copied["tables"]["stock"]["rows"] == [("a", 1)]
    assert digest(dict(observed.data["tables"])) == digest(copied["tables"])


def test_observed_tables_restrict_the_rows(shared: sqlite3.Connection) -> None:
    """Other rows do not count and are named as left out; the schema counts whole."""
    adapter = SQLiteAdapter(shared, observe_tables=["stock"])
    before = adapter.observe()
    shared.execute("INSERT INTO orders (total) VALUES (1)")
    assert adapter.observe() == before
    assert "orders" in before.metadata["tables_left_out"]
    shared.execute("INSERT INTO stock VALUES ('a', 1)")
    assert adapter.observe() != before


def test_observation_query_is_observed(shared: sqlite3.Connection) -> None:
    """Its rows are part of the digest and of the data."""
    adapter = SQLiteAdapter(shared, observe_tables=[])
    adapter.add_observation_query("total", "SELECT sum(total) AS total FROM orders")
    before = adapter.observe()
    shared.execute("INSERT INTO orders (total) VALUES (2), (3)")
    after = adapter.observe()
    assert after != before
    assert after.data["queries"]["total"] == {"columns": ("total",), "rows": [(5,)]}


# --- what a step changed -------------------------------------------------------------------------


def test_changes_are_keyed_by_primary_key(shared: sqlite3.Connection) -> None:
    """Rows added, removed and changed, with the columns; a change of type is a change."""
    adapter = SQLiteAdapter(shared)
    shared.execute("INSERT INTO stock VALUES ('a', 1), ('b', 1), ('c', 1)")
    before = adapter.observe()
    shared.execute("UPDATE stock SET amount = 'much' WHERE sku = 'a'")
    shared.execute("DELETE FROM stock WHERE sku = 'b'")
    shared.execute("INSERT INTO stock VALUES ('d', 4)")
    (stock,) = changes(before, adapter.observe())
    assert stock.table == "stock"
    assert stock.added == (RowChange(("d",), None, {"sku": "d", "amount": 4}),)
    assert stock.removed == (RowChange(("b",), {"sku": "b", "amount": 1}, None),)
    assert [(row.key, row.columns) for row in stock.changed] == [(("a",), ("amount",))]
    assert changes(before, before) == ()


def test_changes_cope_with_new_tables_and_columns(shared: sqlite3.Connection) -> None:
    """Rows of a new table are added; a new column changes the rows."""
    adapter = SQLiteAdapter(shared)
    shared.execute("INSERT INTO stock VALUES ('a', 1)")
    before = adapter.observe()
    shared.execute("ALTER TABLE stock ADD COLUMN place DEFAULT 'x'")
    shared.execute("CREATE TABLE more AS SELECT 1 AS one UNION ALL SELECT 1")
    more, stock = changes(before, adapter.observe())
    assert [row.after for row in more.added] == [{"rowid": 1, "one": 1}, {"rowid": 2, "one": 1}]
    assert stock.changed[0].columns == ("place",)


# --- refusals ------------------------------------------------------------------------------------


def test_missing_file_is_not_created(tmp_path: Path) -> None:
    """The error says so, and nothing is there afterwards."""
    with pytest.raises(SystemUnavailable, match=r"nothing\.db cannot be found.*never created here"):
        SQLiteAdapter(tmp_path / "nothing.db")
    assert list(tmp_path.iterdir()) == []


def test_directory_is_refused(tmp_path: Path) -> None:
    """A directory is not a database."""
    with pytest.raises(SystemUnavailable, match="is a directory"):
        SQLiteAdapter(tmp_path)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """SQLite's own words are in the message."""
    path = tmp_path / "shop.db"
    path.write_text("not a database " * 100)
    with pytest.raises(SystemUnavailable, match="file is not a database"):
        SQLiteAdapter(path)


@pytest.mark.parametrize("path", ["", ":memory:", "file::memory:?cache=shared"])
def test_path_in_memory_is_refused(path: str) -> None:
    """Another connection would see an empty database; the remedy is the connection."""
    with pytest.raises(DefinitionError, match=r"SQLiteAdapter\(connection\)"):
        SQLiteAdapter(path)


@pytest.mark.parametrize("url", ["sqlite:///shop.db", "file:shop.db?mode=ro"])
def test_url_is_refused(url: str) -> None:
    """A plain path is asked for."""
    with pytest.raises(DefinitionError, match="pass the plain path"):
        SQLiteAdapter(url)


def test_wrong_type_is_refused() -> None:
    """Neither path nor connection."""
    with pytest.raises(DefinitionError, match=r"got a int.*sqlite3\.Connection"):
        SQLiteAdapter(3)  # type: ignore[arg-type]


def test_closed_connection_is_refused(shared: sqlite3.Connection) -> None:
    """At the start and later, the message says who closed it."""
    adapter = SQLiteAdapter(shared)
    handle = adapter.checkpoint("start")
    shared.close()
    with pytest.raises(RollbackError, match="application closed it"):
        adapter.rollback(handle)
    for attempt in (adapter.observe, lambda: SQLiteAdapter(shared)):
        with pytest.raises(SystemUnavailable, match="application closed it"):
            attempt()


def test_connection_of_another_thread_is_refused(shared: sqlite3.Connection) -> None:
    """The remedy is the argument of sqlite3.connect."""
    with ThreadPoolExecutor(1) as pool, pytest.raises(SystemUnavailable, match="check_same_thread"):
        pool.submit(SQLiteAdapter, shared).result()


def test_attached_database_is_refused(shared: sqlite3.Connection) -> None:
    """Only the main database would be rolled back."""
    shared.execute("ATTACH ':memory:' AS archive")
    with pytest.raises(DefinitionError, match="attached"):
        SQLiteAdapter(shared)


def test_replaced_file_is_noticed(tmp_path: Path) -> None:
    """Deleting and creating the file again would leave the adapter with the old one."""
    path = create(tmp_path / "shop.db", "delete")
    with closing(SQLiteAdapter(path)) as adapter:
        handle = adapter.checkpoint("start")
        path.rename(tmp_path / "old.db")
        with pytest.raises(SystemUnavailable, match="cannot be found"):
            adapter.observe()
        create(path, "delete")
        with pytest.raises(SystemUnavailable, match="deleted and created again"):
            adapter.rollback(handle)


def test_unknown_table_is_refused(path: Path) -> None:
    """The message lists the tables there are."""
    with pytest.raises(DefinitionError, match=r"\['nothing'\].*'customers', 'log', 'orders'"):
        SQLiteAdapter(path, observe_tables=["orders", "nothing"])
    with pytest.raises(DefinitionError, match=r"must be a list: \['orders'\]"):
        SQLiteAdapter(path, observe_tables="orders")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT missing FROM orders", "no such column: missing"),
        ("DELETE FROM orders", "readonly database"),
        ("-- nothing", "not one statement that answers with rows"),
    ],
)
def test_bad_query_is_refused(shared: sqlite3.Connection, sql: str, words: str) -> None:
    """At once, with SQLite's message."""
    with pytest.raises(DefinitionError, match=words):
        SQLiteAdapter(shared).add_observation_query("bad", sql)


def test_query_name_is_used_once(shared: sqlite3.Connection) -> None:
    """A second query of one name would hide the first."""
    adapter = SQLiteAdapter(shared)
    adapter.add_observation_query("one", "SELECT 1")
    with pytest.raises(DefinitionError, match="already"):
        adapter.add_observation_query("one", "SELECT 2")


def test_dead_handles_are_refused(shared: sqlite3.Connection) -> None:
    """Forgotten, foreign, or of a closed adapter."""
    adapter, other = SQLiteAdapter(shared), SQLiteAdapter(shared)
    forgotten, foreign, kept = (one.checkpoint("x") for one in (adapter, other, adapter))
    adapter.forget(forgotten)
    adapter.forget(foreign)
    for handle in (forgotten, foreign):
        assert not adapter.is_live(handle)
        with pytest.raises(RollbackError, match="Take a new checkpoint"):
            adapter.rollback(handle)
    other.rollback(foreign)
    adapter.close()
    with pytest.raises(RollbackError, match="closed"):
        adapter.rollback(kept)
    for use in (adapter.observe, lambda: adapter.checkpoint("x")):
        with pytest.raises(SystemUnavailable, match="was closed"):
            use()
