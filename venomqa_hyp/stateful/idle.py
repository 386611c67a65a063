"""Find actions and systems that did nothing in a whole run: about these it says nothing."""

from collections.abc import Container, Mapping

from hypothesis.stateful import Bundle

from venomqa_hyp.core import Action, ActionCounts, FromContext, Graph, State
from venomqa_hyp.core.counts import REJECTED


class IdleActionWarning(UserWarning):
    """A run found nothing, and some actions never ran, none succeeded, or no system changed."""


def describe_idle(actions: Mapping[str, Action], counts: Mapping[str, ActionCounts]) -> str | None:
    """Say which actions were never executed and what they need, or that none ever succeeded."""
    executed = sum(item.executed for item in counts.values())
    rejected = sum(item.outcomes.get(REJECTED, 0) for item in counts.values())
    if rejected and rejected == executed:
        return (
            f"assume() rejected all {rejected} steps that were executed, so this run says nothing. "
            "Use it for what is rarely the case, and preconditions or narrower strategies for "
            "the rest."
        )
    succeeded = {name for name, item in counts.items() if item.succeeded}
    idle = [actions[name] for name, item in counts.items() if not item.executed]
    if idle:
        missing = "; ".join(f"{item.name} ({_needs(item, succeeded)})" for item in idle)
        return (
            f"{len(idle)} of {len(actions)} actions never ran, so this run says nothing about: "
            f"{missing}."
        )
    if not succeeded:
        outcomes = "; ".join(f"{name}: {item.outcomes_text}" for name, item in counts.items())
        return (
            f"no action ever succeeded in {executed} executions, so finding no failure "
            f"says little. What came of them: {outcomes}. Correct the requests; where a "
            "refusal is what the action tests, let it check that and return None."
        )
    return None


def describe_unchanged(
    graph: Graph, counts: Mapping[str, ActionCounts], systems: Mapping[str, object]
) -> str | None:
    """Say that actions were answered and remembered what they made, but that no system changed.

    So the World may not hold what the service writes to. Not where replies have no status, nor
    where the context stays as it was, as when actions only read.
    """
    answered = [name for name, item in counts.items() if item.answered(2)]
    states = graph.states.values()
    seen = {name: {_digest(state, name) for state in states} for name in systems}
    remembers = any(state.context != graph.initial.context for state in states)
    if not answered or not seen or not remembers or any(len(item) > 1 for item in seen.values()):
        return None
    where = (f"{name} ({getattr(item, 'location', '') or '?'})" for name, item in systems.items())
    return (
        f"no system of the World ever changed, though the service answered {', '.join(answered)}. "
        f"Is this what it writes to: {', '.join(where)}? What it wrote elsewhere was not rolled "
        "back. Give the World the store of the service."
    )


def _digest(state: State, system: str) -> str:
    seen = state.observations.get(system)
    return "" if seen is None else seen.digest


def _needs(action: Action, succeeded: Container[str]) -> str:
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
