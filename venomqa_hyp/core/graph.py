"""The graph of everything that was executed."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from venomqa_hyp.core.state import State, Transition


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
