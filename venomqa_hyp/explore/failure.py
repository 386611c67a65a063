"""What went wrong at the end of a path."""

import traceback
from collections.abc import Callable, Iterable
from types import TracebackType

import attrs

from venomqa_hyp.core import ActionResult, Severity, Verdict
from venomqa_hyp.explore.position import Taken

#: Tells one bug from another, as Hypothesis does: by exception type and innermost line.
Origin = tuple[object, ...]


@attrs.frozen(eq=False)
class Failure:
    """An action that raised, or an invariant that does not hold.

    :ivar name: of the invariant, or of the action.
    :ivar rule: the name of the invariant; ``None`` where an action raised.
    :ivar exception: what the action, or the check, raised.
    """

    name: str
    severity: Severity
    message: str
    origin: Origin
    rule: str | None = None
    exception: BaseException | None = None
    traceback: TracebackType | None = None


def failure_of_result(action: str, result: ActionResult) -> Failure | None:
    """Return the failure of an action that raised."""
    if result.exception is None:
        return None
    return Failure(
        action,
        Severity.HIGH,
        result.error or "",
        _origin(result.exception),
        exception=result.exception,
        traceback=result.traceback,
    )


def failures_of(verdicts: Iterable[Verdict]) -> tuple[Failure, ...]:
    """Return a failure for each invariant that does not hold."""
    return tuple(failure_of_verdict(item) for item in verdicts if not item.holds)


def failure_of_verdict(verdict: Verdict) -> Failure:
    """Return the failure of an invariant that does not hold."""
    inner = () if verdict.exception is None else _origin(verdict.exception)
    rule = verdict.invariant
    origin = ("invariant", rule.name, *inner)
    message = verdict.message or ""
    return Failure(rule.name, rule.severity, message, origin, rule.name, verdict.exception)


def _origin(error: BaseException) -> Origin:
    frames = traceback.extract_tb(error.__traceback__)
    place = (frames[-1].filename, frames[-1].lineno) if frames else (None, None)
    outer = () if error.__context__ is None else (_origin(error.__context__),)
    return (type(error), *place, *outer)


def failures_at(
    taken: Taken | None, verdicts: Callable[[], Iterable[Verdict]]
) -> tuple[Failure, ...]:
    """Return what is wrong after a step: what it raised, or else each broken invariant.

    :param verdicts: checks the invariants.
    """
    if taken is not None and (raised := failure_of_result(taken.step.action, taken.result)):
        return (raised,)
    return failures_of(verdicts())
