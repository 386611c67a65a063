"""The order service, tested: actions and rules are in ``actions.py``.

    pytest examples/orders

In a project of yours this is the whole test, and it fails with the shortest sequence of requests
that breaks a rule:

    TestOrders = venom_machine(shop, ACTIONS, INVARIANTS, name="Orders").TestCase

The bugs of this service are meant to be there, so here such a test stands for the service
without them, and for each bug there is a test that expects its sequence.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from actions import (
    ACTIONS,
    INVARIANTS,
    open_world,
    refunds_within_payments,
    serve_orders,
    shipped_orders_are_paid,
)
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Invariant, World, venom_machine, world_from_fixture
from venomqa_hyp.errors import InvariantViolated


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a World over the service, which runs as a process of its own."""
    database = tmp_path_factory.mktemp("shop") / "orders.sqlite"
    with serve_orders(database) as server, open_world(server.url, database) as world:
        yield world


@pytest.fixture(scope="module")
def fixed_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    """Return what opens a World over the service without the bugs; a machine does for each run."""
    database = tmp_path_factory.mktemp("fixed") / "orders.sqlite"
    with serve_orders(database, fixed=True) as server:
        yield partial(open_world, server.url, database)


FixedOrders = venom_machine(
    world_from_fixture("fixed_shop"), ACTIONS, INVARIANTS, name="FixedOrders"
)
TestFixedOrders = FixedOrders.TestCase
TestFixedOrders.settings = settings(max_examples=10)


def test_refunds_exceed_the_payment(shop: World) -> None:
    """Each refund alone is within the payment, both together are not."""
    path = broken_by(refunds_within_payments, shop, seed_of_run=11)
    assert path == ["create_order", "pay", "refund", "refund"]


def test_an_order_is_shipped_whose_money_was_returned(shop: World) -> None:
    """Reopened after a cancellation, an order counts as paid although its money went back."""
    path = broken_by(shipped_orders_are_paid, shop, seed_of_run=3)
    assert path == ["create_order", "pay", "cancel", "reopen", "pack", "ship"]


def broken_by(rule: Invariant, world: World, *, seed_of_run: int) -> list[str]:
    """Return the actions of the shortest sequence that breaks *rule*."""
    machine = seed(seed_of_run)(venom_machine(world, ACTIONS, [rule], name="Orders"))
    with pytest.raises(InvariantViolated, match=rule.name):
        run_state_machine_as_test(machine, settings=settings(database=None, max_examples=200))
    (violation,) = machine.last_run.violations
    return [step.action for step in violation.reproduction_path]
