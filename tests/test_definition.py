"""A machine that could not work is refused when it is made, and its names are its own."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, run_state_machine_as_test

from venomqa_hyp import Action, Invariant, World, venom_machine
from venomqa_hyp.errors import DefinitionError


def pay(api: Any, context: Any) -> None: ...


def settle(api: Any, context: Any) -> None: ...


def holds(world: World) -> bool:
    return True


def machine(*actions: Any, invariants: Any = (), **options: Any) -> Callable[[], Any]:
    return lambda: venom_machine(World(None), actions, invariants, **options)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "duplicate action names": (
        machine(Action("pay", pay), Action("pay", settle)),
        "two actions are named 'pay' (pay and settle), so a report could not tell them apart. "
        'Give one of them another name: Action("pay_2", ...).',
    ),
    "unknown name in preconditions": (
        machine(Action("pay", pay, preconditions=["create"]), Action("settle", settle)),
        "action 'pay' has the precondition 'create', but no action has that name, so it could "
        "never run. Known actions: pay, settle.",
    ),
    "action that waits for itself": (
        machine(Action("pay", pay, preconditions=["pay"])),
        "action 'pay' has itself as a precondition, so it could never run the first time. "
        "Leave it out.",
    ),
    "action named like a method of the machine": (
        machine(Action("teardown", pay)),
        "an action is named 'teardown', but Hypothesis's state machine uses that name itself. Give "
        'the action another one: Action("do_teardown", ...).',
    ),
    "no actions": (
        machine(),
        "there are no actions, so the machine could do nothing. "
        'Write venom_machine(world, [Action("create_order", create_order)]).',
    ),
    "function in place of an action": (
        machine("pay"),
        "actions holds 'pay' of type str, but each must be an Action. Write Action(name, "
        "function), or decorate the function with @action.",
    ),
    "one action without a list": (
        lambda: venom_machine(World(None), 5),  # type: ignore[arg-type]
        "actions is 5 of type int, but it is a list of Actions. Write [5].",
    ),
    "check in place of an invariant": (
        machine(Action("pay", pay), invariants=["holds"]),
        "invariants holds 'holds' of type str, but each must be an Invariant. Write "
        "Invariant(name, function), or decorate the function with @invariant.",
    ),
    "duplicate invariant names": (
        machine(
            Action("pay", pay), invariants=[Invariant("paid", holds), Invariant("paid", holds)]
        ),
        "two invariants are named 'paid', so a report could not tell them apart. "
        'Give one of them another name: Invariant("paid_2", ...).',
    ),
    "world that is none": (
        lambda: venom_machine("http://localhost", [Action("pay", pay)]),  # type: ignore[arg-type]
        "world is 'http://localhost' of type str, but it must be a World or a callable that "
        "returns one. Write venom_machine(World(api, systems), actions).",
    ),
    "machine name that is none": (
        machine(Action("pay", pay), name="my orders"),
        "the machine is named 'my orders', but the name becomes a class name and so must be a "
        'Python identifier. Write venom_machine(..., name="Orders").',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_whole_message(case: str) -> None:
    """Each message says what was refused, the value found, why, and what to write instead."""
    make, message = REFUSED[case]
    with pytest.raises(DefinitionError) as caught:
        make()
    assert str(caught.value) == message


def test_a_single_action_or_invariant_without_a_list_is_refused() -> None:
    """The commonest slip is a DefinitionError too."""
    with pytest.raises(DefinitionError, match="it is a list of Actions"):
        venom_machine(World(None), Action("pay", pay))  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="it is a list of Invariants"):
        venom_machine(World(None), [Action("pay", pay)], Invariant("paid", holds))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["venom_definition", "last_run", "no_action_enabled", "world"])
def test_names_of_the_machine_itself_are_refused(name: str) -> None:
    """An action must not replace what the machine is made of."""
    with pytest.raises(DefinitionError, match=f"an action is named '{name}'"):
        machine(Action(name, pay))()


@pytest.mark.parametrize("name", ["target", "targets", "self", "not-a-name"])
def test_an_argument_has_any_name_or_is_refused_when_the_machine_is_made(name: str) -> None:
    """A name that Hypothesis's @rule uses itself works, or is refused by us and by name."""
    seen: list[Any] = []

    def move(*given: Any, **arguments: Any) -> None:
        seen.append(arguments)

    try:
        made = machine(Action("move", move, arguments={name: st.just(7)}))()
    except DefinitionError as error:
        refused = str(error)
    else:
        refused = ""
        run_state_machine_as_test(made, settings=settings(max_examples=1, stateful_step_count=1))
    assert repr(name) in refused or seen
    assert all(item == {name: 7} for item in seen)


def test_invariants_with_similar_names_are_all_checked() -> None:
    """Names that look the same as identifiers are different invariants."""
    asked = set()

    def ask(name: str) -> Invariant:
        return Invariant(name, lambda world: asked.add(name))

    names = ["a b", "a_b", "a-b", "ä", "pay"]
    made = machine(Action("check_pay", pay), invariants=[ask(name) for name in names])()
    run_state_machine_as_test(made, settings=settings(max_examples=1, stateful_step_count=1))
    assert asked == set(names)


def test_an_action_named_like_a_check_of_an_invariant_runs() -> None:
    """An invariant does not silently replace an action."""
    ran = []
    made = machine(
        Action("check_paid", lambda api, context: ran.append(1)),
        invariants=[Invariant("paid", holds)],
    )()
    run_state_machine_as_test(made, settings=settings(max_examples=1, stateful_step_count=1))
    assert ran


def test_two_bundles_of_one_name_are_one_bundle() -> None:
    """As in Hypothesis, a Bundle is its name."""
    taken: list[int] = []
    made = machine(
        Action("create", lambda api, context: 7, target=Bundle("orders")),
        Action(
            "pay",
            lambda api, context, order: taken.append(order),
            arguments={"order": Bundle("orders")},
        ),
    )()
    run_state_machine_as_test(made, settings=settings(max_examples=20, stateful_step_count=5))
    assert set(taken) == {7}


def test_a_factory_that_makes_no_world_ends_the_run() -> None:
    """What it returned is shown, and it is asked once only."""
    calls = []

    def factory() -> Any:
        calls.append(1)
        return "a world"

    made = venom_machine(factory, [Action("pay", pay)])
    with pytest.raises(DefinitionError) as caught:
        run_state_machine_as_test(made)
    assert str(caught.value) == (
        "the callable given as world returned 'a world' of type str, but a run needs a World. "
        "Return World(api, systems)."
    )
    assert len(calls) == 1
