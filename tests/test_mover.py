"""The Mover rolls the World back to any state that has a live checkpoint, and knows where it is."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_systems import Snapshots, Stack

from venomqa_hyp import Action, World
from venomqa_hyp.core import State
from venomqa_hyp.errors import RollbackError
from venomqa_hyp.explore import Draft, Drawn, Position, Recorder
from venomqa_hyp.world import Mover
from venomqa_hyp.world.mover import MAX_CHEAP

SYSTEMS: dict[str, Callable[[], Any]] = {"stack": Stack, "snapshots": Snapshots}


@attrs.frozen(eq=False)
class Place:
    """A state, and the steps that led to it."""

    state: State
    path: tuple[str, ...] = ()


class Walker:
    """Takes steps of a given duration, each of which makes a state of its own."""

    def __init__(self, system: Any, seconds: float = 1.0) -> None:
        self.system = system
        self.seconds = seconds
        self.world = World(None, {"store": system})
        self.start = Place(self.world.observe())
        self.mover: Mover[Place] = Mover(self.world, self.start)

    def take(self, name: str) -> Place:
        """Execute a step from where the World is; return the place it leads to."""
        here = self.mover.here
        assert here is not None
        self.mover.leave()
        self.system.data["path"] = (*here.path, name)
        self.world.context["last"] = name
        place = Place(self.world.observe(), (*here.path, name))
        self.mover.arrive(place, hash((self.mover.chain, name)), self.seconds)
        return place

    def walk(self, count: int) -> list[Place]:
        return [self.take(f"s{number}") for number in range(count)]

    def has_checkpoint(self, place: Place) -> bool:
        return self.mover.saved(place.state.id) is not None

    def is_at(self, place: Place) -> bool:
        here = self.mover.here
        return (
            here is not None
            and here.state.id == place.state.id == self.world.observe().id
            and self.system.data.get("path", ()) == place.path
            and self.world.context.get("last") == (place.path[-1] if place.path else None)
        )


@pytest.mark.parametrize("kind", SYSTEMS)
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_what_has_a_checkpoint_can_be_gone_back_to(kind: str, seconds: float) -> None:
    """Exactly that state is there again, whatever became of the World meanwhile."""
    walker = Walker(SYSTEMS[kind](), seconds)
    places = [walker.start, *walker.walk(6)]
    for place in [*reversed(places), *places]:
        if walker.has_checkpoint(place):
            walker.mover.go_back(place.state.id)
            assert walker.is_at(place)


def test_each_state_that_is_left_gets_a_checkpoint_where_that_pays() -> None:
    """Steps that take longer than a checkpoint are not to be executed twice."""
    walker = Walker(Snapshots())
    places = walker.walk(6)
    assert [walker.has_checkpoint(place) for place in places] == [True] * 5 + [False]
    walker.mover.save()
    assert walker.has_checkpoint(places[-1])


def test_no_checkpoint_is_taken_where_it_does_not_pay() -> None:
    """Steps faster than any checkpoint leave none behind, but for the initial state."""
    walker = Walker(Snapshots(), seconds=0.0)
    places = walker.walk(6)
    assert walker.system.taken == 1
    assert not any(map(walker.has_checkpoint, places))
    assert walker.has_checkpoint(walker.start)


def test_a_state_has_one_checkpoint() -> None:
    """However often it is saved, as long as that one lives."""
    walker = Walker(Snapshots())
    walker.take("a")
    for _ in range(3):
        walker.mover.save()
    assert walker.system.taken == 2


def test_a_savepoint_that_a_rollback_has_destroyed_is_not_offered() -> None:
    """A stack loses the later ones; the state can be saved anew when the World is there."""
    walker = Walker(Stack())
    places = walker.walk(4)
    walker.mover.go_back(places[0].state.id)
    assert [walker.has_checkpoint(place) for place in places] == [True, False, False, False]
    again = walker.take("s1")
    assert again.state.id == places[1].state.id
    walker.mover.save()
    assert walker.has_checkpoint(places[1])


def test_after_a_loss_the_world_is_rolled_back_even_to_the_same_state() -> None:
    """What was changed behind the mover's back is undone."""
    walker = Walker(Snapshots())
    here = walker.take("a")
    walker.mover.save()
    for place in (here, walker.start):
        walker.system.data["path"] = ("other",)
        walker.mover.lose()
        assert walker.mover.here is None
        walker.mover.go_back(place.state.id)
        assert walker.is_at(place)


def test_chains_name_the_steps_really_executed() -> None:
    """The chain is that of the steps, and comes back with a rollback."""
    walker = Walker(Snapshots())
    root = walker.mover.chain
    first = walker.take("a")
    chain = walker.mover.chain
    walker.take("b")
    assert len({root, chain, walker.mover.chain}) == 3
    walker.mover.go_back(first.state.id)
    assert walker.mover.chain == chain
    walker.mover.reset()
    assert walker.mover.chain == root


