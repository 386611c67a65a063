"""`venomqa doctor` and `init`: what is said of a store, and the first test for it."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_runs import folder, run  # noqa: F401  # a fixture

pytestmark = pytest.mark.usefixtures("folder")


def words(text: str) -> str:
    return " ".join(text.split())


def make_shop(path: str = "shop_test.db", *statements: str) -> bytes:
    """Create a SQLite file and return its bytes."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INT)")
        for statement in statements:
            db.execute(statement)
        db.commit()
    return Path(path).read_bytes()


@pytest.mark.parametrize("dsn", ["shop_test.db", "sqlite:///shop_test.db"])
def test_a_sqlite_file_is_looked_at_and_left_as_it_is(dsn: str) -> None:
    before = make_shop()
    found = run("doctor", dsn)
    assert found.exit_code == 0
    assert "shop_test.db, mode copy\n" in found.stdout
    assert "1 table yes the file (0.0 MB) is copied in memory" in words(found.stdout)
    assert "A run can use it." in found.stdout
    assert Path("shop_test.db").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["shop_test.db"]


def test_a_large_sqlite_file_has_a_journal_or_the_reason_why_not() -> None:
    grow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) " + (
        "INSERT INTO orders SELECT i, zeroblob(1000) FROM n"
    )
    make_shop("large.db", grow)
    assert "large.db, mode journal\n" in run("doctor", "large.db").stdout
    make_shop("virtual.db", grow, "CREATE VIRTUAL TABLE words USING fts5(text)")
    found = run("doctor", "virtual.db")
    assert found.exit_code == 0
    assert "virtual.db, mode copy\n" in found.stdout
    assert "not possible, so mode copy: words is a virtual table" in words(found.stdout)


