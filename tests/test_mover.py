"""The Mover takes the World to any state of a graph, whatever its systems can do."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_systems import Snapshots, Stack

from venomqa_hyp import Action, ActionResult, Graph, Step, Transition, World
from venomqa_hyp.errors import RollbackError
from venomqa_hyp.world import ROOT, Mover, extend
from venomqa_hyp.world.mover import MAX_CHECKPOINTS

SYSTEMS: dict[str, Callable[[], Any]] = {"stack": Stack, "snapshots": Snapshots}


class Walker:
    """Executes steps `grow(name)`, each of which makes a state of its own, and counts them."""

    def __init__(self, system: Any, seconds: float = 1.0) -> None:
        self.system = system
        self.seconds = seconds
        self.world = World(None, {"store": system})
        self.graph = Graph(self.world.observe())
        self.mover = Mover(self.world, self.graph, self.repeat)
        self.executed = 0
        self.interruptions: list[BaseException | None] = []
        self.paths: dict[str, tuple[str, ...]] = {self.graph.initial.id: ()}
        self.grow = Action("grow", self.execute, arguments={"name": st.text()})

    def execute(self, api: Any, context: Any, name: str) -> None:
        error = self.interruptions.pop(0) if self.interruptions else None
        if error is not None:
            raise error
        self.executed += 1
        self.system.data["path"] = (*self.system.data.get("path", ()), name)
        context["last"] = name

    def take(self, name: str) -> str:
        """Execute a step from where the World is; return the state it leads to."""
        start = self.mover.here
        assert start is not None
        self.mover.leave()
        step = Step("grow", {"name": name})
        arrived = self.run(step)
        self.graph.add(
            Transition(start, step, arrived, ActionResult(True)), step.key or "", self.seen
        )
        self.paths[arrived] = (*self.paths[start], name)
        return arrived

    def run(self, step: Step) -> str:
        self.world.act(self.grow, step.arguments)
        self.seen = self.world.observe()
        self.mover.arrive(self.seen, step.key or "", self.seconds)
        return self.seen.id

    def repeat(self, transition: Transition) -> None:
        assert self.world.observe().id == transition.from_id
        assert self.run(transition.step) == transition.to_id

    def is_at(self, state_id: str) -> bool:
        path = self.paths[state_id]
        return (
            self.mover.here == state_id == self.world.observe().id
            and self.system.data.get("path", ()) == path
            and self.world.context.get("last") == (path[-1] if path else None)
        )


@pytest.mark.parametrize("kind", SYSTEMS)
@given(
    parents=st.lists(st.integers(0, 30), min_size=1, max_size=25),
    visits=st.lists(st.integers(0, 25), max_size=15),
    seconds=st.sampled_from([0.0, 1e-6, 1.0]),
)
@settings(max_examples=50)
def test_reaches_any_state_from_any_other(
    kind: str, parents: list[int], visits: list[int], seconds: float
) -> None:
    """In a random tree of states, grown in any order, each visit ends in exactly that state."""
    walker = Walker(SYSTEMS[kind](), seconds)
    states = [walker.graph.initial.id]
    for number, parent in enumerate(parents):
        origin = states[parent % len(states)]
        walker.mover.go(origin)
        assert walker.is_at(origin)
        states.append(walker.take(f"s{number}"))
    for visit in visits:
        target = states[visit % len(states)]
        walker.mover.go(target)
        assert walker.is_at(target)
    walker.mover.close()
    assert walker.world.observe() == walker.graph.initial


@pytest.mark.parametrize("kind", SYSTEMS)
def test_nothing_is_executed_to_go_back_where_checkpoints_pay(kind: str) -> None:
    """Steps that take longer than a checkpoint are not executed twice on the way back."""
    walker = Walker(SYSTEMS[kind]())
    states = [walker.take(f"s{number}") for number in range(6)]
    for target in reversed(states[:-1]):
        walker.mover.go(target)
        assert walker.is_at(target)
    assert walker.executed == 6


def test_no_checkpoint_is_taken_where_it_does_not_pay() -> None:
    """Steps faster than any checkpoint are executed again instead, from the initial state.

    The state they lead to gets one: who comes back to a state once does so again.
    """
    walker = Walker(Snapshots(), seconds=0.0)
    states = [walker.take(f"s{number}") for number in range(6)]
    assert walker.system.taken == 1
    for state, executed in ((states[2], 6 + 3), (states[0], 6 + 3 + 1), (states[2], 6 + 3 + 1)):
        walker.mover.go(state)
        assert walker.is_at(state)
        assert walker.executed == executed
    assert walker.system.taken == 3


def test_lost_savepoints_are_replaced_by_execution() -> None:
    """A stack that lost its later savepoints to a rollback is taken there by the steps."""
    walker = Walker(Stack())
    states = [walker.take(f"s{number}") for number in range(4)]
    walker.mover.go(states[0])
    walker.mover.go(states[3])
    assert walker.is_at(states[3])
    assert walker.executed == 4 + 3


def test_going_where_the_world_is_costs_nothing() -> None:
    """No rollback, no checkpoint, no step."""
    walker = Walker(Snapshots(rollback=[OSError("asked")]))
    here = walker.take("a")
    walker.mover.go(here)
    assert (walker.executed, walker.system.taken) == (1, 1)


def test_after_a_loss_the_world_is_rolled_back_even_to_the_same_state() -> None:
    """What was changed behind the mover's back is undone."""
    walker = Walker(Snapshots())
    here = walker.take("a")
    walker.system.data["path"] = ("other",)
    walker.mover.lose()
    walker.mover.go(here)
    assert walker.is_at(here)
    walker.system.data["path"] = ("other",)
    walker.mover.lose()
    walker.mover.go(walker.graph.initial.id)
    assert walker.is_at(walker.graph.initial.id)


