"""Values that came out differently when a path was executed again."""

from collections.abc import Mapping
from typing import Any

import attrs
from hypothesis.stateful import Bundle

from venomqa_hyp.core import Action, FromContext, Step, canonical_text
from venomqa_hyp.errors import DigestError
from venomqa_hyp.world import Context, values_under


class Renames:
    """Knows which new value stands for an old one: a random id, made anew.

    Only arguments picked from a Bundle or from the context are renamed: what a strategy drew is
    the same in every execution.
    """

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._picked = {
            name: [key for key, item in action.arguments.items() if _is_picked(item)]
            for name, action in actions.items()
        }
        self._new: dict[str, Any] = {}

    def note_contexts(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Compare what two executions of the same steps left in the context."""
        for key in old.keys() & new.keys():
            for one, other in zip(values_under(old, key), values_under(new, key), strict=False):
                self.note_values(one, other)

    def note_values(self, old: Any, new: Any) -> None:
        """Compare what two executions of the same step returned."""
        text = _text(old)
        if text is not None and text != _text(new):
            self._new[text] = new

    def apply(self, step: Step, context: Context) -> Step:
        """Return the step with the values it would have in the present World."""
        if not self._new or not (names := self._picked[step.action]):
            return step
        held = {_text(item) for key in context for item in context.values_under(key)}
        renamed = dict(step.arguments)
        for name in names:
            text = _text(renamed[name])
            for _ in range(len(self._new)):  # a chain of renames, which may be a circle
                if text not in self._new or text in held:
                    break
                renamed[name] = self._new[text]
                text = _text(renamed[name])
        return attrs.evolve(step, arguments=renamed)


def _is_picked(given: object) -> bool:
    return isinstance(given, (FromContext, Bundle))


def _text(value: Any) -> str | None:
    try:
        return canonical_text(value)
    except DigestError:
        return None
