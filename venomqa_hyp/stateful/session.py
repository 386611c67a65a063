"""The World of one run: when it is opened, exchanged for a fresh one, and closed."""

import threading
import weakref
from collections.abc import Callable
from time import perf_counter

from venomqa_hyp.core import Graph
from venomqa_hyp.errors import DefinitionError, RollbackError, WorldError
from venomqa_hyp.explore import Recorder
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.internals import source_of
from venomqa_hyp.world import World, uninterrupted

#: Seconds within which a fresh World may be had for every attempt to shorten a path.
RENEWED_FAST = 0.1


class Session:
    """Everything between opening the World for a run and closing it again.

    :param on_step: called after each execution.
    """

    def __init__(self, definition: Definition, on_step: Callable[[], None] | None = None) -> None:
        self.definition = definition
        self._on_step = on_step
        self._recorder: Recorder | None = None
        self._earlier: Graph | None = None
        self._problems: list[str] = []
        self._renewing = 0.0
        self._urls: list[str] = []

    @property
    def is_open(self) -> bool:
        """Whether there is a World."""
        return self._recorder is not None

    @property
    def recorder(self) -> Recorder:
        """The record of this run; the World is opened when it is first needed."""
        if self._recorder is None:
            self._recorder = self._open()
        return self._recorder

    @property
    def graph(self) -> Graph:
        """Everything that was executed, in all Worlds of the run."""
        graph = self._earlier or self.recorder.graph
        if graph is not self.recorder.graph:
            graph.include(self.recorder.graph)
        return graph

    @property
    def renews_fast(self) -> bool:
        """Whether a fresh World costs next to nothing."""
        return self.definition.owns_world and self._renewing < RENEWED_FAST

    @property
    def api_lives_on(self) -> bool:
        """Whether the API may keep what was rolled back: it has not been started anew.

        A server started with each World has another port each time.
        """
        world = self.recorder.executor.world
        if world.after_rollback is not None or not self.definition.owns_world:
            return world.after_rollback is None
        return world.api_is_apart and self._urls[-1] in self._urls[:-1]

    def renew(self) -> None:
        """Exchange the World for a fresh one, where each run opens its own."""
        recorder, definition = self.recorder, self.definition
        if not definition.owns_world:
            return
        start = perf_counter()
        try:
            try:
                recorder.executor.mover.close()
            finally:
                _release(definition, recorder.executor.world)
        except RollbackError:
            raise
        except WorldError as error:
            self._problems.append(str(error))  # raised when the run ends
        left = recorder.graph
        world = self._open_world()
        try:
            recorder.exchange(world)
        except BaseException:
            _release(definition, world)
            raise
        self._renewing = max(self._renewing, perf_counter() - start)
        if recorder.graph is left:
            return
        if self._earlier is None:
            self._earlier = left
        else:
            self._earlier.include(left)

    def close(self) -> None:
        """Roll back, and close the World where this run opened it.

        :raises WorldError: when the World could not be left as it was found.
        """
        with uninterrupted():  # the second Ctrl-C, too
            recorder, self._recorder = self._recorder, None
            if recorder is None:
                return
            try:
                recorder.executor.mover.close()
            finally:
                _release(self.definition, recorder.executor.world)
        if self._problems:
            raise WorldError(" ".join(self._problems))

    def _open(self) -> Recorder:
        definition, world = self.definition, self._open_world()
        try:
            return Recorder(
                world,
                definition.actions.values(),
                definition.invariants,
                sources=source_of,
                on_step=self._on_step,
            )
        except BaseException:
            _release(definition, world)
            raise

    def _open_world(self) -> World:
        world = self.definition.open_world()
        _claim(world)
        self._urls.append(str(getattr(world.api, "base_url", "")))
        return world


_in_use: "weakref.WeakKeyDictionary[World, int]" = weakref.WeakKeyDictionary()
_in_use_lock = threading.Lock()


def _claim(world: World) -> None:
    with _in_use_lock:
        if world in _in_use:
            raise DefinitionError(
                "this World is in use by another run that has not ended. Two runs cannot share "
                "one: give venom_machine a function that makes a World, and each run opens its own."
            )
        _in_use[world] = threading.get_ident()


def _release(definition: Definition, world: World) -> None:
    with _in_use_lock:
        _in_use.pop(world, None)
    if definition.owns_world:
        world.close()
