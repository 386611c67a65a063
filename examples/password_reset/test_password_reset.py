"""Passwords change only by a fresh token: mail and time are part of the World.

    pytest examples/password_reset

In a project of yours this is the whole test, and it fails with the shortest sequence:

    TestReset = venom_machine(open_world, ACTIONS).TestCase

The bug of this service is meant to be there, so here such a test stands for the service without
it, and another one expects the sequence that shows the bug.
"""

import re
import smtplib
from datetime import timedelta
from email.message import EmailMessage
from functools import partial
from typing import Any

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from service import create_app, new_store

from venomqa_hyp import Action, World, venom_machine
from venomqa_hyp.adapters import ClockAdapter, MemoryAdapter, MockMail, WsgiClient

ADA = "ada@example.com"
HOUR = timedelta(hours=1)
SPANS = [timedelta(minutes=30), timedelta(hours=2), timedelta(days=1)]


def open_world(*, fixed: bool = False) -> World:
    """Return a World with a customer, a mail server and a clock that stands still."""
    mail, store = MockMail().serve(), MemoryAdapter(new_store())

    def send(message: EmailMessage) -> None:
        with smtplib.SMTP(mail.host, mail.port) as server:
            server.send_message(message)

    api = WsgiClient(create_app(store.data, send, fixed=fixed))
    return World(api, {"clock": ClockAdapter(), "mail": mail, "store": store})


def forget_password(api: Any, context: Any) -> Any:
    """Ask for a token; it comes by mail."""
    before = len(context.world.systems["mail"].outbox)
    response = api.post("/resets", json={"mail": ADA})
    assert response.status_code == 202
    assert len(context.world.systems["mail"].outbox) == before + 1
    return response


def wait(api: Any, context: Any, span: timedelta) -> None:
    """Let some time pass."""
    context.world.systems["clock"].advance(span)


def set_password(api: Any, context: Any, password: str) -> Any:
    """Use the token of the latest mail; it works within an hour, and once."""
    mail = context.world.systems["mail"].outbox[-1]
    (token,) = re.findall(r"token=(\w+)", mail.text)
    age = context.world.systems["clock"].now() - mail.message["Date"].datetime
    response = api.post("/passwords", json={"token": token, "password": password})
    if response.status_code == 204:
        assert age <= HOUR, f"a token of {age} was good"
        assert api.post("/session", json={"mail": ADA, "password": password}).status_code == 204
    else:
        assert response.status_code in {404, 410}
    return response


ACTIONS = [
    Action("forget_password", forget_password, max_calls=2),
    Action("wait", wait, arguments={"span": st.sampled_from(SPANS)}, max_calls=2),
    Action(
        "set_password",
        set_password,
        arguments={"password": st.sampled_from(["babbage", "lovelace"])},
        preconditions=["forget_password"],
    ),
]

TestFixedReset = venom_machine(partial(open_world, fixed=True), ACTIONS, name="FixedReset").TestCase
TestFixedReset.settings = settings(max_examples=20)


def test_a_token_is_good_again_a_day_later() -> None:
    """``timedelta.seconds`` begins anew each day: 24 hours after the mail it is 0."""
    machine = seed(1)(venom_machine(open_world, ACTIONS, name="Reset"))
    with pytest.raises(AssertionError, match=r"a token of 1 day, 0:00:00 was good"):
        run_state_machine_as_test(machine, settings=settings(database=None, max_examples=200))
    (violation,) = machine.last_run.violations
    steps = [(step.action, dict(step.arguments)) for step in violation.reproduction_path]
    assert steps == [
        ("forget_password", {}),
        ("wait", {"span": timedelta(days=1)}),
        ("set_password", {"password": "babbage"}),
    ]
