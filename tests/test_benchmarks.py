"""The quick pass of each benchmark, as `nox -s bench -- --quick` runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert printed.count(" times as long") == 4
    assert printed.count("(target: ") == 2


def test_the_orders_example_shrinks_to_its_shortest_path_over_http() -> None:
    """Checked by the script itself, with one seed."""
    pytest.importorskip("flask")
    pytest.importorskip("waitress")
    assert " steps" in run("orders_http.py", "--quick")