def test_a_postgres_database_is_looked_at_and_left_as_it_is(postgres_url: str) -> None:
    """Tables, what is left out, and what stands against a journal, all of it."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE TABLE doctor_orders (id serial PRIMARY KEY)")
        db.execute("CREATE MATERIALIZED VIEW doctor_v AS SELECT count(*) FROM doctor_orders")
        try:
            found = run("doctor", postgres_url)
            assert found.exit_code == 0, found.stdout
            assert ", mode journal\n" in found.stdout
            assert "materialized view doctor_v no" in words(found.stdout)
            for cache in (5, 10):
                db.execute(f"CREATE SEQUENCE doctor_s{cache} CACHE {cache}")
            found = run("doctor", postgres_url)
            assert ", mode template\n" in found.stdout
            for cache in (5, 10):
                assert f"ALTER SEQUENCE doctor_s{cache} CACHE 1" in words(found.stdout)
            schemas = db.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'venomqa%'")
            assert schemas.fetchone() == (0,)
        finally:
            db.execute("DROP TABLE doctor_orders CASCADE")
            db.execute("DROP SEQUENCE IF EXISTS doctor_s5, doctor_s10")


def test_a_postgres_database_in_use_is_refused(postgres_url: str) -> None:
    """While an adapter is open; the next look finds nothing left."""
    pytest.importorskip("psycopg")
    from venomqa_hyp.adapters import PostgresAdapter

    adapter = PostgresAdapter(postgres_url)
    try:
        found = run("doctor", postgres_url)
        assert found.exit_code == 3
        assert "uses the database now" in words(found.stdout)
        assert "A run would not begin; nothing was changed." in found.stdout
    finally:
        adapter.close()
    assert run("doctor", postgres_url).exit_code == 0


def test_a_mysql_database_is_looked_at(mysql_url: str) -> None:
    """Every table that stands against a rollback is named, not the first one only."""
    pymysql = pytest.importorskip("pymysql")
    from venomqa_hyp.adapters.mysql.driver import Target

    with closing(pymysql.connect(**Target.parse(mysql_url).options, autocommit=True)) as db:
        cursor = db.cursor()
        assert run("doctor", mysql_url).exit_code == 0
        for name in ("doctor_a", "doctor_b"):
            cursor.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY) ENGINE=MyISAM")
        try:
            found = run("doctor", mysql_url)
        finally:
            cursor.execute("DROP TABLE doctor_a, doctor_b")
    assert found.exit_code == 3
    for name in ("doctor_a", "doctor_b"):
        assert f"ALTER TABLE {name} ENGINE=InnoDB" in words(found.stdout)


def test_a_redis_server_is_looked_at(redis_url: str) -> None:
    pytest.importorskip("redis")
    found = run("doctor", redis_url)
    assert found.exit_code == 0
    assert "mode DUMP and RESTORE" in found.stdout
    assert "the server says which keys were changed" in words(found.stdout)


@pytest.mark.parametrize(
    ("dsn", "code", "text"),
    [
        ("oracle://u:lovelace@h/x", 2, "begins with 'oracle', which is no known store. Write"),
        ("nope.db", 3, "cannot be found. It is never created here"),
        ("notes.db", 3, "cannot be read: file is not a database"),
        ("postgresql://u:lovelace@127.0.0.1:1/x", 3, "PostgreSQL cannot be reached"),
        ("mysql://u:lovelace@127.0.0.1:1/x", 3, "cannot be reached"),
        ("mysql://127.0.0.1", 2, "where the one database stands"),
        ("redis://127.0.0.1:1/0", 3, "Start the server, or correct the URL"),
    ],
)
def test_what_cannot_be_looked_at_is_said(dsn: str, code: int, text: str) -> None:
    """With its exit code, and without the password."""
    Path("notes.db").write_bytes(b"no database" * 100)
    found = run("doctor", dsn)
    assert found.exit_code == code
    assert text in words(found.stderr)
    assert "lovelace" not in found.output


class Api(BaseHTTPRequestHandler):
    """Answers orders; fails where one is read."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self.answer(500 if self.path.startswith("/orders/") else 200, b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, b'{"id": 1}')

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(handler: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_first_test_runs_at_once() -> None:
    """It is written once, and finds the server's error."""
    make_shop()
    with served(Api) as url:
        made = run("init", "--dsn", "shop_test.db", "--url", url)
        assert (made.exit_code, made.stdout.splitlines()[0]) == (0, "written: test_api.py")
        found = run("run", "test_api.py", "--max-examples", "10", "--seed", "1")
        assert found.exit_code == 1
        assert "[HIGH] orders_are_there" in found.stdout
        assert "GET /orders/1 answered 500" in found.stdout
        again = run("init", "--dsn", "shop_test.db", "--url", url)
    assert again.exit_code == 2
    assert "'test_api.py' exists, and is not overwritten" in again.stderr


@pytest.mark.parametrize(
    ("dsn", "adapter"),
    [
        ("postgresql+psycopg://u@127.0.0.1/shop_test", "PostgresAdapter"),
        ("mysql://u@127.0.0.1/shop_test", "MySQLAdapter"),
        ("redis://127.0.0.1:6379/0", "RedisAdapter"),
    ],
)
def test_the_first_test_has_the_adapter_of_its_store(dsn: str, adapter: str) -> None:
    assert (
        run("init", "--dsn", dsn, "--url", "http://127.0.0.1:1", "--output", "t.py").exit_code == 0
    )
    assert f'"db": {adapter}(DSN)' in Path("t.py").read_text()
    compile(Path("t.py").read_text(), "t.py", "exec")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--dsn", "a.db", "--url", "127.0.0.1"], "--url is '127.0.0.1', but it is the address"),
        (["--dsn", "oracle://h/x", "--url", "http://h"], "--dsn is 'oracle://h/x', which is no"),
        (["--url", "http://h"], "Missing option '--dsn'"),
    ],
)
def test_wrong_arguments_write_nothing(arguments: list[str], text: str) -> None:
    found = run("init", *arguments)
    assert found.exit_code == 2
    assert text in found.stderr
    assert list(Path().iterdir()) == []
