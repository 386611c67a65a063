"""How often each action was tried and each invariant checked in a run, and what came of it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import attrs

from venomqa_hyp.core.action import ActionResult

#: The outcome of a step that ``assume`` rejected.
REJECTED = "rejected by assume"
#: The outcome of a step that succeeded, and returned nothing with a status.
RETURNED = "returned"


@attrs.frozen
class ActionCounts:
    """What came of one action in a run.

    :ivar tried: how often the run looked whether the action can run.
    :ivar enabled: how often it could.
    :ivar executed: calls, with those that repeat a known step.
    :ivar recalled: steps that were answered from the record.
    :ivar outcomes: outcome -> how many steps had it, executed or recalled: a status
        (``"409"``), ``"returned"``, ``"no answer"``, ``"raised ValueError"`` or
        ``"rejected by assume"``.
    :ivar succeeded: steps that succeeded (see :class:`~venomqa_hyp.Action`).
    :ivar changed: steps that led to another state; not known of steps that are not recorded.
    """

    tried: int = 0
    enabled: int = 0
    executed: int = 0
    recalled: int = 0
    outcomes: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    succeeded: int = 0
    changed: int = 0

    @property
    def steps(self) -> int:
        """How many steps were taken, executed or recalled: the sum of all outcomes."""
        return sum(self.outcomes.values())

    def answered(self, hundreds: int) -> int:
        """Return how many steps were answered with a status of one class: 4 for 400 to 499."""
        return sum(count for name, count in self.outcomes.items() if _class(name) == hundreds)

    @property
    def outcomes_text(self) -> str:
        """The outcomes in words, the most frequent first: ``150 x 409, 64 x 404``."""
        return ", ".join(f"{count:,} x {name}" for name, count in _most_frequent(self.outcomes))

    def __add__(self, other: Self) -> Self:
        """Return the counts of two runs together."""
        outcomes = Counter(self.outcomes) + Counter(other.outcomes)
        return attrs.evolve(self, outcomes=dict(outcomes), **_sums(self, other))


@attrs.frozen
class InvariantCounts:
    """What came of one invariant in a run; each state that is known is checked once.

    :ivar checked: how often it was checked.
    :ivar vacuous: how often ``when`` was false, so that nothing was looked at.
    :ivar held: how often it held, without the vacuous ones.
    :ivar violated: how often it did not hold.
    :ivar sometimes: whether it need hold only once.
    :ivar at_end: whether it is checked only where a path ends.
    :ivar last: what was seen where it did not hold, the last time.
    """

    checked: int = 0
    vacuous: int = 0
    held: int = 0
    violated: int = 0
    sometimes: bool = False
    at_end: bool = False
    last: str = ""

    def __add__(self, other: Self) -> Self:
        """Return the counts of two runs together."""
        return attrs.evolve(self, last=self.last or other.last, **_sums(self, other))


def outcome_of(result: ActionResult) -> str:
    """Return what came of an execution, as one of the names that are counted."""
    if result.exception is not None:
        return f"raised {type(result.exception).__name__}"
    if result.status is not None:
        return str(result.status)
    return RETURNED if result.success else "no answer"


def _sums(one: attrs.AttrsInstance, other: attrs.AttrsInstance) -> dict[str, Any]:
    names = [field.name for field in attrs.fields(type(one)) if field.type is int]
    return {name: getattr(one, name) + getattr(other, name) for name in names}


def _class(outcome: str) -> int | None:
    return int(outcome) // 100 if outcome.isdigit() else None


def _most_frequent(outcomes: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))
