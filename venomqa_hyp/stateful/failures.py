"""The ledger of failures: what became of each, from the moment it was seen.

Nothing found is lost: a failure ends as reported, as refuted with the reason, or it is raised when
the run ends. Each change of a status is one of :data:`NEXT`.
"""

import enum
from collections.abc import Callable, Mapping

import attrs

from venomqa_hyp.core import Counterexample, Violation
from venomqa_hyp.explore import Choices, Draft, Failure, Origin, Position


class Status(enum.Enum):
    """How far a failure has come."""

    SEEN = "seen"
    MINIMISED = "minimised"
    CONFIRMED = "confirmed"
    STEERED = "steered"
    REPORTED = "reported"
    REFUTED = "refuted"


#: What may follow: a failure that is refuted, or reported with a long path, may be seen again.
NEXT: Mapping[Status, frozenset[Status]] = {
    Status.SEEN: frozenset({Status.MINIMISED, Status.CONFIRMED, Status.REPORTED, Status.REFUTED}),
    Status.MINIMISED: frozenset(
        {Status.MINIMISED, Status.CONFIRMED, Status.REPORTED, Status.REFUTED}
    ),
    Status.CONFIRMED: frozenset({Status.STEERED, Status.REPORTED, Status.MINIMISED}),
    Status.STEERED: frozenset({Status.STEERED, Status.REPORTED, Status.MINIMISED}),
    Status.REPORTED: frozenset({Status.REPORTED, Status.MINIMISED}),
    Status.REFUTED: frozenset({Status.SEEN}),
}
#: What was executed step by step, in a fresh World where there is one.
REAL = frozenset({Status.CONFIRMED, Status.STEERED, Status.REPORTED})


@attrs.frozen(eq=False)
class Finding:
    """One failure.

    :ivar path: the position at the end of the best path known.
    :ivar error: what is raised for it.
    :ivar original: the choices, or the drafts, of the test case that met it first.
    :ivar reason: why it is refuted.
    :ivar counterexample: what the steps of the path did, where they were executed one by one.
    """

    failure: Failure
    path: Position
    error: BaseException
    status: Status = Status.SEEN
    original: Choices | tuple[Draft, ...] = ()
    reason: str = ""
    counterexample: Counterexample | None = None

    @property
    def violation(self) -> Violation:
        """The finding as a record."""
        failure = self.failure
        return Violation(
            failure.name,
            failure.severity,
            failure.message,
            self.path.steps,
            self.error,
            str(failure.origin),
            self.counterexample,
        )


class Ledger:
    """The failures of one run, by origin.

    :param on_confirmed: called with each finding that is confirmed or reported.
    """

    def __init__(self, on_confirmed: Callable[[Finding], None] = lambda finding: None) -> None:
        self.on_confirmed = on_confirmed
        self._findings: dict[Origin, Finding] = {}

    def find(self, origin: Origin) -> Finding | None:
        """Return what is known of a failure."""
        return self._findings.get(origin)

    def see(
        self,
        failure: Failure,
        path: Position,
        error: BaseException,
        original: Choices | tuple[Draft, ...] = (),
    ) -> Finding:
        """Note a failure that was seen; one that is known keeps its status and shortest path."""
        known = self._findings.get(failure.origin)
        if known is None or known.status is Status.REFUTED:
            known = Finding(failure, path, error, original=original)
        elif known.status is Status.SEEN and path.depth < known.path.depth:
            known = attrs.evolve(known, failure=failure, path=path, error=error)
        self._findings[failure.origin] = known
        return known

    def advance(self, finding: Finding, status: Status, **changes: object) -> Finding:
        """Give a finding its next status."""
        origin = finding.failure.origin
        known = self._findings[origin].status
        if status not in NEXT[known]:
            raise AssertionError(f"{origin} is {known.value}, and cannot be {status.value} next")
        moved: Finding = attrs.evolve(finding, status=status, **changes)  # type: ignore[arg-type]
        self._findings[origin] = moved
        if status in (Status.CONFIRMED, Status.REPORTED):
            self.on_confirmed(moved)
        return moved

    def restore(self, finding: Finding) -> None:
        """Take a finding for what it was, since a shorter path did not fail."""
        self._findings[finding.failure.origin] = finding

    def shortest(self, origin: Origin) -> int | None:
        """Return the length of the shortest path that really fails so, where one is known."""
        known = self._findings.get(origin)
        return (
            known.path.depth if known is not None and known.status is not Status.REFUTED else None
        )

    def of(self, *statuses: Status) -> list[Finding]:
        """Return the findings with one of these statuses, in the order in which they were seen."""
        return [item for item in self._findings.values() if item.status in statuses]

    @property
    def open(self) -> list[Finding]:
        """The findings that nobody was told of yet, and that are not refuted."""
        return [
            item
            for item in self._findings.values()
            if item.status not in (Status.REPORTED, Status.REFUTED)
        ]

    @property
    def failing(self) -> list[Finding]:
        """The findings that are not refuted."""
        return [item for item in self._findings.values() if item.status is not Status.REFUTED]

    @property
    def real(self) -> list[Finding]:
        """The findings that were executed step by step."""
        return self.of(*REAL)
