"""Trying out paths: which steps are left of some drafts, and where they fail."""

from collections.abc import Callable, Sequence

import attrs
from hypothesis.errors import UnsatisfiedAssumption

from venomqa_hyp.explore.failure import Failure, Origin
from venomqa_hyp.explore.position import Draft, Position
from venomqa_hyp.explore.recorder import Recorder, Unrecordable


@attrs.frozen(eq=False)
class Trial:
    """What came of a sequence of drafts, up to its first failure.

    :ivar end: the position reached.
    """

    end: Position
    failures: tuple[Failure, ...] = ()

    def failure_of(self, origin: Origin) -> Failure | None:
        """Return the failure of that origin, if it is one of them."""
        return next((item for item in self.failures if item.origin == origin), None)

    def fails_with(self, origin: Origin) -> bool:
        """Return whether one of the failures is of that origin."""
        return self.failure_of(origin) is not None

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """The drafts that were executed."""
        return self.end.drafts

    def __len__(self) -> int:
        return self.end.depth


#: Executes drafts from the start.
Attempt = Callable[[Sequence[Draft]], Trial]


def advance(recorder: Recorder, at: Position, draft: Draft) -> Position | None:
    """Return the position after a step; ``None`` where it cannot run, or was rejected."""
    if not recorder.executor.enables(at, draft.action, lambda: recorder.lend(at)):
        return None
    try:
        return recorder.take(at, draft)
    except (UnsatisfiedAssumption, Unrecordable):
        return None


def attempt(recorder: Recorder, drafts: Sequence[Draft]) -> Trial:
    """Execute drafts up to their first failure; those that cannot run are left out.

    What must hold at the end of a path is checked after the last one.

    :raises Diverged: the World does not repeat itself.
    """
    at = recorder.executor.start
    if failures := recorder.checker.failures(at):
        return Trial(at, failures)
    for draft in drafts:
        reached = advance(recorder, at, draft)
        if reached is not None:
            at = reached
            if failures := recorder.checker.failures(at):
                return Trial(at, failures)
    return Trial(at, recorder.checker.failures(at, ends=True) if at.depth else ())
