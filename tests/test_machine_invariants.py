"""Each invariant is a bug of its own, told by name, severity and what was seen."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Context, Invariant, Severity, World, venom_machine
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.errors import InvariantViolated

both_ways = pytest.mark.parametrize("rollback", [True, False])


def run(machine: Any, examples: int = 60, steps: int = 8, **options: Any) -> None:
    chosen: dict[str, Any] = {"max_examples": examples, "stateful_step_count": steps, **options}
    run_state_machine_as_test(
        machine, settings=settings(suppress_health_check=list(HealthCheck), **chosen)
    )


def store_world(**content: Any) -> tuple[World, MemoryAdapter]:
    store = MemoryAdapter(content)
    return World(store, {"store": store}), store


def add(api: Any, context: Context) -> None:
    api["n"] = api.get("n", 0) + 1


def told(error: BaseException) -> str:
    """Return what Hypothesis tells beside the error: the falsifying example."""
    return "\n".join(error.__notes__)


def broken_at(count: int, name: str, **options: Any) -> Invariant:
    def check(world: World) -> str | None:
        seen = world.api.get("n", 0)
        return f"n is {seen}" if seen >= count else None

    return Invariant(name, check, **options)


@both_ways
def test_an_invariant_has_an_exception_type_and_message_of_its_own(rollback: bool) -> None:
    """The message has severity, name and what was seen; the type is named after the invariant."""
    world, _ = store_world()
    rule = broken_at(2, "refunds_within payment", severity=Severity.CRITICAL)
    machine = venom_machine(world, [Action("add", add)], [rule], rollback=rollback)
    with pytest.raises(InvariantViolated) as caught:
        run(machine)
    assert str(caught.value) == "[CRITICAL] refunds_within payment: n is 2"
    assert type(caught.value).__name__ == "RefundsWithinPaymentViolated"
    assert isinstance(caught.value, AssertionError)
    check = "state.check_refunds_within_payment()"
    assert f"{check}\nstate.add()\n{check}\nstate.add()\n{check}\n" in told(caught.value)
    assert machine.last_run is not None
    (found,) = machine.last_run.violations
    assert (found.name, found.severity, found.message) == (
        "refunds_within payment",
        Severity.CRITICAL,
        "n is 2",
    )


@both_ways
def test_an_invariant_that_raises_keeps_the_cause(rollback: bool) -> None:
    """Raising counts as violated; what was raised is the cause of what is reported."""

    def check(world: World) -> None:
        if world.api.get("n"):
            raise KeyError("total")

    world, _ = store_world()
    machine = venom_machine(
        world, [Action("add", add)], [Invariant("total", check)], rollback=rollback
    )
    with pytest.raises(InvariantViolated) as caught:
        run(machine)
    assert str(caught.value) == "[HIGH] total: KeyError: 'total'"
    assert isinstance(caught.value.__cause__, KeyError)


@both_ways
def test_two_broken_invariants_are_two_bugs(rollback: bool) -> None:
    """Each is reported with its own shortest path, in one group."""
    world, _ = store_world()
    marked = broken_at(1, "first", when=lambda world: world.api.get("odd", False))
    rules = [broken_at(3, "second"), marked]

    def mark(api: Any, context: Context) -> None:
        api["odd"] = not api.get("odd", False)

    machine = venom_machine(
        world, [Action("add", add), Action("mark", mark)], rules, rollback=rollback
    )
    with pytest.raises(ExceptionGroup) as caught:
        run(machine, examples=300, derandomize=True)
    assert {str(error) for error in caught.value.exceptions} == {
        "[HIGH] second: n is 3",
        "[HIGH] first: n is 1",
    }
    assert machine.last_run is not None
    paths = {found.name: len(found.reproduction_path) for found in machine.last_run.violations}
    assert paths == {"first": 2, "second": 3}


@both_ways
def test_an_invariant_is_asked_only_where_when_holds(rollback: bool) -> None:
    """`when` limits the states in which the rule counts."""
    world, _ = store_world()
    rule = broken_at(1, "never", when=lambda world: False)
    run(venom_machine(world, [Action("add", add)], [rule], rollback=rollback))
