"""The strategies that need no more than a few lines each."""

from collections.abc import Iterable
from heapq import heappop, heappush
from random import Random as Chance

import attrs

from venomqa_hyp.explore.atlas import Atlas, Choice, Node, Option


@attrs.frozen(eq=False)
class BFS:
    """Breadth first: everything that can be done near the initial state, before what is deeper."""

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return the first option of the open node nearest to the initial state."""
        return _first(graph.memory(self, _Nearest).best(graph))


@attrs.frozen(eq=False)
class DFS:
    """Depth first: goes on from the newest state, and back when nothing is left there."""

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return a random option of the newest open node."""
        node = next(reversed(graph.open_nodes))
        return node, random.choice(node.options)


@attrs.frozen(eq=False)
class Random:
    """Any open state and anything that can be done there, all as likely."""

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return a random option of a random open node."""
        node = graph.random_open_node(random)
        return node, random.choice(node.options)


@attrs.frozen(eq=False)
class Weighted:
    """A random open state, and there an action by its ``weight``."""

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return an option of a random open node, in proportion to the weights."""
        node = graph.random_open_node(random)
        weights = [option.action.weight for option in node.options]
        return node, random.choices(node.options, weights)[0]


@attrs.frozen(eq=False)
class CoverageGuided:
    """Prefers what was done least: actions, then pairs of an action and the one before it."""

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return an option of the least executed pair, at a random node that offers it."""
        return graph.memory(self, _Pairs).pick(graph, random)


def _first(node: Node | None) -> Choice | None:
    return None if node is None else (node, node.options[0])


class _Nearest:
    """Open nodes by depth, then by age."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Node]] = []
        self._read = 0

    def best(self, graph: Atlas) -> Node | None:
        for node in graph.nodes[self._read :]:
            heappush(self._heap, (node.depth, node.number, node))
        self._read = len(graph.nodes)
        while self._heap:
            depth, number, node = self._heap[0]
            if node.is_open and node.depth == depth:
                return node
            heappop(self._heap)
            if node.is_open:  # a shorter path to it was found
                heappush(self._heap, (node.depth, number, node))
        # What was closed when it was read can be open by a shorter path.
        return next(iter(graph.open_nodes), None)


class _Pairs:
    """For each pair of actions, one after the other: how often, and where it is left to do."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], int] = {}
        self._nodes: dict[tuple[str, str], list[Node]] = {}
        self._read = 0

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        for node in graph.nodes[self._read :]:
            for action in {option.action.name: None for option in node.options}:
                self._nodes.setdefault((_before(node), action), []).append(node)
        self._read = len(graph.nodes)
        while self._nodes:
            pair = min(
                self._nodes, key=lambda pair: (graph.executed[pair[1]], self._taken.get(pair, 0))
            )
            choice = self._choose(pair, random)
            if choice is not None:
                self._taken[pair] = self._taken.get(pair, 0) + 1
                return choice
            del self._nodes[pair]
        node = graph.random_open_node(random)
        return node, random.choice(node.options)

    def _choose(self, pair: tuple[str, str], random: Chance) -> Choice | None:
        nodes = self._nodes[pair]
        while nodes:
            at = random.randrange(len(nodes))
            options = options_of(nodes[at].options, pair[1])
            if options:
                return nodes[at], random.choice(options)
            nodes[at] = nodes[-1]
            nodes.pop()
        return None


def options_of(options: Iterable[Option], action: str) -> list[Option]:
    """Return the options that execute an action."""
    return [option for option in options if option.action.name == action]


def _before(node: Node) -> str:
    return "" if node.taken is None else node.taken.step.action
