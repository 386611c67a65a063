"""The graph as an exploration strategy sees it: which states can be left, and by what."""

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import attrs

from venomqa_hyp.core import Action, Graph, State
from venomqa_hyp.explore.argument_kinds import Kind
from venomqa_hyp.explore.position import Position, Taken
from venomqa_hyp.explore.shape import Feature, Shaper

_Memory = TypeVar("_Memory")


@attrs.frozen(eq=False)
class Option:
    """Something that can be done: an action, with arguments of one kind."""

    action: Action
    kind: Kind


class Node:
    """What can be done next, as one path reached it.

    Paths share a node where they can do the same: where they are in one state, and do not differ in
    calls of actions with ``max_calls``, in preconditions that were met, in what Bundles hold.

    :ivar number: nodes are numbered in the order of discovery.
    :ivar depth: the length of the shortest path known.
    :ivar parent: the node before on that path; ``None`` for the initial state.
    :ivar position: the end of that path, or of a longer one by which the node was reached first.
    :ivar options: what was not executed here yet; empty for a node that is closed.
    :ivar children: where executed options led, one for each, repetitions included.
    """

    __slots__ = ("children", "depth", "number", "options", "parent", "position")

    def __init__(self, number: int, position: Position, parent: "Node | None" = None) -> None:
        self.number = number
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.parent = parent
        self.position = position
        self.options: list[Option] = []
        self.children: list[Node] = []

    @property
    def is_open(self) -> bool:
        """Whether something is left to execute here."""
        return bool(self.options)

    @property
    def taken(self) -> Taken | None:
        """The step that led here; ``None`` for the initial state."""
        return self.position.taken

    @property
    def state_id(self) -> str:
        """The id of the state."""
        return self.position.state.id


class Atlas:
    """The nodes discovered so far. It only grows; what is open is kept up to date.

    :ivar nodes: all, in the order of discovery; ``nodes[0]`` is the initial state.
    :ivar executed: how often options of each action were taken, by name.
    :ivar here: where the last executed option led.
    """

    def __init__(self, graph: Graph, actions: Mapping[str, Action]) -> None:
        self.graph = graph
        self.actions = actions
        self.nodes: list[Node] = []
        self.executed: dict[str, int] = dict.fromkeys(actions, 0)
        self.here: Node | None = None
        self._open: dict[Node, None] = {}
        self._shuffled: list[Node] = []
        self._places: dict[Node, int] = {}
        self._memories: dict[int, Any] = {}
        self._features: list[frozenset[Feature]] = []
        self._shaper = Shaper()

    @property
    def open_nodes(self) -> "MappingProxyType[Node, None]":
        """The nodes with options left, oldest first; ``reversed`` begins with the newest."""
        return MappingProxyType(self._open)

    def random_open_node(self, random: Random) -> Node:
        """Return one of the open nodes, each as likely as the others."""
        return self._shuffled[random.randrange(len(self._shuffled))]

    def state(self, node: Node) -> State:
        """Return the state of a node."""
        return self.graph.states[node.state_id]

    def features(self, node: Node) -> frozenset[Feature]:
        """Return the shape of the state of a node, as it was discovered."""
        return self._features[node.number]

    def tells(self, feature: Feature) -> bool:
        """Return whether states are still told apart by such features."""
        return self._shaper.is_current(feature)

    def memory(self, strategy: object, make: type[_Memory]) -> _Memory:
        """Return what a strategy remembers about this graph; made when it first asks."""
        known = self._memories.get(id(strategy))
        if known is None:
            known = self._memories[id(strategy)] = (strategy, make())
        return known[1]

    def add(self, node: Node, options: Sequence[Option]) -> None:
        """Add a new node with what can be done there."""
        self.nodes.append(node)
        shown = self.state(node).observations.values()
        self._features.append(self._shaper.features(shown))
        self.reopen(node, options)

    def reopen(self, node: Node, options: Sequence[Option]) -> None:
        """Note what can be done at a node with no options."""
        node.options = list(options)
        if node.options:
            self._open[node] = None
            self._places[node] = len(self._shuffled)
            self._shuffled.append(node)

    def drop(self, node: Node, option: Option) -> None:
        """Note that an option was executed, or cannot be."""
        node.options.remove(option)
        if not node.options:
            del self._open[node]
            place, last = self._places.pop(node), self._shuffled.pop()
            if last is not node:
                self._shuffled[place] = last
                self._places[last] = place


Choice = tuple[Node, Option]


class Strategy(Protocol):
    """Decides what an exploration executes next. One method is enough."""

    def pick(self, graph: Atlas, random: Random) -> Choice | None:
        """Return an open node and one of its options; ``None`` ends the exploration.

        Asked only while ``graph.open_nodes`` is not empty.

        :param random: the only source of chance to use, so that a seed repeats the exploration.
        """
        ...
