"""Actions are rules and invariants are invariants, as a reader of Hypothesis's manual expects."""

import inspect
import threading
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Verbosity, assume, given, seed, settings
from hypothesis import strategies as st
from hypothesis.reporting import with_reporter
from hypothesis.stateful import Bundle, consumes, multiple, run_state_machine_as_test

from venomqa_hyp import Action, Context, World, from_context, venom_machine
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.stateful import IdleActionWarning

both_ways = pytest.mark.parametrize("rollback", [True, False])


def run(machine: Any, examples: int = 60, steps: int = 8, **options: Any) -> None:
    chosen: dict[str, Any] = {"max_examples": examples, "stateful_step_count": steps, **options}
    # What is asserted holds for nearly every seed, not for each.
    run_state_machine_as_test(
        seed(1)(machine), settings=settings(suppress_health_check=list(HealthCheck), **chosen)
    )


def store_world(**content: Any) -> tuple[World, MemoryAdapter]:
    store = MemoryAdapter(content)
    return World(store, {"store": store}), store


def do_nothing(api: Any, context: Context) -> None: ...


def add(api: Any, context: Context) -> None:
    api["n"] = api.get("n", 0) + 1


def told(error: BaseException) -> str:
    """Return what Hypothesis tells beside the error: the falsifying example."""
    return "\n".join(error.__notes__)


def test_rules_have_the_names_and_signatures_of_the_actions() -> None:
    """A machine can be driven by hand, with keyword arguments, and shows its documentation."""

    def pay(api: Any, context: Context, order: int, amount: int = 5) -> None:
        """Pay for an order."""
        api["paid"] = (order, amount)

    world, store = store_world()
    arguments = {"order": st.integers(), "amount": st.integers()}
    made = venom_machine(world, [Action("pay", pay, arguments=arguments)], name="Orders")
    assert str(inspect.signature(made.pay)) == "(self, *, order, amount)"
    assert (made.pay.__name__, made.pay.__doc__) == ("pay", "Pay for an order.")
    assert (made.__name__, made.__module__) == ("Orders", __name__)
    machine = made()
    machine.pay(order=1, amount=7)
    assert store["paid"] == (1, 7)
    machine.teardown()
    assert store == {}


@both_ways
def test_arguments_come_from_their_strategies(rollback: bool) -> None:
    """Each value drawn reaches the action under its name."""
    seen = set()

    def pay(api: Any, context: Context, amount: int, how: str) -> None:
        seen.add((amount, how))

    world, _ = store_world()
    arguments = {"amount": st.integers(1, 3), "how": st.sampled_from("xy")}
    run(venom_machine(world, [Action("pay", pay, arguments=arguments)], rollback=rollback))
    assert seen == {(amount, how) for amount in (1, 2, 3) for how in "xy"}


@both_ways
def test_bundles_carry_results_to_arguments(rollback: bool) -> None:
    """A target receives what was returned, several values with multiple(), none on failure."""
    orders: Bundle[Any] = Bundle("orders")
    seen = set()

    class Refused:
        status_code = 409

    def create(api: Any, context: Context) -> int:
        add(api, context)
        return int(api["n"])

    def pay(api: Any, context: Context, order: Any) -> None:
        assert isinstance(order, (int, str))
        assert not isinstance(order, int) or order <= api["n"]
        seen.add(order)

    world, _ = store_world()
    actions = [
        Action("create", create, target=orders, max_calls=2),
        Action("two", lambda api, context: multiple("a", "b"), target=orders),
        Action("none", lambda api, context: Refused(), target=orders),
        Action("pay", pay, arguments={"order": orders}),
    ]
    run(venom_machine(world, actions, rollback=rollback))
    assert seen == {1, 2, "a", "b"}


@both_ways
def test_a_consumed_value_is_used_once(rollback: bool) -> None:
    """consumes() takes the value out of its Bundle, on recalled steps too."""
    orders: Bundle[int] = Bundle("orders")

    def create(api: Any, context: Context) -> int:
        add(api, context)
        return int(api["n"])

    def cancel(api: Any, context: Context, order: int) -> None:
        assert order not in api.setdefault("cancelled", [])
        api["cancelled"].append(order)

    world, _ = store_world()
    actions = [
        Action("create", create, target=orders),
        Action("cancel", cancel, arguments={"order": consumes(orders)}),
    ]
    run(venom_machine(world, actions, rollback=rollback))


