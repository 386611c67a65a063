"""The quick pass of each benchmark, as `nox -s bench -- --quick` runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis_servers

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(script: str, *arguments: str) -> str:
    """Return what a benchmark prints; it must end well."""
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_stored_minimal_lengths_are_those_of_an_exhaustive_search() -> None:
    """No service is compared with a length that somebody only believed in."""
    printed = run("minimal_paths.py")
    services = [line for line in printed.splitlines() if not line.startswith(" ")]
    assert len(services) >= 12
    assert "WRONG" not in printed


def test_ours_shrinks_with_fewer_executions_and_to_no_longer_a_path() -> None:
    """Checked by the script itself, for each pair of its quick pass."""
    printed = run("shrinking.py", "--quick")
    never_longer = re.search(r"never longer than the baseline: (\d+) of (\d+) pairs", printed)
    assert never_longer is not None
    assert never_longer[1] == never_longer[2] != "0"


def test_overhead_is_measured() -> None:
    """Each of the four figures is printed beside its target, met or not."""
    assert run("overhead.py", "--quick").count("(target: ") == 4


def test_postgres_is_rolled_back_and_timed(postgres_url: str) -> None:
    """Rollbacks are checked by the script itself."""
    printed = run("postgres.py", "--quick", postgres_url)
    assert printed.count(" times as long") == 4 - printed.count(": no such command")
    assert printed.count("(target: ") == 2


def test_the_orders_example_shrinks_to_its_shortest_path_over_http() -> None:
    """Checked by the script itself, with one seed."""
    pytest.importorskip("flask")
    pytest.importorskip("waitress")
    assert " steps" in run("orders_http.py", "--quick")


def test_each_strategy_finds_the_shortest_path_in_a_live_service(postgres_url: str) -> None:
    """And keeps the connections of its pool; checked by the script itself, with one seed."""
    for needed in ("flask", "waitress", "sqlalchemy"):
        pytest.importorskip(needed)
    printed = run("orders_postgres.py", "--quick", "--postgres", postgres_url)
    assert printed.count("found in 4 steps") == 3
    assert "WRONG" not in printed


def test_redis_is_rolled_back_faster_than_it_is_dumped() -> None:
    """Checked on the printed ratio, in a database that is small enough to be quick."""
    with redis_servers.private_server() as url:
        printed = run("redis_rollback.py", "--quick", "--url", url)
    dumping = re.search(r"dumping .* keys against a rollback: (\d+) times", printed)
    assert dumping is not None
    assert int(dumping[1]) > 1


def test_each_way_to_roll_back_sqlite_restores_the_rows() -> None:
    """Checked by the script itself."""
    assert run("sqlite_rollback.py", "--quick").count(" MB") == 12


def test_exploring_finds_deep_bugs() -> None:
    """Checked by the script itself, with few seeds."""
    printed = run("exploration.py", "--quick", "--seeds", "2")
    assert printed.count(": met") == 4
    assert "NOT met" not in printed


def test_explorations_of_every_strategy_are_timed() -> None:
    """Each in memory, one on SQLite and over HTTP; the script checks that seeds repeat them."""
    printed = run("seed_table.py", "--quick")
    assert [printed.count(f"\n{way:8}") for way in ("memory", "SQLite", "HTTP")] == [7, 1, 1]
