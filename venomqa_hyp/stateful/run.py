"""One run of a machine: the World it uses, its record, and when both begin and end."""

import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import NoReturn

from venomqa_hyp.core import (
    ActionResult,
    ExplorationResult,
    Graph,
    Step,
    Verdict,
    Violation,
)
from venomqa_hyp.errors import DefinitionError, RollbackError, WorldError
from venomqa_hyp.explore import (
    Failure,
    Origin,
    Recorder,
    Rehearsal,
    failure_of_result,
    failure_of_verdict,
)
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.guidance import Guidance
from venomqa_hyp.stateful.idle import IdleActionWarning, describe_idle
from venomqa_hyp.stateful.reduction import Reduction
from venomqa_hyp.stateful.walk import LiveWalk, Outcome, RecordedWalk, RehearsedWalk
from venomqa_hyp.world import Chain, World

Walk = LiveWalk | RecordedWalk
OnStep = Callable[["Run"], None]


class DivergenceWarning(UserWarning):
    """The World did not repeat itself, so the run goes on without its record."""


class StartOver(BaseException):
    """Ends all test cases of a run that diverged, so that Hypothesis begins anew.

    It remembers which choices led where, and calls it flaky when they lead elsewhere without the
    record.
    """


class Run:
    """Everything between opening the World for a machine and closing it again."""

    def __init__(
        self,
        definition: Definition,
        *,
        shrinks: bool = True,
        step_count: int = 50,
        on_step: OnStep | None = None,
    ) -> None:
        self.definition = definition
        self.reduction = Reduction(shrinks=shrinks)
        self.guidance = Guidance(definition.strategy, self, step_count)
        self.violations: dict[Origin, Violation] = {}
        self.outcomes: dict[Origin, tuple[Outcome, ...]] = {}
        self._told: set[Origin] = set()
        self.last_failure: Failure | None = None
        self.executed_before_failure: int | None = None
        self.test_cases = 0
        self.divergence: str | None = None
        self.idle: str | None = None
        self.stopped: BaseException | None = None
        self.can_start_over = False
        self._closing_failures: list[str] = []
        self._explored: Graph | None = None
        self._on_step = on_step
        self._recorder: Recorder | None = None
        self._start = perf_counter()

    @property
    def recorder(self) -> Recorder:
        """The record of this run; the World is opened when it is first needed."""
        if self._recorder is None:
            self._recorder = self._open()
        return self._recorder

    def walk(self, *, final: bool, exploring: bool) -> Walk:
        """Return the walk of one test case.

        :param final: whether the test case is the one that is reported.
        :param exploring: whether it is generated, not one of shrinking or replaying.
        """
        self.test_cases += 1
        if not self.definition.rollback:
            return LiveWalk(self)
        if final or self.divergence is not None:
            self.renew()
            return LiveWalk(self)
        return RecordedWalk(self, exploring=exploring)

    def permits(self, chain: Chain, depth: int, is_new: bool, exploring: bool) -> bool:
        """Return whether a test case may take a step; see :meth:`Reduction.permits`."""
        return self.reduction.permits(chain, depth, is_new, exploring)

    def renew(self) -> None:
        """Exchange the World for a fresh one, where each run opens its own."""
        recorder = self.recorder
        if not self.definition.owns_world:
            return
        try:
            try:
                recorder.mover.close()
            finally:
                _release(self.definition, recorder.world)
        except RollbackError:
            raise
        except WorldError as error:
            self._closing_failures.append(str(error))  # told when the run ends
        left = recorder.graph
        world = self.definition.open_world()
        _claim(world)
        try:
            recorder.exchange(world)
        except BaseException:
            _release(self.definition, world)
            raise
        if recorder.graph is not left:
            if self._explored is None:
                self._explored = left
            else:
                self._explored.include(left)

    def meet(self, found: Rehearsal) -> bool:
        """Take over a failure that exploring found; see :meth:`Reduction.meet`."""
        self.note_failure()
        return self.reduction.meet(found, self)

    def note_failure(self) -> None:
        """Note that a failure was seen; the first one counts."""
        if self.executed_before_failure is None:
            self.executed_before_failure = self.recorder.executed

    def prove(self, failure: Failure, found: Rehearsal) -> BaseException | None:
        """Execute a path in a fresh World; return what it raises if it fails there, too."""
        rehearsed = RehearsedWalk(self.recorder.graph.initial, found.steps)
        self.renew()
        self.last_failure = None
        shown = self.failing(LiveWalk(self), rehearsed.path, rehearsed.outcomes)
        if shown is not None and shown[0].origin == failure.origin:
            return shown[1]
        steps = ", ".join(str(item.step) for item in found.steps)
        self.diverge(
            f"{failure.name} failed ({failure.message}) after {steps}, but not when the same steps "
            "were executed again from the start. Something outside the World keeps state."
        )
        return None

    def failing(
        self, walk: LiveWalk, path: Sequence[Step], recorded: Sequence[Outcome]
    ) -> tuple[Failure, BaseException] | None:
        """Execute a path and check the invariants at its end.

        :param recorded: what came of its steps before.
        :return: what failed and what was raised, if anything.
        """
        __tracebackhide__ = True
        try:
            walk.retrace(path, recorded)
            for invariant in self.definition.invariants:
                walk.check(invariant)
        except BaseException as error:
            failure, self.last_failure = self.last_failure, None
            if failure is None:
                raise
            return failure, error
        return None

    def keep_if_real(
        self, path: Sequence[Step], recorded: Sequence[Outcome], origin: Origin | None = None
    ) -> None:
        """Execute a path in a fresh World before the run begins anew; tell of it if it fails.

        :param recorded: what came of its steps before.
        :param origin: only a failure of this origin counts.
        """
        if not self.can_start_over:
            return
        self.renew()
        walk = LiveWalk(self)
        shown = self.failing(walk, path, recorded)
        if shown is not None and origin in (None, shown[0].origin):
            failure, raised = shown
            told = "\n".join(f"  {step}" for step in walk.path)
            raised.add_note(f"Seen after:\n{told}")
            self.report(failure, walk, raised, final=True)
            self.reduction.keep(failure, raised)

    def diverge(self, difference: str) -> None:
        """Stop using the record, because the World did not repeat itself."""
        if self.divergence is None:
            self.divergence = difference
            if self.can_start_over:
                raise StartOver

    def starts_over(self) -> bool:
        """Return whether the test cases are to begin anew; once in a run at most."""
        starts = self.can_start_over and self.divergence is not None and self.stopped is None
        self.can_start_over = False
        return starts

    def warn(self) -> None:
        """Warn that the run went on without its record, if it did."""
        if self.divergence is not None:
            warnings.warn(
                f"The World does not repeat itself: {self.divergence} The run went on without its "
                "record and executed every step again. Put what keeps this state into the World, "
                "or leave it out of what is observed. Where the API writes after it has answered, "
                "wait for that with World(..., settle=...).",
                DivergenceWarning,
                stacklevel=2,
            )

    def warn_of_idle(self, machine: str, *, whole: bool) -> None:
        """Warn of actions that did nothing, where a whole run found nothing."""
        if self.idle is not None and whole and not self.violations:
            warnings.warn(f"{machine}: {self.idle}", IdleActionWarning, stacklevel=2)

    def raise_exception(self, path: Sequence[Step], result: ActionResult) -> NoReturn:
        """Raise what an action raised, as it was raised the first time."""
        __tracebackhide__ = True
        assert result.exception is not None
        failure = failure_of_result(path[-1].action, result)
        assert failure is not None
        self._found(failure)
        raise result.exception.with_traceback(result.traceback)

    def raise_violation(self, path: Sequence[Step], verdict: Verdict) -> NoReturn:
        """Raise the violation of an invariant, as an exception type of its own."""
        __tracebackhide__ = True
        invariant = verdict.invariant
        message = f"[{invariant.severity.name}] {invariant.name}: {verdict.message}"
        error = self.definition.violations[invariant.name](message)
        self._found(failure_of_verdict(verdict))
        # Hypothesis looks at the context, not at the cause, to tell one bug from another.
        error.__context__ = verdict.exception
        raise error from verdict.exception

    def report(
        self, failure: Failure, walk: Walk | RehearsedWalk, error: BaseException, *, final: bool
    ) -> None:
        """Put a failure on record, with the shortest path that shows it.

        :param walk: what it was seen at the end of.
        :param final: whether it is told to the user; others are seen while the run goes on.
        """
        if final:
            self._told.add(failure.origin)
            self.reduction.forget(failure)
        path = walk.path
        known = self.violations.get(failure.origin)
        if final or known is None or len(path) <= len(known.reproduction_path):
            self.violations[failure.origin] = Violation(
                failure.name,
                failure.severity,
                failure.message,
                tuple(path),
                error,
                str(failure.origin),
            )
            self.outcomes[failure.origin] = tuple(walk.outcomes)

    @property
    def told(self) -> Mapping[Origin, Violation]:
        """The failures that were told to the user."""
        return {origin: item for origin, item in self.violations.items() if origin in self._told}

    def close(self) -> ExplorationResult | None:
        """Roll back, close the World where this run opened it, and return the record.

        :raises WorldError: when the World could not be left as it was found.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return None
        try:
            recorder.mover.close()
        finally:
            _release(self.definition, recorder.world)
        if self._closing_failures:
            raise WorldError(" ".join(self._closing_failures))
        return self._summary(recorder)

    def _open(self) -> Recorder:
        definition = self.definition
        world = definition.open_world()
        _claim(world)
        try:
            return Recorder(
                world, definition.actions.values(), definition.invariants, on_step=self._stepped
            )
        except BaseException:
            _release(definition, world)
            raise

    def _stepped(self, recorder: Recorder) -> None:
        if self._on_step is not None:
            self._on_step(self)

    def _found(self, failure: Failure) -> None:
        self.last_failure = failure
        self.note_failure()

    def _summary(self, recorder: Recorder) -> ExplorationResult:
        executed = [name for name in self.definition.actions if recorder.executions[name]]
        if self.test_cases:
            self.idle = describe_idle(recorder)
        graph = self._explored or recorder.graph
        if graph is not recorder.graph:
            graph.include(recorder.graph)
        return ExplorationResult(
            graph=graph,
            violations=tuple(self.told.values()),
            action_coverage=len(executed) / len(self.definition.actions),
            duration=perf_counter() - self._start,
            executions=dict(recorder.executions),
            steps_recalled=recorder.recalled,
            steps_repeated=recorder.repeated,
            test_cases=self.test_cases,
            executed_before_failure=self.executed_before_failure,
            divergence=self.divergence,
            exhausted=self.guidance.exhausted,
            volatile=tuple(
                sorted(
                    ".".join((part, *at))
                    for part in recorder.volatile
                    for at in recorder.volatile[part]
                )
            ),
        )


_in_use: "weakref.WeakKeyDictionary[World, int]" = weakref.WeakKeyDictionary()
_in_use_lock = threading.Lock()


def _claim(world: World) -> None:
    with _in_use_lock:
        if world in _in_use:
            raise DefinitionError(
                "this World is in use by another run that has not ended. Two runs cannot share "
                "one: give venom_machine a function that makes a World, and each run opens its own."
            )
        _in_use[world] = threading.get_ident()


def _release(definition: Definition, world: World) -> None:
    with _in_use_lock:
        _in_use.pop(world, None)
    if definition.owns_world:
        world.close()
