"""What the exploration strategy does in a run of a machine.

Before a generated test case it executes options in the World, as many as the test cases before it
executed, or a test case's worth where the strategy has no random walks of its own. Then it leads
the test case to where that ended: Hypothesis's own walk goes on from there. Every other test case
is one of Hypothesis's walks from the initial state, unless the strategy wants none.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol

import attrs

from venomqa_hyp.core import Step
from venomqa_hyp.errors import DivergenceError
from venomqa_hyp.explore import Drawn, Explorer, Node, Novelty, Recorder, Rehearsal, Strategy
from venomqa_hyp.stateful.internals import VenomProvider, draw
from venomqa_hyp.stateful.reduction import Reduction, script


class Host(Protocol):
    """The run, as far as exploring is concerned."""

    @property
    def recorder(self) -> Recorder: ...

    @property
    def reduction(self) -> Reduction: ...

    def diverge(self, difference: str) -> None: ...

    def meet(self, found: Rehearsal) -> bool: ...


class Guidance:
    """The exploration of one run.

    :param step_count: the most steps of a test case.
    :ivar exhausted: how much was explored, in words, where nothing is left.
    """

    def __init__(self, strategy: Strategy, run: Host, step_count: int) -> None:
        self.walks, self._strategy = 0.0, strategy
        if isinstance(strategy, Novelty):
            # Hypothesis walks, so the strategy need not.
            self.walks, self._strategy = strategy.walks, attrs.evolve(strategy, walks=0.0)
        self._run = run
        self._step_count = step_count
        self._explorer: Explorer | None = None
        self._explored = 0
        self._begun = 0

    def begin(self, provider: VenomProvider, positions: Mapping[str, int], walks: float) -> None:
        """Explore before a generated test case, and lead it somewhere.

        :param positions: what :func:`~venomqa_hyp.stateful.internals.rule_positions` returned.
        :param walks: the least share of the executions that is for Hypothesis's own walks.
        """
        self._begun += 1
        share = max(self.walks, walks)
        explorer = self._current(provider)
        try:
            reached = self._explore(explorer, share)
        except DivergenceError as error:
            self._run.diverge(str(error))
            return
        if not self._run.reduction.awaits and reached is not None:
            if share and self._begun % 2:
                return
            provider.follow(script(reached.steps), positions, go_on=share > 0)

    def learn(self, steps: Sequence[Step], provider: VenomProvider) -> None:
        """Take over where a test case went."""
        choices = provider.argument_choices([list(step.arguments) for step in steps])
        if self._explorer is not None and choices is not None:
            self._explorer.learn(steps, choices)

    @property
    def exhausted(self) -> str | None:
        """Say how much was explored, where nothing is left to explore."""
        explorer = self._explorer
        return None if explorer is None else explorer.exhausted

    def _current(self, provider: VenomProvider) -> Explorer:
        recorder = self._run.recorder
        if self._explorer is None or self._explorer.atlas.graph is not recorder.graph:
            actions = recorder.actions

            def drawn(action: str, argument: str, random: Random | None) -> Drawn | None:
                return draw(actions[action].arguments[argument], random)

            self._explorer = Explorer(
                recorder, self._strategy, drawn, provider.new_random(), self._step_count
            )
        return self._explorer

    def _explore(self, explorer: Explorer, share: float) -> Node | None:
        run, reached = self._run, None
        left = self._budget(share)
        while left > 0 and run.reduction.may_search():
            choice = explorer.pick()
            if choice is None:
                break
            before = run.recorder.executed
            seen = explorer.execute(choice)
            spent = run.recorder.executed - before
            self._explored += spent
            left -= max(1, spent)
            run.reduction.searched(spent)
            if seen.found is not None and run.meet(seen.found):
                return None
            if seen.is_new:
                reached = seen.node
        return reached

    def _budget(self, share: float) -> int:
        if not share:
            return self._step_count
        walked = self._run.recorder.executed - self._explored
        owed = int(walked * (1 - share) / share) - self._explored
        # Walks over what is known execute nothing, and then there is the more to explore.
        return min(self._step_count, max(owed, self._step_count // 5))
