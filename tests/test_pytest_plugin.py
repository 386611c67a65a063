"""Worlds from fixtures, the fixture ``venom``, the options, and what a session prints."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import hypothesis.core
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from junitparser import JUnitXml
from plugin_options import PLUGIN

from venomqa_hyp import World, action, venom_machine, world_from_fixture
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.pytest_plugin import summary
from venomqa_hyp.pytest_plugin.options import SharedTime
from venomqa_hyp.stateful import Overrides, overriding
from venomqa_hyp.testing import WorkerNames, worker_names

#: A shop that refunds more than was paid, and Worlds of it that say when they are closed.
SHOP = """
import pytest
from venomqa_hyp import World, action, invariant
from venomqa_hyp.adapters import MemoryAdapter

opened = []


class LoggedWorld(World):
    def close(self):
        opened.append("closed")
        super().close()


def open_shop():
    opened.append("opened")
    shop = MemoryAdapter(name="shop")
    return LoggedWorld(shop, {"shop": shop})


@action(max_calls=1)
def pay(api, context):
    api["paid"] = 5


@action(preconditions=["pay"], max_calls=2)
def refund(api, context):
    api["refunded"] = api.get("refunded", 0) + 5


@invariant
def within_payment(world):
    paid, refunded = world.api.get("paid", 0), world.api.get("refunded", 0)
    return refunded <= paid or f"refunded {refunded} of {paid} paid"
"""
CONFTEST = """
import pytest
from hypothesis import settings
from refunding_shop import open_shop

settings.register_profile("nested", database=None, deadline=None)
settings.load_profile("nested")


@pytest.fixture
def world():
    with open_shop() as world:
        yield world
"""
IMPORTS = (
    "from venomqa_hyp import venom_machine, world_from_fixture\nfrom refunding_shop import *\n"
)
GOOD = 'TestShop = venom_machine(world_from_fixture("world"), [pay, refund]).TestCase\n'
BAD = GOOD.replace("[pay, refund]", "[pay, refund], [within_payment]")

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a pytest over a test file beside the shop, in this process."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    # A pytest in this process leaves its seed and its profile behind.
    monkeypatch.setattr(hypothesis.core, "global_force_seed", None)
    profile = settings.get_current_profile_name()
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # not the terminal of who runs this
    pytester.makepyfile(refunding_shop=SHOP)
    pytester.makeconftest(CONFTEST)

    def run(test: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_shop=IMPORTS + test)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *PLUGIN, *options)

    yield run
    settings.load_profile(profile)


def report(pytester: pytest.Pytester, name: str = "report.json") -> dict:
    return json.loads((pytester.path / name).read_text())


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
def test_a_fixture_of_any_scope_gives_the_world(run: Run, scope: str) -> None:
    """It is requested when the test runs, and its own code closes it, once."""
    test = f"""
@pytest.fixture(scope={scope!r})
def shop_of_mine():
    with open_shop() as world:
        yield world

TestShop = venom_machine(world_from_fixture("shop_of_mine"), [pay, refund]).TestCase

def test_nothing_was_opened_by_the_import():
    assert opened == ["opened", "closed"] or {scope in ("module", "session")}
"""
    run(test).assert_outcomes(passed=2)


def test_a_function_from_a_fixture_is_called_for_each_run(run: Run) -> None:
    """What it opened is closed when the run ends."""
    test = """
@pytest.fixture
def open_world():
    return open_shop

TestShop = venom_machine(world_from_fixture("open_world"), [pay, refund]).TestCase

def test_it_was_closed():
    assert opened[:2] == ["opened", "closed"] and opened.count("opened") * 2 == len(opened)
"""
    run(test).assert_outcomes(passed=2)


PARAMETRISED = """
@pytest.fixture(params=["small", "large"])
def shops(request):
    return open_shop