def test_chains_name_the_steps_really_executed() -> None:
    """The chain follows steps, returns with a rollback and tells orders apart."""
    walker = Walker(Snapshots())
    assert walker.mover.chain == ROOT
    first = walker.take("a")
    chain = walker.mover.chain
    assert chain == extend(ROOT, Step("grow", {"name": "a"}).key or "")
    walker.take("b")
    assert walker.mover.chain == extend(chain, Step("grow", {"name": "b"}).key or "")
    walker.mover.go(first)
    assert walker.mover.chain == chain
    walker.mover.reset()
    assert walker.mover.chain == ROOT
    assert extend(extend(ROOT, "a"), "b") != extend(extend(ROOT, "b"), "a")


def test_old_checkpoints_are_forgotten() -> None:
    """However long the run, the store holds a bounded number of them, and none after the end."""
    walker = Walker(Snapshots())
    states = [walker.take(f"s{number}") for number in range(2 * MAX_CHECKPOINTS)]
    assert walker.system.taken == 2 * MAX_CHECKPOINTS
    assert len(walker.system.live) <= MAX_CHECKPOINTS + 1
    walker.mover.go(states[1])
    assert walker.is_at(states[1])
    walker.mover.close()
    assert walker.system.live == {}


def test_dead_checkpoints_are_forgotten_too() -> None:
    """A client that keeps a copy per checkpoint must hear of those a stack beside it lost."""
    store, stack = Snapshots(), Stack()
    world = World(store, {"stack": stack})
    graph = Graph(world.observe())

    def repeat(transition: Transition) -> None:
        stack.data["n"] = transition.step.arguments["n"]
        mover.arrive(world.observe(), transition.step.key or "", 1.0)

    mover = Mover(world, graph, repeat)
    for number in range(4):
        start = mover.here
        assert start is not None
        mover.leave()
        stack.data["n"] = number
        seen = world.observe()
        step = Step("grow", {"n": number})
        graph.add(Transition(start, step, seen.id, ActionResult(True)), step.key or "", seen)
        mover.arrive(seen, step.key or "", 1.0)
    last = mover.here
    assert last is not None
    mover.reset()
    mover.go(last)
    mover.close()
    assert store.live == {}


@pytest.mark.parametrize("kind", SYSTEMS)
def test_close_restores_the_initial_state(kind: str) -> None:
    """The store is left as it was found, wherever the World was."""
    system = SYSTEMS[kind]()
    system.data["before"] = 1
    walker = Walker(system)
    for number in range(random.Random(0).randrange(3, 9)):
        walker.take(f"s{number}")
    walker.mover.close()
    assert system.data == {"before": 1}
    assert walker.world.context == {}


def test_a_failing_rollback_leaves_the_place_unknown() -> None:
    """The mover does not claim to be where it could not go."""
    walker = Walker(Snapshots(rollback=[OSError("gone")]))
    walker.take("a")
    with pytest.raises(RollbackError, match=r"'store'.*OSError: gone"):
        walker.mover.reset()
    assert walker.mover.here is None


def test_an_interrupted_repetition_leaves_the_place_unknown() -> None:
    """Breaking off on the way never makes a half-way state pass for the target."""
    walker = Walker(Snapshots(), seconds=0.0)
    states = [walker.take(name) for name in "abc"]
    walker.mover.reset()
    walker.interruptions = [None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        walker.mover.go(states[2])
    walker.mover.go(states[2])
    assert walker.is_at(states[2])
