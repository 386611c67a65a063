"""Returns to states and goes on from there: executes what a strategy picks."""

import math
from collections.abc import Sequence
from random import Random

import attrs

from venomqa_hyp.core import Step
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore.argument_kinds import ArgumentKinds, Draws
from venomqa_hyp.explore.atlas import Atlas, Choice, Node, Option, Strategy
from venomqa_hyp.explore.position import Draft, Position
from venomqa_hyp.explore.recorder import Recorder
from venomqa_hyp.explore.trial import Trial, advance, attempt


@attrs.frozen(eq=False)
class Explored:
    """What came of one option.

    :ivar node: where it led; ``None`` where it could not be executed, or failed.
    :ivar is_new: whether nobody was there before.
    :ivar reached: the position it led to, if it was executed.
    :ivar found: the path, where it ends in a failure.
    """

    node: Node | None
    is_new: bool = False
    reached: Position | None = None
    found: Trial | None = None


class Explorer:
    """Explores the states of one World.

    :param draws: how arguments are drawn.
    :param random: the only source of chance.
    :param max_depth: the longest paths to execute.
    :ivar executed: calls of actions for exploring, those for getting back included.
    """

    def __init__(
        self, recorder: Recorder, strategy: Strategy, draws: Draws, random: Random, max_depth: int
    ) -> None:
        self.atlas = Atlas(recorder.graph, recorder.executor.rules.actions)
        self.kinds = ArgumentKinds(recorder.executor.rules, draws, random)
        self.executed = 0
        self._recorder = recorder
        self._strategy = strategy
        self._random = random
        self._max_depth = max_depth
        self._nodes: dict[tuple[object, ...], Node] = {}
        self._merged: dict[str, Position] = {}
        self.root = self._add(Node(0, recorder.executor.start))

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is left to execute within ``max_depth``."""
        return not self.atlas.open_nodes

    @property
    def is_complete(self) -> bool:
        """Whether every value of every argument is among what can be executed."""
        return self.kinds.all_exact and not self.kinds.undrawable

    @property
    def exhausted(self) -> str | None:
        """Say how much was explored, where nothing is left to execute."""
        if not self.is_exhausted:
            return None
        cut = any(node.depth >= self._max_depth for node in self.atlas.nodes)
        within = f" within depth {self._max_depth}" if cut else ""
        count = len(self.atlas.graph)
        text = f"{'the only state' if count == 1 else f'all {count} states'}{within} explored"
        if not self.kinds.all_exact:
            text += ", with arguments of each kind"
        if self.kinds.undrawable:
            text += f", but for {', '.join(sorted(self.kinds.undrawable))}"
        return text

    def fails_at_once(self) -> Trial | None:
        """Return the failures that the initial state shows, if it does."""
        failures = self._recorder.checker.failures(self.root.position)
        return Trial(self.root.position, failures) if failures else None

    def pick(self) -> Choice | None:
        """Ask the strategy what to execute next; ``None`` where nothing is left, or it is done.

        :raises DefinitionError: when it returned something else than an open node and an option.
        """
        if self.is_exhausted:
            return None
        picked = self._strategy.pick(self.atlas, self._random)
        if picked is not None:
            _check_choice(self._strategy, picked)
        return picked

    def cost(self, choice: Choice) -> int:
        """Return how many calls of actions it takes at most to execute an option."""
        node, option = choice
        return self._recorder.cost(node.position, option.action.name)

    def execute(self, choice: Choice) -> Explored:
        """Execute an option, and look at where it leads.

        :raises Diverged: when the World does not repeat itself.
        """
        node, option = choice
        self.atlas.drop(node, option)
        pools = node.position.pools
        given = self.kinds.arguments(option.action, option.kind, pools, self._random)
        before = self._recorder.executor.executed
        try:
            return self._take(node, Draft(option.action, given, node.position.depth))
        finally:
            self.executed += self._recorder.executor.executed - before
            self.atlas.executed[option.action.name] += 1

    def prove_merges(self, limit: float = math.inf) -> None:
        """Execute steps that were recalled so far, where the path to their state was another.

        Each action once, and after each that led to a known state; so where nothing else is left.

        :param limit: executions at most.
        :raises Diverged: one of them does something else there.
        """
        until = self._recorder.executor.executed + limit
        for reached in self._merged.values():
            self._recorder.prove_merge(reached, until)

    def fails_at_end(self, at: Position) -> Trial | None:
        """Return the failures that a path shows if it ends at a position, if it does."""
        failures = self._recorder.checker.failures(at, ends=True)
        return Trial(at, failures) if failures else None

    def learn(self, drafts: Sequence[Draft]) -> Node:
        """Take over the steps of a test case, and return where they led."""
        node = self.root
        for draft in drafts:
            if node.depth >= self._max_depth:
                break
            seen = self._take(node, draft)
            if seen.node is None or seen.reached is None or seen.reached.taken is None:
                break
            self._cross_off(node, seen.reached.taken.step)
            node = seen.node
        return node

    def _cross_off(self, node: Node, step: Step) -> None:
        """Drop the option that a step was the only instance of."""
        for option in node.options:
            if option.action.name == step.action and not step.arguments:
                self.atlas.drop(node, option)
                return

    def _take(self, node: Node, draft: Draft) -> Explored:
        reached = advance(self._recorder, node.position, draft)
        if reached is None:
            return Explored(None)
        if failures := self._recorder.checker.failures(reached):
            return Explored(
                None, reached=reached, found=self._found(node, Trial(reached, failures))
            )
        if self._recorder.graph is not self.atlas.graph:
            return Explored(None, reached=reached)  # known states turned out to be the same
        recorder = self._recorder.executor
        key = recorder.rules.ability(reached, recorder.knowledge)
        known = self._nodes.get(key)
        if known is None:
            there = self._add(Node(len(self.atlas.nodes), reached, node), key)
        else:
            there = known
            self._merged.setdefault(draft.action.name, reached)
            self._shorten(known, node, reached)
        node.children.append(there)
        self.atlas.here = there
        return Explored(there, known is None, reached)

    def _found(self, node: Node, found: Trial) -> Trial:
        """Return the failure by the shortest path known, where its steps fail, too."""
        assert found.end.taken is not None
        drafts = [found.end.taken.draft]
        at: Node | None = node
        while at is not None and at.position.taken is not None:
            drafts.append(at.position.taken.draft)
            at = at.parent
        if len(drafts) >= len(found):
            return found
        shorter = attempt(self._recorder, drafts[::-1])
        return shorter if shorter.fails_with(found.failures[0].origin) else found

    def _shorten(self, known: Node, parent: Node, reached: Position) -> None:
        """Take over a shorter path to a node, and to those after it."""
        if parent.depth + 1 >= known.depth:
            return
        known.parent, known.position = parent, reached
        shorter = [known]
        while shorter:
            node = shorter.pop()
            assert node.parent is not None
            was_cut, node.depth = node.depth >= self._max_depth, node.parent.depth + 1
            if was_cut and node.depth < self._max_depth:
                self.atlas.reopen(node, self._options(node))
            shorter += [item for item in node.children if item.parent is node]

    def _add(self, node: Node, key: tuple[object, ...] | None = None) -> Node:
        recorder = self._recorder.executor
        key = key or recorder.rules.ability(node.position, recorder.knowledge)
        self._nodes[key] = node
        self.atlas.add(node, self._options(node))
        return node

    def _options(self, node: Node) -> list[Option]:
        if node.depth >= self._max_depth:
            return []
        at, executor = node.position, self._recorder.executor
        return [
            Option(action, kind)
            for action in executor.rules.actions.values()
            if executor.enables(at, action, lambda: self._recorder.lend(at))
            for kind in self.kinds.of(action, at.pools)
        ]


def _check_choice(strategy: object, picked: object) -> None:
    match picked:
        case (Node() as node, Option() as option) if option in node.options:
            return
    raise DefinitionError(
        f"{type(strategy).__name__}.pick returned {picked!r:.80}, but it returns one of "
        "graph.open_nodes with one of its options, or None to end the exploration. "
        "Write return node, random.choice(node.options)."
    )
