"""What the demo says about a run: broken rules with their steps, and what the run covered."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from venomqa_hyp.cli.screen import Piece, Screen
from venomqa_hyp.core import Action, ExplorationResult, Violation
from venomqa_hyp.core.counterexample_text import lines

SUMMARY_WIDTH = 12
#: Kind of line -> style, for those that have one.
STYLES_OF_LINES = {
    "title": "heading",
    "call": "action",
    "added": "added",
    "removed": "removed",
    "changed": "changed",
    "broken": "broken",
}


def show_violation(screen: Screen, violation: Violation) -> None:
    """Write a broken rule, and each step that leads to it with what it did."""
    screen.show()
    if violation.counterexample is None:
        screen.show((f"{violation.severity.name}  {violation.name}", "broken"))
        screen.show(_ascii(violation.message))
        for number, step in enumerate(violation.reproduction_path, 1):
            screen.show(_ascii(f"{number:>2}. {step}"))
        return
    for line in lines(violation.counterexample, screen.width):
        style = STYLES_OF_LINES.get(line.kind)
        screen.show((_ascii(line.text), style) if style else _ascii(line.text))


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def show_summary(
    screen: Screen,
    run: ExplorationResult,
    actions: Sequence[Action],
    *,
    recorded: bool,
    again: str,
) -> None:
    """Write what a run covered and cost.

    :param actions: all that could be called.
    :param recorded: whether the run kept a record of states, so that steps could be recalled.
    :param again: the command that repeats the run.
    """
    screen.show()
    screen.show(("What was run", "heading"))
    for label, text in _summary(run, actions, recorded):
        _show_wrapped(screen, f"  {label:<{SUMMARY_WIDTH}}", text)
    _show_wrapped(screen, f"  {'again':<{SUMMARY_WIDTH}}", again)


def progress(run: Any, seconds: float) -> str:
    """Return one line about a run that is going on."""
    found = min(run.ledger.failing, key=lambda item: item.path.depth, default=None)
    recorder = run.session.recorder
    parts = [
        _count(recorder.executor.executed, "step"),
        _count(len(recorder.graph), "state"),
        _count(run.test_cases, "test case"),
        f"{seconds:.0f} s",
    ]
    line = ", ".join(parts)
    if found is None:
        return line
    return f"{line}; {found.failure.name} broken after {_count(found.path.depth, 'step')}"


def _summary(
    run: ExplorationResult, actions: Sequence[Action], recorded: bool
) -> Iterator[tuple[str, str]]:
    executed = f"{run.steps_executed:,} executed"
    if recorded:
        again = f"{run.steps_repeated:,} of them repeats"
        yield "steps", f"{executed} ({again}), {run.steps_recalled:,} recalled"
        yield "states", f"{run.states_visited:,}"
    else:
        yield "steps", f"{executed}, every test case from the initial state"
    yield "test cases", f"{run.test_cases:,}"
    counts = {action.name: run.executions.get(action.name, 0) for action in actions}
    calls = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    called = sum(1 for count in counts.values() if count)
    yield "actions", f"{called} of {len(counts)} called: {calls}"
    if run.executed_before_failure is not None:
        yield "found", f"after {_count(run.executed_before_failure, 'executed step')}"
    if run.volatile:
        yield "left out", f"{', '.join(run.volatile)}: not the same each time"
    if run.divergence is not None:
        yield "diverged", str(run.divergence)
    rate = run.steps_executed / run.duration
    yield "time", f"{run.duration:.1f} s, {rate:,.0f} executed steps per second"


def _show_wrapped(screen: Screen, head: Piece, text: str) -> None:
    start = head if isinstance(head, str) else head[0]
    lines = textwrap.wrap(
        text, screen.width - len(start), break_long_words=False, break_on_hyphens=False
    )
    for number, line in enumerate(lines or [""]):
        first: Piece = " " * len(start) if number else head
        screen.show(first, line)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
