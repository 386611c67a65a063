"""The graph of everything that was executed."""

from collections import deque
from collections.abc import Container, Iterator, Mapping
from itertools import count, takewhile
from types import MappingProxyType
from typing import Any, Self

from venomqa_hyp.core import documents
from venomqa_hyp.core.invariant import Path, Violation
from venomqa_hyp.core.state import State, Transition
from venomqa_hyp.values.encoding import Json, Undecodable


class Graph:
    """States and the transitions between them; it only grows.

    Every state but the initial one knows the transition that first reached it, so there is a path
    of executed steps to each.
    """

    def __init__(self, initial: State) -> None:
        self._initial_id = initial.id
        self._states: dict[str, State] = {initial.id: initial}
        self._arrivals: dict[str, Transition] = {}
        self._transitions: dict[tuple[str, str], Transition] = {}

    @property
    def initial(self) -> State:
        """The state in which every path begins."""
        return self._states[self._initial_id]

    def __len__(self) -> int:
        return len(self._states)

    @property
    def states(self) -> Mapping[str, State]:
        """State id -> state, in the order of discovery."""
        return MappingProxyType(self._states)

    @property
    def transitions(self) -> Iterator[Transition]:
        """All transitions, in the order of discovery."""
        return iter(self._transitions.values())

    @property
    def transition_count(self) -> int:
        """How many transitions there are."""
        return len(self._transitions)

    def add(self, transition: Transition, key: str, arrived: State) -> State:
        """Record a transition and return the state it leads to.

        :param key: identifies the step among those that leave the same state.
        :param arrived: the state observed; the one already known of the same id is kept.
        """
        known = self._states.get(arrived.id)
        if known is None:
            known = self._states[arrived.id] = arrived
            self._arrivals[arrived.id] = transition
        self._transitions[transition.from_id, key] = transition
        return known

    def include(self, other: "Graph") -> None:
        """Take over what another graph has besides; paths to that begin where it began."""
        for state_id, state in other._states.items():
            if state_id not in self._states:
                self._states[state_id] = state
                if arrival := other._arrivals.get(state_id):
                    self._arrivals[state_id] = arrival
        for key, transition in other._transitions.items():
            self._transitions.setdefault(key, transition)

    def merged(self, into: Mapping[str, str]) -> "Graph":
        """Return the graph in which some states are others.

        :param into: state id -> the id of the same state that was discovered earlier.
        """
        leaving: dict[str, dict[str, Transition]] = {}
        for (from_id, key), item in self._transitions.items():
            start, end = into.get(from_id, from_id), into.get(item.to_id, item.to_id)
            known = leaving.setdefault(start, {})
            if key not in known or known[key].to_id != end:
                # Where two steps that are the same now led to different states, none is lost.
                key = key if key not in known else f"{key} from {from_id}"
                known[key] = Transition(start, item.step, end, item.result)
        return Graph.of(self.initial, self._states, leaving)

    @classmethod
    def of(
        cls,
        initial: State,
        states: Mapping[str, State],
        leaving: Mapping[str, Mapping[str, Transition]],
    ) -> Self:
        """Return a graph in which each state is reached by a path as short as any.

        :param leaving: state id -> key of a step -> its transition.
        """
        graph = cls(initial)
        waiting = deque([initial.id])
        while waiting:
            for key, transition in leaving.get(waiting.popleft(), {}).items():
                if transition.to_id not in graph.states:
                    waiting.append(transition.to_id)
                graph.add(transition, key, states[transition.to_id])
        return graph

    def replace(self, state: State) -> None:
        """Let a state stand for the known one of the same id, from which volatile values differ."""
        self._states[state.id] = state

    def find(self, state_id: str, key: str) -> Transition | None:
        """Return the transition recorded for that step in that state, if there is one."""
        return self._transitions.get((state_id, key))

    def arrival(self, state_id: str) -> Transition | None:
        """Return the transition that first reached a state; ``None`` for the initial state."""
        return self._arrivals.get(state_id)

    def path_to(self, state_id: str) -> tuple[Transition, ...]:
        """Return executed transitions that lead from the initial state to ``state_id``."""
        path = []
        while (arrival := self._arrivals.get(state_id)) is not None:
            path.append(arrival)
            state_id = arrival.from_id
        return tuple(reversed(path))

    def depths(self) -> Mapping[str, int]:
        """Return state id -> steps on the path that first reached it, in the order of discovery."""
        depths = {self._initial_id: 0}
        for state_id in self._states:
            if state_id != self._initial_id:
                depths[state_id] = depths[self._arrivals[state_id].from_id] + 1
        return depths

    def follow(self, path: Path) -> tuple[Transition, ...]:
        """Return the recorded transitions along a path from the initial state, as far as known."""
        followed: list[Transition] = []
        at = self._initial_id
        for step in path:
            known = None if step.key is None else self.find(at, step.key)
            if known is None:
                break
            followed.append(known)
            at = known.to_id
        return tuple(followed)

    def along(self, violation: Violation) -> tuple[str, ...]:
        """Return the ids of the states on the path of a violation, as far as they are in the graph.

        The first is the initial state. Steps alone do not lead along a path where ids that were
        made at random are arguments: each execution has others.
        """
        followed = tuple(item.to_id for item in self.follow(violation.reproduction_path))
        known = tuple(takewhile(self._states.__contains__, violation.states))
        return (self._initial_id, *max(followed, known, key=len))

    def to_dict(self) -> dict[str, Json]:
        """Return the graph as JSON, in the node-link form.

        ``networkx.node_link_graph(graph.to_dict(), edges="edges")`` reads it::

            {"directed": True, "multigraph": True, "graph": {"initial": id},
             "nodes": [{"id", "depth", "observations": {system: {"digest", "summary"}},
                        "context": {key: value}}],
             "edges": [{"source", "target", "key", "action", "arguments": {name: value},
                        "success", "status", "error", "duration"}]}

        Values are encoded as in failure files. What was observed, and what actions returned, is
        left out.
        """
        depths = self.depths()
        nodes = [documents.state_document(self._states[item], depths[item]) for item in depths]
        edges = [
            {"key": number, **documents.transition_document(transition)}
            for number, transition in enumerate(self.transitions)
        ]
        return documents.to_json(
            {
                "directed": True,
                "multigraph": True,
                "graph": {"initial": self._initial_id},
                "nodes": nodes,
                "edges": edges,
            }
        )

    @classmethod
    def from_dict(cls, encoded: Any) -> Self:
        """Return the graph that :meth:`to_dict` described; its states have no data.

        :raises Undecodable: says what is no graph.
        """
        record = documents.from_json(encoded)
        states = {
            state.id: state for state in documents.listed(record, "nodes", documents.state_from)
        }
        initial = documents.field(documents.field(record, "graph", dict), "initial", str)
        try:
            graph = cls(states[initial])
            graph._states.update(states)
            for transition in documents.listed(record, "edges", documents.transition_from):
                if transition.to_id != initial:
                    graph._arrivals.setdefault(states[transition.to_id].id, transition)
                key = _free_key(transition, graph._transitions)
                graph._transitions[transition.from_id, key] = transition
            graph.depths()
        except KeyError as error:
            raise Undecodable(f"no transition reaches the state {error} it needs") from None
        return graph


def _free_key(transition: Transition, taken: Container[tuple[str, str]]) -> str:
    """Return the key of a transition; arguments that were not saved may look the same as others."""
    key = transition.step.key or str(transition.step)
    keys = (key if number == 0 else f"{key} #{number}" for number in count())
    return next(item for item in keys if (transition.from_id, item) not in taken)
