"""Where the World is, and the checkpoints it can be rolled back to."""

from collections import OrderedDict
from time import perf_counter
from typing import Generic, Protocol, TypeVar

import attrs

from venomqa_hyp.core import State
from venomqa_hyp.world.world import Checkpoint, World

#: Checkpoints that are kept: more of them where taking one costs fewer seconds than that.
MAX_CHECKPOINTS, MAX_CHEAP, CHEAP = 128, 1_024, 0.02


class Located(Protocol):
    """Something that is in a state of the World."""

    @property
    def state(self) -> State:
        """The state, as it is there."""
        ...


Place = TypeVar("Place", bound=Located)


@attrs.frozen(eq=False)
class _Saved(Generic[Place]):
    checkpoint: Checkpoint
    place: Place
    chain: int


class Mover(Generic[Place]):
    """Keeps track of the World, and rolls it back.

    A checkpoint is taken where a state is left, once the steps since the last one took longer than
    a checkpoint does: so checkpoints never cost more than the steps, nor does going back.

    :param start: where the World is now.
    :ivar here: where it is; ``None`` when that is not known.
    :ivar chain: identifies the steps that were really executed since the start, in their order.
    """

    def __init__(self, world: World, start: Place) -> None:
        self._world = world
        self._saved: OrderedDict[str, _Saved[Place]] = OrderedDict()
        self._taken = 0
        self._taking_seconds = 0.0
        self._unsaved_seconds = 0.0
        self._start = start
        self.here: Place | None = start
        self.chain = 0
        self._initial = self._take(start)

    def arrive(self, place: Place, chain: int, seconds: float = 0.0) -> None:
        """Note that a step of that duration took the World somewhere."""
        self.here, self.chain = place, chain
        self._unsaved_seconds += seconds

    def lose(self) -> None:
        """Note that the World was changed by something that is not recorded."""
        self.here = None

    def reset(self) -> Place:
        """Roll the World back to the start."""
        self._roll_back(self._initial)
        return self._start

    def leave(self) -> None:
        """Checkpoint the present state before a step leaves it, where that pays."""
        if self._unsaved_seconds >= self._taking_seconds / self._taken:
            self.save()

    def save(self) -> None:
        """Checkpoint the present state, unless it has a live checkpoint."""
        here = self.here
        if here is None or here.state.id == self._start.state.id:
            return
        if self.saved(here.state.id) is not None:
            return
        self._forget(here.state.id)
        self._saved[here.state.id] = self._take(here)
        is_cheap = self._taking_seconds / self._taken < CHEAP
        while len(self._saved) > (MAX_CHEAP if is_cheap else MAX_CHECKPOINTS):
            self._forget(next(iter(self._saved)))

    def saved(self, state_id: str) -> Place | None:
        """Return what :meth:`go_back` leads to, if there is a live checkpoint of that state."""
        if state_id == self._start.state.id:
            return self._start
        saved = self._saved.get(state_id)
        if saved is None or not self._world.is_live(saved.checkpoint):
            return None
        return saved.place

    def go_back(self, state_id: str) -> None:
        """Roll the World back to a state that has a live checkpoint."""
        if state_id == self._start.state.id:
            self.reset()
            return
        self._saved.move_to_end(state_id)
        self._roll_back(self._saved[state_id])

    def close(self) -> None:
        """Roll the World back to the start and forget every checkpoint."""
        self.reset()
        for state_id in list(self._saved):
            self._forget(state_id)
        self._world.forget(self._initial.checkpoint)

    def _take(self, here: Place) -> _Saved[Place]:
        start = perf_counter()
        checkpoint = self._world.checkpoint(here.state.id)
        self._taken += 1
        self._taking_seconds += perf_counter() - start
        self._unsaved_seconds = 0.0
        return _Saved(checkpoint, here, self.chain)

    def _forget(self, state_id: str) -> None:
        saved = self._saved.pop(state_id, None)
        if saved is not None:
            self._world.forget(saved.checkpoint)

    def _roll_back(self, saved: _Saved[Place]) -> None:
        self.here = None
        self._world.rollback(saved.checkpoint)
        self.here, self.chain = saved.place, saved.chain
        self._unsaved_seconds = 0.0
