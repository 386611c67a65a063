"""What the exploration strategy does in a run of a machine.

Some of the generated test cases are Hypothesis's own random walks. Before each of the others the
strategy executes options in the World, as many as a test case has steps; the test case then goes
where that ended, from the record. So a run executes no more than its settings allow.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol

import attrs

from venomqa_hyp.core import Step
from venomqa_hyp.errors import DivergenceError
from venomqa_hyp.explore import Drawn, Explorer, Node, Novelty, Recorder, Rehearsal, Strategy
from venomqa_hyp.stateful.internals import VenomProvider, draw, size
from venomqa_hyp.stateful.reduction import Reduction, script
from venomqa_hyp.stateful.walk import Outcome, RehearsedWalk


class Host(Protocol):
    """The run, as far as exploring is concerned."""

    @property
    def recorder(self) -> Recorder: ...

    @property
    def reduction(self) -> Reduction: ...

    def keep_if_real(self, path: Sequence[Step], recorded: Sequence[Outcome]) -> None: ...

    def diverge(self, difference: str) -> None: ...

    def meet(self, found: Rehearsal) -> bool: ...


class Guidance:
    """The exploration of one run.

    :param step_count: the most steps of a test case.
    """

    def __init__(self, strategy: Strategy, run: Host, step_count: int) -> None:
        self._walks, self._strategy = 0.0, strategy
        if isinstance(strategy, Novelty):
            # Hypothesis walks, so the strategy need not.
            self._walks, self._strategy = strategy.walks, attrs.evolve(strategy, walks=0.0)
        self._run = run
        self._step_count = step_count
        self._explorer: Explorer | None = None
        self._begun = 0

    @property
    def exhausted(self) -> str | None:
        """Say how much was explored, where nothing is left to explore."""
        return None if self._explorer is None else self._explorer.exhausted

    @property
    def is_done(self) -> bool:
        """Whether nothing is left that any test case could execute."""
        explorer = self._explorer
        return explorer is not None and explorer.is_exhausted and explorer.is_complete

    def begin(self, provider: VenomProvider, positions: Mapping[str, int], walks: float) -> None:
        """Begin a generated test case: leave it to Hypothesis, or explore and lead it there.

        :param positions: what :func:`~venomqa_hyp.stateful.internals.rule_positions` returned.
        :param walks: the least share of the test cases that is for Hypothesis's own walks.
        """
        share = max(self._walks, walks)
        self._begun += 1
        if int(self._begun * share + 0.5) > int((self._begun - 1) * share + 0.5):
            return
        explorer = self._current(provider)
        try:
            reached = self._explore(explorer)
        except DivergenceError as error:
            self._keep_if_real(explorer)
            self._run.diverge(str(error))
            return
        if reached is not None and not self._run.reduction.awaits:
            provider.follow(script(reached.steps), positions)

    def learn(self, steps: Sequence[Step], provider: VenomProvider) -> None:
        """Take over where a test case went."""
        choices = provider.argument_choices([list(step.arguments) for step in steps])
        if self._explorer is not None and choices is not None:
            self._explorer.learn(steps, choices)

    def _keep_if_real(self, explorer: Explorer) -> None:
        """Look in a fresh World for the failure that showed where the World did not repeat."""
        recorder = self._run.recorder
        if explorer.diverged_at is None or not recorder.has_seen_failure(recorder.mover.chain):
            return
        node, tried = explorer.diverged_at
        walk = RehearsedWalk(recorder.graph.initial, node.steps)
        self._run.keep_if_real([*walk.path, *([tried] if tried else [])], walk.outcomes)

    def _current(self, provider: VenomProvider) -> Explorer:
        recorder = self._run.recorder
        if self._explorer is None or self._explorer.atlas.graph is not recorder.graph:
            random = provider.new_random()
            self._explorer = Explorer(
                recorder, self._strategy, ActionDraws(recorder), random, self._step_count
            )
        return self._explorer

    def _explore(self, explorer: Explorer) -> Node | None:
        """Execute options; return the last node discovered."""
        reduction, reached = self._run.reduction, None
        # Options are counted, not executions: what has to be executed again depends on time.
        for _ in range(self._step_count):
            choice = explorer.pick() if reduction.may_search() else None
            if choice is None:
                break
            before = explorer.executed
            seen = explorer.execute(choice)
            reduction.searched(explorer.executed - before)
            if seen.found is not None and self._run.meet(seen.found):
                return None
            if seen.is_new:
                reached = seen.node
        return reached


class ActionDraws:
    """Draws the arguments of a recorder's actions, as Hypothesis does."""

    def __init__(self, recorder: Recorder) -> None:
        self._actions = recorder.actions

    def draw(self, action: str, argument: str, random: Random | None) -> Drawn | None:
        """Return a draw; see :class:`~venomqa_hyp.explore.Draws`."""
        return draw(self._actions[action].arguments[argument], random)

    def size(self, action: str, argument: str) -> int | None:
        """Return how many values there are, where that is known."""
        return size(self._actions[action].arguments[argument])
