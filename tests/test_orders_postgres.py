"""The orders example over PostgreSQL, as `venomqa demo --postgres` runs it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from postgres_shop import name_of

from venomqa_hyp.cli.demo import DemoOptions, load_example
from venomqa_hyp.errors import ServerNotAnswering

for needed in ("flask", "waitress", "sqlalchemy"):
    pytest.importorskip(needed)

VENOMQA = [sys.executable, "-c", "import sys; from venomqa_hyp.cli import main; sys.exit(main())"]
DATABASES = "SELECT datname FROM pg_database WHERE datname LIKE 'venomqa_orders_%'"


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    done = subprocess.run([*VENOMQA, *arguments], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_bug_of_four_steps_is_found(tmp_path: Path, postgres_url: str) -> None:
    """In a server of its own process with a pool of connections; no database is left."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        before = admin.execute(DATABASES).fetchall()
        code, out, err = run("demo", "--postgres", postgres_url, "--seed", "11", folder=tmp_path)
        assert (code, err) == (0, "")
        steps = re.findall(r"^ +\d\. (?:\w+ = )?(\w+)\(", out, re.MULTILINE)
        assert steps == ["create_order", "pay", "refund", "refund"]
        assert "db: ~ orders order_1: status new -> paid" in out
        assert "db: + refunds 2: order_id order_1, amount " in out
        assert re.search(r"--postgres\s+DSN", out)
        assert set(admin.execute(DATABASES).fetchall()) <= set(before)


def test_nothing_is_found_in_the_fixed_service(tmp_path: Path, postgres_url: str) -> None:
    """The same requests lead to the same rows: nothing is reported that is no bug."""
    command = (
        "demo",
        "--postgres",
        postgres_url,
        "--fixed",
        "--max-examples",
        "3",
        "--rule",
        "all",
    )
    code, out, err = run(*command, folder=tmp_path)
    assert (code, err) == (0, "")
    assert "Nothing found: no action failed and every rule held." in out


def test_without_sqlalchemy_the_error_says_what_to_install(tmp_path: Path) -> None:
    """With the extra that brings it."""
    (tmp_path / "sqlalchemy.py").write_text("raise ImportError('not here')")
    code, _, err = run("demo", "--postgres", "postgresql://nowhere/", folder=tmp_path)
    assert code == 1
    assert "pip install 'venomqa-hyp[demo-postgres]'" in err


def test_no_connection_of_the_pool_is_ended(postgres_url: str) -> None:
    """Rolled back under a live pool, the next requests use the same connections."""
    options = DemoOptions("all", False, 0, 1, True, postgres_url)
    example = load_example(options)
    actions = {action.name: action for action in example.ACTIONS}
    with (
        example.orders_database(postgres_url) as dsn,
        psycopg.connect(postgres_url, autocommit=True) as admin,
        example.serve_orders(dsn) as server,
        example.open_world(server.url, dsn) as world,
    ):
        pool = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        before, start = world.observe(), world.checkpoint("start")
        for _ in range(3):
            made = world.act(actions["create_order"], {"amount": 5})
            assert made.success, made
            assert world.act(actions["pay"], {"order": 1}).success
            sessions = set(admin.execute(pool, [name_of(dsn)]).fetchall())
            world.rollback(start)
            assert world.observe() == before
        assert set(admin.execute(pool, [name_of(dsn)]).fetchall()) >= sessions


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to a group of processes")
def test_a_service_that_is_killed_ends_the_run_and_the_next_start_is_clean(
    postgres_url: str,
) -> None:
    """It is no finding; nothing of ours stays in the database."""
    example = load_example(DemoOptions("all", False, 0, 1, True, postgres_url))
    listing = {action.name: action for action in example.ACTIONS}["list_orders"]
    catalog = "SELECT relname, relkind::text FROM pg_class UNION SELECT tgname, '' FROM pg_trigger"
    with example.orders_database(postgres_url) as dsn, psycopg.connect(dsn) as outside:
        with example.serve_orders(dsn) as server:
            outside.autocommit = True
            before = set(outside.execute(catalog).fetchall())
            with example.open_world(server.url, dsn) as world:
                start = world.checkpoint("start")
                os.killpg(server.pid, signal.SIGKILL)
                assert not world.act(listing).success
                assert not world.act(listing).success
                with pytest.raises(ServerNotAnswering):
                    world.act(listing)
                world.rollback(start)
        assert set(outside.execute(catalog).fetchall()) == before
        with example.serve_orders(dsn) as server, example.open_world(server.url, dsn) as world:
            assert world.act(listing).success
