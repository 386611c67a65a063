"""Paths that can do the same share what was explored, whatever their ids are called."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis.stateful import Bundle
from outcomes import CONFLICT, by_agent, by_machine, store_of

from venomqa_hyp import BFS, DFS, Action, Context, Invariant, Novelty, from_context
from venomqa_hyp.adapters import MemoryAdapter

MOST = 2


def create(api: MemoryAdapter, context: Context) -> Any:
    if len(api["items"]) >= MOST:
        return CONFLICT
    made = str(uuid.uuid4())
    api["items"] = {**api["items"], made: "new"}
    return made


def create_in_context(api: MemoryAdapter, context: Any) -> Any:
    made = create(api, context)
    if isinstance(made, str):
        context["items"] = [*context.get("items", []), made]
    return made


def delete(api: MemoryAdapter, context: Context, item: str) -> Any:
    if item not in api["items"]:
        return CONFLICT
    api["items"] = {key: value for key, value in api["items"].items() if key != item}
    return None


def pay(api: MemoryAdapter, context: Context, item: str) -> Any:
    if api["items"].get(item) != "new":
        return CONFLICT
    api["items"] = {**api["items"], item: "paid"}
    return None


def refund(api: MemoryAdapter, context: Context, item: str) -> Any:
    if api["items"].get(item) != "paid":
        return CONFLICT
    api["items"] = {**api["items"], item: "refunded"}
    return None


@pytest.mark.parametrize("strategy", [BFS, DFS, Novelty])
@pytest.mark.parametrize("number", range(3))
def test_ids_of_what_was_deleted_make_no_new_positions(strategy: Any, number: int) -> None:
    """A path may hold any number of ids that name nothing: there is nothing more to do there."""
    items: Bundle[Any] = Bundle("items")
    actions = [
        Action("create", create, target=items),
        Action("delete", delete, arguments={"item": items}),
    ]
    told = by_agent(store_of(items={}), actions, number=number, strategy=strategy(), max_steps=1500)
    record = told.record
    assert record is not None
    assert record.ended_by == "exhausted"
    assert record.exhausted is not None
    assert record.exhausted.startswith("all 3 states explored")
    assert record.divergence is None
    assert record.steps_executed < 100
    assert record.steps_recalled < 200


@pytest.mark.parametrize("by_bundle", [True, False])
@pytest.mark.parametrize("number", range(3))
def test_random_ids_are_explored_to_the_end(by_bundle: bool, number: int) -> None:
    """At most two items, each new, paid or refunded, whichever ids they have."""
    items: Bundle[Any] = Bundle("items")
    item: Any = items if by_bundle else from_context("items")
    target = items if by_bundle else None
    actions = [
        Action("create", create if by_bundle else create_in_context, target=target),
        Action("pay", pay, arguments={"item": item}),
        Action("refund", refund, arguments={"item": item}),
    ]
    told = by_agent(store_of(items={}), actions, number=number, strategy=BFS(), max_steps=1500)
    record = told.record
    assert record is not None
    assert record.divergence is None
    assert record.ended_by == "exhausted"
    # Items are told apart by their age where a context lists them, or a mapping keeps its order.
    assert record.states_visited <= 1 + 3 + 9
    assert record.steps_recalled < 500


def stamp(api: MemoryAdapter, context: Context, item: str) -> Any:
    """Count what was stamped; the bug is that nobody asks whether the item was stamped before."""
    if item not in api["items"]:
        return CONFLICT
    api["items"] = {**api["items"], item: api["items"][item] + "!"}
    return None


@pytest.mark.parametrize("explore", [by_machine, by_agent])
@pytest.mark.parametrize("number", range(5))
def test_an_item_of_another_path_is_followed_by_its_number(
    explore: Callable[..., Any], number: int
) -> None:
    """A bug in one of two items is reported by steps that name that one."""
    items: Bundle[Any] = Bundle("items")
    actions = [
        Action("create", create, target=items),
        Action("stamp", stamp, arguments={"item": items}),
        Action("delete", delete, arguments={"item": items}),
    ]

    def stamped_once_beside_another(world: Any) -> bool:
        return sorted(world.api["items"].values()) != ["new", "new!!"]

    rule = Invariant("stamped_once", stamped_once_beside_another)
    told = explore(store_of(items={}), actions, [rule], number=number)
    assert told.record.divergence is None
    (violation,) = told.violations
    path = violation.reproduction_path
    assert sorted(step.action for step in path) == ["create", "create", "stamp", "stamp"]
    assert len({step.arguments["item"] for step in path if step.action == "stamp"}) == 1


def test_calls_that_are_left_tell_positions_apart() -> None:
    """The same state with one call left, and with none, are two places to explore from."""
    count = Action("count", lambda api, context: api.update(n=(api["n"] + 1) % 2), max_calls=3)
    told = by_agent(store_of(n=0), [count], strategy=BFS())
    assert told.record is not None
    assert told.record.exhausted == "all 2 states explored"
    assert told.record.transitions_taken == 2


@pytest.mark.parametrize("number", range(5))
def test_a_success_that_others_require_tells_positions_apart(number: int) -> None:
    """``login`` changes nothing that is observed, and yet ``secret`` can be called after it."""
    login = Action("login", lambda api, context: None)
    secret = Action("secret", lambda api, context: api.update(open=1), preconditions=("login",))
    shut = Invariant("shut", lambda world: world.api["open"] == 0)
    told = by_agent(store_of(open=0), [login, secret], [shut], number=number)
    assert told.paths == {"shut": ["login()", "secret()"]}