TestShop = venom_machine(world_from_fixture("shops"), [pay, refund], [within_payment]).TestCase
TestShop.settings = settings(TestShop.settings, database=DirectoryBasedExampleDatabase("kept"))
"""
KEEPING = """
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase
"""


def test_a_parametrised_fixture_makes_one_test_of_each_parameter(
    run: Run, pytester: pytest.Pytester
) -> None:
    """Each keeps failures of its own, and can be selected."""
    result = run(KEEPING + PARAMETRISED, "-v")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*::TestShop::runTest[[]small] FAILED*"])
    machines = [
        json.loads(path.read_text())["machine"]
        for path in sorted((pytester.path / ".venomqa" / "failures").iterdir())
    ]
    assert sorted(machines) == [
        "test_shop.VenomMachine[large]",
        "test_shop.VenomMachine[small]",
    ]
    run(KEEPING + PARAMETRISED, "-k", "large").assert_outcomes(failed=1, deselected=1)


def test_marks_and_set_up_of_a_test_case_hold(run: Run) -> None:
    """It is collected in another way, but is a TestCase all the same."""
    test = """
class TestShop(venom_machine(world_from_fixture("world"), [pay, refund]).TestCase):
    pytestmark = [pytest.mark.usefixtures("tmp_path")]

    @classmethod
    def setUpClass(cls):
        opened.append("class")

    def setUp(self):
        opened.append("test")
        self.addCleanup(opened.append, "clean")

    def tearDown(self):
        opened.append("torn down")

@pytest.mark.skip
class TestSkipped(venom_machine(world_from_fixture("world"), [pay]).TestCase):
    pass

def test_what_was_called():
    assert opened == ["class", "opened", "test", "torn down", "clean", "closed"]
"""
    run(test).assert_outcomes(passed=2, skipped=1)


def test_a_fixture_that_is_not_there_is_named(run: Run) -> None:
    """By pytest itself, with those that are there."""
    result = run(GOOD.replace('"world"', '"wrold"'))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'wrold' not found*", "*available fixtures:*world*"])


def test_a_fixture_without_a_world_is_refused(run: Run) -> None:
    """The error names the value and what to write."""
    result = run("@pytest.fixture\ndef world(): return 5\n" + GOOD)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*fixture 'world' gives 5 of type int*yield World*"])


@action
def wait(api, context):
    """Do nothing."""


def test_without_pytest_the_error_says_what_to_do() -> None:
    """Nobody can be asked for a fixture in a script."""
    machine = venom_machine(world_from_fixture("world"), [wait])
    with (
        overriding(Overrides()),  # as in a script, whatever runs this
        pytest.raises(DefinitionError, match=r"run that with pytest.*def test_shop\(venom, world"),
    ):
        run_state_machine_as_test(machine)


@pytest.mark.parametrize("name", ["", "not a name", 5])
def test_the_name_of_a_fixture_is_checked(name: str) -> None:
    """A World itself is refused, too."""
    with pytest.raises(DefinitionError, match="takes the name of a pytest fixture"):
        world_from_fixture(name)


def test_the_fixture_venom_runs_a_machine(run: Run) -> None:
    """It returns the record of the run, and raises what was found."""
    test = """
def test_good(venom, world):
    result = venom(world, [pay, refund])
    assert result.states_visited == 4
    assert opened == ["opened"]

def test_bad(venom, world):
    with pytest.raises(AssertionError, match="refunded 10 of 5 paid"):
        venom(world, [pay, refund], [within_payment])

def test_function(venom):
    assert not venom(open_shop, [pay], max_time=60).violations

def test_time(venom, world):
    venom(world, [pay], max_time=0)
"""
    result = run(test)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*max_time is 0, but it is a number of seconds above 0*"])


def test_settings_and_options_hold_for_venom(run: Run, pytester: pytest.Pytester) -> None:
    """An option comes before what the test says."""
    test = """
from hypothesis import settings
from hypothesis import strategies as st

@action(arguments={"number": st.integers()})
def note(api, context, number):
    api["number"] = number

def test_numbers(venom, world):
    venom(world, [note], settings=settings(max_examples=40, stateful_step_count=3))
