"""Returns to states and goes on from there: executes what a strategy picks."""

from collections.abc import Mapping, Sequence
from random import Random

import attrs

from venomqa_hyp.core import Step
from venomqa_hyp.errors import DefinitionError, DivergenceError
from venomqa_hyp.explore.argument_kinds import ArgumentKinds, Draws
from venomqa_hyp.explore.atlas import Atlas, Choice, Node, Option, Strategy
from venomqa_hyp.explore.failure import failure_of_verdicts
from venomqa_hyp.explore.recorder import Recorder
from venomqa_hyp.explore.rehearsal import (
    Choices,
    Draft,
    Pools,
    Rehearsal,
    Rehearsed,
    Rehearser,
    drafted,
)
from venomqa_hyp.explore.trail import Trail


@attrs.frozen(eq=False)
class Explored:
    """What came of one option.

    :ivar node: where it led; ``None`` where it could not be executed.
    :ivar is_new: whether nobody was there before.
    :ivar taken: the step, if it was executed.
    :ivar found: the path, where it ends in a failure.
    """

    node: Node | None
    is_new: bool = False
    taken: Rehearsed | None = None
    found: Rehearsal | None = None


class Explorer:
    """Explores the states of one World.

    :param draws: how arguments are drawn.
    :param random: the only source of chance.
    :param max_depth: the longest paths to execute.
    :ivar executed: calls of actions for exploring, those for getting back included.
    :ivar diverged_at: where the World did not repeat itself, and in which step.
    """

    def __init__(
        self, recorder: Recorder, strategy: Strategy, draws: Draws, random: Random, max_depth: int
    ) -> None:
        self.atlas = Atlas(recorder.graph, recorder.actions, recorder.volatile)
        self.kinds = ArgumentKinds(draws, random)
        self.executed = 0
        self.diverged_at: tuple[Node, Step | None] | None = None
        self._recorder = recorder
        self._strategy = strategy
        self._random = random
        self._max_depth = max_depth
        self._nodes: dict[tuple[object, ...], Node] = {}
        walk = Rehearser(recorder)
        self.root = self._add(Node(0, walk.state_id, walk.trail, walk.pools))

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
        nodes = self.atlas.nodes
        cut = any(node.depth >= self._max_depth for node in nodes)
        within = f" within depth {self._max_depth}" if cut else ""
        count = len(self.atlas.graph)
        told = f"{'the only state' if count == 1 else f'all {count} states'}{within} explored"
        if not self.kinds.all_exact:
            told += ", with arguments of each kind"
        if self.kinds.undrawable:
            told += f", but for {', '.join(sorted(self.kinds.undrawable))}"
        return told

    def fails_at_once(self) -> Rehearsal | None:
        """Return the failure that the initial state shows, if it does."""
        failure = failure_of_verdicts(self._recorder.verdicts(self.root.state_id))
        return None if failure is None else Rehearsal((), failure)

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
        return self._recorder.cost(node.state_id, option.action.name)

    def execute(self, choice: Choice) -> Explored:
        """Execute an option, and look at where it leads.

        :raises DivergenceError: when the World does not repeat itself.
        """
        node, option = choice
        self.atlas.drop(node, option)
        given = self.kinds.arguments(option.action, option.kind, node.pools, self._random)
        before = self._recorder.executed
        try:
            return self._take(node, Draft(node.depth, option.action, given))
        finally:
            self.executed += self._recorder.executed - before
            self.atlas.executed[option.action.name] += 1

    def learn(self, steps: Sequence[Step], choices: Sequence[Mapping[str, Choices]]) -> Node:
        """Take over the steps of a test case, and return where they led.

        :param choices: for each step, argument -> the choices its strategy made.
        """
        node = self.root
        for step, made in zip(steps, choices, strict=True):
            given = drafted(self._recorder.actions[step.action], step, made, node.pools)
            if given is None or node.depth >= self._max_depth:
                break
            seen = self._take(node, Draft(node.depth, self._recorder.actions[step.action], given))
            if seen.node is None or seen.found is not None:
                break
            self._cross_off(node, step)
            node = seen.node
        return node

    def _cross_off(self, node: Node, step: Step) -> None:
        """Drop the option that a step was the only instance of."""
        for option in node.options:
            if option.action.name == step.action and not step.arguments:
                self.atlas.drop(node, option)
                return

    def _take(self, node: Node, draft: Draft) -> Explored:
        walk = Rehearser(self._recorder, node.state_id, node.trail.copy(), node.pools.copy())
        try:
            taken = walk.take(draft)
        except DivergenceError:
            self.diverged_at = (node, walk.tried)
            raise
        if taken is None:
            return Explored(None)
        failure = walk.failure_after(taken)
        if failure is not None:
            return Explored(None, taken=taken, found=Rehearsal((*node.steps, taken), failure))
        key = _key(walk.state_id, walk.trail, walk.pools)
        known = self._nodes.get(key)
        if known is None:
            number = len(self.atlas.nodes)
            reached = Node(number, walk.state_id, walk.trail, walk.pools, node, taken)
            self._add(reached)
        else:
            reached = known
            self._shorten(known, node, taken)
        node.children.append(reached)
        self.atlas.here = reached
        return Explored(reached, known is None, taken)

    def _shorten(self, known: Node, parent: Node, taken: Rehearsed) -> None:
        """Take over a shorter path to a node, and to those after it."""
        if parent.depth + 1 >= known.depth:
            return
        known.parent, known.taken = parent, taken
        shorter = [known]
        while shorter:
            node = shorter.pop()
            assert node.parent is not None
            was_cut, node.depth = node.depth >= self._max_depth, node.parent.depth + 1
            if was_cut and node.depth < self._max_depth:
                self.atlas.reopen(node, self._options(node))
            shorter += [item for item in node.children if item.parent is node]

    def _add(self, node: Node) -> Node:
        self._nodes[_key(node.state_id, node.trail, node.pools)] = node
        self.atlas.add(node, self._options(node))
        return node

    def _options(self, node: Node) -> list[Option]:
        walk = Rehearser(self._recorder, node.state_id, node.trail, node.pools)
        options = [
            Option(action, kind)
            for action in self._recorder.actions.values()
            if walk.can_take(action)
            for kind in self.kinds.of(action, node.pools)
        ]
        return options if node.depth < self._max_depth else []


def _key(state_id: str, trail: Trail, pools: Pools) -> tuple[object, ...]:
    return (state_id, trail.signature, pools.bundled)


def _check_choice(strategy: object, picked: object) -> None:
    match picked:
        case (Node() as node, Option() as option) if option in node.options:
            return
    raise DefinitionError(
        f"{type(strategy).__name__}.pick returned {picked!r:.80}, but it returns one of "
        "graph.open_nodes with one of its options, or None to end the exploration. "
        "Write return node, random.choice(node.options)."
    )
