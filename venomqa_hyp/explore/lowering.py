"""Bring the arguments of a failing path as near to their simplest values as the failure allows."""

from collections.abc import Callable, Sequence
from functools import partial

import attrs

from venomqa_hyp.explore.given import Choice, Choices, Drawn, Given
from venomqa_hyp.explore.position import Draft
from venomqa_hyp.explore.trial import Trial

#: ``(action name, argument, choices) -> draw`` made from those choices; ``None`` for choices asks
#: for the simplest draw; returns ``None`` where the strategy does not accept the choices.
Redraw = Callable[[str, str, Choices | None], Drawn | None]
#: Executes drafts; ``None`` where they do not end in the failure that is looked for.
Try = Callable[[Sequence[Draft]], Trial | None]


class Lowering:
    """Lowers the arguments of paths."""

    def __init__(self, redraw: Redraw, try_: Try) -> None:
        self._redraw = redraw
        self._try = try_

    def simplify(self, best: Trial) -> Trial:
        """Give the arguments their simplest values: all at once if that fails, too, else singly."""
        simple = list(best.drafts)
        for at, name in places(best.drafts):
            if simplest := self._simplest(best.drafts, at, name):
                simple = replaced(simple, at, name, simplest)
        if all_simple := self._try(simple):
            return all_simple
        for at, name in reversed(places(best.drafts)):
            if at < len(best) and (simplest := self._simplest(best.drafts, at, name)):
                best = self._try(replaced(best.drafts, at, name, simplest)) or best
        return best

    def lower(self, best: Trial) -> Trial:
        """Bring each integer as near to its simplest value as the failure allows."""
        best = self._lower_together(self.simplify(best))
        for at, name in reversed(places(best.drafts)):
            drafts = best.drafts
            if at >= len(drafts) or (simplest := self._simplest(drafts, at, name)) is None:
                continue
            given = drafts[at].given[name]
            assert isinstance(given, Drawn)
            if len(simplest.choices) != len(given.choices):
                continue
            for index, low in enumerate(simplest.choices):
                if type(low) is int and type(given.choices[index]) is int:
                    best = self._approach(best, at, name, index, low)
        return best

    def _simplest(self, drafts: Sequence[Draft], at: int, name: str) -> Drawn | None:
        simplest = self._redraw(drafts[at].action.name, name, None)
        return None if simplest is None or simplest == drafts[at].given[name] else simplest

    def _lower_together(self, best: Trial) -> Trial:
        """Lower all integers at once: half way to their simplest values, or by equal amounts.

        Amounts double while that goes well: values that depend on each other keep their distance.
        """
        amount = 1
        while True:
            halved = self._all_nearer(best, _half_way)
            lowered = halved or self._all_nearer(best, partial(_less, amount))
            if lowered is None and amount == 1:
                return best
            if lowered is None:
                amount = max(1, amount // 4)
            elif halved is None:
                amount *= 2
            best = lowered or best

    def _all_nearer(self, best: Trial, nearer: Callable[[Choice, Choice], Choice]) -> Trial | None:
        drafts = best.drafts
        lower = list(drafts)
        for at, name in places(drafts):
            if changed := self._nearer(drafts, at, name, nearer):
                lower = replaced(lower, at, name, changed)
        return None if lower == list(drafts) else self._try(lower)

    def _nearer(
        self,
        drafts: Sequence[Draft],
        at: int,
        name: str,
        nearer: Callable[[Choice, Choice], Choice],
    ) -> Drawn | None:
        given, simplest = drafts[at].given[name], self._simplest(drafts, at, name)
        assert isinstance(given, Drawn)
        if simplest is None or len(simplest.choices) != len(given.choices):
            return None
        choices = tuple(map(nearer, simplest.choices, given.choices))
        if choices == given.choices:
            return None
        return self._redraw(drafts[at].action.name, name, choices)

    def _approach(self, best: Trial, at: int, name: str, index: int, low: int) -> Trial:
        """Lower one integer to just above ``low``, which is too low, in steps that double."""
        stride = 1
        while at < len(best):
            given = best.drafts[at].given[name]
            assert isinstance(given, Drawn)
            high = given.choices[index]
            assert isinstance(high, int)
            if abs(high - low) <= 1:
                break
            stride = min(stride, abs(high - low) // 2)
            tried = low + stride if high > low else low - stride
            choices = (*given.choices[:index], tried, *given.choices[index + 1 :])
            redrawn = self._redraw(best.drafts[at].action.name, name, choices)
            lowered = redrawn and self._try(replaced(best.drafts, at, name, redrawn))
            if lowered:
                best, stride = lowered, 1
            else:
                low, stride = tried, stride * 4
        return best


def replaced(drafts: Sequence[Draft], at: int, name: str, given: Given) -> list[Draft]:
    """Return drafts in which one argument comes about in another way."""
    changed = attrs.evolve(drafts[at], given={**drafts[at].given, name: given})
    return [*drafts[:at], changed, *drafts[at + 1 :]]


def places(drafts: Sequence[Draft]) -> list[tuple[int, str]]:
    """Return the arguments that strategies made: number of the step and name."""
    return [
        (at, name)
        for at, item in enumerate(drafts)
        for name, given in sorted(item.given.items())
        if isinstance(given, Drawn) and given.choices
    ]


def _half_way(low: Choice, high: Choice) -> Choice:
    if type(low) is int and type(high) is int:
        return low + int((high - low) / 2)
    return high


def _less(amount: int, low: Choice, high: Choice) -> Choice:
    if type(low) is int and type(high) is int:
        return max(low, high - amount) if high > low else min(low, high + amount)
    return high
