"""The hooks: Worlds from fixtures, the options, and what a session found.

pytest loads ``_venomqa_hyp_pytest``, which loads this file once a test uses the package.
"""

import os
import sys
import unittest
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from json import loads
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import is_hypothesis_test
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp.core import Action, ExplorationResult, Invariant
from venomqa_hyp.core.vacuity import Require
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore import Strategy
from venomqa_hyp.pytest_plugin.files import rendered
from venomqa_hyp.pytest_plugin.options import (
    SharedTime,
    checked_time,
    number,
    replay_of,
    report_paths,
)
from venomqa_hyp.pytest_plugin.summary import (
    RunRecord,
    live_line,
    places,
    record_of,
    shown,
    summary_lines,
)
from venomqa_hyp.stateful import (
    FixtureWorld,
    Overrides,
    Run,
    VenomStateMachine,
    machine_of,
    overrides,
    overriding,
    read_failure,
    shown_by_pytest,
    state_machine_of,
)
from venomqa_hyp.world import World

_REQUEST = pytest.StashKey[pytest.FixtureRequest]()
_MACHINE = pytest.StashKey[type[VenomStateMachine]]()
_RUNS = pytest.StashKey[list[RunRecord]]()
#: For a machine in a test whose time is up: it executes one test case.
_LEAST_SECONDS = 0.001


