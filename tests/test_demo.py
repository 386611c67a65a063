"""`venomqa demo` as a user runs it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from venomqa_hyp.core import Progress
from venomqa_hyp.reporters.console import Console
from venomqa_hyp.reporters.terminal import open_terminal

COMMAND = [sys.executable, "-c", "import sys; from venomqa_hyp.cli import main; sys.exit(main())"]
FOUR_STEPS = ["create_order", "pay", "refund", "refund"]


@contextmanager
def started(
    *arguments: str, temporary: Path, **env: str
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run the command for the length of the block; yield it and what it prints."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=temporary,
        env={**os.environ, "TMPDIR": str(temporary), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout
        finally:
            process.terminate()


def run(*arguments: str, temporary: Path, **env: str) -> tuple[int, str, str]:
    with started(*arguments, temporary=temporary, **env) as (process, _):
        out, err = process.communicate()
    return process.returncode, out, err


def servers_of(temporary: Path) -> list[str]:
    """Return the command lines of the processes that serve a database in that folder."""
    shown = subprocess.run(
        ["ps", "-ww", "-eo", "args"], check=True, stdout=subprocess.PIPE, text=True
    )
    return [line for line in shown.stdout.splitlines() if str(temporary) in line]


@pytest.fixture
def demo_needs() -> None:
    pytest.importorskip("flask")
    pytest.importorskip("waitress")


@pytest.mark.usefixtures("demo_needs")
def test_the_bug_is_shown_step_by_step(tmp_path: Path) -> None:
    """Four steps with request, answer and changed rows; the last one breaks the rule."""
    code, out, err = run("demo", "--seed", "11", temporary=tmp_path)
    assert (code, err) == (0, "")
    assert re.findall(r"^ +\d\. (?:\w+ = )?(\w+)\(", out, re.MULTILINE) == FOUR_STEPS
    *earlier, last = re.split(r"^ +\d\. ", out, flags=re.MULTILINE)[1:]
    assert [step.count("> POST /orders") for step in (*earlier, last)] == [1, 1, 1, 1]
    assert [step.count("< 201 ") for step in (*earlier, last)] == [1, 1, 1, 1]
    assert "db: + orders order_1: customer_id 1, amount " in earlier[0]
    assert "db: ~ orders order_1: status new -> paid" in earlier[1]
    assert "db: + payments 1: order_id order_1, amount " in earlier[1]
    assert "db: + refunds 1: order_id order_1, amount " in earlier[2]
    assert "db: + refunds 2: order_id order_1, amount " in last
    broken = (
        r"\[CRITICAL\] refunds_within_payments\n  expected: .*\n"
        r"  seen:     order_1: refunded (\d+) of (\d+) paid"
    )
    seen = re.search(broken, last)
    assert seen is not None
    assert int(seen[1]) > int(seen[2])
    assert re.search(r"steps +[\d,]+ executed \([\d,]+ of them .*\), [\d,]+ recalled\n", out)
    assert "again       venomqa demo --rule refunds_within_payments --seed 11" in out
    assert "Nothing found" not in out
    assert_plain_and_clean(out, tmp_path)


@pytest.mark.usefixtures("demo_needs")
def test_nothing_is_found_in_the_fixed_service(tmp_path: Path) -> None:
    """The same run says that nothing was found, and what it covered."""
    code, out, err = run("demo", "--fixed", "--max-examples", "8", temporary=tmp_path)
    assert (code, err) == (0, "")
    assert "Nothing found: no action failed and every rule held." in out
    assert "[CRITICAL]" not in out
    assert re.search(r"states +\d+\n", out)
    assert re.search(r"test cases +([89]|\d\d+)\n", out)
    assert re.search(r"actions +\d of 8 called: create_order \d+ \(\d+ x 201\), list_orders", out)
    assert_plain_and_clean(out, tmp_path)


@pytest.mark.usefixtures("demo_needs")
def test_what_was_not_found_is_not_printed(tmp_path: Path) -> None:
    """Too short a run finds nothing in the service with the bugs, says so, and exits with 1."""
    arguments = ("--seed", "0", "--max-examples", "1", "--rule", "shipped_orders_are_paid")
    code, out, err = run("demo", *arguments, temporary=tmp_path)
    assert (code, err) == (1, "")
    assert "Nothing found: no action failed and every rule held." in out
    assert_plain_and_clean(out, tmp_path)


@pytest.mark.usefixtures("demo_needs")
@pytest.mark.skipif(sys.platform == "win32", reason="no ps, and no SIGINT to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    """No server, no file and no traceback is left, and the exit code is the shell's own."""
    arguments = ("demo", "--fixed", "--max-examples", "10000")
    with started(*arguments, temporary=tmp_path) as (process, printed):
        while " executed, " not in printed.readline():
            assert process.poll() is None, process.communicate()
        assert len(servers_of(tmp_path)) == 1
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "venomqa: interrupted, the service was stopped\n")
    assert servers_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["flask", "waitress"])
def test_a_missing_extra_is_named_with_its_pip_line(tmp_path: Path, name: str) -> None:
    """Without the packages of the extra, the error holds the exact command."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for package in ("flask", "waitress"):
        missing = f"raise ModuleNotFoundError('No module named {package}', name='{package}')"
        (stubs / f"{package}.py").write_text(missing if package == name else "")
    code, out, err = run("demo", temporary=tmp_path, PYTHONPATH=str(stubs))
    assert (code, out) == (1, "")
    assert err == (
        f"venomqa: the demo's order service needs {name}, which cannot be imported: "
        f"No module named {name}.\n"
        "Install what the demo needs:\n\n    pip install 'venomqa-hyp[demo]'\n"
    )


@pytest.mark.usefixtures("demo_needs")
def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    """A rule that is none and a count below 1 are named, and nothing is started."""
    assert run("demo", "--rule", "x", temporary=tmp_path) == (
        1,
        "",
        "venomqa: there is no rule 'x'; write --rule with one of refunds_within_payments, "
        "shipped_orders_are_paid or all\n",
    )
    code, _, err = run("demo", "--max-examples", "0", temporary=tmp_path)
    assert code == 2
    assert "Invalid value for '--max-examples': '0' is no whole number above 0" in err


def test_progress_is_replaced_on_a_terminal_only(tmp_path: Path) -> None:
    """A file gets plain text, whatever the environment says about colours."""
    with (tmp_path / "out.txt").open("w+") as file:
        terminal = open_terminal(file)
        with Console(terminal).watching() as update:
            update(Progress(1, None, 1, 1.0, 0))
        terminal.show(("broken", "broken"), " rule")
        file.seek(0)
        assert file.read() == "broken rule\n"


def assert_plain_and_clean(out: str, temporary: Path) -> None:
    """No colours when piped, no line that wraps, and nothing left behind."""
    assert "\x1b" not in out
    assert out.isascii()
    assert max(map(len, out.splitlines())) <= 100
    assert servers_of(temporary) == []
    assert list(temporary.iterdir()) == []
