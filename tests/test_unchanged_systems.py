"""A run in which the service answers and no system changes says that its World may be another."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.stateful import IdleActionWarning

CREATED = SimpleNamespace(status_code=201)


def remember(context: Any) -> Any:
    context["orders"] = min(3, context.get("orders", 0) + 1)
    return CREATED


def elsewhere(api: Any, context: Any) -> Any:
    return remember(context)


def here(api: Any, context: Any) -> Any:
    api["orders"] = api.get("orders", 0) % 3 + 1
    return remember(context)


def reads(api: Any, context: Any) -> Any:
    return CREATED


def without_status(api: Any, context: Any) -> None:
    remember(context)


def open_world() -> World:
    store = MemoryAdapter()
    return World(store, {"db": store})


def warned(action: Any) -> list[str]:
    machine = venom_machine(open_world, [Action("create", action)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_state_machine_as_test(machine, settings=settings(database=None, max_examples=10))
    return [str(item.message) for item in caught if item.category is IdleActionWarning]


def test_a_store_that_is_not_the_services_is_named() -> None:
    (message,) = warned(elsewhere)
    assert "no system of the World ever changed, though the service answered create." in message
    assert "Is this what it writes to: db (?)?" in message


@pytest.mark.parametrize("action", [here, reads, without_status])
def test_no_other_run_is_doubted(action: Any) -> None:
    assert warned(action) == []
