"""The shop, tested: actions and rules are in ``actions.py``.

    pytest examples/fastapi_shop

It needs a PostgreSQL and a Redis server: ``SHOP_TEST_POSTGRES`` is the URL of any database of the
first (a new one is created beside it), ``SHOP_TEST_REDIS`` that of the second.

In a project of yours `TestShop` is the whole test. For each bug that can be switched on there is
another one, which expects the shortest sequence.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from actions import ACTIONS, INVARIANTS, Shop, serve_shop
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import World, venom_machine, world_from_fixture

POSTGRES = os.environ.get("SHOP_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("SHOP_TEST_REDIS", "redis://127.0.0.1:6379/0")


@pytest.fixture(scope="module")
def new_customer() -> Iterator[Callable[[], World]]:
    """Run the service, and return what opens the World of a new customer."""
    with run_shop() as shop:
        yield shop.open_world


Shops = venom_machine(world_from_fixture("new_customer"), ACTIONS, INVARIANTS, name="Shop")
TestShop = Shops.TestCase
TestShop.settings = settings(max_examples=10, stateful_step_count=30)


@pytest.mark.parametrize(
    ("bug", "expected"),
    [
        ("session", ["log_in", "change_password", "switch_device"]),
        ("refund", ["place_order", "pay", "cancel", "refund"]),
        (
            "stock",
            ["place_order", "pay", "ship", "cancel", "request_return", "receive_return"],
        ),
    ],
)
def test_a_bug_is_found_by_its_shortest_sequence(bug: str, expected: list[str]) -> None:
    """The service is started with the bug; an error names the broken rule."""
    with run_shop(bug) as shop:
        machine = seed(0)(venom_machine(shop.open_world, ACTIONS, INVARIANTS, name="Shop"))
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=settings(database=None, max_examples=200))
    assert machine.last_run is not None
    (violation,) = machine.last_run.violations
    assert [step.action for step in violation.reproduction_path] == expected


@contextmanager
def run_shop(bugs: str = "") -> Iterator[Shop]:
    """Run the service over a new database for the length of a ``with`` block."""
    name = f"shop_test_{uuid4().hex[:12]}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            database = urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
            with serve_shop(database, REDIS, prefix=f"{name}:", bugs=bugs) as shop:
                yield shop
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
