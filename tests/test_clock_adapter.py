"""Time as a part of the World: what is held still, what is not, and exact rollback."""

import datetime
import os
import random
import subprocess
import sys
import time
import uuid
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import World, action, venom_machine
from venomqa_hyp.adapters import ClockAdapter, MemoryAdapter
from venomqa_hyp.errors import DefinitionError, SystemUnavailable, WorldError
from venomqa_hyp.testing import check_rollbackable

pytest.importorskip("time_machine")


def advance(clock: ClockAdapter, chance: random.Random) -> None:
    clock.advance(chance.choice([1, 0.1, 3600, datetime.timedelta(days=3, microseconds=7)]))


@pytest.mark.parametrize("tick", [False, True])
def test_keeps_the_contract(tick: bool) -> None:
    """Every rule of Rollbackable holds, frozen and ticking."""
    check_rollbackable(lambda: ClockAdapter(tick=tick), advance)


def test_the_process_sees_its_time() -> None:
    """Wherever it asks; rolled back to the microsecond."""
    start = datetime.datetime(2030, 1, 1, 12, 0, 0, 7, tzinfo=UTC)
    with ClockAdapter(start) as clock:
        handle = clock.checkpoint("start")
        for _ in range(100):
            clock.advance(0.1)
        clock.rollback(handle)
        clock.advance(3600)
        expected = start + datetime.timedelta(hours=1)
        assert clock.now() == datetime.datetime.now(UTC) == expected
        assert time.time_ns() == int(start.replace(microsecond=0).timestamp() + 3600) * 10**9 + 7000
        assert datetime.date.today().year == time.gmtime().tm_year == 2030
        assert clock.observe().data == {"advanced": datetime.timedelta(hours=1)}
        first, second = uuid.uuid1(), uuid.uuid1()
        assert second.time - first.time < 10
    assert datetime.datetime.now(UTC) < start


def test_monotonic_clocks_and_the_time_zone_are_left() -> None:
    """So timeouts, deadlines and the costs of checkpoints are measured as ever."""
    zone = (time.tzname, os.environ.get("TZ"))
    with ClockAdapter():
        before = (time.monotonic(), time.perf_counter())
        time.sleep(0.001)
        assert time.monotonic() > before[0]
        assert time.perf_counter() > before[1]
        assert (time.tzname, os.environ.get("TZ")) == zone


def test_a_world_that_never_settles_is_still_noticed() -> None:
    """The loop that waits measures real time."""
    clock = ClockAdapter()
    with World(None, {"clock": clock}, settle=lambda world: "a job", settle_timeout=0.01) as world:
        with pytest.raises(WorldError, match="did not settle"):
            world.observe()
        clock.advance(1)


def test_a_ticking_clock_goes_on_and_is_set_back() -> None:
    """What passes by itself does not show in the state."""
    with ClockAdapter(tick=True) as clock:
        handle = clock.checkpoint("start")
        seen = clock.observe()
        first = clock.now()
        while clock.now() == first:
            pass
        assert clock.observe() == seen
        clock.advance(3600)
        clock.rollback(handle)
        assert clock.now() - first < datetime.timedelta(minutes=30)


def test_only_one_clock_rules_a_process() -> None:
    """Until it is closed."""
    with ClockAdapter(), pytest.raises(DefinitionError, match="another ClockAdapter is open"):
        ClockAdapter()
    ClockAdapter().close()


def test_wrong_times_are_refused() -> None:
    """With what to write instead."""
    with pytest.raises(DefinitionError, match="with a time zone"):
        ClockAdapter(datetime.datetime(2030, 1, 1))
    with ClockAdapter() as clock, pytest.raises(DefinitionError, match="roll back"):
        clock.advance(-1)
    with pytest.raises(DefinitionError, match="was closed"):
        clock.advance(1)


def test_advancing_is_an_action() -> None:
    """A session that should expire, in a run with its record; found and made short."""

    def open_world() -> World:
        store = MemoryAdapter()
        return World(store, {"clock": ClockAdapter(), "store": store})

    @action
    def log_in(api: Any, context: Any) -> None:
        api["session"] = time.time()

    @action
    def wait(api: Any, context: Any) -> None:
        context.world.systems["clock"].advance(datetime.timedelta(minutes=20))

    @action(preconditions=["log_in"])
    def look(api: Any, context: Any) -> None:
        assert time.time() - api["session"] < 3000, "the session is too old"

    machine = venom_machine(open_world, [log_in, wait, look])
    with pytest.raises(AssertionError, match="too old"):
        run_state_machine_as_test(machine)
    record = machine.last_run
    assert record is not None
    assert record.volatile == ()
    (violation,) = record.violations
    names = [step.action for step in violation.reproduction_path]
    assert names == ["log_in", "wait", "wait", "wait", "look"]


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is held by the clock that could not be made."""
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(SystemUnavailable, match=r"pip install 'venomqa-hyp\[clock\]'"):
        ClockAdapter()
    monkeypatch.undo()
    ClockAdapter().close()


def test_a_version_that_holds_the_monotonic_clock_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As time-machine did before 3.0."""
    monkeypatch.setattr("venomqa_hyp.adapters.mocks.clock.version", lambda name: "2.19.0")
    with pytest.raises(SystemUnavailable, match="no timeout would ever pass"):
        ClockAdapter()


def test_a_clock_that_is_never_closed_does_not_outlive_the_process(tmp_path: Path) -> None:
    """The process ends as any other."""
    code = "from venomqa_hyp.adapters import ClockAdapter; clock = ClockAdapter()"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)
