"""States of the World and the transitions between them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import attrs

from venomqa_hyp.core.action import ActionResult
from venomqa_hyp.core.invariant import Step
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.values import Name


@attrs.frozen(eq=False)
class State:
    """What all systems and the context show at one moment.

    :ivar id: 32 hexadecimal digits; equal ids mean equal states, but for fresh atoms.
    :ivar exact: the same with fresh atoms; where there are none it is the id.
    :ivar names: the fresh ids in it, by number; equal states have as many.
    :ivar atoms: everything in it that may be fresh.
    :ivar version: of what was known of atoms when they were numbered.
    :ivar observations: system name -> observation; ``"api"`` is the client's own, if it has one.
    :ivar context: what the actions stored; shared, not to be changed.
    """

    id: str
    observations: Mapping[str, Observation] = attrs.field(repr=False)
    context: Mapping[str, Any] = attrs.field(repr=False)
    exact: str = attrs.field(repr=False, default=attrs.Factory(lambda made: made.id, True))
    names: tuple[Name, ...] = attrs.field(repr=False, default=())
    atoms: frozenset[Name] = attrs.field(repr=False, default=frozenset())
    version: int = attrs.field(repr=False, default=0)

    @cached_property
    def numbers(self) -> Mapping[Name, int]:
        """Return fresh id -> its number."""
        return {name: number for number, name in enumerate(self.names)}

    def without_data(self) -> Self:
        """Return the state with nothing left of its observations but their digests."""
        kept = {name: seen.without_data() for name, seen in self.observations.items()}
        return attrs.evolve(self, observations=kept)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, State) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)


@attrs.frozen(eq=False)
class Transition:
    """One executed step: from a state, by an action with arguments, to a state."""

    from_id: str
    step: Step
    to_id: str
    result: ActionResult

    @property
    def action(self) -> str:
        """The name of the action."""
        return self.step.action
