"""States of the World and the transitions between them."""

from collections.abc import Mapping
from typing import Any, Self

import attrs

from venomqa_hyp.core.action import ActionResult
from venomqa_hyp.core.invariant import Step
from venomqa_hyp.core.names import Name
from venomqa_hyp.core.observation import Observation

#: Shared by all steps without random ids; a plain dict, for a proxy cannot be pickled.
_NONE: Mapping[Name, int] = {}


@attrs.frozen(eq=False)
class State:
    """What all systems and the context show at one moment.

    :ivar id: 32 hexadecimal digits; equal ids mean equal states, but for volatile values.
    :ivar exact: the same with volatile values; where no value is volatile it is the id.
    :ivar names: the random ids in it, by number; equal states have as many.
    :ivar observations: system name -> observation; ``"api"`` is the client's own, if it has one.
    :ivar context: what the actions stored; shared, not to be changed.
    """

    id: str
    observations: Mapping[str, Observation] = attrs.field(repr=False)
    context: Mapping[str, Any] = attrs.field(repr=False)
    exact: str = attrs.field(repr=False, default=attrs.Factory(lambda made: made.id, True))
    names: tuple[Name, ...] = attrs.field(repr=False, default=())

    @property
    def numbers(self) -> Mapping[Name, int]:
        """Return random id -> its number."""
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
    """One executed step: from a state, by an action with arguments, to a state.

    :ivar given: random id in the arguments -> its number in the state before.
    :ivar made: random id in the result -> its number in the state after.
    :ivar kept: by their numbers in the state before, the numbers of random ids in the state after,
        ``None`` where one is gone; ``None`` for all as before.
    """

    from_id: str
    step: Step
    to_id: str
    result: ActionResult
    given: Mapping[Name, int] = attrs.field(repr=False, default=_NONE)
    made: Mapping[Name, int] = attrs.field(repr=False, default=_NONE)
    kept: tuple[int | None, ...] | None = attrs.field(repr=False, default=None)

    @property
    def action(self) -> str:
        """The name of the action."""
        return self.step.action
