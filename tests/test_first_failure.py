"""What it took to see the first failure does not include what made its path short."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import BFS, Action, Agent, ExplorationResult, Invariant, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter

ACTIONS = [
    Action("count", lambda api, context: api.update(n=api["n"] + 1)),
    Action("wave", lambda api, context: api.update(waves=api["waves"] + 1)),
]
RULES = [Invariant("at_most_three", lambda world: world.api["n"] < 4)]


def counter() -> World:
    store = MemoryAdapter({"n": 0, "waves": 0})
    return World(store, {"store": store})


def by_agent() -> ExplorationResult:
    return Agent(counter, ACTIONS, RULES, seed=0, fail_fast=True).explore()


def by_machine() -> ExplorationResult:
    machine = seed(0)(venom_machine(counter, ACTIONS, RULES, strategy=BFS()))
    given = settings(database=None, suppress_health_check=list(HealthCheck))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=given)
    assert machine.last_run is not None
    return machine.last_run


@pytest.mark.parametrize(("explore", "replays"), [(by_agent, 1), (by_machine, 2)])
def test_executions_that_shorten_the_path_come_after_the_failure(
    explore: Callable[[], ExplorationResult], replays: int
) -> None:
    """The path is executed once more in a fresh World, and for Hypothesis's report once more."""
    result = explore()
    (violation,) = result.violations
    assert result.executed_before_failure is not None
    later = replays * len(violation.reproduction_path)
    assert result.executed_before_failure <= result.steps_executed - later
