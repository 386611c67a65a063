"""A run that found nothing tells of the actions that never did anything in it."""

import re
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, settings
from hypothesis.stateful import Bundle, invariant, run_state_machine_as_test

from venomqa_hyp import BFS, Action, Context, Invariant, World, action, from_context, venom_machine
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.stateful import IdleActionWarning


def toggle(api: Any, context: Context) -> None:
    api["on"] = not api.get("on", False)


def refuse(api: Any, context: Context, **given: Any) -> Any:
    return SimpleNamespace(status_code=404)


def run(*actions: Action, rollback: bool = True, invariants: tuple[Invariant, ...] = ()) -> None:
    store = MemoryAdapter()
    machine = venom_machine(
        World(store, {"store": store}), actions, invariants, name="Lamp", rollback=rollback
    )
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=8))


def told(*actions: Action, **options: Any) -> str:
    with pytest.warns(IdleActionWarning) as caught:
        run(*actions, **options)
    return str(caught.list[0].message)


TOGGLE = Action("toggle", toggle)
PAY = Action("pay", refuse, arguments={"order": from_context("order"), "card": Bundle("cards")})


@pytest.mark.parametrize("rollback", [True, False])
def test_an_action_that_never_ran_is_named_with_what_it_needs(rollback: bool) -> None:
    """A misspelt context key would else make a green test of nothing."""
    assert told(TOGGLE, PAY, rollback=rollback) == (
        "Lamp: 1 of 2 actions never ran, so this run says nothing about: pay (it needs a value "
        "under the context key 'order' and a value in the Bundle 'cards')."
    )


def test_a_precondition_that_never_succeeded_is_named() -> None:
    """And one that did is not."""
    paid = Action("pay", refuse, preconditions=["toggle"])
    refund = Action("refund", toggle, preconditions=["toggle", "pay"])
    assert told(TOGGLE, paid, refund).endswith("refund (it needs pay to succeed before it).")


def test_a_run_in_which_every_request_is_refused_is_told() -> None:
    """As by a wrong path in the URL."""
    text = told(Action("create", refuse), Action("list", refuse))
    assert text.startswith("Lamp: no action ever succeeded in ")
    assert re.search(r"What came of them: create: \d+ x 404; list: \d+ x 404\. Correct", text)


def test_one_success_is_enough_and_a_failure_speaks_for_itself() -> None:
    """An action whose refusal is what it is to see is no reason to warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(TOGGLE, Action("forbidden", refuse))
        with pytest.raises(AssertionError):
            run(TOGGLE, PAY, invariants=(Invariant("off", lambda world: not world.api.get("on")),))


def test_a_function_is_what_the_decorator_takes() -> None:
    """Its keywords have to be keywords."""
    with pytest.raises(DefinitionError, match="but it takes a function, and all else by keyword"):
        action({"amount": 1})  # type: ignore[arg-type]


def test_a_failure_that_no_test_case_met_again_is_told_and_no_warning() -> None:
    """Exploring finds it; the user's own invariant rejects every test case that would show it."""

    def count(api: Any, context: Context) -> None:
        api["n"] = api.get("n", 0) + 1
        assert api["n"] < 3, "three"

    never = Action("never", toggle, preconditions=[lambda context: "key" in context])
    store = MemoryAdapter()
    machine = venom_machine(
        World(store, {"store": store}), [Action("count", count), never], strategy=BFS()
    )

    class Rejecting(machine):  # type: ignore[misc, valid-type]
        @invariant()
        def rejects(self) -> None:
            assume(store.data.get("n", 0) < 2)

    given = settings(max_examples=20, database=None, derandomize=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AssertionError, match="three"):
            run_state_machine_as_test(Rejecting, settings=given)
