"""One run of a machine: what its parts have in common, and how it ends."""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter

import attrs
from hypothesis.errors import HypothesisException

from venomqa_hyp.core import Divergence, ExplorationResult, OnProgress, Progress, Step
from venomqa_hyp.core.counterexample_text import to_text
from venomqa_hyp.core.vacuity import unmet
from venomqa_hyp.errors import DivergenceError, VenomError
from venomqa_hyp.explore import (
    Choices,
    Diverged,
    Draft,
    Failure,
    Origin,
    Position,
    Transcript,
    attempt,
)
from venomqa_hyp.stateful.budget import Budget
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.failures import REAL, Finding, Ledger, Status
from venomqa_hyp.stateful.guidance import Guidance
from venomqa_hyp.stateful.idle import IdleActionWarning, describe_idle, describe_unchanged
from venomqa_hyp.stateful.internals import VenomProvider
from venomqa_hyp.stateful.session import Session
from venomqa_hyp.stateful.settler import INITIAL, LIVES_ON, Settler, steps_of
from venomqa_hyp.stateful.steering import Steering
from venomqa_hyp.stateful.walk import Failed, Walk

#: Where so many actions do not repeat themselves, no record is used any more.
MOST_DISTRUSTED = 3


class DivergenceWarning(UserWarning):
    """The World did not repeat itself: the run went on without its record, or ended there."""


class StopRun(BaseException):
    """Ends all test cases: Hypothesis would take an ``Exception`` for a finding.

    What ended them is kept in :attr:`Run.stopped`; nothing where there is nothing left to do.
    """


class StartOver(BaseException):
    """Ends all test cases of a run that diverged, so that Hypothesis begins anew.

    It remembers which choices led where, and calls it flaky when they lead elsewhere without the
    record.
    """


