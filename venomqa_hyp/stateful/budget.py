"""What may still be executed in a run: for further failures, for shrinking, and until when."""

import math
from time import monotonic

from venomqa_hyp.explore import Position

#: Executions for looking for further bugs once one was found, and for Hypothesis's own shrinking.
FURTHER_SEARCH = 500
FURTHER_SHRINKING = 60


class Budget:
    """Counts down.

    :param deadline: on the clock of ``time.monotonic``.
    :ivar minimised: whether a path was made short, so that little is left for Hypothesis to do.
    :ivar generated: whether Hypothesis has replayed its database, and generates test cases.
    :ivar before_failure: executions before the first failure was seen; ``None`` before that.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.minimised = False
        self.generated = False
        self.before_failure: int | None = None
        self._searching = FURTHER_SEARCH
        self._shrinking = FURTHER_SHRINKING
        self._refused: set[int] = set()

    def has_time(self) -> bool:
        """Return whether the run may go on."""
        return monotonic() < self.deadline

    def note_failure(self, executed: int) -> None:
        """Note that a failure was seen; the first one counts."""
        if self.before_failure is None:
            self.before_failure = executed

    def may_search(self) -> bool:
        """Return whether to look for failures, or for further ones."""
        return self.before_failure is None or self._searching > 0

    def searched(self, executions: int) -> None:
        """Note what looking for further failures took."""
        if self.before_failure is not None:
            self._searching -= executions

    def permits(
        self, at: Position, key: object, longest: int, is_new: bool, exploring: bool
    ) -> bool:
        """Return whether a test case may take a step.

        :param longest: the length of the longest path that is known to fail; 0 where there is none.
        :param is_new: whether nobody executed the step before.
        :param exploring: whether the test case is generated, not one of shrinking.
        """
        step = hash((at.chain, key))
        if step in self._refused:
            return False  # Hypothesis calls it flaky when the same choices end differently
        if not longest or not is_new:
            return True
        if exploring:
            self._searching -= 1
            return self._searching >= 0
        if not self.generated:
            # Hypothesis may still be replaying its database, and would drop what is rejected.
            self._searching -= 1
            if self._searching >= 0:
                return True
        self._shrinking -= self.minimised
        if at.depth < longest and self._shrinking >= 0:
            return True
        self._refused.add(step)
        return False
