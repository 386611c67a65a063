"""Prefer states of rare shapes; walk at random with part of the budget.

To return to a promising state first and explore from there is Go-Explore (Ecoffet et al., "First
return, then explore", Nature 590, 2021). Walks in which some actions are left out find what needs
many of one kind: swarm testing (Groce et al., "Swarm Testing", ISSTA 2012).
"""

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random as Chance

import attrs

from venomqa_hyp.core.state import State
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore.atlas import Atlas, Choice, Node, Option
from venomqa_hyp.explore.shape import Feature

LONGEST_WALK = 50
TOURNAMENT = 4


@attrs.frozen(eq=False)
class Novelty:
    """Goes on from states whose shape is rare, and walks at random with part of the budget.

    :ivar walks: the share of the budget for plain random walks from the initial state, 0.0 to 1.0.
    :ivar shape: ``(state) -> anything hashable``, in place of the shape found automatically: for
        each table or family of keys how many rows there are, roughly, and which values occur in
        each column, where they are few.
    """

    walks: float = 0.5
    shape: Callable[[State], object] | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.walks, (int, float)) or not 0 <= self.walks <= 1:
            raise DefinitionError(
                f"Novelty: walks is {self.walks!r}, but it is the share of the budget for random "
                "walks, from 0.0 to 1.0. Write Novelty(walks=0.5)."
            )
        if self.shape is not None and not callable(self.shape):
            raise DefinitionError(
                f"Novelty: shape is {self.shape!r:.60}, but it is a callable (state) that returns "
                "what tells kinds of states apart. Write Novelty(shape=lambda state: ...)."
            )

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return the next option of a random walk, or one at a state of a rare shape."""
        memory = graph.memory(self, _Memory)
        memory.features.read(graph, self.shape)
        if memory.walk.goes_on(graph, random, self.walks):
            choice = memory.walk.next_choice(graph, random)
            if choice is not None:
                return choice
        node = graph.random_open_node(random)
        return memory.features.pick(graph, random) or (node, random.choice(node.options))


class _Memory:
    def __init__(self) -> None:
        self.features = _Features()
        self.walk = _Walk()


class _Group:
    """The nodes that show one feature."""

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self.nodes: list[Node] = []
        self.discovered = 0
        self.picks = 0
        self.executed: Counter[str] = Counter()

    @property
    def promise(self) -> float:
        """The rarer a feature, and the less was tried where it shows, the more may be found."""
        return 1 / (self.discovered**2 * (1 + self.picks))

    def choose(self, random: Chance) -> Choice | None:
        """Return an option of an open node: of the action executed least where the feature is."""
        while self.nodes:
            places = {random.randrange(len(self.nodes)) for _ in range(TOURNAMENT)}
            # The shortest of their paths: less of it has nothing to do with the feature.
            at = min(places, key=lambda place: (self.nodes[place].depth, place))
            node = self.nodes[at]
            if node.is_open:
                fewest = min(self.executed[option.action.name] for option in node.options)
                options = [o for o in node.options if self.executed[o.action.name] == fewest]
                return node, random.choice(options)
            self.nodes[at] = self.nodes[-1]
            self.nodes.pop()
        return None


class _Features:
    """Groups of nodes, the most promising first."""

    def __init__(self) -> None:
        self._groups: dict[Feature, _Group] = {}
        self._heap: list[tuple[float, int, _Group]] = []
        self._pushed = 0
        self._read = 0

    def read(self, graph: Atlas, shape_of: Callable[[State], object] | None) -> None:
        """Take over the nodes that were discovered meanwhile."""
        for node in graph.nodes[self._read :]:
            shape = graph.features(node)
            if shape_of is not None:
                shape = frozenset({((), "=", shape_of(graph.state(node)))})
            for feature in sorted(shape, key=repr) or [((), "=", None)]:
                group = self._groups.setdefault(feature, _Group(feature))
                group.discovered += 1
                if not group.nodes:
                    self._push(group)
                group.nodes.append(node)
        self._read = len(graph.nodes)

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        """Return an option at a state with the most promising feature."""
        while self._heap:
            promise, _, group = heappop(self._heap)
            if promise != -group.promise:  # it only ever gets less
                self._push(group)
            elif graph.tells(group.feature) and (choice := group.choose(random)):
                group.picks += 1
                group.executed[choice[1].action.name] += 1
                self._push(group)
                return choice
            else:
                group.nodes.clear()
        return None

    def _push(self, group: _Group) -> None:
        self._pushed += 1
        heappush(self._heap, (-group.promise, self._pushed, group))


class _Walk:
    """Random walks, one after the other; what is known on the way is not executed."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._length = 0
        self._left_out: frozenset[str] = frozenset()
        self._walked = 0
        self._picked = 0
        self._waits = False

    def goes_on(self, graph: Atlas, random: Chance, share: float) -> bool:
        """Return whether the next option is one of a walk: whole walks, up to the share."""
        self._picked += 1
        if self._waits and graph.here is not None:
            self._node = graph.here
        self._waits = False
        if self._node is None and self._walked < share * self._picked:
            self._begin(graph, random)
        return self._node is not None

    def next_choice(self, graph: Atlas, random: Chance) -> Choice | None:
        """Walk along what is known to something that was not executed yet."""
        while self._node is not None and self._length < LONGEST_WALK:
            node, self._length = self._node, self._length + 1
            options = [o for o in node.options if o.action.name not in self._left_out]
            known = [c for c in node.children if c.taken is not None and c is not node]
            at = random.randrange(max(1, len(options) + len(known)))
            if at < len(options):
                self._walked += 1
                self._waits = True
                return node, _by_action(options, random)
            if not known:
                break
            self._node = known[at - len(options)]
        self._node = None
        return None

    def _begin(self, graph: Atlas, random: Chance) -> None:
        names = sorted(graph.actions)
        share = random.choice((0.0, 0.0, 0.25, 0.5))
        self._left_out = frozenset(name for name in names if random.random() < share)
        if len(self._left_out) == len(names):
            self._left_out = frozenset()
        self._node, self._length = graph.nodes[0], 0


def _by_action(options: list[Option], random: Chance) -> Option:
    """Return an option, each action as likely however many kinds of arguments it has."""
    names = list({option.action.name: None for option in options})
    name = random.choice(names)
    return random.choice([option for option in options if option.action.name == name])
