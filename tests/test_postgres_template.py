"""Mode template: the whole database is put back, whatever was changed in it."""

import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from postgres_shop import name_of, shop

from venomqa_hyp import World
from venomqa_hyp.adapters.postgres import PostgresAdapter, databases, remove_copies, template
from venomqa_hyp.adapters.postgres.template import TemplateMode
from venomqa_hyp.errors import RollbackError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable

PROPERTIES = """
    SELECT datacl::text, datconnlimit, pg_get_userbyid(datdba),
        shobj_description(d.oid, 'pg_database'),
        ARRAY(SELECT concat(setrole, setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid)
    FROM pg_database AS d WHERE datname = current_database()
"""


@pytest.fixture(scope="module")
def dsn(postgres_url: str) -> Iterator[str]:
    with shop(postgres_url) as dsn:
        yield dsn


@pytest.fixture(autouse=True)
def empty_log(dsn: str) -> None:
    execute(dsn, "TRUNCATE log")


@pytest.fixture
def mode(dsn: str) -> Iterator[TemplateMode]:
    mode = TemplateMode(dsn, lock_timeout=5)
    yield mode
    mode.close()


def execute(dsn: str, *statements: str) -> list[Any]:
    """Execute on a connection that is closed afterwards, as the mode requires."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def copies(server: str) -> list[str]:
    found = execute(server, "SELECT datname FROM pg_database WHERE datname LIKE 'venomqa_copy_%'")
    return [name for (name,) in found]


def of(mode: TemplateMode, server: str) -> list[str]:
    """Return the copies that a mode holds; other tests may run on the same server."""
    return [name for name in copies(server) if mode._server.owner in name]


def test_it_keeps_the_contract(dsn: str) -> None:
    """Every rule of Rollbackable holds."""

    def add(_: TemplateMode, chance: random.Random) -> None:
        execute(dsn, f"INSERT INTO log VALUES ('{chance.random()}')")

    check_rollbackable(lambda: TemplateMode(dsn), add, operations=6)


def test_everything_comes_back(postgres_url: str, dsn: str, mode: TemplateMode) -> None:
    """Schema, rows, sequences, large objects, and what CREATE DATABASE does not copy."""
    name = name_of(dsn)
    execute(
        dsn,
        "SELECT lo_from_bytea(4711, 'picture')",
        f"COMMENT ON DATABASE {name} IS 'it''s mine'",
        f'ALTER DATABASE {name} SET search_path = public, "A b"',
        f"ALTER DATABASE {name} SET application_name = 'a shop'",
        f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET timezone = 'Asia/Tokyo'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 50",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO pg_monitor WITH GRANT OPTION",
    )
    properties, before = execute(dsn, PROPERTIES), mode.observe()
    start = mode.checkpoint("start")
    execute(
        dsn,
        "DROP TABLE orders",
        "CREATE VIEW names AS SELECT name FROM customers",
        "UPDATE customers SET name = 'eve'",
        "SELECT nextval('invoices')",
        "SELECT lo_unlink(4711)",
    )
    changed, later = mode.observe(), mode.checkpoint("later")
    mode.rollback(start)
    assert mode.observe() == before
    assert execute(dsn, "SELECT convert_from(lo_get(4711), 'UTF8')") == [("picture",)]
    assert execute(dsn, PROPERTIES) == properties
    mode.rollback(later)
    assert mode.observe() == changed
    assert execute(dsn, "SELECT * FROM names") == [("eve",)]
    mode.rollback(start)
    mode.close()
    assert of(mode, postgres_url) == []


def test_connections_end_and_the_client_is_warmed_up(dsn: str) -> None:
    """warm_up is called until it works, after each checkpoint and each rollback."""
    pool = [psycopg.connect(dsn, autocommit=True)]
    calls = 0

    def request() -> None:
        """Answer as an application that notices a dead connection only when it uses it."""
        nonlocal calls
        calls += 1
        try:
            pool[0].execute("SELECT 1")
        except psycopg.OperationalError:
            pool[0] = psycopg.connect(dsn, autocommit=True)
            raise

    mode = TemplateMode(dsn, warm_up=request)
    handle = mode.checkpoint("start")
    assert calls == 2
    pool[0].execute("INSERT INTO log VALUES ('x')")
    mode.rollback(handle)
    assert calls == 4
    assert pool[0].execute("SELECT * FROM log").fetchall() == []
    pool[0].close()
    mode.close()


def test_an_application_that_does_not_come_back_is_named(dsn: str) -> None:
    """With the setting that makes pools test their connections."""

    class Answer:
        status_code = 503

    mode = TemplateMode(dsn, warm_up=Answer)
    with pytest.raises(SystemUnavailable, match=r"it answered 503.*pool_pre_ping"):
        mode.checkpoint("start")
    mode.close()


def test_a_connection_that_comes_back_at_once_does_not_stop_a_rollback(dsn: str) -> None:
    """Others may connect between the end of their connections and the exchange."""
    stop = threading.Event()

    def connect_again_and_again() -> None:
        while not stop.is_set():
            try:
                psycopg.connect(dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                stop.wait(0.01)

    with ClosedAtTheEnd(dsn) as mode:
        handle, before = mode.checkpoint("start"), mode.observe()
        execute(dsn, "INSERT INTO log VALUES ('x')")
        worker = threading.Thread(target=connect_again_and_again)
        worker.start()
        try:
            mode.rollback(handle)
        finally:
            stop.set()
            worker.join()
        assert mode.observe() == before


class ClosedAtTheEnd(TemplateMode):
    def __enter__(self) -> "ClosedAtTheEnd":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_an_open_transaction_that_has_written_is_named(dsn: str, mode: TemplateMode) -> None:
    """With pid, state and query; a rollback ends it."""
    start = mode.checkpoint("start")
    with psycopg.connect(dsn, application_name="the shop") as other:
        other.execute("INSERT INTO log VALUES ('left open')")
        pid = other.info.backend_pid
        expected = rf"pid {pid} \(the shop, idle in transaction, query: INSERT INTO log.*Commit"
        with pytest.raises(RollbackError, match=expected):
            mode.checkpoint("later")
        mode.rollback(start)
        assert mode.observe().data["tables"]["log"]["rows"] == []
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")


def test_the_oldest_copy_dies_but_never_the_first(
    monkeypatch: pytest.MonkeyPatch, postgres_url: str, dsn: str, mode: TemplateMode
) -> None:
    """Each copy takes as much of the disk as the database."""
    monkeypatch.setattr(template, "MOST_COPIES", 3)
    first, second, third = (mode.checkpoint(name) for name in "abc")
    mode.rollback(second)
    fourth = mode.checkpoint("d")
    live = [mode.is_live(handle) for handle in (first, second, third, fourth)]
    assert live == [True, True, False, True]
    assert len(of(mode, postgres_url)) == 3
    with pytest.raises(RollbackError, match=r"cannot roll back to <Handle 'c'>"):
        mode.rollback(third)
    mode.forget(second)
    assert len(of(mode, postgres_url)) == 2


def test_what_a_killed_run_left_is_removed(postgres_url: str, dsn: str) -> None:
    """By the next run, and by `venomqa clean`; copies that are in use stay."""
    code = f"""
