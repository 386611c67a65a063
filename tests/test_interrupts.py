"""What breaks a run off, Ctrl-C or an error of our own, hides nothing that was found before."""

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from outcomes import CONFLICT, Outcome, by_agent, by_machine

from venomqa_hyp import Action, Context, Invariant, World
from venomqa_hyp.adapters import MemoryAdapter

Explore = Callable[..., Outcome]


@attrs.define
class Locks:
    """Two locks, each opened by two steps; what is to break a run off is asked at each step.

    :ivar seen: the rules that were seen to be broken.
    :ivar breaking: called with the number of the step.
    """

    breaking: Callable[[int], object] = lambda number: None
    seen: list[str] = attrs.Factory(list)
    store: MemoryAdapter = attrs.Factory(lambda: MemoryAdapter({"left": 0, "right": 0}))
    calls: Any = attrs.Factory(lambda: itertools.count(1))

    @property
    def world(self) -> World:
        return World(self.store, {"store": self.store})

    @property
    def actions(self) -> list[Action]:
        def turn(lock: str, at: int) -> Action:
            def execute(api: MemoryAdapter, context: Context) -> Any:
                self.breaking(next(self.calls))
                if api[lock] != at:
                    return CONFLICT
                api[lock] += 1
                return None

            return Action(f"{lock}_{at}", execute)

        return [turn(lock, at) for lock in ("left", "right") for at in (0, 1)]

    @property
    def rules(self) -> list[Invariant]:
        def closed(lock: str) -> Invariant:
            def check(world: Any) -> bool:
                if world.api[lock] == 2:
                    self.seen.append(f"{lock}_closed")
                return bool(world.api[lock] < 2)

            return Invariant(f"{lock}_closed", check)

        return [closed(lock) for lock in ("left", "right")]

    def explored(self, explore: Explore, number: int = 0) -> Outcome:
        options = {"examples": 12} if explore is by_machine else {"max_steps": 120}
        return explore(self.world, self.actions, self.rules, number=number, **options)


PATHS = {f"{lock}_closed": [f"{lock}_0()", f"{lock}_1()"] for lock in ("left", "right")}


def interrupted_at(at: int, explore: Explore) -> tuple[Locks, Outcome]:
    """Run with Ctrl-C at one of the steps."""
    came: list[int] = []

    def breaking(number: int) -> None:
        if number == at:
            came.append(at)
            raise KeyboardInterrupt

    locks = Locks(breaking)
    told = locks.explored(explore)
    # How often a step is executed again depends on the time that checkpoints take.
    if not came:
        pytest.skip(f"there were fewer than {at} steps this time")
    assert locks.store.data == {"left": 0, "right": 0}
    return locks, told


@pytest.mark.parametrize("at", range(1, 83))
def test_whenever_ctrl_c_comes_a_machine_mentions_what_it_has_found(at: int) -> None:
    """Each rule that was seen to be broken is named, with its steps; the World is rolled back."""
    locks, told = interrupted_at(at, by_machine)
    assert isinstance(told.raised, KeyboardInterrupt)
    for rule in set(locks.seen):
        assert rule in told.text
        assert all(step in told.text for step in PATHS[rule])


@pytest.mark.parametrize("at", range(1, 27))
def test_whenever_ctrl_c_comes_an_agent_returns_what_it_has_found(at: int) -> None:
    """It ends like a limit: the result has what was seen, with the path."""
    locks, told = interrupted_at(at, by_agent)
    assert told.record is not None
    assert told.record.ended_by == "interrupted"
    assert set(told.paths) == set(locks.seen)
    for rule in set(locks.seen):
        assert set(PATHS[rule]) <= set(told.paths[rule])


INNER = [
    "venomqa_hyp.explore.recorder.Recorder.take",
    "venomqa_hyp.explore.checker.Checker.failures",
    "venomqa_hyp.explore.explorer.Explorer.execute",
    "venomqa_hyp.explore.minimiser.Minimiser.minimise",
    "venomqa_hyp.explore.travel.Traveller.go",
    "venomqa_hyp.explore.executor.Executor.execute",
    "venomqa_hyp.explore.position.Rules.resolve",
    "venomqa_hyp.stateful.settler.Settler.confirm",
    "venomqa_hyp.stateful.guidance.Guidance.learn",
]