def test_old_checkpoints_are_forgotten() -> None:
    """However long the run, the store holds a bounded number of them, and none after the end."""
    walker = Walker(Snapshots())
    places = walker.walk(2 * MAX_CHEAP)
    assert walker.system.taken == 2 * MAX_CHEAP
    assert len(walker.system.live) <= MAX_CHEAP + 1
    assert not walker.has_checkpoint(places[0])
    assert walker.has_checkpoint(places[-2])
    walker.mover.close()
    assert walker.system.live == {}


def test_a_checkpoint_that_was_used_lately_is_kept() -> None:
    """The one that is forgotten is that which nobody went back to for longest."""
    walker = Walker(Snapshots())
    first, *_ = walker.walk(MAX_CHEAP)
    assert walker.has_checkpoint(first)
    walker.mover.go_back(first.state.id)
    for number in range(MAX_CHEAP // 2):
        walker.take(f"t{number}")
    assert walker.has_checkpoint(first)


def test_dead_checkpoints_are_forgotten_too() -> None:
    """A client that keeps a copy per checkpoint must hear of those a stack beside it lost."""
    store, stack = Snapshots(), Stack()
    world = World(store, {"stack": stack})
    mover: Mover[Place] = Mover(world, Place(world.observe()))
    for _ in range(2):
        mover.reset()
        for number in range(4):
            mover.leave()
            stack.data["n"] = number
            mover.arrive(Place(world.observe()), number + 1, 1.0)
    mover.close()
    assert store.live == {}


@pytest.mark.parametrize("kind", SYSTEMS)
@pytest.mark.parametrize("count", [0, 1, 8])
def test_close_restores_the_initial_state(kind: str, count: int) -> None:
    """The store is left as it was found, wherever the World was."""
    system = SYSTEMS[kind]()
    system.data["before"] = 1
    walker = Walker(system)
    walker.walk(count)
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


class Grown:
    """A recorder of steps ``grow(name)``, which take that many seconds as far as it knows."""

    def __init__(self, system: Any) -> None:
        self.system = system
        self.executed = 0
        self.interruptions: list[BaseException | None] = []
        self.grow = Action("grow", self.execute, arguments={"name": st.text()})
        self.recorder = Recorder(World(None, {"store": system}), [self.grow])

    def execute(self, api: Any, context: Any, name: str) -> None:
        error = self.interruptions.pop(0) if self.interruptions else None
        if error is not None:
            raise error
        self.executed += 1
        self.system.data["path"] = (*self.system.data.get("path", ()), name)

    def take(self, at: Position, name: str) -> Position:
        reached = self.recorder.take(at, Draft(self.grow, {"name": Drawn(name)}, at.depth))
        assert reached is not None
        return reached

    def is_at(self, at: Position) -> bool:
        self.recorder.travel.go(at)
        path = tuple(step.arguments["name"] for step in at.steps)
        return bool(
            self.system.data.get("path", ()) == path
            and self.recorder.executor.world.observe().exact == at.state.exact
        )


@pytest.mark.parametrize("kind", SYSTEMS)
@given(
    parents=st.lists(st.integers(0, 30), min_size=1, max_size=25),
    visits=st.lists(st.integers(0, 25), max_size=15),
    keeps=st.booleans(),
)
@settings(max_examples=50)
def test_reaches_any_state_from_any_other(
    kind: str, parents: list[int], visits: list[int], keeps: bool
) -> None:
    """In a random tree of states, grown in any order, each visit ends in exactly that state."""
    grown = Grown(SYSTEMS[kind]())
    recorder = grown.recorder
    mover = recorder.executor.mover
    mover.leave = mover.save if keeps else lambda: None  # type: ignore[method-assign]
    positions = [recorder.executor.start]
    for number, parent in enumerate(parents):
        positions.append(grown.take(positions[parent % len(positions)], f"s{number}"))
    for visit in visits:
        assert grown.is_at(positions[visit % len(positions)])
    mover.close()
    assert grown.system.data == {}


def test_lost_savepoints_are_replaced_by_execution() -> None:
    """A stack that lost its later savepoints to a rollback is taken there by the steps."""
    grown = Grown(Stack())
    positions = [grown.recorder.executor.start]
    for number in range(4):
        positions.append(grown.take(positions[-1], f"s{number}"))
    before = grown.executed
    assert grown.is_at(positions[0])
    assert grown.is_at(positions[4])
    assert before < grown.executed <= before + 4


def test_going_where_the_world_is_costs_nothing() -> None:
    """No rollback, no checkpoint, no step."""
    grown = Grown(Snapshots())
    here = grown.take(grown.recorder.executor.start, "a")
    before = (grown.executed, grown.system.taken)
    grown.system.errors["rollback"] = [OSError("asked")]
    assert grown.is_at(here)
    assert (grown.executed, grown.system.taken) == before


def test_an_interrupted_repetition_leaves_the_place_unknown() -> None:
    """Breaking off on the way never makes a half-way state pass for the target."""
    grown = Grown(Stack())
    positions = [grown.recorder.executor.start]
    for name in "abc":
        positions.append(grown.take(positions[-1], name))
    grown.recorder.executor.mover.reset()
    grown.interruptions = [None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        grown.recorder.travel.go(positions[-1])
    assert grown.recorder.executor.mover.here is None
    assert grown.is_at(positions[-1])