class Plugin:
    """What the hooks do in one session.

    :param seed: of the machines that have none.
    """

    def __init__(self, config: pytest.Config, seed: int | str) -> None:
        self.config = config
        self.seed = seed
        option = config.getoption
        try:
            self.reports = list(report_paths(option("--venomqa-report")))
            self.replay = replay_of(option("--venomqa-replay"))
            self.max_examples = number(
                "--venomqa-max-examples", option("--venomqa-max-examples"), int
            )
            self.clock = SharedTime(number("--venomqa-time", option("--venomqa-time"), float))
        except DefinitionError as error:
            raise pytest.UsageError(str(error)) from None
        self.records: list[RunRecord] = []
        self.written: list[str] = []

    # Collecting

    def collector_of(
        self, collector: pytest.Module | pytest.Class, name: str, testcase: type
    ) -> pytest.Collector | None:
        """Return what collects the TestCase of a machine whose World is a fixture."""
        machine = _machine_of(testcase)
        if machine is None:
            return None
        world = machine.venom_definition.world
        if not isinstance(world, FixtureWorld):
            return None  # pytest's own collector knows what to do
        made = pytest.Class.from_parent(collector, name=name)
        made.obj = _plain_class(testcase, world.name)
        made.stash[_MACHINE] = machine
        if self.config.pluginmanager.has_plugin("hypothesispytest"):
            made.add_marker("hypothesis")
        for mark in getattr(testcase, "pytestmark", ()):
            made.add_marker(getattr(pytest.mark, mark.name).with_args(*mark.args, **mark.kwargs))
        return made

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what a replay is of; count those that share the time."""
        if self.replay is not None:
            identity = read_failure(self.replay.path).machine
            kept = [item for item in items if _may_be(item, identity)]
            if not kept:
                raise pytest.UsageError(
                    f"--venomqa-replay: {self.replay.path} is a failure of {identity}, and no test "
                    "that was collected is this machine. Name the file of the test on the command "
                    "line, and run from the same folder as then."
                )
            dropped = [item for item in items if item not in kept]
            self.config.hook.pytest_deselected(items=dropped)
            items[:] = kept
        workers = getattr(self.config, "workerinput", {}).get("workercount", 1)
        self.clock.share(sum(map(_runs_machines, items)), workers)

    # Running

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Let the options hold for all machines that an item runs."""
        __tracebackhide__ = True
        item.stash[_RUNS] = []
        with ExitStack() as stack:
            if _runs_machines(item) and not is_hypothesis_test(getattr(item, "obj", None)):
                stack.enter_context(shown_by_pytest(item))
            stack.enter_context(overriding(self._overrides(item)))
            if self.replay is None:
                stack.enter_context(_live_line(item.config))
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send what the runs of an item did along with its report."""
        report = yield
        if call.when == "call" and (records := item.stash.get(_RUNS, None)):
            for record in records:
                record["passed"] = report.passed
            report.venomqa_runs = records  # type: ignore[attr-defined]
        return report

    def runner(self, request: pytest.FixtureRequest) -> "Runner":
        """Return the value of the fixture ``venom``."""
        request.node.stash[_REQUEST] = request
        return Runner(request)

    def _overrides(self, item: pytest.Item) -> Overrides:
        replay = self.replay and attrs.evolve(self.replay, on_stop=self._show)
        return Overrides(
            seconds=self.clock.take(_runs_machines(item)),
            max_examples=self.max_examples,
            rollback=not self.config.getoption("--venomqa-no-rollback"),
            seed=self.seed,
            part=_part(item),
            fixture=lambda name: _fixture(item, name),
            replay=replay,
            on_end=lambda name, run, result: self._ended(item, name, run, result),
        )

    def _ended(self, item: pytest.Item, name: str, run: Run, result: ExplorationResult) -> None:
        self.clock.spend(result.duration)
        records = item.stash[_RUNS]
        label = item.nodeid.replace("::runTest", "")
        if records:
            label = f"{label} {name} {len(records) + 1}"
        wants_result = bool(self.reports)
        records.append(record_of(label, run, result, wants_result=wants_result))

    def _show(self, world: World) -> None:
        """Say where the stores are, and wait where somebody can look at them."""
        capture: Any = self.config.pluginmanager.get_plugin("capturemanager")
        if capture is not None:
            capture.suspend(in_=True)
        try:
            assert self.replay is not None
            print(f"\nvenomqa: stopped before step {self.replay.stop} of {self.replay.path}")
            for line in places(world):
                print(f"  {line}")
            if sys.stdin is not None and sys.stdin.isatty():
                input("venomqa: press Enter to roll back and go on ")
            else:
                print("venomqa: stdin is no terminal, so the World is rolled back now")
        finally:
            if capture is not None:
                capture.resume()

    # Reporting

    def note(self, records: Iterable[RunRecord]) -> None:
        """Take over what the runs of an item did."""
        self.records = sorted([*self.records, *records], key=lambda item: item["name"])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports, once for all workers."""
        if hasattr(self.config, "workerinput") or not self.reports:
            return
        results = {
            item["name"]: ExplorationResult.from_dict(loads(item["result"]))
            for item in self.records
            if item["result"] is not None
        }
        if not results:
            self.written.append("no machine ran, so no report was written")
            return
        for path, text in rendered(self.reports, results):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                self.written.append(f"report: {shown(path)}")
            except OSError as error:
                self.written.append(f"report {shown(path)} was not written: {error}")
                session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what each machine did and found."""
        if not self.records and not self.written:
            return
        terminalreporter.section("venomqa")
        for line, is_bad in summary_lines(self.records):
            terminalreporter.write_line(line, red=is_bad)
        for line in self.written:
            terminalreporter.write_line(line)


class Runner:
    """The fixture ``venom``: runs machines in a test function."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._spent = 0.0

    def __call__(
        self,
        world: World | Callable[[], World] | FixtureWorld,
        actions: Iterable[Action],
        invariants: Iterable[Invariant] = (),
        *,
        max_time: float | None = None,
        settings: Settings | None = None,
        name: str = "VenomMachine",
        strategy: Strategy | None = None,
        rollback: bool = True,
        on_divergence: str = "error",
        require: Require = MappingProxyType({}),
    ) -> ExplorationResult:
        """Run a machine, raise what it finds, and return the record of the run.

        :param max_time: seconds, after which nothing more is generated; the option
            ``--venomqa-time`` may leave less.
        :param settings: of Hypothesis.
        :raises DefinitionError: says which part cannot work, and what to write instead.

        The other parameters are those of :func:`~venomqa_hyp.venom_machine`.
        """
        __tracebackhide__ = True
        function = getattr(self._request.function, "__qualname__", self._request.node.name)
        machine = machine_of(
            self._request.module.__name__,
            function,
            world,
            actions,
            invariants,
            name=name,
            strategy=strategy,
            rollback=rollback,
            on_divergence=on_divergence,
            require=require,
        )
        chosen = overrides()
        left = max(chosen.seconds - self._spent, _LEAST_SECONDS)
        seconds = min(left, checked_time(max_time))
        with overriding(attrs.evolve(chosen, seconds=seconds)):
            run_state_machine_as_test(machine, settings=settings)
        result = machine.last_run
        if result is None:
            pytest.skip("the failure to replay is of another machine")
        self._spent += result.duration
        return result


