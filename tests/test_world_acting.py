"""What an action or an invariant came to: a finding, no finding, or the end of the run."""

import unittest
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from venomqa_hyp import Action, Context, Invariant, World
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.errors import (
    DefinitionError,
    InvariantViolated,
    ServerNotAnswering,
    WorldError,
)


class Client(MemoryAdapter):
    """A client whose calls may get lost."""

    transport_errors = (ConnectionError,)


def fail(error: BaseException) -> Callable[..., Any]:
    def execute(*arguments: Any) -> None:
        raise error

    return execute


def test_acting_says_what_came_of_it() -> None:
    """A value is a success, an exception a finding, a transport error neither."""

    def get(api: Any, context: Context, number: int) -> int:
        return number

    world = World(Client())
    assert world.act(Action("get", get, arguments={"number": st.just(7)}), {"number": 7}).value == 7
    broken = ValueError("boom")
    result = world.act(Action("raises", fail(broken)))
    assert (result.success, result.error, result.exception) == (False, "ValueError: boom", broken)
    lost = world.act(Action("lost", fail(ConnectionResetError("reset"))))
    assert (lost.success, lost.error, lost.exception) == (
        False,
        "ConnectionResetError: reset",
        None,
    )


FINDINGS = [AssertionError("a"), SystemExit(3), InvariantViolated("b"), pytest.fail.Exception("c")]
NO_FINDINGS = [
    hypothesis.errors.UnsatisfiedAssumption(),
    unittest.SkipTest("skip"),
    pytest.skip.Exception("skip"),
    KeyboardInterrupt(),
    WorldError("server"),
    DefinitionError("test"),
]


@pytest.mark.parametrize("error", FINDINGS, ids=repr)
def test_what_counts_as_a_finding(error: BaseException) -> None:
    """A failed check is one, however it is raised; of an invariant it is the verdict."""
    world = World(None)
    assert world.act(Action("raises", fail(error))).exception is error
    verdict = world.check(Invariant("raises", fail(error)))
    assert (verdict.holds, verdict.exception) == (False, error)
    assert verdict.message == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("error", NO_FINDINGS, ids=repr)
def test_what_is_no_finding_passes_through(error: BaseException) -> None:
    """What steers the runner, or says that nothing can work, is not the system's fault."""
    world = World(None)
    for use in (
        lambda: world.act(Action("raises", fail(error))),
        lambda: world.check(Invariant("raises", fail(error))),
    ):
        with pytest.raises(type(error)) as caught:
            use()
        assert caught.value is error


@pytest.mark.parametrize(
    ("returned", "message"),
    [(None, None), (True, None), (False, "the check returned False"), ("2 lost", "2 lost")],
)
def test_what_a_check_may_return(returned: object, message: str | None) -> None:
    """None and True hold; False and a message do not."""
    verdict = World(None).check(Invariant("rule", lambda world: returned))
    assert (verdict.holds, verdict.message) == (message is None, message)


@pytest.mark.parametrize("returned", [0, 1, [], ["order 3"], 0.0])
def test_a_check_that_returns_anything_else_is_refused(returned: object) -> None:
    """0 or an empty list says nothing: neither is taken for a verdict."""
    with pytest.raises(DefinitionError) as caught:
        World(None).check(Invariant("rule", lambda world: returned))
    assert str(caught.value) == (
        f"invariant 'rule': the check returned {returned!r} of type {type(returned).__name__}, but "
        "it returns None or True where the rule holds, and False or a message where it does not. "
        "Compare explicitly: return count == expected."
    )


def test_when_decides_whether_a_check_is_asked() -> None:
    """Where it is false the invariant holds, whatever the check would say."""
    world = World(None, context={"paid": False})
    rule = Invariant("rule", lambda world: False, when=lambda world: world.context["paid"])
    assert world.check(rule).holds
    world.context["paid"] = True
    assert not world.check(rule).holds


def test_an_api_that_does_not_answer_an_invariant_is_no_verdict() -> None:
    """A transport error in a check says nothing of the rule."""
    rule = Invariant("rule", fail(ConnectionResetError("reset")))
    with pytest.raises(
        WorldError, match=r"'rule' could not be checked.*ConnectionResetError: reset"
    ):
        World(Client()).check(rule)


def test_readiness_is_asked_of_the_client() -> None:
    """A client without check_ready is taken to be ready."""
    World(None).check_ready()
    api = Client()
    api.check_ready = fail(ServerNotAnswering("nobody there"))  # type: ignore[attr-defined]
    with pytest.raises(ServerNotAnswering, match="nobody there"):
        World(api).check_ready()
