"""A service in another process that sends mails, queues jobs and calls another service."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import World, action, invariant, venom_machine
from venomqa_hyp.adapters import HttpClient, MockMail, MockQueue, WireMockAdapter
from venomqa_hyp.errors import InvariantViolated
from venomqa_hyp.testing.process import serve

pytest.importorskip("aiosmtpd")

SHOP = Path(__file__).with_name("shop_with_mocks.py")


@pytest.fixture
def world() -> Iterator[World]:
    mail, queue, payments = MockMail().serve(), MockQueue().serve(), WireMockAdapter()
    payments.stub({"method": "POST", "url": "/charge"}, {"status": 201})
    arguments = [payments.url, queue.url, str(mail.port)]
    systems = {"mail": mail, "queue": queue, "payments": payments}
    with (
        serve([sys.executable, str(SHOP), "{port}", *arguments]) as server,
        World(HttpClient(server.url), systems) as made,
    ):
        yield made


@action(max_calls=2)
def buy(api: Any, context: Any) -> Any:
    return api.post("/orders", json="apple")


@action(max_calls=1)
def refuse_cards(api: Any, context: Any) -> None:
    """From now on the other service refuses."""
    payments = context.world.systems["payments"]
    payments.stub({"method": "POST", "url": "/charge"}, {"status": 402})


@invariant
def only_what_is_packed_is_mailed(world: World) -> str | None:
    mailed, packed = world.systems["mail"].outbox, world.systems["queue"].messages("packing")
    return None if len(mailed) == len(packed) else f"{len(mailed)} mails, {len(packed)} to pack"


def test_they_roll_back_as_one(world: World) -> None:
    """And what the service did shows in each of them."""
    start, seen = world.checkpoint("start"), world.observe()
    assert world.act(buy).success
    assert [mail.subject for mail in world.systems["mail"].outbox] == ["You bought: apple"]
    assert [message.body for message in world.systems["queue"].messages()] == ["apple"]
    assert [asked.json for asked in world.systems["payments"].requests] == [{"item": "apple"}]
    world.rollback(start)
    assert world.observe().id == seen.id


def test_a_bug_between_them_is_found(world: World) -> None:
    """The shortest way to it: the other service refuses, and the mail is sent all the same."""
    machine = venom_machine(world, [buy, refuse_cards], [only_what_is_packed_is_mailed])
    with pytest.raises(InvariantViolated, match="1 mails, 0 to pack"):
        run_state_machine_as_test(machine, settings=settings(max_examples=50))
    assert machine.last_run is not None
    (violation,) = machine.last_run.violations
    assert [step.action for step in violation.reproduction_path] == ["refuse_cards", "buy"]
    assert machine.last_run.divergence is None
