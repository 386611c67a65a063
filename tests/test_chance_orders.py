"""Lists whose order is left to chance, and places that count for nothing by the user's word."""

import random
from typing import Any

import pytest
from hypothesis import strategies as st

from venomqa_hyp import Action, Agent, Context, World
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.errors import DivergenceError

NAMES = ["zoe", "bob", "amy"]


def open_world(**options: Any) -> World:
    store = MemoryAdapter()
    return World(store, {"store": store}, **options)


@pytest.mark.parametrize("seed", range(4))
def test_a_list_in_chance_order_is_read_as_unordered(seed: int) -> None:
    """As a server that keeps a set and answers with a list of it."""

    def share(api: Any, context: Context, name: str) -> None:
        shared = sorted({*api.get("shared", []), name})
        api["shared"] = random.sample(shared, len(shared))

    actions = [Action("share", share, arguments={"name": st.sampled_from(NAMES)})]
    found = Agent(open_world, actions, max_steps=200, seed=seed).explore()
    assert found.divergence is None
    assert found.exhausted is not None


def test_a_list_in_another_order_is_another_state() -> None:
    """Where it comes in the same order each time."""

    def move(api: Any, context: Context, name: str) -> None:
        api["queue"] = [*(item for item in api.get("queue", NAMES) if item != name), name]

    actions = [Action("move", move, arguments={"name": st.sampled_from(NAMES)})]
    found = Agent(open_world, actions, max_steps=200, seed=1).explore()
    assert found.exhausted == "all 7 states explored"


def test_a_place_that_counts_for_nothing_is_left_out() -> None:
    """Without that word, a small count that no rollback reaches is a divergence."""
    calls = iter(range(1_000_000))

    def visit(api: Any, context: Context) -> None:
        api["visits"] = next(calls)
        api["open"] = not api.get("open", False)

    actions = [Action("visit", visit)]
    with pytest.raises(DivergenceError, match=r'volatile=\["store.visits"\]'):
        Agent(open_world, actions, max_steps=50, seed=1).explore()
    found = Agent(
        lambda: open_world(volatile=["store.visits"]), actions, max_steps=50, seed=1
    ).explore()
    assert found.exhausted == "all 3 states explored"
