"""What goes wrong with the World ends the run at once, and is never told as a finding."""

from collections.abc import Callable
from typing import Any

import pytest
from counter_machine import Opener, add, both_ways, machine, run
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from venomqa_hyp import Action, Context, Invariant, World, venom_machine
from venomqa_hyp.errors import (
    RollbackError,
    ServerNotAnswering,
    SystemUnavailable,
    WorldError,
)


def ends_at_once(made: Any, kind: type[BaseException], text: str) -> BaseException:
    """Run; check that the error arrived as it is and was not told as a falsifying example."""
    with pytest.raises(kind) as caught:
        run(made)
    assert text in str(caught.value)
    notes = "\n".join(getattr(caught.value, "__notes__", []))
    assert "Failing test case" not in notes
    assert "Falsifying example" not in notes
    return caught.value


@both_ways
@pytest.mark.parametrize("method", ["checkpoint", "rollback", "observe"])
@pytest.mark.parametrize("healthy", [0, 1])
def test_a_failing_system_ends_the_run(rollback: bool, method: str, healthy: int) -> None:
    """Nothing is executed after it, the World is closed, and the error names the system."""
    if not rollback and healthy and method != "rollback":
        pytest.skip("without rollback the World is checkpointed and observed once")
    opener = Opener(**{method: [None] * healthy + [OSError("gone")]})
    executed = []
    made = venom_machine(
        opener,
        [Action("add", lambda api, context: add(api, context) or executed.append(1))],
        [Invariant("holds", lambda world: True)],
        rollback=rollback,
    )
    does = "roll back" if method == "rollback" else method
    ends_at_once(made, WorldError, f"system 'store' (Snapshots) failed to {does}: OSError: gone")
    assert opener.closed == [1]
    assert len(executed) < 60


@both_ways
@pytest.mark.parametrize(
    "error",
    [SystemUnavailable("database locked"), RollbackError("x"), OSError("refused")],
    ids=repr,
)
def test_a_factory_that_fails_ends_the_run(rollback: bool, error: Exception) -> None:
    """What a factory raises is no finding, and it is not asked again and again."""
    kind = type(error) if isinstance(error, WorldError) else WorldError
    calls = []

    def open_world() -> World:
        calls.append(1)
        raise error

    ends_at_once(machine(open_world, rollback=rollback), kind, str(error))
    assert len(calls) == 1


@both_ways
def test_an_unreachable_server_ends_the_run(rollback: bool) -> None:
    """Before anything is executed, with the error of the client; the World is closed."""
    closed, executed = [], []

    class Client:
        def check_ready(self) -> None:
            raise ServerNotAnswering("http://127.0.0.1:1 does not answer")

        def close(self) -> None:
            closed.append(1)

    made = venom_machine(
        lambda: World(Client()),
        [Action("call", lambda api, context: executed.append(1))],
        rollback=rollback,
    )
    ends_at_once(made, ServerNotAnswering, "http://127.0.0.1:1 does not answer")
    assert (closed, executed) == ([1], [])


@both_ways
def test_a_server_that_dies_ends_the_run_with_the_steps(rollback: bool) -> None:
    """The error tells the steps that led to it, as what the last one did may be the cause."""
    opener = Opener()

    def call(api: Any, context: Context, amount: int) -> None:
        add(api, context)
        if api["n"] == 3:
            raise ServerNotAnswering("no answer")

    arguments = {"amount": st.just(5)}
    made = venom_machine(opener, [Action("call", call, arguments=arguments)], rollback=rollback)
    error = ends_at_once(made, ServerNotAnswering, "no answer")
    assert error.__notes__ == [
        "The steps up to here: call(amount=5), call(amount=5), call(amount=5)"
    ]
    assert opener.closed == [1]


@both_ways
@pytest.mark.parametrize("kind", ["rule", "invariant"])
def test_a_world_that_fails_in_a_rule_of_the_user_ends_the_run(rollback: bool, kind: str) -> None:
    """Also where self.world is what could not be moved, that is no falsifying example."""
    opener = Opener(rollback=[None] * 4 + [OSError("gone")] * 500)
    mark: Callable[[], Any] = rule if kind == "rule" else invariant

    class Mine(machine(opener, rollback=rollback)):  # type: ignore[misc]
        @mark()
        def read(self) -> None:
            assert self.world.api.get("n", 0) >= 0

    ends_at_once(Mine, RollbackError, "system 'store' (Snapshots) failed to roll back: OSError")
    assert opener.closed == [1]


@both_ways
@pytest.mark.parametrize("where", ["action", "invariant", "rollback"])
def test_ctrl_c_closes_the_world(rollback: bool, where: str) -> None:
    """The interruption arrives as it is, and no World stays open."""
    opener = Opener(rollback=[KeyboardInterrupt()] if where == "rollback" else [])

    def interrupt(api: Any) -> None:
        if api.get("n", 0) == 2:
            raise KeyboardInterrupt

    def step(api: Any, context: Context) -> None:
        add(api, context)
        if where == "action":
            interrupt(api)

    def check(world: World) -> None:
        if where == "invariant":
            interrupt(world.api)

    made = venom_machine(
        opener, [Action("step", step)], [Invariant("check", check)], rollback=rollback
    )
    with pytest.raises(KeyboardInterrupt):
        run(made)
    assert opener.closed == [1]