@pytest.mark.parametrize("explore", [by_machine, by_agent])
@pytest.mark.parametrize("later", [0, 1, 7])
@pytest.mark.parametrize("inner", INNER)
def test_an_error_of_our_own_hides_no_failure(
    inner: str, later: int, explore: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a failure was seen, both it and the error are raised, or mentioned."""
    locks, calls = Locks(), itertools.count()
    owner, method = inner.rsplit(".", 1)
    found: Any = pytest.importorskip(owner.rsplit(".", 1)[0])
    kind = getattr(found, owner.rsplit(".", 1)[1])
    original = getattr(kind, method)

    def failing(*arguments: Any, **keywords: Any) -> Any:
        if locks.seen and next(calls) == later:
            raise RuntimeError("a mistake of ours")
        return original(*arguments, **keywords)

    monkeypatch.setattr(kind, method, failing)
    told = locks.explored(explore)
    known = told.text + str(told.paths)
    assert locks.seen[0] in known
    assert all(step in known for step in PATHS[locks.seen[0]])
    if next(calls) > later:
        assert "a mistake of ours" in known
    assert locks.store.data == {"left": 0, "right": 0}


@pytest.mark.parametrize("explore", [by_machine, by_agent])
def test_a_broken_initial_state_is_reported_as_that(explore: Explore) -> None:
    """Without a step, without an execution, and with the question what left it behind."""
    locks = Locks()
    locks.store["left"] = 2
    told = locks.explored(explore)
    assert told.paths == {"left_closed": []}
    assert told.record is not None
    assert told.record.steps_executed == 0
    (violation,) = told.violations
    text = f"{violation.message} {told.text} {getattr(violation.exception, '__notes__', '')}"
    assert "initial state" in text
    assert "killed" in text


FILES = """
import json, os, signal, time
from pathlib import Path
from hypothesis import HealthCheck, settings
from venomqa_hyp import Action, Invariant, Observation, World, venom_machine

STORE, READY = Path("store.json"), Path("ready")

class Store:
    def checkpoint(self, name):
        return STORE.read_text()

    def rollback(self, handle):
        STORE.write_text(handle)

    def observe(self):
        return Observation.create("store", json.loads(STORE.read_text()))

def turn(at):
    def execute(api, context):
        if READY.exists():
            time.sleep(0.2)
        if MODE == "kill" and list(Path(".venomqa/failures").glob("*.json")):
            os.kill(os.getpid(), signal.SIGKILL)
        now = json.loads(STORE.read_text())["at"]
        if now == at:
            STORE.write_text(json.dumps({"at": at + 1}))
    return Action(f"turn_{at}", execute)

def closed(world):
    if json.loads(STORE.read_text())["at"] < 3:
        return True
    if MODE == "wait":
        READY.touch()
    return "it is open"

STORE.write_text(json.dumps({"at": 0}))
Machine = venom_machine(
    World(None, {"store": Store()}), [turn(at) for at in range(3)], [Invariant("closed", closed)]
)
TestLock = Machine.TestCase
TestLock.settings = settings(suppress_health_check=list(HealthCheck))
"""
SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


def pytest_on(folder: Path, mode: str) -> subprocess.Popen[str]:
    (folder / "test_lock.py").write_text(f"MODE = {mode!r}\n{FILES}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_lock.py"]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@SIGNALS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_pytest_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """The store is as it was, and the failure seen so far is shown with its steps."""
    process = pytest_on(tmp_path, "wait")
    until = time.monotonic() + 30
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, shown
    assert json.loads((tmp_path / "store.json").read_text()) == {"at": 0}
    assert "closed: it is open" in shown
    assert all(f"turn_{at}()" in shown for at in range(3)), shown


@SIGNALS
def test_a_failure_is_in_its_file_before_the_run_ends(tmp_path: Path) -> None:
    """Whoever kills the process at the next step finds the failure that was confirmed."""
    process = pytest_on(tmp_path, "kill")
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, shown
    (file,) = (tmp_path / ".venomqa" / "failures").glob("*.json")
    saved = json.loads(file.read_text())
    assert saved["name"] == "closed"
    assert [step["action"] for step in saved["steps"]] == ["turn_0", "turn_1", "turn_2"]


@pytest.mark.parametrize("explore", [by_machine, by_agent])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_an_action_swallows_ends_the_run_all_the_same(
    explore: Explore, sent: signal.Signals
) -> None:
    """A bare ``except`` in the user's code costs one step."""
    seen: list[int] = []

    def breaking(number: int) -> None:
        seen.append(number)
        if number == 3:
            with suppress(BaseException):
                signal.raise_signal(sent)

    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    locks = Locks(breaking)
    told = locks.explored(explore)
    assert len(seen) <= 4
    if explore is by_machine:
        assert isinstance(told.raised, KeyboardInterrupt)
    else:
        assert told.record is not None
        assert told.record.ended_by == "interrupted"
    assert locks.store.data == {"left": 0, "right": 0}


@pytest.mark.parametrize("second", [1, 2, 5])
@pytest.mark.parametrize("at", [12, 25, 40])
def test_a_second_ctrl_c_hides_nothing(at: int, second: int) -> None:
    """It comes while what was found is still confirmed; the steps are named all the same."""
    came: list[int] = []

    def breaking(number: int) -> None:
        if locks.seen and number >= at and len(came) < 2 and number >= at + second * len(came):
            came.append(number)
            raise KeyboardInterrupt

    locks = Locks(breaking)
    told = locks.explored(by_machine)
    if not came:
        pytest.skip("the run ended before")
    assert isinstance(told.raised, KeyboardInterrupt)
    for rule in set(locks.seen):
        assert rule in told.text
        assert all(step in told.text for step in PATHS[rule])
    assert told.record is not None
    assert locks.store.data == {"left": 0, "right": 0}


@pytest.mark.parametrize("explore", [by_machine, by_agent])
def test_a_handler_that_lets_the_run_go_on_is_called_once(explore: Explore) -> None:
    called: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))

    def breaking(number: int) -> None:
        if number == 3:
            signal.raise_signal(signal.SIGTERM)

    try:
        told = Locks(breaking).explored(explore)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert called == [signal.SIGTERM]
    assert set(told.paths) == set(PATHS)