def _plain_class(testcase: type, fixture: str) -> type:
    """Return a class with the same tests, which pytest gives fixtures to, as it does not to these.

    A parametrised fixture makes several items of a method of a plain class.
    """
    cases: Any = testcase
    names = unittest.TestLoader().getTestCaseNames(cases) or ["runTest"]
    return type(
        testcase.__name__,
        (),
        {
            "__doc__": testcase.__doc__,
            "__module__": testcase.__module__,
            "setup_class": classmethod(lambda cls: cases.setUpClass()),
            "teardown_class": classmethod(lambda cls: cases.tearDownClass()),
            **{name: _method(cases, name, fixture) for name in names},
        },
    )


def _method(testcase: type[unittest.TestCase], name: str, fixture: str) -> Callable[..., None]:
    def method(self: object, request: pytest.FixtureRequest) -> None:
        __tracebackhide__ = True
        request.node.stash[_REQUEST] = request
        if getattr(testcase, "__unittest_skip__", False):
            raise unittest.SkipTest(getattr(testcase, "__unittest_skip_why__", ""))
        case = testcase(name)
        case.setUp()
        try:
            getattr(case, name)()
        finally:
            case.tearDown()
            case.doCleanups()

    method.__name__ = name
    method.__test__ = True  # type: ignore[attr-defined]  # whatever python_functions says
    marked: Callable[..., None] = pytest.mark.usefixtures(fixture)(method)
    return marked


def _machine_of(testcase: object) -> type[VenomStateMachine] | None:
    machine = state_machine_of(testcase)
    if isinstance(machine, type) and issubclass(machine, VenomStateMachine):
        return machine
    return None


def _machine_of_item(item: pytest.Item) -> type[VenomStateMachine] | None:
    known = None if item.parent is None else item.parent.stash.get(_MACHINE, None)
    return known or _machine_of(getattr(item, "cls", None))


def _runs_machines(item: pytest.Item) -> bool:
    return _machine_of_item(item) is not None or "venom" in getattr(item, "fixturenames", ())


def _part(item: pytest.Item) -> str:
    """Return what tells the machine of an item apart from those of other parameters."""
    call = getattr(item, "callspec", None)
    return f"[{call.id}]" if call is not None and _runs_machines(item) else ""


def _may_be(item: pytest.Item, identity: str) -> bool:
    """Return whether a failure may be that of an item."""
    machine = _machine_of_item(item)
    if machine is not None:
        return machine.venom_definition.identity + _part(item) == identity
    if not isinstance(item, pytest.Function) or not _runs_machines(item):
        return False
    function = f"{item.module.__name__}.{item.function.__qualname__}."
    return identity.startswith(function) and identity.endswith(_part(item))


def _fixture(item: pytest.Item, name: str) -> object:
    request = item.stash.get(_REQUEST, None)
    if request is None:
        raise DefinitionError(
            f"{item.nodeid} runs a machine whose World is the fixture {name!r}, but only the "
            "machine's TestCase and the fixture 'venom' can ask for it. "
            f"Write def test_shop(venom, {name}): venom({name}, actions, invariants)."
        )
    return request.getfixturevalue(name)


def _live_line(config: pytest.Config) -> AbstractContextManager[None]:
    """Show what runs do, where somebody is watching."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or "CI" in os.environ:
        return nullcontext()
    capture = config.pluginmanager.get_plugin("capturemanager")
    return live_line(capture, config.get_terminal_writer())
