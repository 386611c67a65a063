"""What went wrong at the end of a path."""

import traceback
from collections.abc import Iterable
from typing import Any

import attrs

from venomqa_hyp.core import ActionResult, Severity, Transition, Verdict

#: Tells one bug from another, as Hypothesis does: by exception type and innermost line.
Origin = tuple[Any, ...]


@attrs.frozen(eq=False)
class Failure:
    """An action that raised, or an invariant that does not hold.

    :ivar name: of the invariant, or of the action.
    """

    name: str
    severity: Severity
    message: str
    origin: Origin


def failure_of_step(transition: Transition) -> Failure | None:
    """Return the failure of a step whose action raised."""
    return failure_of_result(transition.action, transition.result)


def failure_of_result(action: str, result: ActionResult) -> Failure | None:
    """Return the failure of an action that raised."""
    if result.exception is None:
        return None
    return Failure(action, Severity.HIGH, result.error or "", _origin(result.exception))


def failure_of_verdicts(verdicts: Iterable[Verdict]) -> Failure | None:
    """Return the failure of the first invariant that does not hold."""
    for verdict in verdicts:
        if not verdict.holds:
            return failure_of_verdict(verdict)
    return None


def failure_of_verdict(verdict: Verdict) -> Failure:
    """Return the failure of an invariant that does not hold."""
    inner = () if verdict.exception is None else _origin(verdict.exception)
    rule = verdict.invariant
    return Failure(
        rule.name, rule.severity, verdict.message or "", ("invariant", rule.name, *inner)
    )


def _origin(error: BaseException) -> Origin:
    frames = traceback.extract_tb(error.__traceback__)
    place = (frames[-1].filename, frames[-1].lineno) if frames else (None, None)
    outer = () if error.__context__ is None else (_origin(error.__context__),)
    return (type(error), *place, *outer)