import os
from venomqa_hyp.adapters.postgres.template import TemplateMode
mode = TemplateMode({dsn!r})
mode.checkpoint("x")
print(mode._server.owner, flush=True)
os._exit(1)
"""
    mode = TemplateMode(dsn)
    mode.checkpoint("in use")
    for clean in ("run", "command"):
        killed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        owner = killed.stdout.strip()
        assert any(owner in name for name in copies(postgres_url))
        if clean == "run":
            TemplateMode(dsn).close()
        else:
            venomqa = "import sys; from venomqa_hyp.cli import main; sys.exit(main())"
            command = [sys.executable, "-c", venomqa, "clean", dsn]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            assert re.search(rf"removed database venomqa_copy_{owner}_1\n", done.stdout)
            assert remove_copies(dsn) == []
        assert not any(owner in name for name in copies(postgres_url))
    assert len(of(mode, postgres_url)) == 1
    mode.close()


def test_a_role_that_may_not_is_told_what_it_needs(postgres_url: str, dsn: str) -> None:
    """CREATEDB, and to own the database."""
    role = name_of(dsn)
    execute(postgres_url, f"CREATE ROLE {role} LOGIN")
    try:
        execute(dsn, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        with psycopg.connect(dsn) as connection:
            connection.execute(f"GRANT CONNECT ON DATABASE {name_of(dsn)} TO {role}")
        theirs = databases.conninfo_of(dsn, user=role)
        mode = TemplateMode(theirs, lock_timeout=1)
        with pytest.raises(RollbackError, match=r"permission denied.*ALTER ROLE \.\.\. CREATEDB"):
            mode.checkpoint("start")
        mode.close()
    finally:
        execute(dsn, f"DROP OWNED BY {role}")
        execute(postgres_url, f"DROP ROLE {role}")


def test_it_is_a_system_of_a_world(dsn: str) -> None:
    """Through the front, with an observation query."""
    db = PostgresAdapter(dsn, mode="template", observe_tables=["log"])
    assert (db.mode, db.mode_reason) == ("template", "mode='template' was asked for")
    db.add_observation_query("lines", "SELECT count(*) AS n FROM log")
    with World(None, {"db": db}) as world:
        before, start = world.observe(), world.checkpoint("start")
        execute(dsn, "INSERT INTO log VALUES ('x'), ('y')")
        data = world.observe().observations["db"].data
        assert data["queries"] == {"lines": {"columns": ("n",), "rows": [(2,)]}}
        assert list(data["tables"]) == ["log"]
        world.rollback(start)
        assert world.observe() == before


def test_a_server_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    """Not as a bug of the application; closing says that copies are left."""
    mode = TemplateMode(dsn)
    start = mode.checkpoint("start")
    pid = mode._server.execute("SELECT pg_backend_pid()")[0][0]
    execute(dsn, f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(RollbackError, match="cannot be copied"):
        mode.rollback(start)
    with pytest.raises(SystemUnavailable, match="venomqa clean"):
        mode.close()
    assert remove_copies(dsn) != []


def test_a_large_database_is_copied_by_its_files(
    monkeypatch: pytest.MonkeyPatch, dsn: str, mode: TemplateMode
) -> None:
    """From PostgreSQL 18 on by sharing their blocks, where the file system can."""
    monkeypatch.setattr(databases, "_FILES_FROM", 0)
    before, start = mode.observe(), mode.checkpoint("start")
    execute(dsn, "DELETE FROM customers")
    mode.rollback(start)
    assert mode.observe() == before
    version, method = mode._server.execute(
        "SELECT current_setting('server_version_num')::int,"
        " current_setting('file_copy_method', true)"
    )[0]
    assert method == (None if version < 180000 else "clone")
