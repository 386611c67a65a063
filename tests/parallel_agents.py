"""Functions that workers import and call: shared by the tests of parallel runs."""

import functools
import os
import time
from random import Random
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from venomqa_hyp import (
    BFS,
    Action,
    ActionCounts,
    ActionResult,
    Agent,
    ExplorationResult,
    Graph,
    Invariant,
    State,
    Step,
    Transition,
    World,
)
from venomqa_hyp.adapters.memory import MemoryAdapter


def put(api: Any, context: Any, item: int) -> None:
    api["items"] = (*api["items"], item)


def drop(api: Any, context: Any) -> None:
    api["items"] = api["items"][:-1]


def fail(api: Any, context: Any) -> None:
    assert len(api["items"]) != 2, "two items"


def few(world: World) -> bool:
    return len(world.api["items"]) < 4


def no_nine(world: World) -> bool:
    return 9 not in world.api["items"]


ACTIONS = [Action("put", put, arguments={"item": st.integers(0, 9)}), Action("drop", drop)]


def make_agent(worker_id: int, *, items: tuple[int, ...] = (), **options: Any) -> Agent:
    store = MemoryAdapter({"items": items})
    return Agent(
        World(store, {"store": store}),
        [Action("put", put, arguments={"item": st.integers(0, 9)}), Action("drop", drop)]
        + ([Action("fail", fail)] if options.pop("broken", False) else []),
        [Invariant("few", few), Invariant("no_nine", no_nine)]
        if options.pop("rules", False)
        else [],
        **{"max_steps": 60, "max_depth": 6, "seed": 7} | options,
    )


class Walker:
    """Stands in for an Agent where each run must be the same: an Agent's depends on the clock.

    How many steps it must repeat to get back to a state follows from what checkpoints cost.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.on_progress = None
        self.cache_dir = None
        self.definition = SimpleNamespace(require={})

    def explore(self) -> ExplorationResult:
        random, at = Random(self.seed), 0
        graph = Graph(State("0", {}, {}))
        for _ in range(30):
            step = Step("walk", {"to": random.randint(at - 2, at + 3)})
            to = str(step.arguments["to"])
            walked = Transition(str(at), step, to, ActionResult(True))
            graph.add(walked, step.key or "", State(to, {}, {}))
            at = step.arguments["to"]
        counts = {"walk": ActionCounts(executed=30), "rest": ActionCounts()}
        return ExplorationResult(graph, (), 1.0, counts, ended_by="max_steps")


def make_walker(worker_id: int) -> Walker:
    return Walker(7)


broken_agent = functools.partial(make_agent, broken=True, rules=True)


class OwnError(Exception):
    """Cannot be pickled: it wants two arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def one_survives(worker_id: int) -> Agent:
    if worker_id == 0:
        os._exit(3)
    if worker_id == 1:
        agent = make_agent(worker_id)
        agent.on_progress = lambda now: os._exit(3)
        return agent
    if worker_id == 2:
        raise OwnError(1, 2)
    agent = make_agent(worker_id)
    agent.on_progress = lambda now: time.sleep(0.02)
    return agent


def returns_none(worker_id: int) -> None:
    return None


def raises_always(worker_id: int) -> Agent:
    raise OwnError(worker_id, 2)


def begins_elsewhere(worker_id: int) -> Agent:
    return make_agent(worker_id, items=(5,) * worker_id)


def tick(api: Any, context: Any) -> None:
    api["worker"] = context["worker"]


def make_own_world(worker_id: int) -> Agent:
    """Each worker's action leads elsewhere."""
    store = MemoryAdapter({"worker": None})
    world = World(store, {"store": store}, state_from_context=[])
    world.context["worker"] = worker_id
    return Agent(world, [Action("tick", tick)], strategy=BFS(), seed=1, max_steps=5)
