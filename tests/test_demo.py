"""`venomqa demo` as a user runs it, and the replay it shows steps with."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import strategies as st

from venomqa_hyp import Action, Observation, Step, World, invariant
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.cli.replay import replay
from venomqa_hyp.cli.screen import open_screen
from venomqa_hyp.core.difference import TableChanges

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
    assert re.findall(r"^ +\d\. (\w+)\(", out, re.MULTILINE) == FOUR_STEPS
    *earlier, last = re.split(r"^ +\d\. ", out, flags=re.MULTILINE)[1:]
    assert [step.count("request   POST /orders") for step in (*earlier, last)] == [1, 1, 1, 1]
    assert [step.count("response  201 ") for step in (*earlier, last)] == [1, 1, 1, 1]
    assert "db        orders + id 1, customer_id 1, amount " in earlier[0]
    assert "db        orders ~ row 1: status 'new' -> 'paid'" in earlier[1]
    assert "db        payments + id 1, order_id 1, amount " in earlier[1]
    assert "db        refunds + id 1, order_id 1, amount " in earlier[2]
    assert "db        refunds + id 2, order_id 1, amount " in last
    broken = r"BROKEN    CRITICAL refunds_within_payments: order 1: refunded (\d+) of (\d+) paid"
    seen = re.search(broken, last)
    assert seen is not None
    assert int(seen[1]) > int(seen[2])
    assert not any("BROKEN" in step for step in earlier)
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
    assert "BROKEN" not in out
    assert re.search(r"states +\d+\n", out)
    assert re.search(r"test cases +([89]|\d\d+)\n", out)
    assert re.search(r"actions +\d of 8 called: create_order \d+, list_orders \d+, pay \d+", out)
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
        while "steps, " not in printed.readline():
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
    assert "argument --max-examples: '0' is no whole number above 0" in err


def test_progress_is_replaced_on_a_terminal_only(tmp_path: Path) -> None:
    """A file gets plain text, whatever the environment says about colours."""
    with (tmp_path / "out.txt").open("w+") as file:
        screen = open_screen(file)
        with screen.live() as update:
            update("1 step")
        screen.show(("broken", "broken"), " rule")
        file.seek(0)
        assert file.read() == "broken rule\n"


def assert_plain_and_clean(out: str, temporary: Path) -> None:
    """No colours when piped, no line that wraps, and nothing left behind."""
    assert "\x1b" not in out
    assert out.isascii()
    assert max(map(len, out.splitlines())) <= 100
    assert servers_of(temporary) == []
    assert list(temporary.iterdir()) == []


class Shelf:
    """A system that shows its rows as the SQL adapters do."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}

    def checkpoint(self, name: str) -> Mapping[int, int]:
        return dict(self.rows)

    def rollback(self, handle: Mapping[int, int]) -> None:
        self.rows = dict(handle)

    def observe(self) -> Observation:
        rows = sorted(self.rows.items())
        table = {"columns": ("id", "count"), "key": ("id",), "rows": rows}
        return Observation.create("shelf", {"tables": {"books": table}})


def put(api: Any, context: Any, book: int, count: int) -> None:
    """Put a number of books on the shelf."""
    api.systems["shelf"].rows[book] = count
    api.systems["note"]["last"] = book


def drop(api: Any, context: Any) -> None:
    """Fail."""
    raise AssertionError("dropped")


@invariant
def at_most_two(world: World) -> str | None:
    """No book is there more than twice."""
    return next((f"book {k}: {n}" for k, n in world.systems["shelf"].rows.items() if n > 2), None)


ACTIONS = [
    Action("put", put, arguments={"book": st.integers(), "count": st.integers()}),
    Action("drop", drop),
]


class Api:
    """A client without a history."""


def open_shelf() -> World:
    world = World(Api(), {"shelf": Shelf(), "note": MemoryAdapter(name="note")})
    world.api.systems = world.systems
    return world


def test_replay_says_what_each_step_changed_and_broke() -> None:
    """Rows are compared with those before the step; rules are asked after it."""
    world = open_shelf()
    path = [
        Step("put", {"book": 1, "count": 1}),
        Step("put", {"book": 1, "count": 3}),
        Step("drop", {}),
    ]
    added, raised, failed = replay(world, ACTIONS, [at_most_two], path)
    (books,) = added.changed["shelf"]
    assert (len(books.added), books.changed, added.broken) == (1, (), ())
    (books,) = raised.changed["shelf"]
    assert [row.columns for row in books.changed] == [("count",)]
    assert [verdict.message for verdict in raised.broken] == ["book 1: 3"]
    assert (dict(failed.changed), failed.requests) == ({}, ())
    assert failed.result.error == "AssertionError: dropped"


def test_replay_tells_a_change_without_rows() -> None:
    """A system without tables that changed is named, one that did not change is not."""
    world = open_shelf()
    path = [Step("put", {"book": 1, "count": 1}), Step("put", {"book": 1, "count": 2})]
    first, second = replay(world, ACTIONS, [], path)
    assert first.changed["note"] == ()
    assert [type(table) for table in first.changed["shelf"]] == [TableChanges]
    assert list(second.changed) == ["shelf"]


def test_replay_leaves_the_world_as_it_was() -> None:
    """The World is rolled back, also when a step cannot be executed."""
    world = open_shelf()
    before = world.observe()
    replay(world, ACTIONS, [], [Step("put", {"book": 1, "count": 1})])
    assert world.observe() == before
    with pytest.raises(KeyError):
        replay(world, ACTIONS, [], [Step("put", {"book": 1, "count": 1}), Step("unknown", {})])
    assert world.observe() == before
