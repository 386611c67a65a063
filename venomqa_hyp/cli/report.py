"""What the demo says about a run: broken rules with their steps, and what the run covered."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from venomqa_hyp.adapters.http import RequestRecord
from venomqa_hyp.cli.replay import ReplayedStep
from venomqa_hyp.cli.screen import Piece, Screen
from venomqa_hyp.core import Action, ExplorationResult, Violation
from venomqa_hyp.core.difference import RowChange, TableChanges

INDENT = " " * 5
LABEL_WIDTH = 10
SUMMARY_WIDTH = 12
#: SQLite's AUTOINCREMENT counters and the like: they follow from the rows that were added.
INTERNAL_TABLES = "sqlite_"


def show_violation(screen: Screen, violation: Violation, steps: Sequence[ReplayedStep]) -> None:
    """Write a broken rule, and each step that leads to it with what it did."""
    severity = violation.severity.name
    length = len(violation.reproduction_path)
    screen.show()
    screen.show((f"{severity}  {violation.name}", "broken"))
    screen.show(violation.message)
    screen.show(f"{_count(length, 'step')}, the shortest sequence found:")
    for number, taken in enumerate(steps, 1):
        screen.show()
        screen.show(f"{number:>3}. ", (str(taken.step), "action"))
        for label, text, style in _details(taken):
            _show_labelled(screen, label, text, style)
    if not any(taken.broken or taken.result.exception for taken in steps):
        screen.show()
        screen.show(("Executed once more for this report, the steps broke no rule.", "broken"))


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


def _details(taken: ReplayedStep) -> Iterator[tuple[str, str, str]]:
    for record in taken.requests:
        yield "request", _request(record), ""
        yield "response", _response(record), ""
    for system, tables in taken.changed.items():
        shown = [table for table in tables if not table.table.startswith(INTERNAL_TABLES)]
        if not tables:
            yield system, "changed", "changed"
        for table in shown:
            for text, style in _rows(table):
                yield system, text, style
    if not taken.changed:
        yield "changed", "nothing", "label"
    if taken.result.exception is not None:
        yield "FAILED", taken.result.error or "", "broken"
    for verdict in taken.broken:
        rule = verdict.invariant
        yield "BROKEN", f"{rule.severity.name} {rule.name}: {verdict.message}", "broken"


def _request(record: RequestRecord) -> str:
    address = urlsplit(record.url)
    query = f"?{address.query}" if address.query else ""
    return f"{record.method} {address.path}{query} {_body(record.request_body)}".rstrip()


def _response(record: RequestRecord) -> str:
    if record.status is None:
        return f"none: {record.error}"
    return f"{record.status} {_body(record.response_body)}".rstrip()


def _body(body: Any) -> str:
    if body is None:
        return ""
    return json.dumps(body) if not isinstance(body, bytes) else ascii(body)


def _rows(table: TableChanges) -> Iterator[tuple[str, str]]:
    for row in table.removed:
        yield f"{table.table} - {_values(row.before)}", "removed"
    for row in table.changed:
        yield f"{table.table} ~ {_change(row)}", "changed"
    for row in table.added:
        yield f"{table.table} + {_values(row.after)}", "added"


def _values(row: Any) -> str:
    return ", ".join(f"{column} {value!a}" for column, value in row.items())


def _change(row: RowChange) -> str:
    before, after = row.before or {}, row.after or {}
    key = ", ".join(map(ascii, row.key))
    differ = (f"{column} {before.get(column)!a} -> {after.get(column)!a}" for column in row.columns)
    return f"row {key}: {', '.join(differ)}"


def _show_labelled(screen: Screen, label: str, text: str, style: str) -> None:
    head = (f"{INDENT}{label:<{LABEL_WIDTH}}", "broken" if style == "broken" else "label")
    _show_wrapped(screen, head, text, style)


def _show_wrapped(screen: Screen, head: Piece, text: str, style: str = "") -> None:
    start = head if isinstance(head, str) else head[0]
    lines = textwrap.wrap(
        text, screen.width - len(start), break_long_words=False, break_on_hyphens=False
    )
    for number, line in enumerate(lines or [""]):
        first: Piece = " " * len(start) if number else head
        screen.show(first, (line, style) if style else line)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