@both_ways
def test_from_context_draws_what_is_held(rollback: bool) -> None:
    """While nothing is held the action is disabled; later each value held is drawn."""
    seen = set()

    def create(api: Any, context: Context) -> None:
        context.setdefault("ids", []).append(len(context.get("ids", [])))

    def pay(api: Any, context: Context, order: int, user: str) -> None:
        assert order in context["ids"]
        seen.add((order, user))

    def forget(api: Any, context: Context) -> None:
        context.delete("ids")

    arguments = {"order": from_context("ids"), "user": from_context("user")}
    actions = [
        Action("create", create, max_calls=3),
        Action("pay", pay, arguments=arguments),
        Action("forget", forget),
    ]
    run(venom_machine(World(None, context={"user": "u"}), actions, rollback=rollback))
    assert seen == {(0, "u"), (1, "u"), (2, "u")}


class Response:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


@pytest.mark.filterwarnings("ignore::venomqa_hyp.stateful.IdleActionWarning")
@given(
    specs=st.lists(
        st.tuples(
            st.sets(st.integers(0, 4)),  # which others it needs, by number
            st.none() | st.integers(1, 3),  # max_calls
            st.sampled_from([200, 404]),
            st.booleans(),  # whether it changes the World: only then is its state a new one
        ),
        min_size=2,
        max_size=5,
    ),
    rollback=st.booleans(),
)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_limits_and_preconditions_hold_on_every_path(
    specs: list[tuple[set[int], int | None, int, bool]], rollback: bool
) -> None:
    """With random actions: max_calls is never exceeded, and what is required succeeded before."""
    world, _ = store_world()
    names = [f"action_{number}" for number in range(len(specs))]

    def made(number: int) -> Action:
        needs, limit, status, changes = specs[number]

        def execute(api: Any, context: Context) -> Response:
            if changes:
                add(api, context)
            return Response(status)

        required = [names[other] for other in sorted(needs) if other < len(specs)]
        required = [name for name in required if name != names[number]]
        return Action(names[number], execute, preconditions=required, max_calls=limit)

    actions = {name: made(number) for number, name in enumerate(names)}
    succeed = {name for name, (_, _, status, _) in zip(names, specs, strict=True) if status == 200}
    lines: list[str] = []
    with with_reporter(lines.append):
        run(
            venom_machine(world, actions.values(), rollback=rollback),
            examples=8,
            verbosity=Verbosity.debug,
        )
    path: list[str] = []
    for line in lines:
        name = line.strip().removeprefix("state.").removesuffix("()")
        if line.strip().startswith("state = "):
            path = []
        elif name in actions:
            item = actions[name]
            assert item.max_calls is None or path.count(name) < item.max_calls, path
            assert set(item.required) <= succeed.intersection(path), path
            path.append(name)


@both_ways
def test_a_callable_precondition_sees_the_context_of_the_path(rollback: bool) -> None:
    """It is asked before each step and decides whether the action runs."""
    ran = []

    def login(api: Any, context: Context) -> None:
        context["user"] = "u"

    def logout(api: Any, context: Context) -> None:
        context.delete("user")

    def order(api: Any, context: Context) -> None:
        ran.append(context["user"])

    actions = [
        Action("login", login),
        Action("logout", logout),
        Action("order", order, preconditions=[lambda context: "user" in context]),
    ]
    run(venom_machine(World(None), actions, rollback=rollback))
    assert ran


@both_ways
@pytest.mark.parametrize(
    "error", [ValueError("boom"), AssertionError("no"), SystemExit(3)], ids=repr
)
def test_an_action_that_raises_is_a_finding_with_its_path(
    rollback: bool, error: BaseException
) -> None:
    """The error arrives as it is, with the shortest steps to it."""

    def fail(api: Any, context: Context) -> None:
        if api.get("n", 0) >= 2:
            raise error

    world, store = store_world()
    actions = [Action("add", add), Action("noise", do_nothing), Action("fail", fail)]
    machine = venom_machine(world, actions, rollback=rollback)
    with pytest.raises(type(error)) as caught:
        run(machine)
    assert caught.value is error
    assert "state.add()\nstate.add()\nstate.fail()\nstate.teardown()" in told(error)
    assert machine.last_run is not None
    (found,) = machine.last_run.violations
    assert (found.name, found.message) == ("fail", f"{type(error).__name__}: {error}")
    assert [str(step) for step in found.reproduction_path] == ["add()", "add()", "fail()"]
    assert found.exception is error
    assert store == {}


