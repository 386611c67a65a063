"""What becomes of a failure that was seen: it is made short, and confirmed in a fresh World."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

import attrs

from venomqa_hyp.core import Counterexample, Divergence
from venomqa_hyp.core.counterexample_text import to_text
from venomqa_hyp.errors import InvariantViolated
from venomqa_hyp.explore import (
    ADVICE,
    Choices,
    Diverged,
    Draft,
    Drawn,
    Failure,
    Given,
    Literal,
    Minimiser,
    Origin,
    Parting,
    Picked,
    Position,
    Redraw,
    Rules,
    Transcript,
    Trial,
    attempt,
    attempt_live,
    counterexample_of,
    parting,
)
from venomqa_hyp.stateful.budget import Budget
from venomqa_hyp.stateful.failures import Finding, Ledger, Status
from venomqa_hyp.stateful.internals import redraw
from venomqa_hyp.stateful.session import Session

#: What minimising may take where no step can be recalled: times the usual executions, and seconds.
LIVE_SHARE, LIVE_SECONDS = 5.0, 60.0


class Settler:
    """Settles the failures of one run.

    :param shrinks: whether failures are to be made short.
    :param on_diverged: called where the World turns out not to repeat itself.
    :ivar is_recorded: whether the record can still be used.
    """

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        budget: Budget,
        on_diverged: Callable[[Diverged], None],
        *,
        shrinks: bool,
    ) -> None:
        self.is_recorded = True
        self._session = session
        self._ledger = ledger
        self._budget = budget
        self._on_diverged = on_diverged
        self._shrinks = shrinks
        self._tried: dict[Origin, Position] = {}
        self._refuted: dict[Origin, Divergence] = {}

    def see(
        self,
        failures: Iterable[Failure],
        path: Position,
        original: Choices | tuple[Draft, ...] = (),
    ) -> list[Finding]:
        """Note what was seen to fail at a position."""
        self._budget.note_failure(self._session.recorder.executor.executed)
        return [self._ledger.see(item, path, self.error_of(item), original) for item in failures]

    @contextmanager
    def noting(self, failure: Failure, at: Position) -> Iterator[None]:
        """Note a failure where the block, which looks at it again, is interrupted."""
        try:
            yield
        except KeyboardInterrupt:
            self.see([failure], at)
            raise

    def meet(self, failure: Failure, found: Trial) -> Finding | None:
        """Settle a failure that is new, or shorter than known; ``None`` for others."""
        shortest = self._ledger.shortest(failure.origin)
        if shortest is not None and len(found) >= shortest:
            return None
        known = self._ledger.find(failure.origin)
        (finding,) = self.see([failure], found.end, found.drafts)
        if finding.status is Status.SEEN:
            return self.settle(finding)
        finding = self._ledger.advance(finding, Status.MINIMISED, path=found.end)
        return self.settle(finding, known)

    def shorten(self, finding: Finding) -> None:
        """Make a path short of which Hypothesis was told, or which is confirmed."""
        origin = finding.failure.origin
        if self._tried.get(origin) is finding.path:
            return
        self._tried[origin] = finding.path
        try:
            best = self._minimised(finding)
        except Diverged as diverged:
            self._on_diverged(diverged)
            return
        if best is not None and best.depth < finding.path.depth:
            shorter = self._ledger.advance(finding, Status.MINIMISED, path=best)
            if self.confirm(shorter).status is Status.REFUTED:
                self._ledger.restore(finding)

    def distrust(self, actions: Iterable[str]) -> None:
        """Stop using the record for some actions, or at all if there are none.

        Paths with them are made short again by executing every step.
        """
        names = frozenset(actions)
        if names:
            self._session.recorder.distrust(names)
        else:
            self.is_recorded = False
        self._tried.clear()

    def _records(self, drafts: Sequence[Draft]) -> bool:
        """Return whether the record can be used for some drafts."""
        return self.is_recorded and self._session.recorder.trusts(drafts)

    def settle(self, finding: Finding, known: Finding | None = None) -> Finding:
        """Make a path short, and execute it in a fresh World; else the path as it was found.

        Where neither fails the World does not repeat itself: the finding is refuted.

        :param known: the same with a longer path, which was confirmed.
        """
        origin, path = finding.failure.origin, finding.path
        try:
            best = self._minimised(finding)
        except Diverged as diverged:
            self.confirm(finding, known)
            self._on_diverged(diverged)
            return self._ledger.find(origin) or finding
        if best is not None:
            shorter = self._ledger.advance(finding, Status.MINIMISED, path=best)
            confirmed = self.confirm(shorter, known)
            if confirmed.status is not Status.REFUTED or best.depth == path.depth:
                return self._believed(confirmed, known)
            self._ledger.restore(finding)
        return self._believed(self.confirm(finding, known), known)

    def confirm(self, finding: Finding, known: Finding | None = None) -> Finding:
        """Execute a path in a fresh World; message and path are from there.

        :param known: the same with a longer path, which was confirmed.
        """
        if not can_be_repeated(finding.path):
            return finding
        executor = self._session.recorder.executor
        first = [attrs.evolve(at, state=executor.with_data(at.state)) for at in finding.path.path]
        self._session.renew()
        shown, transcript = self._shown_again(finding)
        for other in shown.failures:
            if other.origin != finding.failure.origin:
                seen = self.see([other], shown.end)[0]
                if seen.status is Status.SEEN:
                    self._confirmed(seen, other, shown, transcript)
        if failure := shown.failure_of(finding.failure.origin):
            return self._confirmed(finding, failure, shown, transcript)
        parted = parting(self._session.recorder.executor, first, transcript)
        divergence = self._refuted[finding.failure.origin] = _not_again(finding, parted)
        refuted = self._ledger.advance(finding, Status.REFUTED, reason=str(divergence))
        if known is not None:
            self._ledger.restore(known)
        return refuted

    def _shown_again(self, finding: Finding) -> tuple[Trial, Transcript]:
        """Execute a path; where the API lives on twice more, with other paths between."""
        recorder, path, transcript = self._session.recorder, finding.path, Transcript()
        shown = attempt_live(recorder, path.drafts, path.path, transcript)
        if not self._session.api_lives_on:
            return shown, transcript
        for other in (path.drafts[1:], path.drafts[:-1]):
            if not shown.fails_with(finding.failure.origin):
                break
            between = attempt_live(recorder, other)
            self.see(between.failures, between.end)
            transcript = Transcript()
            shown = attempt_live(recorder, path.drafts, path.path, transcript)
        return shown, transcript

    def _believed(self, finding: Finding, known: Finding | None) -> Finding:
        """Return a finding; where it is refuted, the World does not repeat itself."""
        if finding.status is Status.REFUTED:
            self._on_diverged(Diverged(self._refuted[finding.failure.origin]))
        return finding if known is None or finding.status is not Status.REFUTED else known

    def _confirmed(
        self, finding: Finding, failure: Failure, shown: Trial, transcript: Transcript
    ) -> Finding:
        error = self.error_of(failure)
        is_short = finding.status is Status.MINIMISED
        counterexample = self.explain(error, failure, shown.end, transcript, shortened=is_short)
        self.note_lives_on(error)
        return self._ledger.advance(
            finding,
            Status.CONFIRMED,
            path=shown.end,
            failure=failure,
            error=error,
            counterexample=counterexample,
        )

    def explain(
        self,
        error: BaseException,
        failure: Failure,
        end: Position,
        transcript: Transcript,
        *,
        shortened: bool,
    ) -> Counterexample | None:
        """Return what people read of a failure whose path was executed, and note it on its error.

        ``None`` where that cannot be written: a failure is never lost for want of its description.
        """
        if not end.depth:
            error.add_note(INITIAL)
        try:
            counterexample = self._counterexample(failure, transcript, shortened)
        except Exception as problem:
            error.add_note(steps_of("Shortest path found" if shortened else "Seen after", end))
            error.add_note(f"What the steps did is not shown: {type(problem).__name__}: {problem}")
            return None
        if end.depth:
            error.add_note(to_text(counterexample))
        return counterexample

    def _counterexample(
        self, failure: Failure, transcript: Transcript, shortened: bool
    ) -> Counterexample:
        rules = self._session.definition.invariants
        described = next((rule.description for rule in rules if rule.name == failure.rule), "")
        return counterexample_of(failure, transcript, described, shortened=shortened)

    def note_lives_on(self, error: BaseException) -> None:
        """Say with a failure if the API may keep what was rolled back."""
        session = self._session
        is_apart = session.recorder.executor.world.api_is_apart
        if session.definition.rollback and is_apart and session.api_lives_on:
            error.add_note(LIVES_ON)

    def error_of(self, failure: Failure) -> BaseException:
        """Return what is raised for a failure: what the action raised, or the violation."""
        if failure.rule is None:
            assert failure.exception is not None
            return failure.exception.with_traceback(failure.traceback)
        message = f"[{failure.severity.name}] {failure.name}: {failure.message}"
        error: InvariantViolated = self._session.definition.violations[failure.rule](message)
        # Hypothesis looks at the context, not at the cause, to tell one bug from another.
        error.__context__ = error.__cause__ = failure.exception
        return error

    def _minimised(self, finding: Finding) -> Position | None:
        """Return the shortest path found; ``None`` where the path itself does not fail."""
        origin, path = finding.failure.origin, finding.path
        if not self._shrinks or not path.depth or not _is_plain(path):
            return None
        found = self._attempt(path.drafts_by_owner)
        if not found.fails_with(origin):
            return None
        executor = self._session.recorder.executor

        def redrawn(action: str, argument: str, choices: Choices | None) -> Drawn | None:
            return redraw(executor.rules.actions[action].arguments[argument], choices)

        is_recorded = self._records(path.drafts)
        until = math.inf if is_recorded else monotonic() + LIVE_SECONDS
        minimiser = Minimiser(
            self._attempt,
            lambda: executor.executed,
            redrawn,
            _letters(executor.rules, redrawn),
            lambda: self._budget.has_time() and monotonic() < until,
            1.0 if is_recorded else LIVE_SHARE,
        )
        best = minimiser.minimise(found, origin)
        self._budget.minimised = True
        return best.end

    def _attempt(self, drafts: Sequence[Draft]) -> Trial:
        """Execute drafts, on the record while it can be used; note what else fails."""
        if self._records(drafts):
            tried = attempt(self._session.recorder, drafts)
        else:
            if self._session.renews_fast:
                self._session.renew()  # what nobody observes is as it was only there
            tried = attempt_live(self._session.recorder, drafts)
        self.see([item for item in tried.failures if not self._ledger.find(item.origin)], tried.end)
        return tried


#: Added to a failure that is confirmed where the API may keep what was rolled back.
LIVES_ON = "Executed 3 times; the API was not started anew in between."
INITIAL = (
    "The initial state is like that: no step was executed. Was an earlier run killed before it had "
    "rolled back? Then restore the data; else correct them, or the invariant."
)


def _letters(rules: Rules, redraw: Redraw) -> list[Draft]:
    """Return a step of each action, with the newest values of pools, the simplest of others."""
    letters: list[Draft] = []
    for action in rules.actions.values():
        given: dict[str, Given] = {}
        for name in action.arguments:
            source = rules.sources[action.name].get(name)
            if source is None and (drawn := redraw(action.name, name, None)) is not None:
                given[name] = drawn
            elif source is not None and source.plain:
                given[name] = Picked(source.pool, 0)
        if len(given) == len(action.arguments):
            letters.append(Draft(action, given))
    return letters


def _is_plain(path: Position) -> bool:
    """Return whether it is known how each argument comes about, and can come about again."""
    given = [item for draft in path.drafts for item in draft.given.values()]
    return not any(isinstance(item, Literal) for item in given) and can_be_repeated(path)


def can_be_repeated(path: Position) -> bool:
    """Return whether a path can be executed again: not with what draws from the test case."""
    return all(step.key is not None for step in path.steps)


def steps_of(title: str, path: Position) -> str:
    """Return the steps of a path as text, one in a line."""
    return f"{title}:\n" + "\n".join(f"  {step}" for step in path.steps or ("(no step)",))


def _not_again(finding: Finding, parted: Parting | None) -> Divergence:
    failure, steps = finding.failure, ", ".join(map(str, finding.path.steps))
    what = (
        f"{failure.name} failed ({failure.message}) after {steps or 'no step'}, but not when the "
        "same steps were executed again from the start."
    )
    if parted is None:
        parted = Parting("Each step did then what it had done before.")
    return Divergence("", f"{what} {parted.what}", parted.places, ADVICE)
