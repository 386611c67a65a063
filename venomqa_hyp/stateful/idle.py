"""Find actions that did nothing in a whole run: about these it says nothing."""

from collections.abc import Iterable

from hypothesis.stateful import Bundle

from venomqa_hyp.core import Action, FromContext
from venomqa_hyp.explore import Executor


class IdleActionWarning(UserWarning):
    """A run found nothing, and some actions were never executed, or none ever succeeded."""


def describe_idle(executor: Executor, rejected: int) -> str | None:
    """Say which actions were never executed and what they need, or that none ever succeeded.

    :param rejected: steps that ``assume`` rejected.
    """
    actions = list(executor.rules.actions.values())
    if rejected and rejected == executor.executed:
        return (
            f"assume() rejected all {rejected} steps that were executed, so this run says nothing. "
            "Use it for what is rarely the case, and preconditions or narrower strategies for "
            "the rest."
        )
    idle = [action for action in actions if not executor.executions[action.name]]
    if idle:
        missing = "; ".join(f"{item.name} ({_needs(item, executor.succeeded)})" for item in idle)
        return (
            f"{len(idle)} of {len(actions)} actions never ran, so this run says nothing about: "
            f"{missing}."
        )
    if not executor.succeeded:
        replies = "; ".join(f"{name}: {error}" for name, error in executor.refusals.items())
        return (
            f"no action ever succeeded in {executor.executed} executions, so finding no failure "
            f"says little. The last reply to each: {replies}. Correct the requests; where a "
            "refusal is what the action tests, let it check that and return None."
        )
    return None


def _needs(action: Action, succeeded: Iterable[str]) -> str:
    first = [name for name in action.required if name not in succeeded] or action.required
    needs = [f"{name} to succeed before it" for name in first]
    for value in action.arguments.values():
        if isinstance(value, FromContext):
            needs.append(f"a value under the context key {value.key!r}")
        elif isinstance(value, Bundle):
            needs.append(f"a value in the Bundle {value.name!r}")
    needs += [f"its precondition {_name(guard)} to hold" for guard in action.guards]
    if not needs:
        return "it needs nothing but more steps"
    return f"it needs {' and '.join(dict.fromkeys(needs))}"


def _name(guard: object) -> str:
    return getattr(guard, "__qualname__", None) or repr(guard)
