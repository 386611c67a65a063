"""Monte Carlo tree search over the tree of first arrivals.

Upper confidence bounds for trees (Kocsis and Szepesvari, "Bandit Based Monte-Carlo Planning",
2006). The reward of an execution is 1 where it leads to a state whose shape is new, 0.3 where the
state is, and else 0.
"""

import math
from random import Random as Chance

import attrs

from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore.atlas import Atlas, Choice, Node

NEW_SHAPE, NEW_STATE = 1.0, 0.3


@attrs.frozen(eq=False)
class MCTS:
    """Goes on where executions led to new states: Monte Carlo tree search.

    :ivar exploration: how much more a branch counts that was tried less.
    """

    exploration: float = math.sqrt(2)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.exploration, (int, float)) or not self.exploration >= 0:
            raise DefinitionError(
                f"MCTS: exploration is {self.exploration!r}, but it is a number from 0 that says "
                "how much more a branch counts that was tried less. Write MCTS(exploration=1.4)."
            )

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return a random option of the node that the search descends to."""
        tree = graph.memory(self, _Tree)
        tree.read(graph)
        node = tree.descend(graph, self.exploration)
        tree.picked = node
        return node, random.choice(node.options)


class _Branch:
    """What is known of a node and of those first reached through it."""

    __slots__ = ("children", "is_done", "node", "parent", "reward", "visits")

    def __init__(self, node: Node, parent: "_Branch | None") -> None:
        self.node = node
        self.parent = parent
        self.children: list[_Branch] = []
        self.visits = 0
        self.reward = 0.0
        self.is_done = False


class _Tree:
    def __init__(self) -> None:
        self.picked: Node | None = None
        self._branches: list[_Branch] = []
        self._shapes: set[object] = set()

    def read(self, graph: Atlas) -> None:
        """Take over what came of the last pick, and what was discovered meanwhile."""
        reward = 0.0
        for node in graph.nodes[len(self._branches) :]:
            parent = None if node.parent is None else self._branches[node.parent.number]
            branch = _Branch(node, parent)
            self._branches.append(branch)
            if parent is not None:
                parent.children.append(branch)
            shape = graph.features(node)
            reward = max(reward, NEW_STATE if shape in self._shapes else NEW_SHAPE)
            self._shapes.add(shape)
        at = None if self.picked is None else self._branches[self.picked.number]
        while at is not None:
            at.visits += 1
            at.reward += reward
            at = at.parent

    def descend(self, graph: Atlas, exploration: float) -> Node:
        """Return the open node that is reached by the best branch each time."""
        branch = self._branches[0]
        while True:
            left = [child for child in branch.children if not child.is_done]
            if not left:
                if branch.node.is_open:
                    return branch.node
                branch.is_done = True
                if branch.parent is None:
                    # Nodes can open again by a shorter path; no branch leads to them any more.
                    return next(iter(graph.open_nodes))
                branch = branch.parent
                continue
            total = math.log(max(1, branch.visits))
            best = max(left, key=lambda child: _bound(child, total, exploration))
            if branch.node.is_open and _own_bound(branch, total, exploration) >= _bound(
                best, total, exploration
            ):
                return branch.node
            branch = best


def _bound(branch: _Branch, total: float, exploration: float) -> float:
    if not branch.visits:
        return math.inf
    return branch.reward / branch.visits + exploration * math.sqrt(total / branch.visits)


def _own_bound(branch: _Branch, total: float, exploration: float) -> float:
    """Return the bound of staying: picks at this very node, not those of its branches."""
    visits = branch.visits - sum(child.visits for child in branch.children)
    reward = branch.reward - sum(child.reward for child in branch.children)
    if visits <= 0:
        return math.inf
    return reward / visits + exploration * math.sqrt(total / visits)
