"""Actions that lead nowhere: called again and again, they fail and change nothing."""

from collections import Counter

from venomqa_hyp.explore import Position

CALLS = 3


class Loops:
    """Counts the calls that failed and changed nothing."""

    def __init__(self) -> None:
        self._useful: set[str] = set()
        self._idle: dict[str, Counter[str]] = {}

    def note(self, reached: Position) -> None:
        """Take over what came of a call."""
        assert reached.taken is not None
        action = reached.taken.step.action
        if reached.taken.result.success or reached.moved:
            self._useful.add(action)
        else:
            self._idle.setdefault(action, Counter())[reached.state.id] += 1

    @property
    def found(self) -> tuple[str, ...]:
        """Describe each loop: in one state, or in all states where the action never worked."""
        told = []
        for action, states in sorted(self._idle.items()):
            state, calls = states.most_common(1)[0]
            if calls >= CALLS:
                told.append(_text(action, f"from state {state[:8]} ", calls))
            elif action not in self._useful and states.total() >= CALLS:
                told.append(_text(action, "", states.total()))
        return tuple(told)


def _text(action: str, where: str, calls: int) -> str:
    return (
        f"Loop detected: {action!r} {where}has been called {calls} times without success and "
        "without changing state. This action likely needs a precondition."
    )
