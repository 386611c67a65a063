"""One test case: a walk through the World, or through the record of it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NoReturn, Protocol, TypeVar

import attrs
from hypothesis import reject

from venomqa_hyp.core import ActionResult, Invariant, Step, Transition, Verdict
from venomqa_hyp.errors import DivergenceError
from venomqa_hyp.explore import Failure, Recorder, Renames
from venomqa_hyp.world import ROOT, Chain, Context, World, extend

_Answer = TypeVar("_Answer")


class Host(Protocol):
    """The run, as a walk sees it."""

    @property
    def recorder(self) -> Recorder: ...

    @property
    def last_failure(self) -> Failure | None: ...

    def permits(self, chain: Chain, depth: int, is_new: bool, exploring: bool) -> bool: ...

    def diverge(self, difference: str) -> None: ...

    def raise_exception(self, path: Sequence[Step], result: ActionResult) -> NoReturn: ...

    def raise_violation(self, path: Sequence[Step], verdict: Verdict) -> NoReturn: ...


@attrs.frozen(eq=False)
class Outcome:
    """What a step left in the context, and what it returned."""

    context: Mapping[str, Any]
    value: Any


def outcomes(recorder: Recorder, transitions: Sequence[Transition]) -> list[Outcome]:
    """Return what came of recorded steps."""
    states = recorder.graph.states
    return [Outcome(states[item.to_id].context, item.result.value) for item in transitions]


class LiveWalk:
    """Executes every step in the World, from the initial state, as plain Hypothesis would.

    :param rewind: false continues in the World as it is.
    """

    def __init__(self, run: Host, *, rewind: bool = True) -> None:
        self._run = run
        self._renames = Renames(run.recorder.actions)
        self.path: list[Step] = []
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
                if self._run.recorder.actions[step.action].target is not None:
                    self._renames.note_values(known.value, result.value)
        return result


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
        self._taken: list[Transition] = []
        self._context: tuple[str, Context] | None = None

    @property
    def path(self) -> list[Step]:
        return self._path if self._live is None else self._live.path

    @property
    def is_recorded(self) -> bool:
        """Whether all steps so far stand in the record."""
        return self._live is None and self._lent is None

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
        if self._context is None or self._context[0] != self._at:
            # A copy: guards are the user's, and the record is not to be changed.
            context = Context(find_world=lambda: self.world)
            context.load(self._recorder.graph.states[self._at].context)
            self._context = (self._at, context)
        return self._context[1]

    def step(self, step: Step) -> ActionResult:
        __tracebackhide__ = True
        key = step.key
        self._notice_changes()
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
        transition = self._recorded(lambda: self._recorder.take(self._at, step, key))
        if transition is None:
            return self._retrace()
        self._at = transition.to_id
        self._taken.append(transition)
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

    def _retrace(self, invariant: Invariant | None = None) -> ActionResult:
        """Execute this very path: a failure is told only of steps that were really executed."""
        __tracebackhide__ = True
        self._live = LiveWalk(self._run)
        try:
            result = self._live.retrace(self._path, outcomes(self._recorder, self._taken))
            if invariant is not None:
                self._live.check(invariant)
        except BaseException:
            if self._run.last_failure is not None:
                self._recorder.saw_failure(self._chain)
            raise
        return result

    def _went_here(self) -> bool:
        """Take the World to the state of this walk, or leave the record."""
        if self._recorded(lambda: self._recorder.lend(self._at)) is not None:
            return True
        self._retrace()
        return False

    def _recorded(self, ask: Callable[[], _Answer]) -> _Answer | None:
        """Ask the record; ``None`` says that it cannot be trusted any more."""
        try:
            return ask()
        except DivergenceError as error:
            self._run.diverge(str(error))
            return None

    def _continue_live(self) -> LiveWalk:
        live = LiveWalk(self._run, rewind=False)
        live.path.extend(self._path)
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