"""
    run(test, "--venomqa-report=report.json")
    assert report(pytester)["test_cases"] >= 40
    run(test, "--venomqa-report=report.json", "--venomqa-max-examples=4")
    assert report(pytester)["test_cases"] < 40


def test_without_rollback_every_step_is_executed(run: Run, pytester: pytest.Pytester) -> None:
    """As plain Hypothesis does it; failures are still found."""
    result = run(BAD, "--venomqa-no-rollback", "--venomqa-report=report.json")
    result.assert_outcomes(failed=1)
    actions = report(pytester)["actions"]
    assert {counts["recalled"] for counts in actions} == {0}
    assert len(report(pytester)["violations"]) == 1


@pytest.mark.parametrize("more", [[], ["--venomqa-no-rollback"]])
def test_a_run_that_ended_for_time_is_no_failure(
    run: Run, pytester: pytest.Pytester, more: list[str]
) -> None:
    """Warnings are errors here, and actions that were not executed yet are no reason for one."""
    result = run(GOOD, "--venomqa-time=1e-9", "--venomqa-report=report.json", "-Werror", *more)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::TestShop: * ended by the time limit"])
    assert report(pytester)["ended_by"] == "time_limit"


def test_the_time_is_shared() -> None:
    """Each machine gets an equal part of what is left; what one leaves the others get."""
    clock = SharedTime(60)
    clock.share(machines=4, workers=1)
    assert clock.take(is_machine=True) == 15
    clock.spend(6)
    assert clock.take(is_machine=True) == 18
    assert clock.take(is_machine=False) == 54
    clock.share(machines=4, workers=2)
    assert clock.take(is_machine=True) == 27
    clock.spend(1000)
    assert clock.take(is_machine=True) == 0


NUMBERS = """
from hypothesis import strategies as st

@action(arguments={"number": st.integers()})
def note(api, context, number):
    api["number"] = number

