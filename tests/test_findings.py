"""Nothing that was found is lost: it is reported by its shortest path, or refuted with a reason."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from outcomes import CONFLICT, Outcome, by_agent, by_machine, store_of

from venomqa_hyp import (
    BFS,
    DFS,
    Action,
    Context,
    Invariant,
    Novelty,
    Observation,
    World,
    from_context,
)
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.adapters.handles import Handle
from venomqa_hyp.errors import DivergenceError

Explore = Callable[..., Outcome]
both = pytest.mark.parametrize("explore", [by_machine, by_agent])

NOOP = Action("noop", lambda api, context: CONFLICT, max_calls=3)
SET_B = Action("setb", lambda api, context: api.update(b=1), max_calls=1)
B_IS_0 = Invariant("b_is_0", lambda world: world.api["b"] == 0)


@both
@pytest.mark.parametrize("strategy", [BFS, DFS])
@pytest.mark.parametrize("number", range(10))
def test_a_failure_beside_calls_that_change_nothing_is_reported(
    explore: Explore, strategy: Any, number: int
) -> None:
    """The state after ``noop`` is the same, but fewer calls of it are left there."""
    told = explore(store_of(b=0), [NOOP, SET_B], [B_IS_0], number=number, strategy=strategy())
    assert told.paths == {"b_is_0": ["setb()"]}


@both
@pytest.mark.parametrize("number", range(3))
def test_a_state_that_breaks_two_invariants_is_two_findings(explore: Explore, number: int) -> None:
    """Both are recorded, each with its path."""
    first = Invariant("first", lambda world: world.api["n"] < 2)
    second = Invariant("second", lambda world: world.api["n"] != 2 or "two")
    count = Action("count", lambda api, context: api.update(n=api["n"] + 1))
    told = explore(store_of(n=0), [count], [first, second], number=number)
    assert told.paths == {"first": ["count()"] * 2, "second": ["count()"] * 2}


def test_a_machine_raises_both_invariants_that_a_state_breaks() -> None:
    """Nobody reads the record where pytest shows one error only."""
    rules = [Invariant(name, lambda world: world.api["b"] == 0) for name in ("first", "second")]
    told = by_machine(store_of(b=0), [SET_B], rules)
    assert sorted(str(error).split(":")[0] for error in told.errors) == [
        "[HIGH] first",
        "[HIGH] second",
    ]


@both
@pytest.mark.parametrize("number", range(10))
def test_message_and_path_come_from_the_same_execution(explore: Explore, number: int) -> None:
    """A larger value is found first, and nothing of its message is left."""
    put = Action(
        "put",
        lambda api, context, n: api.update(n=n),
        arguments={"n": st.integers(0, 100_000)},
    )
    small = Invariant(
        "small", lambda world: world.api["n"] < 7 or f"n is {world.api['n']}, not below 7"
    )
    told = explore(store_of(n=0), [put], [small], number=number)
    (violation,) = told.violations
    (step,) = violation.reproduction_path
    assert violation.message == f"n is {step.arguments['n']}, not below 7"
    assert violation.message in str(violation.exception)
    if told.raised is not None:
        assert violation.message in str(told.raised)


@both
@pytest.mark.parametrize("number", range(10))
def test_two_simple_steps_give_way_to_one(explore: Explore, number: int) -> None:
    """``a1(0), a1(0)`` has the simplest arguments, but ``a1(1)`` alone is enough."""
    a1 = Action(
        "a1",
        lambda api, context, n: api.update(total=api["total"] + n + 1),
        arguments={"n": st.text(max_size=1).map(len)},
    )
    wave = Action("wave", lambda api, context: api.update(waves=api["waves"] + 1), max_calls=3)
    below = Invariant("below_two", lambda world: world.api["total"] < 2)
    told = explore(store_of(total=0, waves=0), [a1, NOOP, wave], [below], number=number)
    assert told.paths == {"below_two": ["a1(n=1)"]}


class Hiding(MemoryAdapter):
    """A store that does not show what it holds under ``hidden``; it rolls back all the same."""

    def observe(self) -> Observation:
        shown = {key: value for key, value in self.data.items() if key != "hidden"}
        return MemoryAdapter(shown, name=self.name).observe()


class Leaking(Hiding):
    """And that is not rolled back."""

    def rollback(self, handle: Handle) -> None:
        hidden = self.data["hidden"]
        super().rollback(handle)
        self.data["hidden"] = hidden


def hiding(kind: type[Hiding], **data: Any) -> Callable[[], World]:
    def open_world() -> World:
        store = kind({"hidden": 0, **data})
        return World(store, {"store": store})

    return open_world


@pytest.mark.parametrize("reaction", ["error", "warn"])
@pytest.mark.parametrize("shows", [True, False])
def test_an_error_in_a_step_that_is_executed_as_a_check_is_said(reaction: str, shows: bool) -> None:
    """``probe, touch, probe``: the outcome is compared first, also where the states are equal."""
    raised: list[int] = []

    def probe(api: MemoryAdapter, context: Context) -> None:
        if api["hidden"]:
            raised.append(number)
            api["probed"] = shows
            raise ValueError("probed after touch")

    actions = [
        Action("probe", probe),
        Action("touch", lambda api, context: api.update(hidden=1)),
        Action("count", lambda api, context: api.update(n=min(api["n"] + 1, 6))),
    ]
    for number in range(20):
        # Hypothesis's own walks take known steps; exploring takes those that are left.
        told = by_machine(
            hiding(Hiding, n=0, probed=False),
            actions,
            number=number,
            strategy=Novelty(walks=1.0),
            on_divergence=reaction,
        )
        if number in raised:
            assert "ValueError" in told.text
            assert "probe" in told.text
            assert isinstance(told.raised, (ValueError, DivergenceError))
        if number in raised and reaction == "warn":
            assert told.paths == {"probe": ["touch()", "probe()"]}
    assert len(set(raised)) > 10


def tick(api: MemoryAdapter, context: Context) -> None:
    """Turn the bell at every second call, which nobody can see coming."""
    api["hidden"] += 1
    api["bell"] = api["hidden"] // 2 % 2


def press(name: str, at: int) -> Action:
    """Return an action that goes one further where the last one went so far."""

    def execute(api: MemoryAdapter, context: Context) -> Any:
        if api["at"] != at:
            return CONFLICT
        api["at"] += 1
        return None

    return Action(name, execute)


PRESSES = [press("first", 0), press("second", 1), press("third", 2)]
UNOPENED = Invariant("unopened", lambda world: world.api["at"] < 3)


@both
@pytest.mark.parametrize("number", range(10))
def test_a_bug_beside_a_divergence_is_reported_by_its_shortest_path(
    explore: Explore, number: int
) -> None:
    """The counter that nobody observes has nothing to do with it."""
    told = explore(
        hiding(Leaking, at=0, bell=0),
        [Action("tick", tick), *PRESSES],
        [UNOPENED],
        number=number,
        on_divergence="warn",
    )
    assert told.record is not None
    assert told.record.divergence is not None
    assert told.paths == {"unopened": ["first()", "second()", "third()"]}


@both
@pytest.mark.parametrize("reaction", ["error", "warn"])
@pytest.mark.parametrize("number", range(5))
def test_no_finding_has_an_empty_path(explore: Explore, reaction: str, number: int) -> None:
    """Unless the initial state is broken, some step was needed."""
    actions = [Action("tick", tick), *PRESSES]
    told = explore(
        hiding(Leaking, at=0, bell=0),
        actions,
        [UNOPENED],
        number=number,
        on_divergence=reaction,
    )
    assert all(item.reproduction_path for item in told.violations)
    assert told.violations or isinstance(told.raised, DivergenceError)


@pytest.mark.parametrize("reaction", ["error", "warn"])
@pytest.mark.parametrize("steps", [5, 20, 100, 400])
def test_what_ended_an_exploration_and_how_much_is_left_agree(steps: int, reaction: str) -> None:
    """It is exhausted only where that, and no limit and no divergence, has ended it."""
    world, actions = hiding(Leaking, at=0, bell=0), [Action("tick", tick), *PRESSES]
    told = by_agent(world, actions, on_divergence=reaction, max_steps=steps)
    record = told.record
    if record is not None:
        assert (record.exhausted is not None) == (record.ended_by == "exhausted")
        assert (record.ended_by == "divergence") <= (record.divergence is not None)
    else:
        assert isinstance(told.raised, DivergenceError)


@both
def test_a_misspelt_context_key_is_warned_of(explore: Explore) -> None:
    """A run that found nothing names the action that never ran, and the key."""
    order = Action("order", lambda api, context: context.set("orders", [1]))
    pay = Action(
        "pay",
        lambda api, context, order: api.update(paid=order),
        arguments={"order": from_context("ordres")},
    )
    told = explore(store_of(paid=0), [order, pay])
    assert told.raised is None
    assert "never ran" in told.text
    assert "a value under the context key 'ordres'" in told.text


def refuse(api: Any, context: Context, n: int) -> None:
    assume(False)


def test_a_run_whose_every_step_is_rejected_is_no_success() -> None:
    """Hypothesis says so where ``assume`` rejects every test case."""
    told = by_machine(store_of(n=0), [Action("refuse", refuse, arguments={"n": st.integers()})])
    assert "Unable to satisfy assumptions" in told.text


def test_an_exploration_whose_every_step_is_rejected_is_warned_of() -> None:
    """The Agent has no Hypothesis above it that would say so."""
    told = by_agent(store_of(n=0), [Action("refuse", refuse, arguments={"n": st.integers()})])
    assert "assume() rejected all" in told.text
