"""The report of a run on a console: a live line, broken rules with their steps, what was run."""

import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

from venomqa_hyp.core import Counterexample, ExplorationResult, OnProgress, Progress, Violation
from venomqa_hyp.core.counterexample_text import lines
from venomqa_hyp.reporters.summary import notes, violation_text, worst_first
from venomqa_hyp.reporters.terminal import Piece, Terminal, open_terminal

SUMMARY_WIDTH = 12
#: Seconds without a new state or finding after which the live line says so.
LONG_WITHOUT_NEWS = 5.0
#: Kind of line -> style, for those that have one.
STYLES_OF_LINES = {
    "title": "heading",
    "call": "action",
    "added": "added",
    "removed": "removed",
    "changed": "changed",
    "broken": "broken",
}
#: Shown in lines of their own above.
_SHOWN_ABOVE = ("Actions that were never executed",)


class Console:
    """Writes about runs; a reporter with the method ``report(result)``.

    :param terminal: what is written to; standard output by default.
    """

    def __init__(self, terminal: Terminal | None = None) -> None:
        self.terminal = terminal or open_terminal()

    @contextmanager
    def watching(self, clock: Callable[[], float] = monotonic) -> Iterator[OnProgress]:
        """Show a live line within; the context manager gives what is called with each moment."""
        line = LiveLine(clock)
        with self.terminal.live(lambda: str(line)) as changed:

            def update(now: Progress) -> None:
                line.update(now)
                changed()

            yield update

    def report(self, result: ExplorationResult, more: Iterable[tuple[str, str]] = ()) -> None:
        """Write what came of a run.

        :param more: labels and texts to add, such as the command that repeats it.
        """
        for violation in worst_first(result):
            self.show_violation(violation)
        if not result.violations:
            self.terminal.show()
            self.terminal.show(*_nothing_found(result))
        self.show_summary(result, more)

    def show_violation(self, violation: Violation) -> None:
        """Write a broken rule, and each step that leads to it with what it did."""
        self.terminal.show()
        if violation.counterexample is None:
            for text in violation_text(violation).splitlines():
                self.terminal.show(text)
            return
        self.show_counterexample(violation.counterexample)

    def show_counterexample(self, counterexample: Counterexample) -> None:
        """Write the steps of a failure, and the rule that they break."""
        for line in lines(counterexample, self.terminal.width):
            style = STYLES_OF_LINES.get(line.kind)
            self.terminal.show((line.text, style) if style else line.text)

    def show_summary(self, result: ExplorationResult, more: Iterable[tuple[str, str]]) -> None:
        """Write what a run covered and cost."""
        self.terminal.show()
        self.terminal.show(("What was run", "heading"))
        for label, text in (*_summary(result), *more):
            self._show_wrapped(f"  {label:<{SUMMARY_WIDTH}}", text)
        for note in notes(result):
            if note.title not in _SHOWN_ABOVE:
                self.terminal.show()
                self.terminal.show((note.title, "heading"))
                for line in note.text.splitlines():
                    self._show_wrapped("  ", line)

    def _show_wrapped(self, head: str, text: str) -> None:
        width = self.terminal.width - len(head)
        wrapped = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(wrapped or [""]):
            self.terminal.show(" " * len(head) if number else head, line)


class LiveLine:
    """One line about a run that is going on.

    :param clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._now: Progress | None = None
        self._began = self._news = clock()

    def update(self, now: Progress) -> None:
        """Take over a later moment."""
        before = self._now
        if before is None or (before.states, before.violations) != (now.states, now.violations):
            self._news = self._clock()
        self._now = now

    def __str__(self) -> str:
        now, time = self._now, self._clock()
        if now is None:
            return f"opening the World, {time - self._began:.0f} s"
        limit = "" if now.max_steps is None else f" of {now.max_steps:,}"
        parts = [
            f"{now.step:,}{limit} executed",
            f"{now.recalled:,} recalled",
            _count(now.states, "state"),
            _count(now.violations, "finding"),
            f"{time - self._began:.0f} s",
        ]
        if time - self._news >= LONG_WITHOUT_NEWS:
            parts.append(f"nothing new for {time - self._news:.0f} s")
        best = f"; shortest: {' > '.join(now.best)}" if now.best else ""
        return ", ".join(parts) + best


def _nothing_found(result: ExplorationResult) -> tuple[Piece, ...]:
    if result.divergence or result.refuted or result.worker_failures or result.unmet:
        return (("Nothing found, but the run does not say much: see below.", "changed"),)
    return (("Nothing found:", "good"), " no action failed and every rule held.")


def _summary(result: ExplorationResult) -> Iterator[tuple[str, str]]:
    executed = f"{result.steps_executed:,} executed"
    repeats = f"{result.steps_repeated:,} of them repeats"
    yield "steps", f"{executed} ({repeats}), {result.steps_recalled:,} recalled"
    yield "states", f"{result.states_visited:,}"
    if result.test_cases:
        yield "test cases", f"{result.test_cases:,}"
    calls = ", ".join(
        f"{name} {counts.executed:,} ({counts.outcomes_text})" if counts.executed else f"{name} 0"
        for name, counts in result.actions.items()
    )
    called = sum(counts.executed > 0 for counts in result.actions.values())
    yield "actions", f"{called} of {len(result.actions)} called: {calls}"
    if result.executed_before_failure is not None:
        yield "found", f"after {_count(result.executed_before_failure, 'executed step')}"
    if ended := result.exhausted or result.ended_by:
        yield "ended by", ended
    if result.skipped:
        yield "skipped", result.skipped
    rate = result.steps_executed / result.duration if result.duration else 0
    yield "time", f"{result.duration:.1f} s, {rate:,.0f} executed steps per second"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
