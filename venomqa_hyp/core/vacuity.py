"""What a run was required to reach, and did not: without it, finding nothing says little."""

from collections.abc import Iterator, Mapping

from venomqa_hyp.core.counts import ActionCounts, InvariantCounts
from venomqa_hyp.core.redaction import Redaction

#: Action -> the least share of its steps that succeed, or (a whole number) the least of them.
Require = Mapping[str, int | float]


def unmet(
    actions: Mapping[str, ActionCounts],
    invariants: Mapping[str, InvariantCounts],
    require: Require,
) -> tuple[str, ...]:
    """Return in words, and without secrets, what a run did not reach.

    An action is to reach what ``require`` says; what holds ``sometimes`` is to hold once.
    """
    return tuple(map(Redaction().text, _unmet(actions, invariants, require)))


def _unmet(
    actions: Mapping[str, ActionCounts],
    invariants: Mapping[str, InvariantCounts],
    require: Require,
) -> Iterator[str]:
    for name, least in require.items():
        counts = actions.get(name, ActionCounts())
        if not _is_met(counts, least):
            yield f"{name}: {_found(counts, least)}: {_seen(counts)}"
    for name, counted in invariants.items():
        if counted.sometimes and not counted.held:
            yield f"{name}: never held{_looked(counted)}"


def _is_met(counts: ActionCounts, least: float) -> bool:
    if isinstance(least, int):
        return counts.succeeded >= least
    return counts.steps > 0 and counts.succeeded >= least * counts.steps


def _found(counts: ActionCounts, least: float) -> str:
    share = f"{counts.succeeded / counts.steps:.2%}; " if counts.steps else ""
    wanted = f"{least:,}" if isinstance(least, int) else f"{100 * least:g}%"
    succeeded = f"{counts.succeeded:,} of {counts.steps:,} steps succeeded"
    return f"{succeeded} ({share}required: at least {wanted})"


def _seen(counts: ActionCounts) -> str:
    if counts.steps:
        return counts.outcomes_text
    return f"it could run at {counts.enabled:,} of {counts.tried:,} places"


def _looked(counts: InvariantCounts) -> str:
    text = f", checked {counts.checked:,} times"
    if counts.vacuous:
        text += f", in {counts.vacuous:,} of them `when` was false"
    return f"{text}; the last time: {counts.last}" if counts.last else text
