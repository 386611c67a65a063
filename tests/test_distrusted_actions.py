"""An action that does not repeat itself costs that action, not the run."""

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Agent, Context, Invariant, World, action, venom_machine
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.core import ExplorationResult
from venomqa_hyp.errors import InvariantViolated
from venomqa_hyp.stateful import DivergenceWarning

SEEDS = range(4)


@action()
def create(api: dict[str, Any], context: Context) -> None:
    api["state"] = "new"


@action()
def pay(api: dict[str, Any], context: Context) -> None:
    assert api.get("state") == "new"
    api["state"] = "paid"


@action()
def refund(api: dict[str, Any], context: Context) -> None:
    assert api.get("state") == "paid"
    api["state"], api["refunds"] = "paid", api.get("refunds", 0) + 1


def visits() -> Action:
    """Return an action over a counter that no rollback reaches."""
    count = itertools.count()

    def visit(api: dict[str, Any], context: Context) -> None:
        api["visits"] = next(count)
        api["visited"] = True

    return Action("visit", visit)


def refused(item: Action) -> Action:
    """Return an action whose assertions are answers, and no failures."""

    def execute(api: dict[str, Any], context: Context) -> Any:
        try:
            return item.execute(api, context)
        except AssertionError:
            return None

    return Action(item.name, execute)


WORKFLOW = [refused(item) for item in (create, pay, refund)]


def make_world() -> World:
    store = MemoryAdapter({}, name="store")
    return World(store.data, {"store": store})


def once(world: World) -> bool:
    return bool(world.api.get("refunds", 0) < 2)


def never_after_a_visit(world: World) -> bool:
    return not (world.api.get("visited") and world.api.get("state") == "paid")


def at_most(number: int) -> Invariant:
    return Invariant("once", once) if number else Invariant("fine", lambda world: True)


@pytest.fixture(autouse=True)
def no_divergence_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        yield


def ran(machine: Any, number: int, examples: int = 60) -> ExplorationResult:
    """Run a machine to its end, or to its failure, and return the record."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=8,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
    )
    with suppress(InvariantViolated):
        run_state_machine_as_test(seed(number)(machine), settings=chosen)
    record: ExplorationResult = machine.last_run
    return record


@pytest.mark.parametrize("number", SEEDS)
def test_the_other_actions_are_recorded(number: int) -> None:
    machine = venom_machine(make_world, [*WORKFLOW, visits()], [at_most(0)], on_divergence="warn")
    record = ran(machine, number)
    assert record.distrusted == ("visit",)
    assert record.steps_recalled > 0
    transitions = [item.step.action for item in record.graph.transitions]
    assert set(transitions) == {"create", "pay", "refund"}
    assert record.executions["visit"] > 10


@pytest.mark.parametrize("invariant", [once, never_after_a_visit])
@pytest.mark.parametrize("number", SEEDS)
def test_a_bug_is_found_with_and_without_the_action(
    number: int, invariant: Callable[[World], bool]
) -> None:
    """The path is minimal, whether it needs the action that is not recorded or not."""
    machine = venom_machine(
        make_world,
        [*WORKFLOW, visits()],
        [Invariant("holds", invariant)],
        on_divergence="warn",
    )
    record = ran(machine, number, examples=200)
    (violation,) = record.violations
    steps = [step.action for step in violation.reproduction_path]
    if invariant is once:
        assert steps == ["create", "pay", "refund", "refund"]
    else:
        assert sorted(steps) == ["create", "pay", "visit"]


@pytest.mark.parametrize("invariant", [once, never_after_a_visit])
@pytest.mark.parametrize("number", SEEDS)
def test_an_agent_goes_on_with_both(number: int, invariant: Callable[[World], bool]) -> None:
    result = Agent(
        make_world,
        [*WORKFLOW, visits()],
        [Invariant("holds", invariant)],
        max_steps=400,
        seed=number,
        on_divergence="warn",
    ).explore()
    assert result.distrusted == ("visit",)
    (violation,) = result.violations
    assert len(violation.reproduction_path) == (4 if invariant is once else 3)
    assert result.ended_by == "max_steps"


def test_the_warning_names_the_action() -> None:
    machine = venom_machine(make_world, [*WORKFLOW, visits()], [at_most(0)], on_divergence="warn")
    with pytest.warns(DivergenceWarning, match="The run executed visit each time, and recorded"):
        ran(machine, 0)


def test_where_nothing_is_left_the_record_is_not_used() -> None:
    counted = [Action(f"visit_{at}", visits().execute) for at in range(2)]
    machine = venom_machine(make_world, counted, [at_most(0)], on_divergence="warn")
    with pytest.warns(DivergenceWarning, match="went on without its record"):
        ran(machine, 0)
