"""A failure that does not show again is refuted with the first step that went another way."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, ExplorationResult, Invariant, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.errors import DivergenceError


def open_world() -> World:
    store = MemoryAdapter({"orders": 0, "paid": 0})
    return World(store, {"store": store})


def create(api: Any, context: Any) -> None:
    api["orders"] += 1


def run(pay: Callable[[Any, Any], None], rule: Callable[[World], bool]) -> ExplorationResult:
    actions = [Action("create", create), Action("pay", pay)]
    machine = seed(0)(venom_machine(open_world, actions, [Invariant("rule", rule)]))
    with pytest.raises(DivergenceError):
        run_state_machine_as_test(machine, settings=settings(database=None, max_examples=20))
    assert machine.last_run is not None
    return machine.last_run


def test_the_step_with_another_outcome_is_named() -> None:
    calls = count(1)

    def pay(api: Any, context: Any) -> None:
        assert next(calls) != 7
        api["paid"] += 1

    (reason,) = run(pay, lambda world: True).refuted
    step = r"Step 2, pay(), is the first that differs: first it raised AssertionError"
    assert f"{step}, then it succeeded." in reason


def test_equal_steps_leave_the_check_to_blame() -> None:
    checks = count(1)

    def pay(api: Any, context: Any) -> None:
        api["paid"] += 1

    reasons = run(pay, lambda world: next(checks) != 9).refuted
    assert any("Each step did then what it had done before." in reason for reason in reasons)


def test_the_step_that_led_elsewhere_is_named_with_the_place() -> None:
    calls = count(1)

    def pay(api: Any, context: Any) -> None:
        # Both executions of the first comparison come out the same, and later ones do not.
        api["paid"] = 100 if next(calls) < 3 else 1

    reasons = run(pay, lambda world: world.api["paid"] < 100).refuted
    assert any("is the first that led to another state:" in reason for reason in reasons), reasons
    assert any("store.paid" in reason for reason in reasons)
