"""What one path has done so far, as far as it decides what may come next."""

import copy
from collections.abc import Iterable, Mapping

from venomqa_hyp.core import Action, ActionResult, FromContext
from venomqa_hyp.world import Context


def context_keys(action: Action) -> Mapping[str, str]:
    """Return argument name -> context key, for the arguments drawn from the context."""
    return {
        name: given.key
        for name, given in action.arguments.items()
        if isinstance(given, FromContext)
    }


class Trail:
    """Counts the calls of a path and remembers which actions succeeded on it.

    :param actions: all that the path may take.
    """

    def __init__(self, actions: Iterable[Action]) -> None:
        actions = tuple(actions)
        self._limited = {item.name for item in actions if item.max_calls is not None}
        self._required = {name for item in actions for name in item.required}
        self._calls: dict[str, int] = {}
        self._succeeded: set[str] = set()

    def copy(self) -> "Trail":
        """Return a trail that goes on on its own."""
        copied = copy.copy(self)
        copied._calls, copied._succeeded = self._calls.copy(), self._succeeded.copy()
        return copied

    def note(self, action: Action, result: ActionResult) -> None:
        """Add an executed step."""
        if action.name in self._limited:
            self._calls[action.name] = self._calls.get(action.name, 0) + 1
        if result.success and action.name in self._required:
            self._succeeded.add(action.name)

    def permits(self, action: Action) -> bool:
        """Return whether calls and successes so far permit the action."""
        limit = action.max_calls
        if limit is not None and self._calls.get(action.name, 0) >= limit:
            return False
        return self._succeeded.issuperset(action.required)

    def enables(self, action: Action, context: Context) -> bool:
        """Return whether the action may be executed next, in that context."""
        return (
            self.permits(action)
            and all(context.values_under(key) for key in context_keys(action).values())
            and all(guard(context) for guard in action.guards)
        )

    @property
    def signature(self) -> tuple[frozenset[tuple[str, int]], frozenset[str]]:
        """Return what decides about further steps."""
        return frozenset(self._calls.items()), frozenset(self._succeeded)
