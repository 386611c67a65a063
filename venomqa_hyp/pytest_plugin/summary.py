"""What is shown of runs: while they go on, and at the end of the session."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any, TypedDict

from venomqa_hyp import reporters
from venomqa_hyp.core import ExplorationResult, Progress, Violation
from venomqa_hyp.core.redaction import REDACTED, Redaction
from venomqa_hyp.reporters.summary import seen, violation_title
from venomqa_hyp.stateful import Run, watching
from venomqa_hyp.world import World

#: Lines of a counterexample in the summary; the whole of it stands in the failure.
SUMMARY_LINES = 6
#: Runs of tests that passed, each with its line.
MOST_PASSED = 10
SECONDS_BETWEEN_UPDATES = 0.2


class RunRecord(TypedDict):
    """What is known of one run after it; of plain types, as it may come from another process.

    :ivar name: of the test.
    :ivar passed: whether the test passed.
    :ivar line: what the run did.
    :ivar findings: for each the first lines of its counterexample.
    :ivar files: the failure files written.
    :ivar result: the whole record as JSON, where reports are wanted.
    """

    name: str
    passed: bool
    line: str
    findings: list[list[str]]
    files: list[str]
    result: str | None


def record_of(name: str, run: Run, result: ExplorationResult, *, wants_result: bool) -> RunRecord:
    """Return what is known of a run that has ended."""
    return {
        "name": name,
        "passed": False,
        "line": _line(run, result),
        "findings": [_first_lines(violation) for violation in result.violations],
        "files": [shown(path) for path in run.files.values()],
        "result": reporters.to_json(result) if wants_result else None,
    }


def summary_lines(records: Iterable[RunRecord]) -> Iterator[tuple[str, bool]]:
    """Yield each line of the summary, and whether it is of a test that did not pass.

    A test that passed though its run found something was meant to: it has one line.
    """
    passed = 0
    for record in records:
        passed += record["passed"]
        if not record["passed"] or passed <= MOST_PASSED:
            is_other = not record["passed"] and not record["findings"]
            why = "; the test failed, see above" if is_other else ""
            yield f"{record['name']}: {record['line']}{why}", not record["passed"]
        if not record["passed"]:
            for line in chain.from_iterable(record["findings"]):
                yield f"  {line}", False
            for file in record["files"]:
                yield f"  failure file: {file}", False
    if passed > MOST_PASSED:
        yield f"and {_counted(passed - MOST_PASSED, 'run')} more of tests that passed", False


@contextmanager
def live_line(capture: Any, writer: Any) -> Iterator[None]:
    """Show what the runs do behind what stands on the line, and take it away at the end.

    :param capture: pytest's manager of captured output, if it captures.
    :param writer: of pytest's terminal.
    """
    room = max(0, writer.fullwidth - max(0, writer.width_of_current_line) - 1)
    shown, due = 0, monotonic() + SECONDS_BETWEEN_UPDATES

    def write(text: str) -> None:
        nonlocal shown
        padded = text[:room].ljust(shown)
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stdout.write(padded + "\b" * len(padded))
            sys.stdout.flush()
        shown = len(text[:room])

    def update(now: Progress) -> None:
        nonlocal due
        if monotonic() >= due:
            write(_figures(now.step, now.recalled, now.states, now.violations))
            due = monotonic() + SECONDS_BETWEEN_UPDATES

    try:
        with watching(update):
            yield
    finally:
        if shown:
            write("")


def _figures(executed: int, recalled: int, states: int, findings: int) -> str:
    found = _counted(findings, "finding") if findings else "no findings"
    counts = f"{_counted(executed, 'execution')}, {recalled:,} recalled"
    return f"{counts}, {_counted(states, 'state')}, {found}"


def _line(run: Run, result: ExplorationResult) -> str:
    """Return in one line what a run did."""
    counts = result.steps_executed, result.steps_recalled, result.states_visited
    parts = [_figures(*counts, len(result.violations)), *run.fixed]
    if result.ended_by == "time_limit":
        parts.append("ended by the time limit")
    return "; ".join(filter(None, [*parts, result.exhausted]))


def _first_lines(violation: Violation) -> list[str]:
    title = f"{violation_title(violation)}: {seen(violation)}".splitlines()[:1]
    counterexample = violation.counterexample
    if counterexample is None:
        return [*title, *map(str, violation.reproduction_path)]
    lines = reporters.to_text(counterexample).splitlines()
    return [*title, *lines[:SUMMARY_LINES], *["..."][: len(lines) > SUMMARY_LINES]]


def places(world: World) -> Iterator[str]:
    """Yield how to reach the API and each system, and what each system shows."""
    redaction = Redaction()
    url = redaction.text(str(getattr(world.api, "base_url", "")))
    yield f"api: {url or type(world.api).__name__}"
    observations = world.observe().observations
    for name, system in world.systems.items():
        location = getattr(system, "location", "") or type(system).__name__
        yield f"{name}: {location}"
        yield f"  {observations[name].summary}"
    context = {
        key: REDACTED if redaction.hides(key) else held for key, held in world.context.items()
    }
    yield f"context: {redaction.text(str(context))}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown(path: Path) -> str:
    """Return a path as short as it is from here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
