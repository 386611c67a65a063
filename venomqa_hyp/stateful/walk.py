"""One test case: a walk through the World, or through the record of it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NoReturn, Protocol, TypeVar

import attrs
from hypothesis import reject
from hypothesis.stateful import multiple

from venomqa_hyp.core import ActionResult, Invariant, State, Step, Transition, Verdict
from venomqa_hyp.errors import DivergenceError
from venomqa_hyp.explore import Arrival, Cursor, Failure, Recorder, Rehearsed, Renames, key_of
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.world import ROOT, Chain, Context, World, extend

_Answer = TypeVar("_Answer")


class Host(Protocol):
    """The run, as a walk sees it."""

    definition: Definition

    @property
    def recorder(self) -> Recorder: ...

    @property
    def last_failure(self) -> Failure | None: ...

    def permits(self, chain: Chain, depth: int, is_new: bool, exploring: bool) -> bool: ...

    def keep_if_real(self, path: Sequence[Step], recorded: Sequence["Outcome"]) -> None: ...

    def diverge(self, difference: str) -> None: ...

    def raise_exception(self, path: Sequence[Step], result: ActionResult) -> NoReturn: ...

    def raise_violation(self, path: Sequence[Step], verdict: Verdict) -> NoReturn: ...


@attrs.frozen(eq=False)
class Outcome:
    """What a step left in the context, and what it returned."""

    context: Mapping[str, Any]
    value: Any

    @classmethod
    def of(cls, context: Mapping[str, Any], result: ActionResult) -> "Outcome":
        """Describe a step that was executed; one that failed adds nothing to a Bundle."""
        return cls(context, result.value if result.success else multiple())


class LiveWalk:
    """Executes every step in the World, from the initial state, as plain Hypothesis would.

    :param rewind: false continues in the World as it is.
    """

    def __init__(self, run: Host, *, rewind: bool = True) -> None:
        self._run = run
        self._renames = Renames(run.recorder.actions)
        self.path: list[Step] = []
        self.outcomes: list[Outcome] = []
        if rewind:
            run.recorder.mover.reset()
        run.recorder.mover.lose()

    @property
    def world(self) -> World:
        return self._run.recorder.world

    @property
    def context(self) -> Context:
        return self.world.context

    def step(self, step: Step) -> ActionResult:
        __tracebackhide__ = True
        step = self._renames.apply(step, self.context)
        self.path.append(step)
        result = self._run.recorder.act(step)
        if result.exception is not None:
            self._run.raise_exception(self.path, result)
        if self._run.definition.rollback:
            self.outcomes.append(Outcome.of(self.context.save(), result))
        return result

    def check(self, invariant: Invariant) -> None:
        __tracebackhide__ = True
        verdict = self._run.recorder.judge(invariant)
        if not verdict.holds:
            self._run.raise_violation(self.path, verdict)

    def retrace(self, path: Sequence[Step], recorded: Sequence[Outcome]) -> ActionResult:
        """Execute a whole path; what a step raises is raised.

        :param recorded: what came of the steps, or of the first of them, the last time; where
            values come out differently this time, they take the place of the recorded ones.
        """
        __tracebackhide__ = True
        result = ActionResult(True)
        for step, known in zip_longest(path, recorded):
            result = self.step(step)
            if known is not None:
                self._renames.note_contexts(known.context, self.context)
                self._renames.note_results(step.action, known.value, result.value)
        return result


@attrs.frozen(eq=False)
class RehearsedWalk:
    """A path that exploring took, as a walk."""

    start: State
    steps: Sequence[Rehearsed]

    @property
    def path(self) -> list[Step]:
        return [item.step for item in self.steps]

    recorded_path = path

    @property
    def arrivals(self) -> Sequence[Arrival]:
        return [item.arrival for item in self.steps]

    @property
    def outcomes(self) -> list[Outcome]:
        return [Outcome.of(item.context, item.transition.result) for item in self.steps]


class RecordedWalk:
    """Answers from the record what was executed before, and executes the rest.

    Leaves the record for the rest of the test case where it cannot be used: after a step whose
    arguments cannot be told from others, after the user's own rules changed the World, or where
    the World did not repeat itself.

    :param exploring: whether the test case is generated, not one of shrinking or replaying.
    """

    def __init__(self, run: Host, *, exploring: bool) -> None:
        self._exploring = exploring
        self._run = run
        self._recorder = run.recorder
        self._at = run.recorder.graph.initial.id
        self._chain: Chain = ROOT
        self._live: LiveWalk | None = None
        self._lent: Chain | None = None
        self._path: list[Step] = []
        self.start = run.recorder.graph.initial
        self.arrivals: list[Arrival] = []
        self._cursor = Cursor(self.start)
        self._context: Context | None = None

    @property
    def recorded_path(self) -> list[Step]:
        """The steps that were answered from the record, or added to it."""
        return self._path

    @property
    def path(self) -> list[Step]:
        return self._path if self._live is None else self._live.path

    @property
    def is_recorded(self) -> bool:
        """Whether all steps so far stand in the record."""
        return self._live is None and self._lent is None

    @property
    def outcomes(self) -> list[Outcome]:
        if self._live is not None:
            return self._live.outcomes
        return [Outcome.of(item.state.context, item.transition.result) for item in self.arrivals]

    @property
    def world(self) -> World:
        """The World, in the state of this walk; whoever asks for it may change it."""
        if self._live is None and self._lent is None and self._went_here():
            self._lent = self._recorder.mover.chain
            self._recorder.mover.lose()
        return self._recorder.world

    @property
    def context(self) -> Context:
        self._notice_changes()
        if self._live is not None:
            return self._live.context
        if self._context is None:
            # A copy: guards are the user's, and the record is not to be changed.
            self._context = Context(find_world=lambda: self.world)
            self._context.load(self._cursor.state.context)
        return self._context

    def step(self, step: Step) -> ActionResult:
        __tracebackhide__ = True
        self._notice_changes()
        states = self._recorder.graph.states
        step_here = self._cursor.renamed(
            step, self._recorder.actions[step.action], states[self._at]
        )
        key = key_of(step_here, states[self._at].numbers)
        if self._live is None and key is None and self._went_here():
            self._live = self._continue_live()
        if self._live is not None or key is None:
            assert self._live is not None
            return self._live.step(step)
        chain = extend(self._chain, key)
        is_new = self._recorder.graph.find(self._at, key) is None
        if not self._run.permits(chain, len(self._path) + 1, is_new, self._exploring):
            reject()
        self._path.append(step)
        transition = self._recorded(lambda: self._recorder.take(self._at, step_here, key))
        if transition is None:
            return self._retrace()
        self._go_on(transition)
        self._chain = chain
        result = transition.result
        if result.exception is None:
            return result
        if self._recorder.has_seen_failure(self._chain):
            self._run.raise_exception(self._path, result)
        proof = self._retrace()
        self._run.diverge(f"after {step} on another path to the same state: {result.error}")
        return proof

    def check(self, invariant: Invariant) -> None:
        __tracebackhide__ = True
        self._notice_changes()
        if self._live is not None:
            self._live.check(invariant)
            return
        verdicts = self._recorded(lambda: self._recorder.verdicts(self._at))
        if verdicts is None:
            self._retrace(invariant)
            return
        verdict = next(item for item in verdicts if item.invariant is invariant)
        if verdict.holds:
            return
        if self._recorder.has_seen_failure(self._chain):
            self._run.raise_violation(self._path, verdict)
        self._retrace(invariant)
        self._run.diverge(f"{invariant.name} on another path to the same state: {verdict.message}")

    def _go_on(self, transition: Transition) -> None:
        self._at = transition.to_id
        arrived = self._recorder.graph.states[self._at]
        self.arrivals.append(Arrival(transition, arrived))
        self._cursor = self._cursor.follow(self.arrivals[-1])
        self._context = None

    def _retrace(self, invariant: Invariant | None = None) -> ActionResult:
        """Execute this very path: a failure is told only of steps that were really executed."""
        __tracebackhide__ = True
        outcomes, self._live = self.outcomes, LiveWalk(self._run)
        try:
            result = self._live.retrace(self._path, outcomes)
            if invariant is not None:
                self._live.check(invariant)
        except BaseException:
            if self._run.last_failure is not None:
                self._recorder.saw_failure(self._chain)
            raise
        return result

    def _went_here(self) -> bool:
        """Take the World to the state of this walk, or leave the record."""
        is_here = self._recorded(lambda: self._recorder.lend(self._at)) is not None
        if is_here and not self._cursor.is_renamed(self._recorder.graph.states[self._at]):
            return True
        self._retrace()
        return False

    def _recorded(self, ask: Callable[[], _Answer]) -> _Answer | None:
        """Ask the record; ``None`` says that it cannot be trusted any more."""
        try:
            return ask()
        except DivergenceError as error:
            if self._recorder.has_seen_failure(self._recorder.mover.chain):
                self._run.keep_if_real(self._path, self.outcomes)
            self._run.diverge(str(error))
            return None

    def _continue_live(self) -> LiveWalk:
        live = LiveWalk(self._run, rewind=False)
        live.path.extend(self._path)
        live.outcomes.extend(self.outcomes)
        return live

    def _notice_changes(self) -> None:
        """Leave the record if whoever was lent the World has changed it."""
        if self._lent is None or self._live is not None:
            return
        if self._recorder.observe().exact == self._recorder.graph.states[self._at].exact:
            self._recorder.mover.find_again(self._recorder.graph.states[self._at], self._lent)
        else:
            self._live = self._continue_live()
        self._lent = None
