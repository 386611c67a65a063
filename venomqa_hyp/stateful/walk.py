"""One test case: a walk through the World, or through the record of it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from hypothesis import reject

from venomqa_hyp.core import ActionResult, Divergence, Invariant, Step, Verdict
from venomqa_hyp.explore import (
    Diverged,
    Failure,
    Live,
    Position,
    Recorder,
    Transcript,
    Unrecordable,
    failure_of_result,
    failure_of_verdict,
    retrace,
)
from venomqa_hyp.stateful.aliases import Aliases
from venomqa_hyp.values import Name
from venomqa_hyp.world import Context, World

#: ``(position, step, is_new) -> whether the test case may take it``.
Permits = Callable[[Position, Step, bool], bool]
Noting = Callable[[Failure, Position], AbstractContextManager[None]]

T = TypeVar("T")


class Failed(Exception):
    """What a test case just met; the machine raises what Hypothesis is to see of it."""

    def __init__(self, failure: Failure, at: Position) -> None:
        super().__init__(failure.name)
        self.failure = failure
        self.at = at


class Walk:
    """Answers from the record what was executed before, and executes the rest.

    It leaves the record for the rest of the test case where that cannot be used: before a step
    whose arguments cannot be told from others, or whose action did not repeat itself; after the
    user's own rules changed the World, or where the World did not repeat itself.

    :param live: begins without the record, and executes every step.
    :param transcript: collects what each step of a live walk does.
    :param on_diverged: called where the World did not repeat itself; where it returns, the walk
        goes on without the record.
    :param noting: the context in which a failure is executed that was only inferred.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        live: bool,
        transcript: Transcript | None = None,
        permits: Permits = lambda at, step, is_new: True,
        on_diverged: Callable[[Diverged], None] = lambda diverged: None,
        noting: Noting = lambda failure, at: nullcontext(),
    ) -> None:
        self._recorder = recorder
        self._permits = permits
        self._on_diverged = on_diverged
        self._noting = noting
        self.transcript = transcript
        self._live = Live(recorder, transcript=transcript) if live else None
        self._at = recorder.executor.start
        self._aliases = Aliases()
        self._lent: Position | None = None
        self._context: Context | None = None
        self._taking: Step | None = None
        self._only_proven = False

    @property
    def at(self) -> Position:
        """Where the walk is."""
        return self._at if self._live is None else self._live.at

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps so far, with the one that is being taken."""
        return (*self.at.steps, *([] if self._taking is None else [self._taking]))

    @property
    def is_recorded(self) -> bool:
        """Whether all steps so far stand in the record."""
        return (self._live is None or self._only_proven) and self._lent is None

    @property
    def world(self) -> World:
        """The World, in the state of this walk; whoever asks for it may change it."""
        world = self._recorder.executor.world
        if self._live is None and self._lent is None:
            base = self._ask(lambda: self._recorder.travel.go(self._at))
            if base is not None and base.state.names == self._at.state.names and not self._aliases:
                self._lent = base
                self._recorder.executor.mover.lose()
            else:
                self._retrace()
        return self._recorder.executor.world if self._live else world

    @property
    def context(self) -> Context:
        """The context of the path; a copy, as guards are the user's."""
        self._notice_changes()
        if self._live is not None:
            return self._recorder.executor.world.context
        if self._context is None:
            self._context = Context(find_world=lambda: self.world)
            self._context.load(self._at.state.context)
        return self._context

    def step(self, asked: Step) -> ActionResult:
        """Take a step.

        :raises Failed: the action raised.
        """
        __tracebackhide__ = True
        self._notice_changes()
        sources = self._recorder.executor.rules.sources[asked.action]
        self._taking = step = self._aliases.renamed(asked, sources)
        reached = self._step_live(step) if self._live is not None else self._step(step)
        self._taking = None
        assert reached.taken is not None
        result = reached.taken.result
        if failure := failure_of_result(step.action, result):
            self._fail(failure, reached)
        return result

    def finish(self) -> None:
        """Check what must hold where the path ends.

        :raises Failed: it does not hold.
        """
        __tracebackhide__ = True
        checker = self._recorder.checker
        if not checker.at_end:
            return
        self._notice_changes()
        if self._live is None:
            found = self._ask(lambda: checker.failures(self._at, ends=True))
            for failure in found or ():
                self._fail(failure, self._at)
            if found is not None:
                return
            self._retrace()
        assert self._live is not None
        for failure in self._live.failures(ends=True):
            raise Failed(failure, self._live.at)

    def check(self, invariant: Invariant) -> Verdict:
        """Check an invariant, and return what it says where it holds.

        :raises Failed: it does not hold.
        """
        __tracebackhide__ = True
        self._notice_changes()
        if self._live is None:
            verdicts = self._ask(lambda: self._recorder.checker.verdicts(self._at))
            if verdicts is not None:
                verdict = next(item for item in verdicts if item.invariant is invariant)
                if not verdict.holds:
                    self._fail(failure_of_verdict(verdict), self._at)
                return verdict
            self._retrace()
        return self._check_live(invariant)

    def _check_live(self, invariant: Invariant) -> Verdict:
        __tracebackhide__ = True
        assert self._live is not None
        verdict = self._live.check(invariant)
        if not verdict.holds:
            raise Failed(failure_of_verdict(verdict), self._live.at)
        return verdict

    def _step(self, step: Step) -> Position:
        recorder = self._recorder
        knowledge = recorder.executor.knowledge
        draft = recorder.executor.rules.drafted(self._at, step, knowledge)
        if not recorder.trusts([draft]):
            # What nobody observes may differ between two paths that meet, so this very one counts.
            self._retrace()
            return self._step_off_record(step)
        if step.key is not None and not self._permits(
            self._at, step, not recorder.knows(self._at, step)
        ):
            reject()
        try:
            reached = self._ask(lambda: recorder.take(self._at, draft))
        except Unrecordable:
            base = self._ask(lambda: recorder.travel.go(self._at))
            if base is None or base.state.names != self._at.state.names:
                self._retrace()
            else:
                self._live = Live(recorder, self._at)
            return self._step_off_record(step)
        if reached is None:
            self._retrace()
            return self._step_off_record(step)
        assert reached.parent is not None
        names = recorder.executor.names_between(self._at, reached.parent)
        self._aliases.between(self._at, reached.parent, names)
        self._at, self._context = reached, None
        return reached

    def _step_off_record(self, step: Step) -> Position:
        """Take a step of the record's names by those of the path that was just left for."""
        sources = self._recorder.executor.rules.sources[step.action]
        return self._step_live(self._aliases.renamed(step, sources))

    def _step_live(self, step: Step) -> Position:
        assert self._live is not None
        rules, knowledge = self._recorder.executor.rules, self._recorder.executor.knowledge
        reached = self._live.take(rules.drafted(self._live.at, step, knowledge))
        assert reached is not None, "what Hypothesis picked is there"
        return reached

    def _fail(self, failure: Failure, at: Position) -> None:
        """Raise a failure that was executed; one that was only inferred is executed first."""
        __tracebackhide__ = True
        if self._live is not None or at.chain in self._recorder.checker.failed:
            raise Failed(failure, at)
        with self._noting(failure, at):
            live, _ = self._retrace()
        found = next(
            (item for item in live.failures(ends=True) if item.origin == failure.origin), None
        )
        if found is not None:
            self._recorder.checker.failed.add(at.chain)
            self._only_proven = True
            raise Failed(found, at)
        what = (
            f"{failure.name} failed on another path to the same state ({failure.message}), "
            "but not here."
        )
        self._on_diverged(Diverged(Divergence(str(at.taken and at.taken.step), what)))

    def _retrace(self) -> tuple[Live, Mapping[Name, Name]]:
        """Leave the record: execute this very path."""
        self._live, names = retrace(self._recorder, self._at.path)
        self._aliases.add(names)
        return self._live, names

    def _ask(self, ask: Callable[[], T]) -> T | None:
        """Ask the record; ``None`` says that it cannot be trusted any more."""
        try:
            return ask()
        except Diverged as diverged:
            self._on_diverged(diverged)
            return None

    def _notice_changes(self) -> None:
        """Leave the record if whoever was lent the World has changed it."""
        if self._lent is None or self._live is not None:
            return
        executor = self._recorder.executor
        if executor.world.observe().exact == self._lent.state.exact:
            executor.mover.arrive(self._lent, executor.mover.chain)
        else:
            self._live = Live(self._recorder, self._at)
        self._lent = None
