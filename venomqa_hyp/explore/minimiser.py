"""Find a shorter path to the same failure, in the World itself.

Steps are removed in chunks, then one by one, as in delta debugging (Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input", 2002), and arguments are lowered together with
them: a path that uses absolute ids (``pay(4)`` after four creations) gets shorter only when a
creation and the ids go down at once. A bounded best-first search over what is left then looks
for paths that removing steps cannot reach.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush

import attrs

from venomqa_hyp.explore.alphabet import alphabet, is_whole, strays, whole
from venomqa_hyp.explore.failure import Origin
from venomqa_hyp.explore.given import Choices, Drawn, Given
from venomqa_hyp.explore.lowering import Lowering, Redraw, replaced
from venomqa_hyp.explore.position import Draft
from venomqa_hyp.explore.trial import Attempt, Trial

#: Executions that removing and lowering may take, and those of the search that follows.
REDUCTION_BUDGET = 2_000
MAKING_UP_BUDGET = 150
SEARCH_BUDGET = 100
#: Chunks of every size from here on, where what nobody observes may count steps.
SINGLY_BELOW = 8
FEW, SHORT = 3, 4
#: Executions of a search that takes other actions, too: for a short path, and for others.
OTHERS_BUDGET, MORE_OTHERS = 25, 300


class Minimiser:
    """Shortens the paths of one run.

    :param attempt: executes drafts from the start.
    :param executed: returns how many executions there were so far.
    :param redraw: how arguments are made from choices, so that they can be lowered.
    :param letters: a step of each action, where a shorter path may need another action.
    :param may_go_on: returns whether there is time left.
    :param share: of the usual executions, where each of them costs a whole path.
    """

    def __init__(
        self,
        attempt: Attempt,
        executed: Callable[[], int],
        redraw: Redraw,
        letters: Sequence[Draft] = (),
        may_go_on: Callable[[], bool] = lambda: True,
        share: float = 1.0,
    ) -> None:
        self._attempt = attempt
        self._executed = executed
        self._redraw = redraw
        self._letters = letters
        self._may_go_on = may_go_on
        self._share = share
        self._lowering = Lowering(redraw, self._try)
        self._limit = 0
        self._origin: Origin = ()

    def minimise(self, found: Trial, origin: Origin) -> Trial:
        """Return the shortest path found that ends in the same failure as ``found``.

        :raises Diverged: when the World does not repeat itself.
        """
        self._origin = origin
        self._allow(REDUCTION_BUDGET)
        best = self._remove_chunks(self._without_idle_steps(found))
        best = self._substitute(best, found)
        while True:
            before = best
            best = self._remove_and_lower(self._remove_chunks(self._lowering.simplify(best)))
            if len(best) == len(before):
                break
        # While values are as low as they get, most steps take any other value.
        best = self._lowering.lower(best)
        self._allow(MAKING_UP_BUDGET)
        best = self._make_up(best)
        if len(best) > SHORT:
            self._allow(SEARCH_BUDGET)
            best = self._searched(best, [])
        self._allow(MORE_OTHERS if len(best) > SHORT else OTHERS_BUDGET)
        best = self._searched(best, self._letters)
        self._allow(REDUCTION_BUDGET)
        return self._lowering.lower(best)

    def _allow(self, executions: int) -> None:
        self._limit = self._executed() + int(executions * self._share)

    def _has_budget(self) -> bool:
        return self._executed() < self._limit and self._may_go_on()

    def _try(self, drafts: Sequence[Draft]) -> Trial | None:
        """Return what came of drafts where they end in the failure looked for."""
        if not self._has_budget():
            return None
        tried = self._attempt(drafts)
        return tried if tried.fails_with(self._origin) else None

    def _without_idle_steps(self, best: Trial) -> Trial:
        path = best.end.path
        kept = [at.taken.draft for at in path if at.taken and (at is path[-1] or at.moved)]
        return self._try(kept) or best if len(kept) < len(best) else best

    def _remove_chunks(self, best: Trial) -> Trial:
        size, singly = len(best) // 2, self._share > 1
        while size >= 1:
            at = len(best) - 1 - size  # the last step is the one that fails
            while at >= 0:
                drafts = best.drafts
                shorter = self._try(drafts[:at] + drafts[at + size :])
                if shorter is not None:
                    best = shorter
                at = min(at, len(best) - 1) - (1 if singly and size <= SINGLY_BELOW else size)
            size = size - 1 if singly and size <= SINGLY_BELOW else size // 2
        return best

    def _substitute(self, best: Trial, found: Trial) -> Trial:
        """Let one step of ``found`` take the place of two: another way to the same failure.

        Before arguments are lowered, while they still leave room for one more step.
        """
        letters = {item.action.name: item for item in reversed((*best.drafts, *found.drafts))}
        for at in range(len(best) - 1):
            for letter in letters.values():
                drafts = best.drafts
                instead = attrs.evolve(letter, number=_unused(drafts))
                shorter = self._try((*drafts[:at], instead, *drafts[at + 2 :]))
                if shorter is not None:
                    return self._substitute(self._remove_chunks(shorter), found)
        return best

    def _remove_and_lower(self, best: Trial) -> Trial:
        """Remove one or two steps while the arguments of others change to make up for it."""
        drafts = best.drafts
        for count in (1, 2):
            for gone in itertools.combinations(range(len(drafts) - 1, -1, -1), count):
                kept = [item for at, item in enumerate(drafts) if at not in gone]
                lost = [drafts[at] for at in gone]
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
                yield replaced(kept, at, name, lost)
            if len(whole(given.choices)) == len(whole(lost.choices)) == 1:
                (one,), (other,) = whole(given.choices), whole(lost.choices)
                total = tuple(
                    one + other if is_whole(item, one) else item for item in given.choices
                )
                if grown := self._redraw(action, name, total):
                    yield replaced(kept, at, name, grown)

    def _make_up(self, best: Trial) -> Trial:
        """Remove a step while any one argument of another makes up for what it did."""
        drafts = best.drafts
        for at in range(len(drafts) - 1, -1, -1):
            kept = [item for other, item in enumerate(drafts) if other != at]
            for changed in self._compensated(kept, drafts[at]):
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
                        yield replaced(kept, at, name, made)

    def _replaced(self, draft: Draft, old: int, new: int) -> Draft | None:
        given: dict[str, Given] = {}
        for name, item in draft.given.items():
            given[name] = item
            if isinstance(item, Drawn) and old in whole(item.choices):
                choices = tuple(new if is_whole(choice, old) else choice for choice in item.choices)
                redrawn = self._redraw(draft.action.name, name, choices)
                if redrawn is None:
                    return None
                given[name] = redrawn
        return attrs.evolve(draft, given=given)

    def _searched(self, best: Trial, others: Sequence[Draft]) -> Trial:
        while shorter := self._search(best, others):
            best = shorter
            if len(best) <= SHORT:
                self._allow(OTHERS_BUDGET)
        return best

    def _search(self, best: Trial, others: Sequence[Draft]) -> Trial | None:
        """Look for a shorter path over the steps of ``best``, and others.

        Paths that take actions of the best one in its order are the likeliest, and come first;
        of these, the shorter ones.
        """
        widely = self._share > 1 or len(best) <= FEW
        letters = alphabet(best.drafts, others, self._redraw, widely=widely)
        ranks = itertools.count()
        waiting: list[tuple[int, int, int, tuple[Draft, ...]]] = [(0, 0, next(ranks), ())]
        shortest: dict[object, int] = {}
        while waiting and self._has_budget():
            drafts = heappop(waiting)[-1]
            tried = self._attempt(drafts)
            if tried.fails_with(self._origin):
                return tried
            end = tried.end
            reached = (end.state.id, frozenset(end.calls.items()), end.succeeded)
            is_new = len(tried) == len(drafts) < shortest.get(reached, len(best) - 1)
            if tried.failures or not is_new:
                continue
            shortest[reached] = len(drafts)
            for number, letter in enumerate(letters):
                extended = (*drafts, attrs.evolve(letter, number=1_000 * len(drafts) + number))
                rank = strays(extended, best.drafts)
                heappush(waiting, (rank, len(extended), next(ranks), extended))
        return None


def _integers(draft: Draft) -> Iterator[int]:
    for given in draft.given.values():
        if isinstance(given, Drawn):
            yield from whole(given.choices)


def _instead(given: Choices, lost: Choices) -> Iterator[Choices]:
    """Yield choices that may make up for those that are lost."""
    yield lost
    if len(whole(given)) == len(whole(lost)) == 1:
        (one,), (other,) = whole(given), whole(lost)
        for value in (one + other, one - other, one + 1):
            yield tuple(value if is_whole(item, one) else item for item in given)


def _unused(drafts: Sequence[Draft]) -> int:
    return 1 + max(item.number for item in drafts)
