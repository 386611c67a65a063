"""A failure that is known already is told by a shorter path, where the run meets one later."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Agent, ExplorationResult, Invariant, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter

ACTIONS = [
    Action("add", lambda api, context: api.update(n=api["n"] + 1)),
    Action("double", lambda api, context: api.update(n=api["n"] * 2)),
    Action("jump", lambda api, context: api.update(n=4)),
]
RULES = [Invariant("below_four", lambda world: world.api["n"] < 4)]


def counter() -> World:
    store = MemoryAdapter({"n": 0})
    return World(store, {"store": store})


def by_agent(number: int) -> ExplorationResult:
    return Agent(counter, ACTIONS, RULES, seed=number).explore()


def by_machine(number: int) -> ExplorationResult:
    machine = seed(number)(venom_machine(counter, ACTIONS, RULES))
    given = settings(database=None, suppress_health_check=list(HealthCheck))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=given)
    assert machine.last_run is not None
    return machine.last_run


@pytest.mark.parametrize("explore", [by_agent, by_machine])
@pytest.mark.parametrize("number", [0, 17])
def test_a_shorter_path_met_later_is_the_one_told(
    explore: Callable[[int], ExplorationResult], number: int
) -> None:
    """Removing steps does not lead from a path without ``jump`` to the one that is nothing else."""
    (violation,) = explore(number).violations
    assert [str(step) for step in violation.reproduction_path] == ["jump()"]
