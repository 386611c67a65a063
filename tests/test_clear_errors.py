"""Mistakes that are easily made get an error that says what to write, or work as meant."""

import warnings
from typing import Any

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Agent, Invariant, World, action, venom_machine
from venomqa_hyp.adapters import AsgiClient, PostgresAdapter, WsgiClient
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

CLOSED = "http://127.0.0.1:9"


@action
def create_order(api: Any, context: Any) -> str:
    return "created"


def make_application() -> Any:
    return lambda environ, start_response: [b""]


def test_the_class_world_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"the class World itself.*def open_world\(\):"):
        venom_machine(World, [create_order])


@pytest.mark.parametrize("client", [AsgiClient, WsgiClient])
def test_a_function_that_makes_the_application_is_refused(client: Any) -> None:
    with pytest.raises(DefinitionError, match=rf"write {client.__name__}\(make_application\(\)\)"):
        client(make_application)


def test_an_action_can_be_called_by_another() -> None:
    twice = Action("twice", lambda api, context: [create_order(api, context) for _ in range(2)])
    with World(None) as world:
        assert world.act(twice).value == ["created", "created"]


def test_an_action_may_be_a_precondition() -> None:
    assert Action("pay", create_order, preconditions=[create_order]).required == ("create_order",)


def test_an_empty_message_is_refused() -> None:
    """Nobody can tell whether the rule holds."""
    with (
        World(None) as world,
        pytest.raises(DefinitionError, match="the check returned '' of type"),
    ):
        world.check(Invariant("rule", lambda world: ""))


def test_the_argument_that_cannot_be_drawn_is_named() -> None:
    arguments = {"amount": st.integers(), "data": st.data()}
    step = Action("step", lambda api, context, amount, data: None, arguments=arguments)
    with pytest.raises(DefinitionError, match="argument 'data' cannot be drawn"):
        Agent(lambda: World(None), [step], max_steps=5).explore()


def test_a_server_that_does_not_answer_a_client_of_httpx_is_no_finding() -> None:
    get = Action("get", lambda api, context: api.get("/"))
    machine = venom_machine(lambda: World(httpx.Client(base_url=CLOSED)), [get])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_state_machine_as_test(machine, settings=settings(database=None, max_examples=3))
    assert any("no action ever succeeded" in str(warning.message) for warning in caught)
    assert machine.last_run is not None
    assert machine.last_run.violations == ()


def test_a_wrong_port_is_named_with_the_system() -> None:
    with pytest.raises(SystemUnavailable, match=r"PostgreSQL cannot be reached: .*port 9[ \"]"):
        PostgresAdapter("postgresql://postgres@127.0.0.1:9/postgres")
