"""A service that replies at random breaks what all rests on, and is reported as just that."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle
from outcomes import CONFLICT, Outcome, by_agent, by_machine

from venomqa_hyp import BFS, Action, Context, Invariant, Novelty, World
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.errors import DivergenceError

#: How many runs there are, of each kind, and in one test.
RUNS, CHUNK = 60, 10


class Unlucky(Exception):
    """What the service raises."""


def reply(chance: Any) -> Any:
    drawn = chance.random()
    if drawn < 0.15:
        raise Unlucky("out of luck")
    return CONFLICT if drawn < 0.4 else None


def actions_of(chance: Any) -> list[Action]:
    made: Bundle[Any] = Bundle("made")

    def create(api: MemoryAdapter, context: Context) -> Any:
        answered = reply(chance)
        if answered is None:
            api["n"] = (api["n"] + 1) % 4
            return api["n"]
        return answered

    def put(api: MemoryAdapter, context: Context, n: int) -> Any:
        answered = reply(chance)
        if answered is None:
            api["last"] = n
        return answered

    def pay(api: MemoryAdapter, context: Context, item: int) -> Any:
        api["paid"] = item
        return reply(chance)

    return [
        Action("create", create, target=made),
        Action("put", put, arguments={"n": st.integers(0, 5)}),
        Action("pay", pay, arguments={"item": made}),
        Action("look", lambda api, context: None),
    ]


def run(explore: Callable[..., Outcome], number: int) -> Outcome:
    """Run one kind of service; the module ``random`` is seeded anew by Hypothesis."""
    chance = random if number % 2 else random.Random(number)
    stores: list[MemoryAdapter] = []

    def open_world() -> World:
        stores.append(MemoryAdapter({"n": 0, "last": 0, "paid": 0}))
        return World(stores[-1], {"store": stores[-1]})

    rules = [
        Invariant("not_three", lambda world: world.api["n"] != 3),
        Invariant("lucky", lambda world: chance.random() < (0.97 if number % 3 == 0 else 1.1)),
    ]
    return explore(
        open_world if number % 4 < 2 else open_world(),
        actions_of(chance),
        rules,
        number=number,
        strategy=BFS() if number % 5 == 0 else Novelty(),
        on_divergence="warn" if number % 7 < 3 else "error",
    )


@pytest.mark.parametrize("explore", [by_machine, by_agent])
@pytest.mark.parametrize("first", range(0, RUNS, CHUNK))
def test_what_is_raised_is_a_finding_or_a_divergence(
    explore: Callable[..., Outcome], first: int
) -> None:
    """Hypothesis's own complaints, and errors of ours, say nothing to whoever wrote the service."""
    wrong: dict[int, str] = {}
    for number in range(first, first + CHUNK):
        told = run(explore, number)
        known = {type(item.exception) for item in told.violations}
        for error in told.errors:
            if not isinstance(error, DivergenceError) and type(error) not in known:
                wrong[number] = repr(error)
    assert not wrong


@pytest.mark.parametrize("explore", [by_machine, by_agent])
def test_what_random_replies_lead_to_is_said(explore: Callable[..., Outcome]) -> None:
    """A run that met them is never green without a word."""
    runs = {number: run(explore, number) for number in range(100, 108)}
    silent = [n for n, told in runs.items() if not told.violations and "repeat" not in told.text]
    assert not silent
