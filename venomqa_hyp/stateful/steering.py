"""Which test case is wanted next: one that meets a confirmed failure by its shortest path."""

from collections.abc import Mapping

from venomqa_hyp.explore import Draft, Origin, Position, Taken
from venomqa_hyp.stateful.failures import Finding, Ledger, Status
from venomqa_hyp.stateful.internals import VenomProvider


class Steering:
    """Leads test cases to failures that Hypothesis was not told of yet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._led: dict[Origin, int] = {}
        self._saved: set[Origin] = set()

    @property
    def has_saved(self) -> bool:
        """Whether a failure of an earlier run still shows that Hypothesis did not replay."""
        return bool(self._saved)

    def note_saved(self, finding: Finding) -> None:
        """Note that a failure of an earlier run still shows."""
        self._saved.add(finding.failure.origin)

    def note_met(self, origin: Origin) -> None:
        """Note that a test case met a failure, so that Hypothesis knows it."""
        self._saved.discard(origin)

    def lead(self, provider: VenomProvider, positions: Mapping[str, int]) -> bool:
        """Let a test case meet a failure, if there is one; return whether there is.

        It follows the short path; should that not fail, the next one repeats the test case that
        did. A failure that neither meets is raised when the run ends.
        """
        finding = self._next()
        if finding is None:
            return False
        origin = finding.failure.origin
        tries = self._led[origin] = self._led.get(origin, 0) + 1
        if tries == 1:
            self._ledger.advance(finding, Status.STEERED)
            provider.follow(taken_along(finding.path), positions)
        elif finding.original and not isinstance(finding.original[0], Draft):
            provider.replay(finding.original)
        return True

    def _next(self) -> Finding | None:
        for finding in self._ledger.of(Status.CONFIRMED, Status.STEERED):
            if self._led.get(finding.failure.origin, 0) < 2 and finding.path.depth:
                return finding
        return None


def taken_along(path: Position) -> tuple[Taken, ...]:
    """Return the steps to a position."""
    return tuple(at.taken for at in path.path if at.taken is not None)
