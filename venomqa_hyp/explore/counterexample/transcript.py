"""What each step of a live execution sent and changed, for the report of a failure."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import attrs

from venomqa_hyp.core import State
from venomqa_hyp.explore.counterexample.effects import Effect, effects
from venomqa_hyp.explore.position import Position
from venomqa_hyp.world import World


@attrs.frozen(eq=False)
class Moment:
    """What is there before a step.

    :ivar state: ``None`` where it could not be observed.
    :ivar requests: how many requests were sent so far.
    """

    state: State | None
    requests: int


@attrs.frozen(eq=False)
class Entered:
    """A step of a transcript.

    :ivar at: the position after it.
    :ivar requests: what it sent, each with ``method``, ``url``, ``status`` and bodies.
    """

    at: Position
    before: State | None
    after: State | None
    requests: tuple[Any, ...]

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """What it changed in the systems."""
        return effects(self.before, self.after)


class Transcript:
    """Collects what each step did; the World is observed before and after it.

    :ivar opened: the requests that were sent while the World was opened.
    :ivar checked: invariant -> the requests that its last check sent.
    :ivar base_url: what requests are relative to; empty where that is not known.
    """

    def __init__(self) -> None:
        self._entered: list[Entered] = []
        self.opened: tuple[Any, ...] = ()
        self.checked: dict[str, tuple[Any, ...]] = {}
        self.base_url = ""

    @property
    def entered(self) -> tuple[Entered, ...]:
        """The steps so far."""
        return tuple(self._entered)

    def open(self, world: World) -> None:
        """Note what is there before the first step."""
        self.opened = _history(world)
        self.base_url = str(getattr(world.api, "base_url", ""))

    @contextmanager
    def checking(self, world: World, invariant: str) -> Iterator[None]:
        """Note what the check of an invariant sends."""
        begun = len(_history(world))
        yield
        self.checked[invariant] = _history(world)[begun:]

    def begin(self, world: World) -> Moment:
        """Note what is there before a step."""
        return Moment(_observed(world), len(_history(world)))

    def end(self, world: World, begun: Moment, at: Position) -> None:
        """Note what is there after a step."""
        requests = _history(world)[begun.requests :]
        self._entered.append(Entered(at, begun.state, _observed(world), requests))


def _observed(world: World) -> State | None:
    try:
        return world.observe()
    except Exception:  # the report is not to lose a failure; the run itself meets the error later
        return None


def _history(world: World) -> tuple[Any, ...]:
    history = getattr(world.api, "history", ())
    if not isinstance(history, (list, tuple)):
        return ()
    return tuple(item for item in history if hasattr(item, "method") and hasattr(item, "url"))