@both_ways
def test_assume_inside_an_action_rejects_the_test_case(rollback: bool) -> None:
    """As in any Hypothesis test: no finding, and the rest of the run goes on."""
    passed = []

    def pay(api: Any, context: Context, amount: int) -> None:
        assume(amount > 0)
        passed.append(amount)

    world, _ = store_world()
    actions = [Action("pay", pay, arguments={"amount": st.integers(0, 9)})]
    run(venom_machine(world, actions, rollback=rollback), examples=20, steps=4)
    assert passed
    assert min(passed) > 0


@both_ways
@pytest.mark.parametrize("skip", [unittest.SkipTest, pytest.skip.Exception])
def test_skipping_inside_an_action_skips_the_test(
    rollback: bool, skip: Callable[[str], BaseException]
) -> None:
    """A skip reaches the runner, and the World is rolled back before."""

    def pay(api: Any, context: Context) -> None:
        add(api, context)
        raise skip("no payments here")

    world, store = store_world()
    with pytest.raises(skip, match="no payments here"):  # type: ignore[call-overload]
        run(venom_machine(world, [Action("pay", pay)], rollback=rollback))
    assert store == {}


@both_ways
def test_a_machine_with_nothing_left_to_do_ends_quietly(rollback: bool) -> None:
    """Where no action is enabled any more, or none ever was, the test case passes."""
    world, _ = store_world()
    once = Action("once", add, max_calls=1)
    never = Action("never", add, preconditions=[lambda context: False])
    empty = Action("empty", do_nothing, target=Bundle("empty"), preconditions=["never"])
    taking = Action("taking", lambda api, context, it: None, arguments={"it": Bundle("empty")})
    run(venom_machine(world, [once], rollback=rollback))
    with pytest.warns(IdleActionWarning, match="1 of 1 actions never ran"):
        run(venom_machine(world, [never], rollback=rollback))
    with pytest.warns(IdleActionWarning, match="3 of 3 actions never ran"):
        run(venom_machine(world, [never, empty, taking], rollback=rollback))


@both_ways
def test_interactive_draws_work(rollback: bool) -> None:
    """An action may draw while it runs; then it is executed, never recalled."""
    world, _ = store_world()

    def pay(api: Any, context: Context, data: st.DataObject) -> None:
        api["n"] = api.get("n", 0) + data.draw(st.integers(0, 5))
        assert api["n"] < 9

    action = Action("pay", pay, arguments={"data": st.data()})
    machine = venom_machine(world, [action, Action("noise", do_nothing)], rollback=rollback)
    with pytest.raises(AssertionError) as caught:
        run(machine, examples=200)
    # Steps that draw themselves are shrunk by Hypothesis alone, which may keep one too many.
    assert told(caught.value).count("state.pay(data=data(...))") in (2, 3)


@both_ways
@pytest.mark.parametrize("make", [threading.Lock, object, lambda: (i for i in ())])
def test_arguments_without_digest_or_copy_are_handed_over(
    rollback: bool, make: Callable[[], Any]
) -> None:
    """A value that can be neither digested nor copied reaches the action as it is."""
    handles: Bundle[Any] = Bundle("handles")
    seen = []

    def use(api: Any, context: Context, handle: Any) -> None:
        add(api, context)
        seen.append(type(handle))

    world, _ = store_world()
    actions = [
        Action("open", lambda api, context: make(), target=handles),
        Action("use", use, arguments={"handle": handles}),
        Action("draw", use, arguments={"handle": st.builds(make)}),
    ]
    run(venom_machine(world, actions, rollback=rollback))
    assert set(seen) == {type(make())}


@both_ways
def test_an_action_may_change_its_arguments(rollback: bool) -> None:
    """It works on a copy: the steps reported, and the values in a Bundle, stay as drawn."""
    world, _ = store_world()

    def pay(api: Any, context: Context, items: list[int]) -> None:
        total = sum(items)
        items.clear()
        assert total < 10

    action = Action("pay", pay, arguments={"items": st.lists(st.integers(0, 20))})
    machine = venom_machine(world, [action], rollback=rollback)
    with pytest.raises(AssertionError):
        run(machine)
    assert machine.last_run is not None
    (found,) = machine.last_run.violations
    assert str(found.reproduction_path[-1]) == "pay(items=[10])"