TestNumbers = venom_machine(world_from_fixture("world"), [note]).TestCase
"""


def test_the_header_has_the_seed_that_repeats_the_run(run: Run, pytester: pytest.Pytester) -> None:
    """The same executions, in the same order; without it there are others."""
    graphs = []
    options = ["--venomqa-report=report.json", "--venomqa-max-examples=3"]
    printed = run(NUMBERS, *options).stdout.str()
    graphs.append(report(pytester)["graph"])
    seed = re.search(r"venomqa: repeat with (--hypothesis-seed=\d+)\n", printed)
    assert seed is not None, printed
    for more in ([seed[1]], ["--hypothesis-seed=5"], ["--hypothesis-seed=random-word"]):
        assert f"venomqa: repeat with {more[0]}\n" in run(NUMBERS, *options, *more).stdout.str()
        graphs.append(report(pytester)["graph"])
    drawn = [[edge["arguments"] for edge in graph["edges"]] for graph in graphs]
    assert drawn[0] == drawn[1]
    assert len({str(item) for item in drawn}) == 3


def test_a_session_ends_with_what_each_machine_did(run: Run) -> None:
    """The first lines of a counterexample, too; the other tests are not mentioned."""
    result = run(BAD + "def test_good(venom, world): venom(world, [pay])\ndef test_one(): pass\n")
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.re_match_lines_random(
        [
            r"=+ venomqa =+",
            r"test_shop.py::TestShop: \d+ executions?, \d+ recalled, 4 states, 1 finding",
            r"  \[HIGH\] within_payment: refunded 10 of 5 paid",
            r"  3 steps, the shortest sequence found:",
            r"   1. pay\(\)",
            r"test_shop.py::test_good: \d+ executions?, .* 2 states, no findings",
        ]
    )
    assert "test_one:" not in result.stdout.str()


def test_without_a_machine_nothing_is_said(run: Run) -> None:
    """Beside the header."""
    assert "= venomqa =" not in run("def test_one(): pass").stdout.str()


def test_reports_are_written_by_their_suffix(run: Run, pytester: pytest.Pytester) -> None:
    """Markdown and JUnit hold all runs of a session; of the other kinds each run has a file."""
    test = BAD + "def test_good(venom, world): venom(world, [pay])\n"
    result = run(test, "--venomqa-report=out/all.md,out/all.xml,out/one.json,out/one.dot")
    result.stdout.fnmatch_lines(["report: out/all.md", "report: out/one-test_shop.py-TestShop.dot"])
    text = (pytester.path / "out" / "all.md").read_text()
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [
        "`test_shop.py::TestShop`",
        "`test_shop.py::test_good`",
    ]
    suites = JUnitXml.fromfile(str(pytester.path / "out" / "all.xml"))
    assert [suite.name for suite in suites] == ["test_shop.py::TestShop", "test_shop.py::test_good"]
    assert [suite.failures for suite in suites] == [1, 0]
    names = {path.name for path in (pytester.path / "out").iterdir()} - {"all.md", "all.xml"}
    assert names == {
        f"one-test_shop.py-{name}.{kind}"
        for name in ("TestShop", "test_good")
        for kind in ("dot", "json")
    }


def test_a_report_without_a_run_is_not_written(run: Run, pytester: pytest.Pytester) -> None:
    """An empty one would look like a run that found nothing."""
    result = run("def test_one(): pass", "--venomqa-report=report.md")
    result.stdout.fnmatch_lines(["no machine ran, so no report was written"])
    assert not (pytester.path / "report.md").exists()


def test_a_report_that_cannot_be_written_fails_the_session(
    run: Run, pytester: pytest.Pytester
) -> None:
    """Else a CI server would show that of the last run."""
    (pytester.path / "report.md").mkdir()
    result = run(GOOD, "--venomqa-report=report.md")
    result.stdout.fnmatch_lines(["report report.md was not written: *"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--venomqa-report=report.txt", "*'report.txt' has the suffix '.txt'*ends in .md, .xml*"),
        ("--venomqa-time=soon", "*--venomqa-time=soon: this is no number of seconds above 0*"),
        ("--venomqa-time=nan", "*--venomqa-time=nan: this is no number of seconds above 0*"),
        ("--venomqa-max-examples=0", "*--venomqa-max-examples=0: this is no whole number above*"),
        ("--venomqa-replay=no.json", "*no.json is no failure file: *.venomqa/failures*"),
    ],
)
def test_wrong_options_are_refused(run: Run, option: str, message: str) -> None:
    """Before anything is collected, and with what to write instead."""
    result = run(GOOD, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


STEPS = [{"action": "pay"}, {"action": "refund"}, {"action": "refund"}]


def failure_file(pytester: pytest.Pytester, machine: str = "test_shop.VenomMachine") -> Path:
    document = {"format": 1, "machine": machine, "name": "within_payment", "severity": "high"}
    path = pytester.path / "failure.json"
    path.write_text(json.dumps({**document, "message": "seen", "steps": STEPS}))
    return path


def test_a_failure_file_is_replayed_and_nothing_else(run: Run, pytester: pytest.Pytester) -> None:
    """It fails as it did; where it does not any more, the file stays and the summary says so."""
    file = failure_file(pytester)
    others = "def test_one(): pass\n"
    result = run(BAD + others, f"--venomqa-replay={file}")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*refunded 10 of 5 paid", f"*Replayed from {file}"])
    mended = 'within_payment = invariant(name="within_payment")(lambda world: True)\n' + BAD
    result = run(mended + others, f"--venomqa-replay={file}")
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["*within_payment does not fail any more; *failure.json is kept*"])
    assert file.exists()


def test_a_failure_whose_rule_is_gone_is_not_said_to_be_mended(
    run: Run, pytester: pytest.Pytester
) -> None:
    result = run(GOOD, f"--venomqa-replay={failure_file(pytester)}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*there is no action or invariant 'within_payment', only pay,*"])


def test_a_replay_finds_the_test_of_the_fixture_venom(run: Run, pytester: pytest.Pytester) -> None:
    """By the name of the function."""
    file = failure_file(pytester, "test_shop.test_bad.VenomMachine")
    test = "def test_bad(venom, world): venom(world, [pay, refund], [within_payment])\n"
    run(GOOD + test, f"--venomqa-replay={file}").assert_outcomes(failed=1, deselected=1)


def test_a_replay_stops_before_a_step(run: Run, pytester: pytest.Pytester) -> None:
    """The World is there as the steps before have left it, and is rolled back without a person."""
    file = failure_file(pytester)
    result = run(BAD, f"--venomqa-replay={file}:3")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            f"venomqa: stopped before step 3 of {file}",
            "  shop: MemoryAdapter",
            "    paid=5; refunded=5",
            "venomqa: stdin is no terminal, so the World is rolled back now",
        ]
    )


def test_a_replay_that_cannot_be_is_refused(run: Run, pytester: pytest.Pytester) -> None:
    """A step that is not there, an action that is gone, a machine that was not collected."""
    file = failure_file(pytester)
    run(BAD, f"--venomqa-replay={file}:4").stdout.fnmatch_lines(["*has the steps 1 to 3*"])
    gone = BAD.replace("[pay, refund]", "[pay]")
    run(gone, f"--venomqa-replay={file}").stdout.fnmatch_lines(["*there is no action 'refund'*"])
    result = run(BAD, f"--venomqa-replay={failure_file(pytester, 'elsewhere.Machine')}")
    result.stderr.fnmatch_lines(["*is a failure of elsewhere.Machine, and no test*"])


def test_hypothesis_shows_statistics(run: Run) -> None:
    """Of TestCases and of the fixture; of a run that ended early, what it did."""
    test = BAD + "def test_good(venom, world): venom(world, [pay])\n"
    result = run(test, "--hypothesis-show-statistics")
    result.stdout.fnmatch_lines_random(
        [
            "test_shop.py::TestShop::runTest:",
            "  - during generate phase *",
            "test_shop.py::test_good:",
            "  - Stopped because venomqa-hyp ended the run",
        ]
    )


def test_workers_send_what_they_did(run: Run, pytester: pytest.Pytester) -> None:
    """The controller has one seed for all, shows the summary and writes the reports."""
    test = """
