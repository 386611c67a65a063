"""Where the World is in the graph, and how it gets to another state."""

from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter

import attrs

from venomqa_hyp.core import Graph, State, Transition
from venomqa_hyp.world.world import Checkpoint, World

#: Identifies the steps that were really executed one after the other since the initial state.
Chain = int
ROOT: Chain = 0
MAX_CHECKPOINTS = 128


def extend(chain: Chain, key: str) -> Chain:
    """Return the chain that is one step longer."""
    return hash((chain, key))


@attrs.frozen(eq=False)
class _Saved:
    """A checkpoint, the exact state it holds, and the steps that led there."""

    checkpoint: Checkpoint
    exact: str
    chain: Chain


class Mover:
    """Takes the World to any state of a graph: nearest live checkpoint, then the missing steps.

    A checkpoint is taken where a state is left, once the steps since the last one took longer than
    a checkpoint does: so checkpoints never cost more than the steps, nor does going back.

    :param repeat: executes a recorded transition again, in the World as it is.
    """

    def __init__(self, world: World, graph: Graph, repeat: Callable[[Transition], None]) -> None:
        self._world = world
        self._graph = graph
        self._repeat = repeat
        self._saved: OrderedDict[str, _Saved] = OrderedDict()
        self._taken = 0
        self._taking_seconds = 0.0
        self._unsaved_seconds = 0.0
        self._exact = graph.initial.exact
        #: The state the World is in; ``None`` when that is not known.
        self.here: str | None = graph.initial.id
        self.chain: Chain = ROOT
        self._initial = self._take()

    def arrive(self, state: State, key: str, seconds: float) -> None:
        """Note that a step of that duration took the World to a state."""
        self.here, self._exact = state.id, state.exact
        self.chain = extend(self.chain, key)
        self._unsaved_seconds += seconds

    def find_again(self, state: State, chain: Chain) -> None:
        """Note that the World turned out to be in a state after all."""
        self.here, self._exact, self.chain = state.id, state.exact, chain

    def lose(self) -> None:
        """Note that the World was changed by something that is not recorded."""
        self.here = None

    def reset(self) -> None:
        """Roll the World back to the initial state."""
        self._roll_back(self._graph.initial.id, self._initial)

    def go(self, state_id: str) -> None:
        """Take the World to a state of the graph.

        :raises RollbackError: when a system cannot be rolled back.
        """
        missing: list[Transition] = []
        cursor = state_id
        while not self._is_here(cursor) and not self._roll_back_if_saved(cursor):
            arrival = self._graph.arrival(cursor)
            if arrival is None:
                self.reset()
                break
            missing.append(arrival)
            cursor = arrival.from_id
        for transition in reversed(missing):
            self.leave()
            self._repeat(transition)
        if missing:
            self.save()  # who comes back to a state once does so again

    def distance(self, state_id: str) -> int:
        """Return how many steps have to be executed again to get to a state."""
        steps, cursor = 0, state_id
        while not self._is_here(cursor) and not self._is_saved(cursor):
            arrival = self._graph.arrival(cursor)
            if arrival is None:
                break
            steps, cursor = steps + 1, arrival.from_id
        return steps

    def leave(self) -> None:
        """Checkpoint the present state before a step leaves it, where that pays."""
        if self._unsaved_seconds >= self._taking_seconds / self._taken:
            self.save()

    def save(self) -> None:
        """Checkpoint the present state, unless it has a checkpoint."""
        here = self.here
        if here is None or here == self._graph.initial.id or not self._is_here(here):
            return
        if here in self._saved and self._saved[here].exact == self._exact:
            return
        self._forget(here)
        self._saved[here] = self._take()
        if len(self._saved) > MAX_CHECKPOINTS:
            self._forget(next(iter(self._saved)))

    def close(self) -> None:
        """Roll the World back to the initial state and forget every checkpoint."""
        self.reset()
        for state_id in list(self._saved):
            self._forget(state_id)
        self._world.forget(self._initial.checkpoint)

    def _is_here(self, state_id: str) -> bool:
        return self.here == state_id and self._exact == self._graph.states[state_id].exact

    def _take(self) -> _Saved:
        start = perf_counter()
        checkpoint = self._world.checkpoint(self.here or "")
        self._taken += 1
        self._taking_seconds += perf_counter() - start
        self._unsaved_seconds = 0.0
        return _Saved(checkpoint, self._exact, self.chain)

    def _forget(self, state_id: str) -> None:
        saved = self._saved.pop(state_id, None)
        if saved is not None:
            self._world.forget(saved.checkpoint)

    def _is_saved(self, state_id: str) -> bool:
        saved = self._saved.get(state_id)
        if saved is None:
            return False
        known = self._graph.states[state_id].exact
        return saved.exact == known and self._world.is_live(saved.checkpoint)

    def _roll_back_if_saved(self, state_id: str) -> bool:
        if not self._is_saved(state_id):
            self._forget(state_id)
            return False
        saved = self._saved[state_id]
        self._saved.move_to_end(state_id)
        self._roll_back(state_id, saved)
        return True

    def _roll_back(self, state_id: str, saved: _Saved) -> None:
        self.here = None
        self._world.rollback(saved.checkpoint)
        self.here, self._exact, self.chain = state_id, saved.exact, saved.chain
        self._unsaved_seconds = 0.0
