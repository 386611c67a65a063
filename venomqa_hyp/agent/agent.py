"""The Agent: explores by itself and returns everything it found."""

import math
import os
from collections.abc import Iterable
from random import Random, SystemRandom
from time import monotonic

import attrs

from venomqa_hyp.agent.cache import Directory, load, store, warn
from venomqa_hyp.agent.description import NoFingerprint
from venomqa_hyp.agent.fingerprint import Watched, fingerprint
from venomqa_hyp.agent.live import LiveExplorer
from venomqa_hyp.agent.loops import Loops
from venomqa_hyp.agent.progress import OnProgress, Progress, shown
from venomqa_hyp.core import Action, ExplorationResult, Invariant
from venomqa_hyp.errors import DefinitionError, DivergenceError
from venomqa_hyp.explore import Explorer, Rehearsal, Strategy
from venomqa_hyp.stateful import ActionDraws, Run, as_in_test_case
from venomqa_hyp.stateful.definition import Definition, WorldSource, define
from venomqa_hyp.stateful.walk import RehearsedWalk


class Agent:
    """Explores a World and collects every violation, each with its shortest path.

    :param world: a World, or a callable that returns one: each exploration then opens its own and
        closes it, and opens a fresh one to confirm a violation.
    :param strategy: what to execute next; :class:`~venomqa_hyp.Novelty` by default.
    :param max_steps: calls of actions for exploring; shortening and confirming what was found
        comes on top.
    :param max_depth: the longest paths to execute.
    :param coverage_target: end when this share of the actions was executed, 0.0 to 1.0.
    :param progress_every: print a line every so many steps; on a terminal one line is kept up to
        date otherwise.
    :param on_progress: called with a :class:`Progress` after each step, in place of printing.
    :param fail_fast: end at the first violation.
    :param time_limit: seconds, after which no further option is executed.
    :param seed: repeats an exploration; chosen at random by default, see :attr:`seed`.
    :param cache_dir: where explorations that found nothing are kept. One whose actions,
        invariants, World, settings, *their code*, initial state and watched files are the same is
        not done again: ``result.skipped`` says so.
    :param watch: files and directories of the service under test, for the cache: its code is out of
        sight here. While nothing is watched nothing is skipped, with a ``CacheWarning``.
    :raises DefinitionError: says which argument cannot work, and what to write instead.
    """

    def __init__(
        self,
        world: WorldSource,
        actions: Iterable[Action],
        invariants: Iterable[Invariant] = (),
        *,
        strategy: Strategy | None = None,
        max_steps: int = 1000,
        max_depth: int = 50,
        coverage_target: float | None = None,
        progress_every: int | None = None,
        on_progress: OnProgress | None = None,
        fail_fast: bool = False,
        time_limit: float | None = None,
        seed: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        watch: Watched = (),
    ) -> None:
        self.definition = define(
            "Agent", world, actions, invariants, strategy=strategy, rollback=True, taken=()
        )
        self.max_steps = _whole("max_steps", max_steps)
        self.max_depth = _whole("max_depth", max_depth)
        self.coverage_target = _share(coverage_target)
        self.progress_every = progress_every and _whole("progress_every", progress_every)
        self.on_progress = on_progress
        self.fail_fast = bool(fail_fast)
        self.time_limit = _seconds(time_limit)
        self.seed = SystemRandom().getrandbits(32) if seed is None else _seed(seed)
        self.cache_dir = cache_dir
        self.watch = watch
        self._has_seed = seed is not None

    def explore(self) -> ExplorationResult:
        """Explore from the initial state, and leave the World as it was found.

        A World that does not repeat itself is explored without its record, by random walks from
        the initial state; ``result.divergence`` then says what differed.

        :raises WorldError: when the World cannot be opened, reached or rolled back.
        """
        with shown(self.progress_every) as show, as_in_test_case(self.explore):
            exploration = _Exploration(self, self.on_progress or show)
            try:
                kept = self._place_in_cache(exploration.run)
                if kept is not None and (known := load(*kept)) is not None:
                    return known
                exploration.go_on()
            finally:
                result = exploration.run.close()
        assert result is not None
        exploration.run.warn()
        result = attrs.evolve(
            result,
            exhausted=exploration.explorer.exhausted,
            ended_by=exploration.ended_by,
            loops=exploration.loops.found,
        )
        if kept is not None:
            store(*kept, result)
        return result

    def _place_in_cache(self, run: Run) -> tuple[Directory, str] | None:
        """Return directory and fingerprint, where this exploration has one."""
        if self.cache_dir is None:
            return None
        definition = self.definition
        settings = {
            "strategy": definition.strategy,
            "max_steps": self.max_steps,
            "max_depth": self.max_depth,
            "coverage_target": self.coverage_target,
            "time_limit": self.time_limit,
            "seed": self.seed if self._has_seed else None,
        }
        try:
            told = fingerprint(
                definition.world,
                definition.actions.values(),
                definition.invariants,
                settings,
                self.watch,
                initial=run.recorder.graph.initial.id,
            )
        except NoFingerprint as error:
            warn(f"This exploration is not skipped, whatever has changed or not: {error}")
            return None
        return self.cache_dir, told