class Run:
    """Everything between opening the World for a machine and closing it again.

    :param shrinks: whether failures are to be made short.
    :param step_count: the most steps of a test case.
    :param multiple: whether several failures are raised together.
    :param seconds: time for all of it.
    :param on_progress: called after each execution.
    :param is_whole: whether these are all test cases of a machine, and not one driven by hand.
    :param generates: whether test cases are generated, and not only replayed.
    :ivar stopped: what ended all test cases.
    :ivar fixed: failures of earlier runs that do not show any more, in words.
    :ivar files: name of a failure -> the file that it was written to.
    """

    def __init__(
        self,
        definition: Definition,
        *,
        shrinks: bool = True,
        step_count: int = 50,
        multiple: bool = True,
        seconds: float = math.inf,
        on_progress: OnProgress | None = None,
        is_whole: bool = False,
        generates: bool = True,
    ) -> None:
        self.definition = definition
        self.multiple = multiple
        self._shrinks = shrinks
        self.ledger = Ledger()
        self.budget = Budget(monotonic() + seconds)
        self.session = Session(
            definition, None if on_progress is None else lambda: on_progress(self.progress())
        )
        self.settler = Settler(
            self.session, self.ledger, self.budget, self.diverged, shrinks=shrinks
        )
        self.steering = Steering(self.ledger)
        self.guidance = Guidance(
            definition.strategy, self.session, self.settler, self.budget, step_count
        )
        self.divergence: Divergence | None = None
        self.stopped: BaseException | None = None
        self.test_cases = 0
        self.fixed: list[str] = []
        self.files: dict[str, Path] = {}
        self.is_whole = is_whole
        self.generates = generates
        self._settles_divergence = False
        self._starts_over = False
        self._start = perf_counter()

    def lead(self, provider: VenomProvider, positions: Mapping[str, int] | None) -> None:
        """Say where a generated test case goes.

        :param positions: what :func:`~venomqa_hyp.stateful.internals.rule_positions` returned.
        :raises StopRun: nothing is left to do.
        """
        self.budget.generated = True
        if self.steering.has_saved:
            raise StopRun
        if positions is None or not self.definition.rollback:
            return
        self.settle_seen()
        if self.steering.lead(provider, positions) or not self.settler.is_recorded:
            return
        own = positions.keys() - self.definition.actions.keys() - {"no_action_enabled"}
        nothing_left = self.guidance.is_done and not own and not self.ledger.failing
        if nothing_left and self.budget.has_time():
            self.guidance.prove_merges()
            self.guidance.check_ends()
            if self.steering.lead(provider, positions):
                return
        if nothing_left or not self.budget.has_time():
            raise StopRun
        self.guidance.begin(provider, positions, walks=0.5 if own else 0.0)
        self.steering.lead(provider, positions)

    def walk(self, *, final: bool, exploring: bool) -> Walk:
        """Return the walk of one test case.

        :param final: whether the test case is the one that is reported.
        :param exploring: whether it is generated, not one of shrinking or replaying.
        """
        self.test_cases += 1
        recorder = self.session.recorder
        transcript = Transcript() if final else None
        if not self.definition.rollback:
            if not (final or self.ledger.failing or self.budget.has_time()):
                raise StopRun
            return Walk(recorder, live=True, transcript=transcript)
        if final or not self.settler.is_recorded:
            self.session.renew()
            return Walk(recorder, live=True, transcript=transcript)

        def permits(at: Position, step: Step, is_new: bool) -> bool:
            lengths = [item.path.depth for item in self.ledger.failing]
            key = recorder.executor.key_of(at, step)
            return self.budget.permits(at, key, max(lengths, default=0), is_new, exploring)

        return Walk(
            recorder,
            live=False,
            permits=permits,
            on_diverged=self.diverged,
            noting=self.settler.noting,
        )

    @contextmanager
    def errors_of_ours(self) -> Iterator[None]:
        """End the run on an error that is not of the service, and so no finding."""
        __tracebackhide__ = True
        try:
            yield
        except (Failed, VenomError, HypothesisException):
            raise
        except Exception as error:
            self.stopped = self.stopped or error
            raise StopRun from error

    def diverged(self, diverged: Diverged) -> None:
        """Stop using the record, because the World did not repeat itself.

        Only for the actions that showed it, where the run may go on. What was seen to fail is
        confirmed first.

        :raises StopRun: a divergence ends the run.
        :raises StartOver: the test cases are to begin anew.
        """
        was_recorded = self.settler.is_recorded
        self.divergence = self.divergence or diverged.divergence
        self.settler.distrust(self._to_distrust(diverged.divergence))
        if not was_recorded or self._settles_divergence:
            return
        self._settles_divergence = True
        try:
            if diverged.at is not None:
                for finding in self.settler.see(diverged.failures, diverged.at):
                    if finding.status is Status.SEEN:
                        self.settler.confirm(finding)
            for finding in self.ledger.of(Status.CONFIRMED, Status.STEERED):
                self.settler.shorten(finding)
        finally:
            self._settles_divergence = False
        if not self.is_whole:
            return
        if self.definition.on_divergence == "error":
            self.stopped = DivergenceError(f"The World does not repeat itself: {self.divergence}")
            raise StopRun
        self._starts_over = True
        raise StartOver

    def _to_distrust(self, divergence: Divergence) -> frozenset[str]:
        """Return the actions that are executed each time from now on; none where that is all."""
        names = frozenset(divergence.actions)
        known = self.session.recorder.distrusted
        is_all = names <= known or len(known | names) == len(self.definition.actions)
        if self.definition.on_divergence == "error" or is_all or len(known) >= MOST_DISTRUSTED:
            return frozenset()
        return names

    def starts_over(self) -> bool:
        """Return whether the test cases are to begin anew: once for each divergence."""
        starts, self._starts_over = self._starts_over and self.stopped is None, False
        return starts

    def settle_new(
        self, failure: Failure, at: Position, drafts: tuple[Draft, ...], choices: Choices
    ) -> bool:
        """Settle a failure that a test case met first.

        :return: whether the test case is to be rejected: a shorter one follows, or it is none.
        """
        with self.settler.noting(failure, at):
            found = attempt(self.session.recorder, drafts)
        if not found.fails_with(failure.origin):
            return False
        for finding in self.settler.see(found.failures, found.end, choices):
            if finding.status is Status.SEEN:
                self.settler.settle(finding)
        return True

    def note_failed(
        self,
        failure: Failure,
        at: Position,
        *,
        final: bool,
        transcript: Transcript | None = None,
    ) -> BaseException:
        """Note a failure that Hypothesis is told of, and return what to raise.

        :param final: whether it is reported to the user.
        :param transcript: what the steps did, where all of them are known.
        """
        (finding,) = self.settler.see([failure], at)
        error = self.settler.error_of(failure)
        if final and finding.status in REAL and finding.path.depth < at.depth:
            known = finding.counterexample
            error.add_note(
                steps_of("A shorter path was found", finding.path)
                if known is None
                else f"A shorter path was found.\n{to_text(known)}"
            )
            self.ledger.advance(finding, Status.REPORTED)
        elif final:
            self._report(finding, failure, at, error, transcript)
        if final and LIVES_ON in getattr(finding.error, "__notes__", ()):
            error.add_note(LIVES_ON)
        return error

    def _report(
        self,
        finding: Finding,
        failure: Failure,
        at: Position,
        error: BaseException,
        transcript: Transcript | None,
    ) -> None:
        """Note that a failure is reported by the path that was executed just now."""
        counterexample = None
        if transcript is not None and len(transcript.entered) == at.depth:
            counterexample = self.settler.explain(
                error, failure, at, transcript, shortened=self._shrinks
            )
        elif not at.depth:
            error.add_note(INITIAL)
        elif list(map(str, at.steps)) == list(map(str, finding.path.steps)):
            counterexample = finding.counterexample
            if counterexample is not None:
                error.add_note(to_text(counterexample))
        self.ledger.advance(
            finding,
            Status.REPORTED,
            failure=failure,
            path=at,
            error=error,
            counterexample=counterexample,
        )

    def settle_seen(self) -> None:
        """Make short what Hypothesis was told of by a test case that could not wait.

        Its first test case, and those that it mutates, are not generated by our backend.
        """
        for finding in self.ledger.of(Status.SEEN):
            if finding.path.depth > 1:
                self.settler.shorten(finding)

    def settle_open(self) -> None:
        """Confirm what was seen and not yet confirmed, since the run ends."""
        tried: set[Origin] = set()
        # Confirming one may confirm others, and see more.
        while left := [
            item
            for item in self.ledger.of(Status.SEEN, Status.MINIMISED)
            if item.failure.origin not in tried
        ]:
            tried.add(left[0].failure.origin)
            self.settler.confirm(left[0])

    @property
    def not_repeated(self) -> str:
        """What the World did not repeat; empty where it did."""
        refuted = [item.reason for item in self.ledger.of(Status.REFUTED)]
        return str(self.divergence) if self.divergence is not None else "".join(refuted[:1])

    def note_refuted(self, error: BaseException) -> None:
        """Add to an error what was seen to fail, but not again."""
        for item in self.ledger.of(Status.REFUTED):
            if item.reason not in str(error):
                error.add_note(f"Seen once: {item.reason}")

    @property
    def has_executed(self) -> bool:
        """Whether an action was called."""
        return self.session.is_open and self.session.recorder.executor.executed > 0

    def progress(self) -> Progress:
        """Return how far the run is."""
        recorder, failing = self.session.recorder, self.ledger.failing
        executor, names = recorder.executor, self.definition.actions
        best = min((item.path for item in failing), key=lambda path: path.depth, default=None)
        return Progress(
            step=executor.executed,
            max_steps=None,
            states=len(recorder.graph),
            coverage=sum(executor.tally.executions(name) > 0 for name in names) / len(names),
            violations=len(failing),
            recalled=executor.tally.recalled,
            seconds=perf_counter() - self._start,
            best=() if best is None else tuple(step.action for step in best.steps),
        )

    def close(self, *, is_judged: bool = False) -> ExplorationResult | None:
        """Roll back, close the World where this run opened it, and return the record.

        :param is_judged: whether to look at what the run was required to reach.
        :raises WorldError: when the World could not be left as it was found.
        """
        if not self.session.is_open:
            return None
        result = self._summary()
        if is_judged and result.steps_executed:
            missing = unmet(result.actions, result.invariants, self.definition.require)
            result = attrs.evolve(result, unmet=missing)
        self.session.close()
        return result

    def warn(self, machine: str, *, found_nothing: bool) -> None:
        """Warn of what makes the run say less than it seems to."""
        goes_on = self.definition.on_divergence == "warn"
        if self.divergence is not None and self.stopped is None and (goes_on or self.ledger.real):
            warnings.warn(
                f"The World does not repeat itself: {self.divergence}\n{self._what_then(goes_on)}",
                DivergenceWarning,
                stacklevel=2,
            )
        if found_nothing and self.session.is_open:
            executor, graph = self.session.recorder.executor, self.session.graph
            counts, systems = executor.tally.actions, executor.world.systems
            idle = describe_idle(self.definition.actions, counts)
            for text in filter(None, [idle, describe_unchanged(graph, counts, systems)]):
                warnings.warn(f"{machine}: {text}", IdleActionWarning, stacklevel=2)

    def _what_then(self, goes_on: bool) -> str:
        if not goes_on:
            return "The run ended."
        if self.settler.is_recorded:
            names = ", ".join(sorted(self.session.recorder.distrusted))
            return f"The run executed {names} each time, and recorded the other actions."
        return "The run went on without its record and executed every step again."

    def _summary(self) -> ExplorationResult:
        recorder = self.session.recorder
        executor = recorder.executor
        return ExplorationResult(
            graph=self.session.graph,
            violations=tuple(
                attrs.evolve(item.violation, states=recorder.states_along(item.path.drafts))
                for item in self.ledger.failing
            ),
            duration=perf_counter() - self._start,
            actions=executor.tally.actions,
            invariants=executor.tally.invariants,
            steps_repeated=recorder.travel.repeated,
            test_cases=self.test_cases,
            executed_before_failure=self.budget.before_failure,
            divergence=self.divergence,
            distrusted=tuple(sorted(recorder.distrusted)),
            exhausted=self.guidance.exhausted if self.divergence is None else None,
            ended_by="" if self.budget.has_time() else "time_limit",
            volatile=executor.knowledge.volatile,
            late_writes=executor.latecomers.described,
            refuted=tuple(item.reason for item in self.ledger.of(Status.REFUTED)),
            fixed=tuple(self.fixed),
        )
