"""Records are frozen, and what could not work is refused at once with what to write instead."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle

from venomqa_hyp import (
    Action,
    ActionResult,
    Graph,
    Invariant,
    Observation,
    Severity,
    State,
    Step,
    Transition,
    Violation,
    action,
    from_context,
    invariant,
)
from venomqa_hyp.errors import DefinitionError, DigestError


def pay(api: Any, context: Any) -> None:
    """Pay the order.

    More text.
    """


def pay_amount(api: Any, context: Any, amount: int) -> None: ...


async def check_later(context: Any) -> bool:
    return True


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "name with a space": (
        lambda: Action("pay order", pay),
        "an action is named 'pay order', but the name becomes a method of the state machine and so "
        'must be a Python identifier. Write Action("create_order", ...).',
    ),
    "name that is a keyword": (
        lambda: Action("return", pay),
        "an action is named 'return', but the name becomes a method of the state machine and so "
        'must be a Python identifier. Write Action("create_order", ...).',
    ),
    "name that is no text": (
        lambda: Action(3, pay),  # type: ignore[arg-type]
        "an action is named 3, but the name becomes a method of the state machine and so "
        'must be a Python identifier. Write Action("create_order", ...).',
    ),
    "private name": (
        lambda: Action("_pay", pay),
        "an action is named '_pay', but names that start with an underscore are kept for the state "
        "machine. Write Action('pay', ...).",
    ),
    "execute that is not callable": (
        lambda: Action("pay", "pay"),  # type: ignore[arg-type]
        "action 'pay': execute is 'pay' of type str, but it must be a callable (api, context, "
        "**arguments). Write Action('pay', a_function).",
    ),
    "async precondition": (
        lambda: Action("pay", pay, preconditions=[check_later]),
        f"action 'pay': precondition {check_later!r:.60} of type function is async, but it is "
        "evaluated for recorded states, where there is nothing to wait for. Write a plain function "
        "of the context.",
    ),
    "arguments that are no mapping": (
        lambda: Action("pay", pay, arguments=["amount"]),  # type: ignore[arg-type]
        "action 'pay': arguments is ['amount'] of type list, but it maps names to strategies. "
        'Write arguments={"amount": st.integers(1, 100)}.',
    ),
    "argument strategy that is none": (
        lambda: Action("pay", pay_amount, arguments={"amount": 5}),
        "action 'pay': argument 'amount' is 5 of type int, but it must be a Hypothesis strategy, a "
        'Bundle or from_context(...). Write arguments={"amount": st.just(5)} for a fixed value.',
    ),
    "execute without the argument": (
        lambda: Action("pay", pay, arguments={"amount": st.integers()}),
        "action 'pay': execute has the signature (api: Any, context: Any) -> None, but it is "
        "called as execute(api, context, amount): got an unexpected keyword argument 'amount'. "
        "Write def pay(api, context, amount): ...",
    ),
    "argument nobody draws": (
        lambda: Action("pay", pay_amount),
        "action 'pay': execute has the signature (api: Any, context: Any, amount: int) -> None, "
        "but it is called as execute(api, context): missing a required argument: 'amount'. "
        'Write arguments={"amount": a strategy}.',
    ),
    "misspelt argument": (
        lambda: Action("pay", pay_amount, arguments={"amuont": st.integers()}),
        "action 'pay': execute has the signature (api: Any, context: Any, amount: int) -> None, "
        "but it is called as execute(api, context, amuont): missing a required argument: 'amount'. "
        "Write arguments={\"amount\": a strategy}, and take 'amuont' out.",
    ),
    "preconditions in one text": (
        lambda: Action("pay", pay, preconditions="create"),  # type: ignore[arg-type]
        "action 'pay': preconditions is 'create' of type str, but it is a list of action names and "
        "callables. Write preconditions=['create'].",
    ),
    "precondition that is neither": (
        lambda: Action("pay", pay, preconditions=[3]),  # type: ignore[arg-type]
        "action 'pay': precondition 3 of type int is neither the name of an action nor a callable "
        '(context) -> bool. Write preconditions=["create_order"].',
    ),
    "target that is no bundle": (
        lambda: Action("pay", pay, target="orders"),
        "action 'pay': target is 'orders' of type str, but only a Bundle can receive results. "
        'Write target=Bundle("orders"), with Bundle from hypothesis.stateful.',
    ),
    "max_calls of zero": (
        lambda: Action("pay", pay, max_calls=0),
        "action 'pay': max_calls is 0, but it counts executions per path and so is a whole number "
        "from 1, or None for no limit.",
    ),
    "weight that is not finite": (
        lambda: Action("pay", pay, weight=float("inf")),
        "action 'pay': weight is inf, but it is a finite number above 0. Leave the action out of "
        "the list to switch it off.",
    ),
    "context key that is no text": (
        lambda: from_context(3),  # type: ignore[arg-type]
        "from_context(3): the key is 3 of type int, but context keys are strings. "
        'Write from_context("order_ids").',
    ),
    "invariant without a name": (
        lambda: Invariant(" ", bool),
        "an invariant is named ' ', but reports need a name. "
        'Write Invariant("refunds_within_payment", check).',
    ),
    "invariant that is not callable": (
        lambda: Invariant("paid", True),  # type: ignore[arg-type]
        "invariant 'paid': check is True of type bool, but it must be a callable (world). "
        "Write Invariant('paid', a_function).",
    ),
    "when that is not callable": (
        lambda: Invariant("paid", bool, when="always"),  # type: ignore[arg-type]
        "invariant 'paid': when is 'always' of type str, but it must be a callable (world). "
        "Write Invariant('paid', a_function).",
    ),
    "severity that is none": (
        lambda: Invariant("paid", bool, severity="high"),  # type: ignore[arg-type]
        "invariant 'paid': severity is 'high', but it must be one of Severity.CRITICAL, "
        "Severity.HIGH, Severity.MEDIUM, Severity.LOW.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_whole_message(case: str) -> None:
    """Each wrong record says what was refused, the value found, why, and what to write instead."""
    make, message = REFUSED[case]
    with pytest.raises(DefinitionError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "options",
    [{"max_calls": True}, {"max_calls": 1.0}, {"max_calls": -1}]
    + [{"weight": item} for item in (0, -1, float("nan"), "1")],
    ids=str,
)
def test_numbers_of_an_action_are_checked(options: dict[str, Any]) -> None:
    """max_calls is a whole number from 1, weight a finite number above 0; truth is no number."""
    with pytest.raises(DefinitionError):
        Action("pay", pay, **options)


def test_an_action_is_frozen_and_keeps_what_it_was_given() -> None:
    """Changing the lists it was made of does not change an action."""
    arguments, preconditions, tags = {"amount": st.integers()}, ["create", bool], ["money"]
    orders: Bundle[Any] = Bundle("orders")
    made = Action(
        "pay",
        pay_amount,
        arguments=arguments,
        preconditions=preconditions,  # type: ignore[arg-type]
        target=orders,
        tags=tags,  # type: ignore[arg-type]
    )
    arguments.clear()
    preconditions.clear()
    tags.clear()
    assert list(made.arguments) == ["amount"]
    assert (made.required, made.guards, made.tags) == (("create",), (bool,), ("money",))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.name = "other"
    with pytest.raises(TypeError):
        made.arguments["more"] = st.integers()  # type: ignore[index]


def test_preconditions_given_as_a_set_are_accepted() -> None:
    """The order of preconditions does not matter, so a set is fine."""
    assert Action("pay", pay, preconditions={"create"}).required == ("create",)  # type: ignore[arg-type]


def test_description_is_the_first_line_of_the_docstring() -> None:
    """A description of its own wins over the docstring of the function."""
    assert Action("pay", pay).description == "Pay the order."
    assert Action("pay", pay, description="Other.").description == "Other."
    assert Invariant("paid", pay).description == "Pay the order."  # type: ignore[arg-type]


def test_decorators_make_records_named_like_the_function() -> None:
    """Both decorators work bare and with keywords, and take another name."""

    @action
    def create(api: Any, context: Any) -> int:
        return 1

    @action(name="settle", arguments={"amount": st.integers()}, max_calls=2)
    def pay(api: Any, context: Any, amount: int) -> None: ...

    @invariant
    def holds(world: Any) -> bool:
        return True

    @invariant(severity=Severity.LOW, name="the total")
    def total(world: Any) -> bool:
        return True

    assert (create.name, pay.name, pay.max_calls) == ("create", "settle", 2)
    assert create.execute(None, None) == 1
    assert (holds.name, holds.severity) == ("holds", Severity.HIGH)
    assert (total.name, total.severity) == ("the total", Severity.LOW)


def test_decorated_lambda_is_refused_with_a_way_out() -> None:
    """A function whose name is no identifier needs one given."""
    with pytest.raises(DefinitionError, match="is named '<lambda>'"):
        action(lambda api, context: None)


@pytest.mark.parametrize(
    ("status", "success"), [(200, True), (302, True), (399, True), (400, False), (500, False)]
)
def test_success_is_a_response_below_400(status: int, success: bool) -> None:
    """What has a status code of 400 or above did not succeed, and says why."""

    class Response:
        status_code = status

    result = ActionResult.returned(Response(), 0.5)
    assert (result.success, result.status, result.duration) == (success, status, 0.5)
    assert result.error == (None if success else f"answered {status}")


def test_success_is_any_value_without_a_status() -> None:
    """A returned value that is no response is a success, whatever it is."""
    for value in (None, False, 404, "no"):
        assert ActionResult.returned(value, 0.0).success


def test_observations_are_equal_by_system_and_content() -> None:
    """Metadata is for people: it is no part of the digest."""
    one = Observation.create("db", {"a": 1}, {"at": 1})
    assert one == Observation.create("db", {"a": 1}, {"at": 2})
    assert hash(one) == hash(Observation.create("db", {"a": 1}))
    assert one != Observation.create("db", {"a": 1.0})
    assert one != Observation.create("cache", {"a": 1})
    assert one != {"a": 1}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.system = "other"  # type: ignore[misc]


def test_a_known_digest_is_not_computed_again() -> None:
    """An adapter that keeps a digest up to date need not have its data digested."""
    seen = Observation.create("db", {"a": object()}, known_digest="f00d")
    assert seen.digest == "f00d"


def test_observation_that_cannot_be_digested_names_its_system() -> None:
    """The error leads from the system down to the value."""
    with pytest.raises(DigestError, match=r"^db observation\['rows'\]\[0\] is a "):
        _ = Observation.create("db", {"rows": [object()]}).digest


def state(name: str) -> State:
    return State(name, {}, {})


def transition(start: str, name: str, end: str) -> Transition:
    return Transition(start, Step(name, {}), end, ActionResult(True))


def test_states_are_equal_by_id() -> None:
    """Two records of one state are interchangeable."""
    assert state("a") == State("a", {}, {"more": 1})
    assert len({state("a"), State("a", {}, {"more": 1}), state("b")}) == 2


def test_steps_have_text_and_key() -> None:
    """The key tells arguments apart by type, ignores their order, and is None without a digest."""
    assert str(Step("pay", {"amount": 5, "note": "x"})) == "pay(amount=5, note='x')"
    assert Step("pay", {"a": 1, "b": 2}).key == Step("pay", {"b": 2, "a": 1}).key
    distinct = [Step("pay", {"a": item}).key for item in (1, True, 1.0, "1", [1], (1,), None)]
    distinct += [Step("pay", {}).key, Step("payed", {}).key, Step("pay", {"b": 1}).key]
    assert len(set(distinct)) == len(distinct)
    assert Step("pay", {"a": object()}).key is None


def test_graph_knows_a_path_to_each_state() -> None:
    """The first transition into a state is the way to it; later ones do not replace it."""
    graph = Graph(state("a"))
    first, second, short = (
        transition("a", "x", "b"),
        transition("b", "x", "c"),
        transition("a", "y", "c"),
    )
    for item, end in ((first, "b"), (second, "c"), (short, "c")):
        graph.add(item, item.step.action, state(end))
    assert list(graph.states) == ["a", "b", "c"]
    assert (len(graph), graph.transition_count) == (3, 3)
    assert graph.path_to("c") == (first, second)
    assert graph.path_to("a") == ()
    assert graph.arrival("a") is None
    assert graph.find("a", "y") is short
    assert graph.find("c", "y") is None
    assert list(graph.transitions) == [first, second, short]
    with pytest.raises(TypeError):
        graph.states["d"] = state("d")  # type: ignore[index]


def test_a_violation_is_frozen() -> None:
    """A finding does not change after it was found."""
    found = Violation("paid", Severity.LOW, "seen", (Step("pay", {}),), "a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.message = "other"  # type: ignore[misc]