def test_one(venom, world): venom(world, [pay])
def test_two(venom, world): venom(world, [pay, refund])
"""
    pytest.importorskip("xdist")
    result = run(test, "-n1", "--venomqa-report=report.md")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["test_shop.py::test_one: *", "test_shop.py::test_two: *", "report: report.md"]
    )
    assert (pytester.path / "report.md").read_text().count("## `test_shop.py::test_") == 2


def test_the_live_line_is_overwritten_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands behind what pytest has printed on the line, and never wraps."""
    stream = io.StringIO()
    monkeypatch.setattr(summary, "SECONDS_BETWEEN_UPDATES", 0.0)
    writer = SimpleNamespace(fullwidth=40, width_of_current_line=13)
    capture = SimpleNamespace(global_and_fixture_disabled=lambda: redirect_stdout(stream))
    shop = MemoryAdapter(name="shop")
    machine = venom_machine(World(shop, {"shop": shop}), [wait])
    with summary.live_line(capture, writer):
        run_state_machine_as_test(machine)
    texts = [part for part in stream.getvalue().split("\b") if part]
    assert texts[0] == "1 execution, 0 recalled, 1"
    assert {len(text) for text in texts} == {26}
    assert texts[-1].strip() == ""
    assert stream.getvalue().endswith(" " * 26 + "\b" * 26)


def test_no_live_line_where_nobody_watches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that is captured to a file has no line that is overwritten."""
    monkeypatch.setattr(summary, "SECONDS_BETWEEN_UPDATES", 0.0)
    assert "\b" not in run(GOOD).stdout.str()


def test_a_session_without_machines_loads_nothing_of_ours(tmp_path: Path) -> None:
    """The plugin is one small module; its fixture can be requested all the same."""
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_plain():\n"
        "    assert '_venomqa_hyp_pytest' in sys.modules\n"
        "    assert 'venomqa_hyp' not in sys.modules\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGIN]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout


def test_names_are_of_one_worker_and_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checkouts at once do not meet, nor do two workers of one."""
    made = []
    for run, worker in (("a", "gw0"), ("a", "gw1"), ("b", "gw0")):
        monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", run)
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        made.append(worker_names())
    assert made[0].run == made[1].run != made[2].run
    assert len({names.name("shop_test") for names in made}) == 3
    assert made[0].prefix("shop") == f"shop:{made[0].run}:gw0:"
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID")
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    assert worker_names() == worker_names() != made[0]


def test_a_port_is_reserved_as_long_as_it_is_used() -> None:
    """Nobody else who asks gets it."""
    names = WorkerNames("gw0", "12345678")
    with names.port() as one, names.port() as other:
        assert one != other


@pytest.mark.parametrize("base", ["shop-test", "", "x" * 51])
def test_names_that_no_database_takes_are_refused(base: str) -> None:
    """PostgreSQL would cut a longer one, so that two workers have the same."""
    with pytest.raises(DefinitionError, match="letters, digits and underscores, 63 at most"):
        WorkerNames("gw0", "12345678").name(base)
