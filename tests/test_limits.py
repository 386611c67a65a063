"""A time limit holds for a whole run: exploring, making paths short, and confirming them."""

import time
from typing import Any

import pytest
from hypothesis import strategies as st
from outcomes import by_agent, store_of

from venomqa_hyp import Action, Context, Invariant
from venomqa_hyp.adapters import MemoryAdapter

PAUSE = 0.02
#: Seconds that a run may take longer where others use the machine, too.
SLACK = 10.0


def slow_add(api: MemoryAdapter, context: Context, n: int) -> None:
    time.sleep(PAUSE)
    api["total"] += n
    api["calls"] += 1


ADD = Action("add", slow_add, arguments={"n": st.integers(1, 10**6)})


@pytest.mark.parametrize("most", [5, 15, 1000])
def test_a_time_limit_bounds_the_run(most: int) -> None:
    """What is left to do after it is to execute the path found a few times more."""
    limit = 1.5
    few = Invariant("few", lambda world: world.api["total"] < 10**5 or world.api["calls"] <= most)
    by_agent(store_of(total=0, calls=0), [ADD], max_steps=1)  # imports what the first run needs
    start = time.monotonic()
    told = by_agent(store_of(total=0, calls=0), [ADD], [few], time_limit=limit, max_steps=100_000)
    seconds = time.monotonic() - start
    assert told.record is not None
    assert told.record.ended_by == "time_limit"
    longest = max((len(item.reproduction_path) for item in told.violations), default=0)
    assert seconds < limit + SLACK + 4 * longest * PAUSE


def test_a_failure_found_before_the_limit_is_reported_after_it() -> None:
    """With the path as long as it was left."""
    few = Invariant("few", lambda world: world.api["calls"] < 4)
    told = by_agent(store_of(total=0, calls=0), [ADD], [few], time_limit=0.6, max_steps=100_000)
    (violation,) = told.violations
    assert len(violation.reproduction_path) == 4


def test_a_time_limit_bounds_a_run_without_its_record() -> None:
    """Also where paths are made short by executing all of them again and again."""
    calls = 0

    def blink(api: MemoryAdapter, context: Context) -> Any:
        nonlocal calls
        calls += 1
        api["light"] = calls % 3

    few = Invariant("few", lambda world: world.api["calls"] < 8)
    start = time.monotonic()
    told = by_agent(
        store_of(total=0, calls=0, light=0),
        [ADD, Action("blink", blink)],
        [few],
        time_limit=1.0,
        max_steps=100_000,
        on_divergence="warn",
    )
    assert told.record is not None
    assert told.record.divergence is not None
    assert time.monotonic() - start < 1.0 + 2 * SLACK
