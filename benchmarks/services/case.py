"""What a benchmark service consists of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import attrs

from venomqa_hyp import Action, Invariant, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter

Alphabet = Mapping[str, Mapping[str, Sequence[Any]]]


@attrs.frozen(eq=False)
class Case:
    """A service with one bug.

    :ivar bug: what the service does wrong.
    :ivar minimum: the length of the shortest path to the bug, as ``minimal_paths.py`` found it.
    :ivar alphabet: action -> argument -> the few values that an exhaustive search tries. They hold
        every kind of value that the service tells apart, the borders above all. Arguments from
        Bundles and from the context are left out: the search tries all of them.
    :ivar data: what the store holds at the start.
    """

    name: str
    bug: str
    actions: tuple[Action, ...] = attrs.field(converter=tuple)
    invariants: tuple[Invariant, ...] = attrs.field(converter=tuple)
    minimum: int
    alphabet: Alphabet
    data: Mapping[str, Any] = attrs.field(factory=dict)

    def open_world(self) -> World:
        """Return a World whose api and only system are one store."""
        store = MemoryAdapter(deepcopy(dict(self.data)))
        return World(store, {"store": store})

    def machine(self, *, rollback: bool) -> Any:
        """Return the state machine of this service."""
        return venom_machine(
            self.open_world, self.actions, self.invariants, name=self.name, rollback=rollback
        )


def rule(check: Callable[[Any], str | None]) -> Invariant:
    """Turn a function over the store into an invariant of the same name."""
    return Invariant(check.__name__, lambda world: check(world.systems["store"]))


def first(messages: Iterable[str]) -> str | None:
    """Return the first of the messages, if there is one."""
    return next(iter(messages), None)
