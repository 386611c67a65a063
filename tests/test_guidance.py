"""Exploring between the test cases of a machine: what Hypothesis runs, tells and replays."""

from typing import Any

import pytest
from explored_services import lock, memory_world, ring, workflow
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.stateful import rule, run_state_machine_as_test

from venomqa_hyp import (
    BFS,
    Action,
    Context,
    Invariant,
    Novelty,
    World,
    from_context,
    venom_machine,
)
from venomqa_hyp.core import ExplorationResult
from venomqa_hyp.errors import DefinitionError, InvariantViolated

chosen = settings(
    max_examples=150,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
)


def record_of(parts: Any, *, number: int = 1, given: settings = chosen, **options: Any) -> Any:
    """Run a machine and return its class and what it raised."""
    machine = seed(number)(venom_machine(*parts, **options))
    try:
        run_state_machine_as_test(machine, settings=given)
    except InvariantViolated as error:
        return machine, error
    return machine, None


def executed(record: ExplorationResult) -> list[tuple[str, str]]:
    return [(item.from_id, str(item.step)) for item in record.graph.transitions]


@pytest.mark.parametrize("strategy", [None, BFS(), Novelty(walks=0.2)])
def test_what_is_deep_is_found_and_told_as_any_failure(strategy: Any) -> None:
    """The falsifying example is the whole path, and Hypothesis replays it from its database."""
    database = InMemoryExampleDatabase()
    given = settings(chosen, database=database)
    machine, error = record_of(lock(12), given=given, strategy=strategy)
    assert type(error).__name__ == "StaysClosedViolated"
    told = "\n".join(error.__notes__)
    assert told.count("state.press_") == 12
    assert machine.last_run.executed_before_failure < 200
    replayed = settings(given, phases=[Phase.reuse])
    with pytest.raises(InvariantViolated) as again:
        run_state_machine_as_test(machine, settings=replayed)
    assert "\n".join(again.value.__notes__).count("state.press_") == 12
    assert machine.last_run.test_cases < 10


def test_without_rollback_nothing_is_explored() -> None:
    """The baseline stays what it is: Hypothesis's own walks."""
    machine, error = record_of(lock(8), rollback=False)
    assert error is None
    assert machine.last_run.exhausted is None


def test_the_settings_bound_what_is_executed() -> None:
    """No more steps than max_examples test cases of stateful_step_count, but for the proofs."""
    _, actions, _ = workflow()
    given = settings(chosen, max_examples=10, stateful_step_count=8)
    machine, _ = record_of((memory_world, actions), given=given)
    record = machine.last_run
    assert record.steps_executed - record.steps_repeated <= 8 * record.test_cases + len(actions)


def test_it_ends_where_nothing_is_left() -> None:
    """Every state, action and argument was executed: more test cases would only repeat them."""
    machine, error = record_of(ring(6), strategy=BFS())
    assert error is None
    assert machine.last_run.exhausted == "all 6 states explored"
    assert machine.last_run.test_cases < 5


def test_it_goes_on_where_arguments_may_be_left() -> None:
    """Of arguments with many values one of each kind was executed, so it does not end."""

    def set_to(api: Any, context: Context, value: int) -> None:
        api["at"] = value % 3

    actions = [Action("set_to", set_to, arguments={"value": st.integers(0, 10**6)})]
    machine, _ = record_of((memory_world, actions))
    assert machine.last_run.test_cases >= chosen.max_examples


def test_rules_of_ones_own_run_with_every_strategy() -> None:
    """The strategy knows nothing of them, so some test cases are Hypothesis's own walks."""
    calls = []

    class Mine(venom_machine(*ring(6), strategy=BFS())):  # type: ignore[misc]
        @rule()
        def mine(self) -> None:
            calls.append(1)

    run_state_machine_as_test(Mine, settings=chosen)
    assert calls
    assert Mine.last_run.test_cases >= chosen.max_examples


def test_a_seed_gives_the_same_exploration() -> None:
    """What is executed, and in which order, follows from the seed."""
    _, actions, _ = workflow()
    given = settings(chosen, max_examples=6)
    first, second, other = (
        executed(record_of((memory_world, actions), number=number, given=given)[0].last_run)
        for number in (1, 1, 2)
    )
    assert first == second != other


def test_several_failures_are_each_told() -> None:
    """A failure found by exploring does not hide another one."""
    _, actions, invariants = lock(7)
    third = Invariant("not_three", lambda world: world.api.get("at", 0) != 3)
    machine = seed(3)(venom_machine(memory_world, actions, [*invariants, third]))
    with pytest.raises(InvariantViolated):
        run_state_machine_as_test(machine, settings=chosen)
    (found,) = machine.last_run.violations
    assert (found.name, len(found.reproduction_path)) == ("not_three", 3)


def test_a_fresh_world_confirms_what_was_explored() -> None:
    """A failure that does not show in a World of its own is a divergence, and is not told."""
    opened: list[World] = []

    def make() -> World:
        opened.append(memory_world())
        return opened[-1]

    _, actions, _ = lock(9)
    first_only = Invariant(
        "first_only", lambda world: world is not opened[0] or world.api.get("at", 0) < 5
    )
    machine = seed(1)(venom_machine(make, actions, [first_only], on_divergence="warn"))
    with pytest.warns(match="does not repeat itself"):
        run_state_machine_as_test(machine, settings=settings(chosen, max_examples=40))
    assert machine.last_run.violations == ()


def test_values_of_the_context_are_picked_in_the_led_test_case() -> None:
    """The test case that follows an explored path picks the same values."""

    def create(api: Any, context: Context) -> None:
        api["ids"] = [*api.get("ids", []), len(api.get("ids", []))]
        context["ids"] = api["ids"]

    def drop(api: Any, context: Context, item: int) -> None:
        api["dropped"] = [*api.get("dropped", []), item]

    actions = [
        Action("create", create, max_calls=3),
        Action("drop", drop, arguments={"item": from_context("ids")}, max_calls=3),
    ]
    order = Invariant("order", lambda world: world.api.get("dropped") != [0, 2, 1])
    machine, error = record_of((memory_world, actions, [order]), strategy=BFS())
    assert error is not None
    (found,) = machine.last_run.violations
    assert len(found.reproduction_path) == 6


@pytest.mark.parametrize("wrong", ["bfs", BFS, st.integers()])
def test_what_is_no_strategy_is_refused(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=r"strategy is .*Write strategy=BFS"):
        venom_machine(*ring(6), strategy=wrong)
