"""What the exploration strategy does in a run of a machine.

Some of the generated test cases are Hypothesis's own random walks. Before each of the others the
strategy executes options in the World, as many as a test case has steps; the test case then goes
where that ended, from the record. So a run executes no more than its settings allow.
"""

from collections.abc import Mapping, Sequence
from random import Random

import attrs

from venomqa_hyp.explore import Draft, Drawn, Explorer, Node, Novelty, Recorder, Strategy
from venomqa_hyp.stateful.budget import Budget
from venomqa_hyp.stateful.failures import Status
from venomqa_hyp.stateful.internals import VenomProvider, draw, size
from venomqa_hyp.stateful.session import Session
from venomqa_hyp.stateful.settler import Settler
from venomqa_hyp.stateful.steering import taken_along


class Guidance:
    """The exploration of one run.

    :param step_count: the most steps of a test case.
    """

    def __init__(
        self,
        strategy: Strategy,
        session: Session,
        settler: Settler,
        budget: Budget,
        step_count: int,
    ) -> None:
        self._walks, self._strategy = 0.0, strategy
        if isinstance(strategy, Novelty):
            # Hypothesis walks, so the strategy need not.
            self._walks, self._strategy = strategy.walks, attrs.evolve(strategy, walks=0.0)
        self._session = session
        self._settler = settler
        self._budget = budget
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
        if self._session.recorder.distrusted:
            return False
        return explorer is not None and explorer.is_exhausted and explorer.is_complete

    def prove_merges(self) -> None:
        """Execute what was only recalled where paths met, as nothing else is left.

        :raises Diverged: the World does not repeat itself.
        """
        if self._explorer is not None:
            self._explorer.prove_merges()

    def check_ends(self) -> None:
        """Check in all states what must hold where a path ends, as any of them could end there.

        :raises Diverged: the World does not repeat itself.
        """
        explorer = self._explorer
        if explorer is None or not self._session.recorder.checker.at_end:
            return
        for node in explorer.atlas.nodes[1:]:
            found = explorer.fails_at_end(node.position)
            if found is not None:
                for failure in found.failures:
                    self._settler.meet(failure, found)

    def begin(self, provider: VenomProvider, positions: Mapping[str, int], walks: float) -> None:
        """Begin a generated test case: leave it to Hypothesis, or explore and lead it there.

        :param positions: what :func:`~venomqa_hyp.stateful.internals.rule_positions` returned.
        :param walks: the least share of the test cases that is for Hypothesis's own walks.
        :raises Diverged: the World does not repeat itself.
        """
        share = max(self._walks, walks)
        self._begun += 1
        if int(self._begun * share + 0.5) > int((self._begun - 1) * share + 0.5):
            return
        reached = self._explore(self._current(provider))
        if reached is not None:
            provider.follow(taken_along(reached.position), positions)

    def learn(self, drafts: Sequence[Draft]) -> None:
        """Take over where a test case went."""
        explorer = self._explorer
        # A fresh World may have begun in another state, with another graph.
        if explorer is not None and explorer.atlas.graph is self._session.recorder.graph:
            explorer.learn(drafts)

    def _current(self, provider: VenomProvider) -> Explorer:
        recorder = self._session.recorder
        if self._explorer is None or self._explorer.atlas.graph is not recorder.graph:
            random = provider.new_random()
            self._explorer = Explorer(
                recorder, self._strategy, ActionDraws(recorder), random, self._step_count
            )
        return self._explorer

    def _explore(self, explorer: Explorer) -> Node | None:
        """Execute options; return the last node discovered."""
        budget, reached = self._budget, None
        # Options are counted, not executions: what has to be executed again depends on time.
        for _ in range(self._step_count):
            choice = explorer.pick() if budget.may_search() and budget.has_time() else None
            if choice is None:
                break
            before = explorer.executed
            seen = explorer.execute(choice)
            budget.searched(explorer.executed - before)
            if seen.found is not None:
                settled = [
                    self._settler.meet(failure, seen.found) for failure in seen.found.failures
                ]
                if any(item is not None and item.status is Status.CONFIRMED for item in settled):
                    return None
            if seen.is_new:
                reached = seen.node
        return reached


class ActionDraws:
    """Draws the arguments of a recorder's actions, as Hypothesis does."""

    def __init__(self, recorder: Recorder) -> None:
        self._actions = recorder.executor.rules.actions

    def draw(self, action: str, argument: str, random: Random | None) -> Drawn | None:
        """Return a draw; see :class:`~venomqa_hyp.explore.Draws`."""
        return draw(self._actions[action].arguments[argument], random)

    def size(self, action: str, argument: str) -> int | None:
        """Return how many values there are, where that is known."""
        return size(self._actions[action].arguments[argument])
