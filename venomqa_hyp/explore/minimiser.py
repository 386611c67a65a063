"""Find a shorter path to the same failure, in the World itself.

Steps are removed in chunks, then one by one, as in delta debugging (Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input", 2002), and arguments are lowered together with
them: a path that uses absolute ids (``pay(4)`` after four creations) gets shorter only when a
creation and the ids go down at once. A bounded breadth-first search over what is left then looks
for paths that removing steps cannot reach.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, islice, product

import attrs

from venomqa_hyp.explore.failure import Origin
from venomqa_hyp.explore.recorder import Recorder
from venomqa_hyp.explore.rehearsal import (
    Choices,
    Draft,
    Drawn,
    Given,
    Rehearsal,
    Rehearser,
    rehearse,
)

#: ``(action name, argument, choices) -> draw`` made from those choices; ``None`` for choices asks
#: for the simplest draw; returns ``None`` where the strategy does not accept the choices.
Redraw = Callable[[str, str, Choices | None], Drawn | None]

#: Executions that removing and lowering may take, and those of the search that follows.
REDUCTION_BUDGET = 2_000
MAKING_UP_BUDGET = 150
SEARCH_BUDGET = 100
SHORT = 4
LETTERS_PER_ACTION = 6
VALUES_PER_ARGUMENT = 3


class Minimiser:
    """Shortens the paths of one run.

    :param redraw: how arguments are made from choices, so that they can be lowered.
    """

    def __init__(self, recorder: Recorder, redraw: Redraw) -> None:
        self._recorder = recorder
        self._redraw = redraw
        self._limit = 0
        self._origin: Origin = ()

    def minimise(self, found: Rehearsal) -> Rehearsal:
        """Return the shortest path found that ends in the same failure as ``found``.

        :raises DivergenceError: when the World does not repeat itself.
        """
        assert found.failure is not None
        self._origin = found.failure.origin
        self._limit = self._recorder.executed + REDUCTION_BUDGET
        best = self._remove_chunks(self._without_idle_steps(found))
        best = self._substitute(best, found)
        while True:
            before = best
            best = self._remove_and_lower(self._remove_chunks(self._simplify(best)))
            if len(best.steps) == len(before.steps):
                break
        # While values are as low as they get, most steps take any other value.
        best = self._lower(best)
        self._limit = self._recorder.executed + MAKING_UP_BUDGET
        best = self._make_up(best)
        if len(best.steps) > SHORT:
            self._limit = self._recorder.executed + SEARCH_BUDGET
            best = self._search(best) or best
        self._limit = self._recorder.executed + REDUCTION_BUDGET
        return self._lower(best)

    def _try(self, drafts: Sequence[Draft]) -> Rehearsal | None:
        """Return the rehearsal of drafts where it ends in the failure looked for."""
        if self._recorder.executed >= self._limit:
            return None
        tried = rehearse(self._recorder, drafts)
        if tried.failure is not None and tried.failure.origin == self._origin:
            return tried
        return None

    def _without_idle_steps(self, best: Rehearsal) -> Rehearsal:
        last = best.steps[-1]
        kept = [
            item.draft
            for item in best.steps
            if item is last or item.transition.from_id != item.transition.to_id
        ]
        return self._try(kept) or best if len(kept) < len(best.steps) else best

    def _remove_chunks(self, best: Rehearsal) -> Rehearsal:
        size = len(best.steps) // 2
        while size >= 1:
            at = len(best.steps) - 1 - size  # the last step is the one that fails
            while at >= 0:
                drafts = best.drafts
                shorter = self._try(drafts[:at] + drafts[at + size :])
                if shorter is not None:
                    best = shorter
                at = min(at, len(best.steps) - 1) - size
            size //= 2
        return best

    def _substitute(self, best: Rehearsal, found: Rehearsal) -> Rehearsal:
        """Let one step of ``found`` take the place of two: another way to the same failure.

        Before arguments are lowered, while they still leave room for one more step.
        """
        letters = {item.action.name: item for item in reversed((*best.drafts, *found.drafts))}
        for at in range(len(best.steps) - 1):
            for letter in letters.values():
                drafts = best.drafts
                instead = attrs.evolve(letter, number=_unused(drafts))
                shorter = self._try((*drafts[:at], instead, *drafts[at + 2 :]))
                if shorter is not None:
                    return self._substitute(self._remove_chunks(shorter), found)
        return best

    def _remove_and_lower(self, best: Rehearsal) -> Rehearsal:
        """Remove one or two steps while the arguments of others change to make up for it."""
        for count in (1, 2):
            for gone in combinations(range(len(best.steps) - 1, -1, -1), count):
                kept = [item for at, item in enumerate(best.drafts) if at not in gone]
                lost = [best.drafts[at] for at in gone]
                for changed in self._changed(kept, lost if count == 1 else []):
                    shorter = self._try(changed)
                    if shorter is not None:
                        return self._remove_and_lower(self._remove_chunks(shorter))
        return best

    def _changed(self, kept: list[Draft], lost: list[Draft]) -> Iterator[list[Draft]]:
        """Yield what is kept as it is, and with arguments that may make up for what is lost."""
        yield kept
        values = sorted({value for item in kept for value in _integers(item)}, reverse=True)
        for value in values[:8]:
            for less in (1, 2):
                lowered = [self._replaced(item, value, value - less) for item in kept]
                if all(lowered):
                    yield [item for item in lowered if item is not None]
        for item in lost:
            for name, given in sorted(item.given.items()):
                if isinstance(given, Drawn):
                    yield from self._made_up(kept, item.action.name, name, given)

    def _made_up(
        self, kept: list[Draft], action: str, name: str, lost: Drawn
    ) -> Iterator[list[Draft]]:
        """Yield drafts in which one argument takes over the value lost, or grows by it."""
        for at, item in enumerate(kept):
            given = item.given.get(name)
            if item.action.name != action or not isinstance(given, Drawn):
                continue
            if given.choices != lost.choices:
                yield _with(kept, at, name, lost)
            if len(_whole(given.choices)) == len(_whole(lost.choices)) == 1:
                (one,), (other,) = _whole(given.choices), _whole(lost.choices)
                total = tuple(one + other if _is(item, one) else item for item in given.choices)
                if grown := self._redraw(action, name, total):
                    yield _with(kept, at, name, grown)

    def _make_up(self, best: Rehearsal) -> Rehearsal:
        """Remove a step while any one argument of another makes up for what it did."""
        for at in range(len(best.steps) - 2, -1, -1):
            kept = [item for other, item in enumerate(best.drafts) if other != at]
            for changed in self._compensated(kept, best.drafts[at]):
                shorter = self._try(changed)
                if shorter is not None:
                    return self._make_up(self._remove_chunks(shorter))
        return best

    def _compensated(self, kept: list[Draft], lost: Draft) -> Iterator[list[Draft]]:
        """Yield drafts in which one argument takes over a value lost, differs by it, or is simple.

        An argument takes over what its strategy can make, of whatever step it is.
        """
        values = [given.choices for given in lost.given.values() if isinstance(given, Drawn)]
        for at, item in enumerate(kept):
            for name, given in sorted(item.given.items()):
                if not isinstance(given, Drawn):
                    continue
                instead = [None, *(new for old in values for new in _instead(given.choices, old))]
                tried = {given.choices}
                for choices in instead:
                    made = self._redraw(item.action.name, name, choices)
                    if made is not None and made.choices not in tried:
                        tried.add(made.choices)
                        yield _with(kept, at, name, made)

    def _replaced(self, draft: Draft, old: int, new: int) -> Draft | None:
        given: dict[str, Given] = {}
        for name, item in draft.given.items():
            given[name] = item
            if isinstance(item, Drawn) and old in _whole(item.choices):
                choices = tuple(new if _is(choice, old) else choice for choice in item.choices)
                redrawn = self._redraw(draft.action.name, name, choices)
                if redrawn is None:
                    return None
                given[name] = redrawn
        return attrs.evolve(draft, given=given)

    def _simplify(self, best: Rehearsal) -> Rehearsal:
        """Give the arguments their simplest values: all at once if that fails, too, else singly."""
        simple = list(best.drafts)
        for at, name in _places(best):
            if simplest := self._simplest(best, at, name):
                simple = _with(simple, at, name, simplest)
        if all_simple := self._try(simple):
            return all_simple
        for at, name in reversed(_places(best)):
            if at < len(best.steps) and (simplest := self._simplest(best, at, name)):
                best = self._try(_with(best.drafts, at, name, simplest)) or best
        return best

    def _simplest(self, best: Rehearsal, at: int, name: str) -> Drawn | None:
        draft = best.steps[at].draft
        simplest = self._redraw(draft.action.name, name, None)
        return None if simplest is None or simplest == draft.given[name] else simplest

    def _lower(self, best: Rehearsal) -> Rehearsal:
        """Bring each integer as near to its simplest value as the failure allows."""
        best = self._lower_together(self._simplify(best))
        for at, name in reversed(_places(best)):
            if at >= len(best.steps) or (simplest := self._simplest(best, at, name)) is None:
                continue
            given = best.steps[at].draft.given[name]
            assert isinstance(given, Drawn)
            if len(simplest.choices) != len(given.choices):
                continue
            for index, low in enumerate(simplest.choices):
                if type(low) is int and type(given.choices[index]) is int:
                    best = self._approach(best, at, name, index, low)
        return best

    def _lower_together(self, best: Rehearsal) -> Rehearsal:
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

    def _all_nearer(
        self, best: Rehearsal, nearer: Callable[[object, object], object]
    ) -> Rehearsal | None:
        lower = list(best.drafts)
        for at, name in _places(best):
            if changed := self._nearer(best, at, name, nearer):
                lower = _with(lower, at, name, changed)
        return None if lower == list(best.drafts) else self._try(lower)

    def _nearer(
        self, best: Rehearsal, at: int, name: str, nearer: Callable[[object, object], object]
    ) -> Drawn | None:
        given, simplest = best.drafts[at].given[name], self._simplest(best, at, name)
        assert isinstance(given, Drawn)
        if simplest is None or len(simplest.choices) != len(given.choices):
            return None
        choices = tuple(map(nearer, simplest.choices, given.choices))
        if choices == given.choices:
            return None
        return self._redraw(best.drafts[at].action.name, name, choices)

    def _approach(self, best: Rehearsal, at: int, name: str, index: int, low: int) -> Rehearsal:
        """Lower one integer to just above ``low``, which is too low, in steps that double."""
        stride = 1
        while at < len(best.steps):
            given = best.steps[at].draft.given[name]
            assert isinstance(given, Drawn)
            high = given.choices[index]
            if abs(high - low) <= 1:
                break
            stride = min(stride, abs(high - low) // 2)
            tried = low + stride if high > low else low - stride
            choices = (*given.choices[:index], tried, *given.choices[index + 1 :])
            redrawn = self._redraw(best.steps[at].draft.action.name, name, choices)
            lowered = redrawn and self._try(_with(best.drafts, at, name, redrawn))
            if lowered:
                best, stride = lowered, 1
            else:
                low, stride = tried, stride * 4
        return best

    def _search(self, best: Rehearsal) -> Rehearsal | None:
        """Look breadth first for a shorter path over the steps of ``best``, and near them."""
        alphabet = self._alphabet(best)
        layer: list[tuple[Draft, ...]] = [()]
        seen: set[object] = set()
        for _ in range(len(best.steps) - 1):
            following: list[tuple[Draft, ...]] = []
            for drafts in layer:
                for number, letter in enumerate(alphabet):
                    if self._recorder.executed >= self._limit:
                        return None
                    extended = (*drafts, attrs.evolve(letter, number=1_000 * len(drafts) + number))
                    tried = rehearse(self._recorder, extended)
                    if tried.failure is not None:
                        if tried.failure.origin == self._origin:
                            return tried
                        continue
                    if len(tried.steps) == len(extended) and self._is_new(extended, seen):
                        following.append(extended)
            # Paths that take actions of the best one in its order are the likeliest.
            layer = sorted(following, key=lambda drafts: _strays(drafts, best.drafts))
        return None

    def _alphabet(self, best: Rehearsal) -> list[Draft]:
        """Return the steps of ``best`` with each value drawn for them, and the one next to it."""
        drawn: dict[tuple[str, str], dict[Choices, Drawn]] = {}
        for item in best.drafts:
            for name, given in item.given.items():
                if isinstance(given, Drawn):
                    values = drawn.setdefault((item.action.name, name), {})
                    for value in (given, self._next_to(item.action.name, name, given)):
                        if value is not None and len(values) < VALUES_PER_ARGUMENT:
                            values[value.choices] = value
        letters: dict[str, list[Draft]] = {}
        for item in best.drafts:
            if item.action.name not in letters:
                variants = islice(_variants(item, drawn), LETTERS_PER_ACTION)
                letters[item.action.name] = list(variants)
        return [letter for variants in letters.values() for letter in variants]

    def _next_to(self, action: str, name: str, given: Drawn) -> Drawn | None:
        if len(whole := _whole(given.choices)) != 1:
            return None
        choices = tuple(item + 1 if _is(item, whole[0]) else item for item in given.choices)
        return self._redraw(action, name, choices)

    def _is_new(self, drafts: Sequence[Draft], seen: set[object]) -> bool:
        walk = Rehearser(self._recorder)
        for item in drafts:
            walk.take(item)
        reached = (walk.state_id, walk.trail.signature)
        if reached in seen:
            return False
        seen.add(reached)
        return True


def _variants(
    draft: Draft, drawn: Mapping[tuple[str, str], Mapping[Choices, Drawn]]
) -> Iterator[Draft]:
    names = [name for name, given in draft.given.items() if isinstance(given, Drawn)]
    for values in product(*(drawn[draft.action.name, name].values() for name in names)):
        yield attrs.evolve(draft, given={**draft.given, **dict(zip(names, values, strict=True))})


def _with(drafts: Sequence[Draft], at: int, name: str, given: Given) -> list[Draft]:
    changed = attrs.evolve(drafts[at], given={**drafts[at].given, name: given})
    return [*drafts[:at], changed, *drafts[at + 1 :]]


def _places(rehearsal: Rehearsal) -> list[tuple[int, str]]:
    """Return the arguments that strategies made: number of the step and name."""
    return [
        (at, name)
        for at, item in enumerate(rehearsal.drafts)
        for name, given in sorted(item.given.items())
        if isinstance(given, Drawn) and given.choices
    ]


def _integers(draft: Draft) -> Iterator[int]:
    for given in draft.given.values():
        if isinstance(given, Drawn):
            yield from _whole(given.choices)


def _half_way(low: object, high: object) -> object:
    if type(low) is int and type(high) is int:
        return low + int((high - low) / 2)
    return high


def _less(amount: int, low: object, high: object) -> object:
    if type(low) is int and type(high) is int:
        return max(low, high - amount) if high > low else min(low, high + amount)
    return high


def _strays(drafts: Sequence[Draft], best: Sequence[Draft]) -> int:
    """Return how many steps do not follow the order of actions in ``best``."""
    ahead = [item.action.name for item in best]
    strays = 0
    for item in drafts:
        if item.action.name in ahead:
            ahead = ahead[ahead.index(item.action.name) + 1 :]
        else:
            strays += 1
    return strays


def _instead(given: Choices, lost: Choices) -> Iterator[Choices]:
    """Yield choices that may make up for those that are lost."""
    yield lost
    if len(_whole(given)) == len(_whole(lost)) == 1:
        (one,), (other,) = _whole(given), _whole(lost)
        for value in (one + other, one - other):
            yield tuple(value if _is(item, one) else item for item in given)


def _unused(drafts: Sequence[Draft]) -> int:
    return 1 + max(item.number for item in drafts)


def _whole(choices: Choices) -> list[int]:
    return [choice for choice in choices if type(choice) is int]


def _is(choice: object, value: int) -> bool:
    return type(choice) is int and choice == value
