"""Where a path is, and what it calls the random ids there."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import attrs
from hypothesis.stateful import Bundle

from venomqa_hyp.core import Action, FromContext, Name, State, Step, Transition, names_in, rename


@attrs.frozen(eq=False)
class Arrival:
    """A step as it was taken, and the state it led to as that was then."""

    transition: Transition
    state: State


@attrs.frozen(eq=False)
class Cursor:
    """The state a path is in, as it was when the path arrived.

    States that are equal but for random ids are one state, and the World is in it with the ids of
    one path. Another path holds ids of its own: those in Bundles have the names they had when they
    were made, those in the context the names they had when the path arrived. What both have in
    common are the numbers of the ids.
    """

    state: State
    _numbers: Mapping[Name, int] = MappingProxyType({})

    def follow(self, arrival: Arrival) -> "Cursor":
        """Return the cursor after a step."""
        kept = arrival.transition.kept
        numbers = {
            name: number if kept is None else kept[number]
            for name, number in self._numbers.items()
            if kept is None or number < len(kept)
        }
        still = {name: number for name, number in numbers.items() if number is not None}
        return Cursor(arrival.state, {**still, **arrival.transition.made})

    def renames(self, arrival: Arrival) -> Mapping[Name, Name]:
        """Return how a step renames the ids in the context."""
        kept, arrived = arrival.transition.kept, arrival.state
        if kept is None:
            kept = tuple(range(len(self.state.names)))
        return {
            name: arrived.names[number]
            for name, number in zip(self.state.names, kept, strict=False)
            if number is not None and number < len(arrived.names)
        }

    def renamed(self, step: Step, action: Action, now: State) -> Step:
        """Return a step with the ids that the state has now in the graph."""
        if not now.names or not step.arguments:
            return step
        in_context = {} if now is self.state else _renames(self.state.numbers, now)
        others = {old: new for old, new in in_context.items() if old not in self._numbers}
        in_bundles = {**others, **_renames(self._numbers, now)}
        arguments: dict[str, Any] = {}
        for name, value in step.arguments.items():
            given = action.arguments.get(name)
            names = in_bundles if isinstance(given, Bundle) else in_context
            picked = isinstance(given, (Bundle, FromContext))
            arguments[name] = rename(value, names) if picked and names else value
        return attrs.evolve(step, arguments=arguments)

    def numbered(self, value: Any) -> Any:
        """Return a value of a Bundle with numbers in place of random ids."""
        return _by_number(value, self._numbers)

    def is_renamed(self, now: State) -> bool:
        """Return whether the World has other ids than this path."""
        return bool(_renames(self._numbers, now)) or (
            now is not self.state and bool(_renames(self.state.numbers, now))
        )


def key_of(step: Step, numbers: Mapping[Name, int]) -> str | None:
    """Return the text that tells a step from others, with numbers in place of random ids."""
    if not numbers or not step.arguments:
        return step.key
    return attrs.evolve(step, arguments=_by_number(dict(step.arguments), numbers)).key


def _by_number(value: Any, numbers: Mapping[Name, int]) -> Any:
    if not numbers:
        return value
    names = {name: str(UUID(int=numbers[name])) for name in names_in(value) if name in numbers}
    return rename(value, names)


def _renames(numbers: Mapping[Name, int], now: State) -> Mapping[Name, Name]:
    return {
        name: now.names[number]
        for name, number in numbers.items()
        if number < len(now.names) and now.names[number] != name
    }
