"""Random walks without a record, for a World that does not repeat itself."""

from collections.abc import Iterator, Sequence
from random import Random

from hypothesis.errors import UnsatisfiedAssumption

from venomqa_hyp.core import Step
from venomqa_hyp.explore import ArgumentKinds, Failure, Pools, Trail, resolve
from venomqa_hyp.stateful import Run
from venomqa_hyp.stateful.walk import LiveWalk


class LiveExplorer:
    """Executes every step from the initial state on, as plain Hypothesis would.

    :ivar executed: calls of actions; those that confirm a failure are not counted.
    """

    def __init__(self, run: Run, kinds: ArgumentKinds, random: Random, max_depth: int) -> None:
        self._run = run
        self._kinds = kinds
        self._random = random
        self._max_depth = max_depth
        self.executed = 0

    def walk(self, limit: int) -> Iterator[None]:
        """Take one walk of at most ``limit`` steps; yields after each.

        A failure is reported if it shows when its path is executed once more.
        """
        run = self._run
        run.renew()
        walk = LiveWalk(run)
        try:
            for _ in self._steps(walk, min(limit, self._max_depth)):
                yield
            return
        except BaseException as error:
            if run.last_failure is None:
                raise
            found, raised = run.last_failure, error
        run.last_failure = None
        if found.origin not in run.violations and self._shows_again(walk.path, found):
            run.report(found, walk, raised, final=True)

    def _steps(self, walk: LiveWalk, limit: int) -> Iterator[None]:
        run, actions = self._run, self._run.recorder.actions
        trail, pools = Trail(actions.values()), Pools(actions, run.recorder.graph.initial)
        pools.note(-1, walk.context)
        self._check(walk)
        for number in range(limit):
            able = [
                action
                for action in actions.values()
                if trail.enables(action, walk.context) and self._kinds.of(action, pools)
            ]
            if not able:
                return
            action = self._random.choice(able)
            kind = self._random.choice(self._kinds.of(action, pools))
            given = self._kinds.arguments(action, kind, pools, self._random)
            resolved = resolve(action, given, pools)
            if resolved is None:
                return
            self.executed += 1
            try:
                result = walk.step(Step(action.name, resolved[0]))
            except UnsatisfiedAssumption:
                return
            trail.note(action, result)
            pools.note(number, walk.context)
            if action.target is not None and result.success:
                pools.add(number, action.target, result.value)
            self._check(walk)
            yield
        assert run.last_failure is None

    def _check(self, walk: LiveWalk) -> None:
        for invariant in self._run.definition.invariants:
            walk.check(invariant)

    def _shows_again(self, path: Sequence[Step], found: Failure) -> bool:
        shown = self._run.failing(LiveWalk(self._run), path, ())
        return shown is not None and shown[0].origin == found.origin
