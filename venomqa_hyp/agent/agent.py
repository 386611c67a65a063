"""The Agent: explores by itself and returns everything it found."""

import math
import os
from collections.abc import Iterable
from random import SystemRandom
from types import MappingProxyType

import attrs

from venomqa_hyp.agent.cache import Directory, load, store, warn
from venomqa_hyp.agent.exploration import Exploration, FindTwin, Limits
from venomqa_hyp.agent.fingerprint import NoFingerprint, Watched, fingerprint
from venomqa_hyp.agent.progress import shown
from venomqa_hyp.core import Action, ExplorationResult, Invariant, OnProgress
from venomqa_hyp.core.vacuity import Require
from venomqa_hyp.errors import DefinitionError, VacuousRun
from venomqa_hyp.explore import Strategy
from venomqa_hyp.stateful import Run, as_in_test_case
from venomqa_hyp.stateful.definition import WorldSource, define


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
    :param time_limit: seconds for all of it: what was found is confirmed within them or right
        after, and made no shorter after that.
    :param seed: repeats an exploration; chosen at random by default, see :attr:`seed`.
    :param on_divergence: what a World leads to that does not repeat itself: ``"error"`` raises
        ``DivergenceError``, unless something was found, ``"warn"`` goes on without the record, by
        random walks from the initial state.
    :param require: action -> the least share of its steps that succeed, above 0.0 and up to 1.0, or
        the least number of them. An exploration that found nothing and does not reach that ends
        with ``VacuousRun``.
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
        on_divergence: str = "error",
        require: Require = MappingProxyType({}),
        cache_dir: str | os.PathLike[str] | None = None,
        watch: Watched = (),
    ) -> None:
        self.definition = define(
            "Agent",
            world,
            actions,
            invariants,
            strategy=strategy,
            rollback=True,
            on_divergence=on_divergence,
            require=require,
            taken=(),
        )
        self.limits = Limits(
            max_steps=_whole("max_steps", max_steps),
            max_depth=_whole("max_depth", max_depth),
            coverage_target=_share(coverage_target),
            seconds=_seconds(time_limit),
            fail_fast=bool(fail_fast),
        )
        self.progress_every = progress_every and _whole("progress_every", progress_every)
        self.on_progress = on_progress
        self.seed = SystemRandom().getrandbits(32) if seed is None else _seed(seed)
        self.cache_dir = cache_dir
        self.watch = watch
        self.raises_unmet = True
        self.find_twin: FindTwin | None = None
        self._has_seed = seed is not None

    def explore(self) -> ExplorationResult:
        """Explore from the initial state, and leave the World as it was found.

        Ctrl-C ends it like a limit, with what was found so far.

        :raises DivergenceError: when the World does not repeat itself and nothing was found.
        :raises VacuousRun: when nothing was found, and ``require`` or ``sometimes`` not reached.
        :raises WorldError: when the World cannot be opened, reached or rolled back.
        """
        with shown(self.progress_every) as show, as_in_test_case(self.explore):
            on_progress = self.on_progress or show
            exploration = Exploration(self.definition, self.limits, self.seed, on_progress)
            try:
                if self.find_twin is not None:
                    exploration.begin_as(self.find_twin)
                kept = self._place_in_cache(exploration.run)
                if kept is not None and (known := load(*kept)) is not None:
                    return known
                exploration.go_on()
            except Exception as error:
                exploration.note_found(error)
                raise
            finally:
                result = exploration.close()
        exploration.check()
        if result.unmet and self.raises_unmet:
            raise VacuousRun(result.unmet, result)
        if kept is not None:
            store(*kept, result)
        return result

    def _place_in_cache(self, run: Run) -> tuple[Directory, str] | None:
        """Return directory and fingerprint, where this exploration has one."""
        if self.cache_dir is None:
            return None
        definition = self.definition
        settings = {
            **attrs.asdict(self.limits),
            "strategy": definition.strategy,
            "require": dict(definition.require),
            "seed": self.seed if self._has_seed else None,
        }
        try:
            found = fingerprint(
                definition.world,
                definition.actions.values(),
                definition.invariants,
                settings,
                self.watch,
                initial=run.session.recorder.graph.initial.id,
            )
        except NoFingerprint as error:
            warn(f"This exploration is not skipped, whatever has changed or not: {error}")
            return None
        return self.cache_dir, found


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


def _seconds(value: float | None) -> float:
    if value is not None and (not isinstance(value, (int, float)) or not value > 0):
        raise DefinitionError(
            f"Agent: time_limit is {value!r}, but it is a number of seconds above 0. "
            "Write time_limit=60."
        )
    return math.inf if value is None else float(value)
