"""The Agent: budgets, what ends it, what it tells, and that it believes nothing unproven."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from explored_services import lock, memory_world, ring, workflow
from hypothesis import assume
from hypothesis import strategies as st
from tiny_systems import Snapshots, Stack

from venomqa_hyp import (
    BFS,
    Action,
    Agent,
    Context,
    Invariant,
    Novelty,
    Severity,
    World,
)
from venomqa_hyp.agent import Progress
from venomqa_hyp.errors import DefinitionError, RollbackError


def counted(parts: Any) -> tuple[Any, list[str]]:
    """Return the parts with actions that note their names when they are called."""
    make, actions, invariants = parts
    calls: list[str] = []

    def count(action: Action) -> Action:
        def execute(api: Any, context: Context, **arguments: Any) -> Any:
            calls.append(action.name)
            return action.execute(api, context, **arguments)

        return Action(action.name, execute, arguments=action.arguments)

    return (make, [count(action) for action in actions], invariants), calls


@pytest.mark.parametrize("strategy", [BFS, Novelty])
@pytest.mark.parametrize("system", [Snapshots, Stack])
@pytest.mark.parametrize("steps", [1, 2, 7, 60, 333])
def test_max_steps_is_never_exceeded(strategy: Any, system: Any, steps: int) -> None:
    """Calls are what counts: proving an action, and getting back to a state, included."""
    _, actions, _ = workflow()

    def make() -> World:
        store = system()
        return World(store.data, {"store": store})

    parts, calls = counted((make, actions, []))
    result = Agent(*parts, strategy=strategy(), max_steps=steps, seed=3).explore()
    assert len(calls) == result.steps_executed <= steps
    assert result.ended_by == "max_steps"
    assert result.steps_executed >= steps - 8


def test_all_violations_come_back_each_minimal() -> None:
    """The exploration goes on after a violation; paths are short, and lead where they say."""

    def step(api: Any, context: Context, by: int) -> None:
        api["at"] = api.get("at", 0) + by

    def reset(api: Any, context: Context) -> None:
        api["at"] = 0
        api["resets"] = api.get("resets", 0) + 1

    def crash(api: Any, context: Context) -> None:
        if api.get("resets", 0) >= 2:
            raise ValueError("no resets left")

    actions = [
        Action("step", step, arguments={"by": st.integers(1, 3)}),
        Action("reset", reset),
        Action("crash", crash),
    ]
    invariants = [
        Invariant("small", lambda world: world.api.get("at", 0) < 7, severity=Severity.CRITICAL),
        Invariant("not_four", lambda world: world.api.get("at", 0) != 4),
    ]
    result = Agent(memory_world, actions, invariants, max_steps=600, seed=0).explore()
    found = {item.name: item for item in result.violations}
    assert {name: len(item.reproduction_path) for name, item in found.items()} == {
        "small": 3,
        "not_four": 2,
        "crash": 3,
    }
    assert [item.name for item in result.critical_violations] == ["small"]
    assert isinstance(found["crash"].exception, ValueError)
    for item in found.values():
        world = memory_world()
        by_name = {action.name: action for action in actions}
        for taken in item.reproduction_path:
            world.act(by_name[taken.action], taken.arguments)
        shown = [rule.name for rule in invariants if not world.check(rule).holds]
        assert item.name in (shown or ["crash"])


def test_fail_fast_ends_at_the_first_violation() -> None:
    result = Agent(*lock(2), max_steps=500, fail_fast=True, seed=0).explore()
    assert result.ended_by == "fail_fast"
    assert len(result.violations) == 1


def test_a_rule_broken_at_once_is_told_without_a_step() -> None:
    """The initial state is judged, too; its path is empty, and nothing is executed."""
    parts = (*ring(5)[:2], [Invariant("never", lambda world: False)])
    result = Agent(*parts, max_steps=50).explore()
    assert [item.reproduction_path for item in result.violations] == [()]
    assert (result.ended_by, result.steps_executed) == ("the initial state", 0)


def test_a_coverage_target_ends_it() -> None:
    result = Agent(*workflow(), coverage_target=0.5, max_steps=900, seed=0).explore()
    assert result.ended_by == "coverage_target"
    assert 0.5 <= result.action_coverage < 0.7


def test_a_time_limit_ends_it() -> None:
    result = Agent(*workflow()[:2], time_limit=0.05, max_steps=10**6).explore()
    assert result.ended_by == "time_limit"
    assert 0 < result.steps_executed < 10**6


def test_progress_is_printed_every_so_many_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each, with step, states, coverage and violations."""
    Agent(*workflow()[:2], max_steps=150, progress_every=50, seed=0).explore()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    line = r"  step (\d+)/150 \| states \d+ \| coverage \d+% \| violations 0"
    steps = [int(found[1]) for text in lines if (found := re.fullmatch(line, text))]
    assert len(steps) == 3
    assert all(at <= step < at + 20 for at, step in zip((50, 100, 150), steps, strict=True))


def test_progress_can_be_taken_instead(capsys: pytest.CaptureFixture[str]) -> None:
    """A callable gets every moment; nothing is printed then."""
    seen: list[Progress] = []
    Agent(*ring(6), on_progress=seen.append, progress_every=1).explore()
    assert capsys.readouterr().out == ""
    assert (seen[-1].states, seen[-1].coverage, seen[-1].violations) == (6, 1.0, 0)
    assert [item.step for item in seen] == sorted(item.step for item in seen)