class _Exploration:
    """One call of :meth:`Agent.explore`."""

    def __init__(self, agent: Agent, on_progress: OnProgress) -> None:
        self.agent = agent
        self.run = Run(agent.definition)
        self.loops = Loops()
        self.ended_by = ""
        self._on_progress = on_progress
        self._executed = 0
        self._random = Random(agent.seed)
        self._deadline = math.inf if agent.time_limit is None else monotonic() + agent.time_limit
        self.explorer = self._new_explorer()
        self._check_drawable(agent.definition)

    def go_on(self) -> None:
        """Explore until something ends it."""
        at_once = self.explorer.fails_at_once()
        try:
            if at_once is not None:
                self._meet(at_once)
                self.ended_by = "the initial state"
            while not self.ended_by:
                self.ended_by = self._next() or self._reason_to_end()
        except DivergenceError as error:
            self.run.diverge(str(error))
        if self.run.divergence is not None:
            self._explore_live()

    def _next(self) -> str | None:
        """Execute one option; return why there is none, where the exploration ends."""
        if self.explorer.atlas.graph is not self.run.recorder.graph:
            self.explorer = self._new_explorer()  # the fresh World began in another state
        choice = self.explorer.pick()
        if choice is None:
            return "exhausted" if self.explorer.is_exhausted else "strategy"
        if self._executed + self.explorer.cost(choice) > self.agent.max_steps:
            return "max_steps"
        before = self.explorer.executed
        seen = self.explorer.execute(choice)
        self._executed += self.explorer.executed - before
        if seen.taken is not None:
            self.loops.note(seen.taken.transition)
        if seen.found is not None:
            self._meet(seen.found)
        self._tell()
        return None

    def _explore_live(self) -> None:
        live = LiveExplorer(self.run, self.explorer.kinds, self._random, self.agent.max_depth)
        self.ended_by = ""
        while not self.ended_by:
            left, before = self.agent.max_steps - self._executed, live.executed
            if left <= 0:
                self.ended_by = "max_steps"
                return
            for _ in live.walk(left):
                self._tell()
            self._executed += live.executed - before
            stuck = "stuck" if live.executed == before else ""
            self.ended_by = self._reason_to_end() or stuck

    def _meet(self, found: Rehearsal) -> None:
        assert found.failure is not None
        self.run.note_failure()
        known = self.run.violations.get(found.failure.origin)
        if known is not None and len(found.steps) >= len(known.reproduction_path):
            return
        settled = self.run.reduction.settle(found, self.run)
        if settled is not None:
            walk = RehearsedWalk(self.run.recorder.graph.initial, settled[0].steps)
            self.run.report(found.failure, walk, settled[1], final=True)
        elif self.run.divergence is not None:
            raise DivergenceError(self.run.divergence)

    def _reason_to_end(self) -> str:
        agent, run = self.agent, self.run
        if agent.fail_fast and run.violations:
            return "fail_fast"
        if agent.coverage_target is not None and self._coverage >= agent.coverage_target:
            return "coverage_target"
        if self._executed >= agent.max_steps:
            return "max_steps"
        return "time_limit" if monotonic() > self._deadline else ""

    @property
    def _coverage(self) -> float:
        recorder = self.run.recorder
        return sum(map(bool, recorder.executions.values())) / len(recorder.actions)

    def _tell(self) -> None:
        states, violations = len(self.run.recorder.graph), len(self.run.violations)
        self._on_progress(
            Progress(self._executed, self.agent.max_steps, states, self._coverage, violations)
        )

    def _new_explorer(self) -> Explorer:
        recorder, agent = self.run.recorder, self.agent
        return Explorer(
            recorder,
            agent.definition.strategy,
            ActionDraws(recorder),
            self._random,
            agent.max_depth,
        )

    def _check_drawable(self, definition: Definition) -> None:
        for action in definition.actions.values():
            self.explorer.kinds.of(action, self.explorer.root.pools)
        for name, argument in self.explorer.kinds.undrawable.items():
            self.run.close()
            raise DefinitionError(
                f"action {name!r}: argument {argument!r} cannot be drawn outside of a Hypothesis "
                "test (st.data() and st.runner() cannot, nor can a Bundle with map or filter, nor "
                "what has no digest). Explore with venom_machine(...).TestCase, or use another "
                "strategy."
            )


def _whole(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DefinitionError(
            f"Agent: {name} is {value!r}, but it is a whole number from 1. Write {name}=500."
        )
    return value


def _seed(value: object) -> int:
    if not isinstance(value, int):
        raise DefinitionError(
            f"Agent: seed is {value!r}, but it is a whole number. Write seed=1, or leave it out."
        )
    return value


def _share(value: float | None) -> float | None:
    if value is not None and (not isinstance(value, (int, float)) or not 0 < value <= 1):
        raise DefinitionError(
            f"Agent: coverage_target is {value!r}, but it is a share of the actions, above 0.0 and "
            "up to 1.0. Write coverage_target=0.8 for 80 %."
        )
    return value


def _seconds(value: float | None) -> float | None:
    if value is not None and (not isinstance(value, (int, float)) or not value > 0):
        raise DefinitionError(
            f"Agent: time_limit is {value!r}, but it is a number of seconds above 0. "
            "Write time_limit=60."
        )
    return value
