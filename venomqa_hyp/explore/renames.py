"""Values that came out differently when a path was executed again."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from hypothesis.stateful import Bundle, MultipleResults

from venomqa_hyp.core import Action, FromContext, Name, Step, canonical_text, names_in
from venomqa_hyp.errors import DigestError
from venomqa_hyp.world import Context, values_under


class Renames:
    """Knows which new value stands for an old one: a random id, made anew.

    Only arguments picked from a Bundle or from the context are renamed, each by what came out
    differently there: what a strategy drew is the same in every execution, and an equal value
    elsewhere is another thing.
    """

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._actions = actions
        self._new: dict[tuple[str, str], Any] = {}

    def note_contexts(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Compare what two executions of the same steps left in the context."""
        for key in old.keys() & new.keys():
            for one, other in zip(values_under(old, key), values_under(new, key), strict=False):
                self._note(f"context:{key}", one, other)

    def note_results(self, action: str, old: Any, new: Any) -> None:
        """Compare what two executions of the same step returned."""
        target = self._actions[action].target
        if target is not None:
            for one, other in zip(results(old), results(new), strict=False):
                self._note(f"bundle:{target.name}", one, other)

    def apply(self, step: Step, context: Context, names: Iterable[Name] = ()) -> Step:
        """Return the step with the values it would have in the present World.

        :param names: the random ids that the World has.
        """
        if not self._new:
            return step
        pools = {
            name: pool
            for name, given in self._actions[step.action].arguments.items()
            if (pool := pool_of(given)) is not None
        }
        if not pools:
            return step
        held = {_text(item) for key in context for item in context.values_under(key)}
        known = set(names)
        renamed = dict(step.arguments)
        for name, pool in pools.items():
            if known and any(item in known for item in names_in(renamed[name])):
                continue
            text = _text(renamed[name])
            for _ in range(len(self._new)):  # a chain of renames, which may be a circle
                if text is None or (pool, text) not in self._new or text in held:
                    break
                renamed[name] = self._new[pool, text]
                text = _text(renamed[name])
        return attrs.evolve(step, arguments=renamed)

    def _note(self, pool: str, old: Any, new: Any) -> None:
        text = _text(old)
        if text is not None and text != _text(new):
            self._new[pool, text] = new


def pool_of(given: object) -> str | None:
    """Return the pool that an argument is picked from, if it is."""
    if isinstance(given, FromContext):
        return f"context:{given.key}"
    if isinstance(given, Bundle):
        return f"bundle:{given.name}"
    return None


def results(value: Any) -> tuple[Any, ...]:
    """Return the values that a result adds to a Bundle."""
    return tuple(value.values) if isinstance(value, MultipleResults) else (value,)


def _text(value: Any) -> str | None:
    try:
        return canonical_text(value)
    except DigestError:
        return None