def test_without_a_terminal_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Agent(*ring(6)).explore()
    assert capsys.readouterr() == ("", "")


class Refusal:
    """A response that says no."""

    status_code = 404


def test_actions_that_lead_nowhere_are_named() -> None:
    """What only ever fails and changes nothing needs a precondition; reading does not."""

    def pay(api: Any, context: Context, order: int) -> Any:
        return Refusal()

    def read(api: Any, context: Context) -> None: ...

    actions = [*ring(6)[1], Action("read", read)]
    pay_action = Action("pay", pay, arguments={"order": st.integers(1, 4)})
    result = Agent(ring(6)[0], [*actions, pay_action], seed=0).explore()
    (told,) = result.loops
    assert re.fullmatch(
        "Loop detected: 'pay' from state [0-9a-f]{8} has been called 4 times without success and "
        r"without changing state\. This action likely needs a precondition\.",
        told,
    )


def test_depth_is_limited() -> None:
    """States as many steps away are left alone, and the end says so."""

    def count(api: Any, context: Context) -> None:
        api["n"] = api.get("n", 0) + 1

    result = Agent(memory_world, [Action("count", count)], max_depth=9).explore()
    assert result.exhausted == "all 10 states within depth 9 explored"


def test_the_world_is_left_as_it_was_found() -> None:
    """A World that was given is rolled back and stays open; one that was opened is closed."""
    _, actions, invariants = ring(6, limit=3)
    mine = Snapshots()
    mine.data["at"] = 0
    Agent(World(mine.data, {"store": mine}), actions, invariants).explore()
    assert (mine.data, mine.closed) == ({"at": 0}, 0)
    opened: list[Snapshots] = []

    def make() -> World:
        opened.append(Snapshots())
        opened[-1].data["at"] = 0
        return World(opened[-1].data, {"store": opened[-1]})

    assert len(Agent(make, actions, invariants).explore().violations) == 1
    assert len(opened) == 2, "the violation is shown in a World of its own"
    assert [system.closed for system in opened] == [1, 1]


def test_an_action_may_reject_its_arguments() -> None:
    """What ``assume`` rejects is no step and no finding."""

    def halve(api: Any, context: Context, number: int) -> None:
        assume(number % 2 == 0)
        api["seen"] = number

    actions = [Action("halve", halve, arguments={"number": st.integers(0, 5)})]
    result = Agent(memory_world, actions, max_steps=200).explore()
    assert result.violations == ()
    assert all(item.step.arguments["number"] % 2 == 0 for item in result.graph.transitions)


def outside() -> Callable[[Any, Context], None]:
    """Return an action that counts in a place no World knows of."""
    calls = []

    def leak(api: Any, context: Context) -> None:
        calls.append(1)
        api["n"] = len(calls)

    return leak


def test_without_a_record_it_walks_and_still_finds() -> None:
    """A World that does not repeat itself is explored live; the difference is told."""
    result_of = Agent(
        memory_world,
        [Action("leak", outside()), *ring(9)[1]],
        [Invariant("small", lambda world: world.api.get("at", 0) != 3)],
        max_steps=400,
        seed=1,
    )
    with pytest.warns(match="does not repeat itself"):
        result = _with_at(result_of).explore()
    assert result.divergence is not None
    assert result.divergence.step == "leak()"
    assert [item.name for item in result.violations] == ["small"]
    assert result.ended_by == "max_steps"


def _with_at(agent: Agent) -> Agent:
    def make() -> World:
        world = memory_world()
        world.api["at"] = 0
        return world

    definition = agent.definition
    parts = make, definition.actions.values(), definition.invariants
    return Agent(*parts, max_steps=400, seed=1, on_divergence="warn")


def test_what_shows_only_once_is_not_reported() -> None:
    """A violation that its own path does not repeat is no finding."""
    calls = []

    def flicker(world: World) -> bool:
        calls.append(1)
        return len(calls) != 12

    with pytest.warns(match="does not repeat itself"):
        result = Agent(
            *ring(30)[:2],
            [Invariant("flicker", flicker)],
            max_steps=200,
            on_divergence="warn",
        ).explore()
    assert result.violations == ()
    assert result.divergence is not None


def test_a_failing_rollback_ends_it() -> None:
    system = Snapshots(rollback=[None] * 3 + [OSError("disk gone")])
    world = World(system.data, {"store": system})
    with pytest.raises(RollbackError, match="disk gone"):
        Agent(world, workflow()[1], max_steps=500, seed=0).explore()


def test_what_cannot_be_drawn_is_refused() -> None:
    """Interactive draws need a Hypothesis test; the error names the way."""

    def act(api: Any, context: Context, data: Any) -> None: ...

    agent = Agent(memory_world, [Action("act", act, arguments={"data": st.data()})])
    with pytest.raises(DefinitionError, match=r"'act': argument 'data' cannot be drawn.*TestCase"):
        agent.explore()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"max_steps": 0}, "max_steps is 0, but it is a whole number from 1"),
        ({"max_depth": 2.5}, r"max_depth is 2\.5"),
        ({"progress_every": -1}, "progress_every is -1"),
        ({"coverage_target": 80}, "coverage_target is 80, but it is a share"),
        ({"time_limit": 0}, "time_limit is 0, but it is a number of seconds"),
        ({"strategy": BFS}, r"strategy is <class .*Write strategy=BFS\(\)"),
        ({"seed": "x"}, "seed is 'x', but it is a whole number"),
    ],
)
def test_bad_options_are_refused(option: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        Agent(*ring(5), **option)
