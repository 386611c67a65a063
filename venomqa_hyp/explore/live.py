"""Executes every step of a path in the World, without the record."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from hypothesis.errors import UnsatisfiedAssumption

from venomqa_hyp.core import Invariant, State, Verdict
from venomqa_hyp.explore.counterexample.transcript import Transcript
from venomqa_hyp.explore.executor import Executor
from venomqa_hyp.explore.failure import Failure, failures_at, failures_of
from venomqa_hyp.explore.position import Draft, Position, Taken, renamed
from venomqa_hyp.explore.recorder import Recorder
from venomqa_hyp.explore.trial import Trial
from venomqa_hyp.values import Name, aligned


class Live:
    """A path that is executed step by step, from the start or from where the World is.

    :param at: where the World is; it is taken to the start without one.
    :param transcript: collects what each step does, where that is to be reported.
    """

    def __init__(
        self,
        recorder: Recorder,
        at: Position | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        self._transcript = transcript
        self._recorder = recorder
        self._executor: Executor = recorder.executor
        self.at = self._executor.mover.reset() if at is None else at
        self._executor.mover.lose()
        if transcript is not None:
            transcript.open(self._executor.world)

    def take(self, draft: Draft) -> Position | None:
        """Execute a step; ``None`` where it cannot run."""
        rules = self._executor.rules
        resolved = rules.resolve(self.at, draft)
        if resolved is None:
            return None
        step, picks, left = resolved
        late, transcript, world = self._executor.latecomers, self._transcript, self._executor.world
        begun = None if transcript is None else transcript.begin(world)
        shown = late.before()
        result = self._executor.act(step)
        if shown is not None:
            late.observe(step.action, result, shown)
        self._executor.tally.stepped(step.action, result, changed=False)
        state = State("", {}, world.context.save())
        self.at = rules.after(self.at, left, Taken(draft, step, picks, result), state, step.key)
        if transcript is not None and begun is not None:
            transcript.end(world, begun, self.at)
        return self.at

    def check(self, invariant: Invariant) -> Verdict:
        """Check an invariant in the World as it is."""
        if self._transcript is None:
            return self._recorder.checker.check(invariant)
        with self._transcript.checking(self._executor.world, invariant.name):
            return self._recorder.checker.check(invariant)

    def failures(self, *, ends: bool = False) -> tuple[Failure, ...]:
        """Return what is wrong now: what the last step raised, or each broken invariant.

        :param ends: whether the path ends here, so that what must hold at its end is checked, too.
        """
        checker = self._recorder.checker
        found = failures_at(self.at.taken, lambda: map(self.check, checker.invariants))
        if found or not ends:
            return found
        return failures_of(map(self.check, checker.at_end))


def attempt_live(
    recorder: Recorder,
    drafts: Sequence[Draft],
    known: Sequence[Position] = (),
    transcript: Transcript | None = None,
) -> Trial:
    """Execute drafts in the World up to their first failure; those that cannot run are left out.

    What must hold at the end of a path is checked after the last one.

    :param known: the positions that the steps led to before.
    :param transcript: collects what each step does.
    """
    live = Live(recorder, transcript=transcript)
    executor, world = recorder.executor, recorder.executor.world
    names: dict[Name, Name] = {}
    if failures := live.failures():
        return Trial(live.at, failures)
    for draft, before in zip_longest(drafts, known):
        if draft is None or not executor.enables(live.at, draft.action, lambda: world):
            continue
        try:
            live.take(renamed(draft, names))
        except UnsatisfiedAssumption:
            continue
        if failures := live.failures():
            return Trial(live.at, failures)
        if before is not None:
            names |= _names(before, live.at, recorder)
    return Trial(live.at, live.failures(ends=True) if live.at.depth else ())


def retrace(recorder: Recorder, path: Iterable[Position]) -> tuple[Live, Mapping[Name, Name]]:
    """Execute the steps of a path again, from the start, whatever comes of them.

    :return: where that led, and what the atoms that the path held are called there.
    """
    live = Live(recorder)
    names: dict[Name, Name] = {}
    for known in path:
        assert known.taken is not None
        live.take(renamed(known.taken.draft, names))
        names |= _names(known, live.at, recorder)
    return live, names


def _names(known: Position, now: Position, recorder: Recorder) -> dict[Name, Name]:
    """Return what the values in pools are called now, by the steps that made them."""
    names: dict[Name, Name] = {}
    for pool, entries in known.pools.items():
        values = {entry.owner: entry.value for entry in now.pools.get(pool, ())}
        for entry in entries:
            if entry.owner in values:
                names |= aligned(entry.value, values[entry.owner], recorder.executor.knowledge)
    return names
