"""The steps that a search for a shorter path tries."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import TypeGuard

import attrs

from venomqa_hyp.explore.given import Choices, Drawn, Given
from venomqa_hyp.explore.lowering import Redraw, replaced
from venomqa_hyp.explore.position import Draft

LETTERS_PER_ACTION = 6
VALUES_PER_ARGUMENT = 3


def alphabet(
    best: Sequence[Draft], others: Sequence[Draft], redraw: Redraw, *, widely: bool
) -> list[Draft]:
    """Return the steps of a path with each value drawn for them, and the one next to it.

    :param others: steps of further actions.
    :param widely: whether to take these with other arguments, too.
    """
    drawn: dict[tuple[str, str], dict[Choices, Drawn]] = {}
    for item in best:
        for name, given in item.given.items():
            if isinstance(given, Drawn):
                values = drawn.setdefault((item.action.name, name), {})
                for value in (given, _next_to(redraw, item.action.name, name, given)):
                    if value is not None and len(values) < VALUES_PER_ARGUMENT:
                        values[value.choices] = value
    letters: dict[str, list[Draft]] = {}
    for item in best:
        if item.action.name not in letters:
            variants = islice(_variants(item, drawn), LETTERS_PER_ACTION)
            letters[item.action.name] = list(variants)
    for item in others:
        near = _near(item, redraw) if widely else []
        letters.setdefault(item.action.name, [item, *near])
    return [letter for variants in letters.values() for letter in variants]


def strays(drafts: Sequence[Draft], best: Sequence[Draft]) -> int:
    """Return how many steps do not follow the order of ``best``, or have other arguments."""
    ahead = list(best)
    count = 0
    for item in drafts:
        same = [at for at, known in enumerate(ahead) if known.action is item.action]
        count += not any(ahead[at].given == item.given for at in same)
        ahead = ahead[same[0] + 1 :] if same else ahead
    return count


def whole(choices: Choices) -> list[int]:
    """Return the choices that are whole numbers."""
    return [int(choice) for choice in choices if type(choice) is int]


def is_whole(choice: object, value: int) -> TypeGuard[int]:
    """Return whether a choice is a certain whole number."""
    return type(choice) is int and choice == value


def _near(item: Draft, redraw: Redraw) -> list[Draft]:
    """Return what a step is with one argument close to what it has."""
    found: list[Draft] = []
    for name, given in sorted(item.given.items()):
        near: Given | None = given
        for _ in range(VALUES_PER_ARGUMENT - 1):
            if isinstance(near, Drawn):
                near = _next_to(redraw, item.action.name, name, near)
            found += replaced([item], 0, name, near) if near else []
    return found


def _next_to(redraw: Redraw, action: str, name: str, given: Drawn) -> Drawn | None:
    if len(numbers := whole(given.choices)) != 1:
        return None
    choices = tuple(item + 1 if is_whole(item, numbers[0]) else item for item in given.choices)
    return redraw(action, name, choices)


def _variants(
    draft: Draft, drawn: Mapping[tuple[str, str], Mapping[Choices, Drawn]]
) -> Iterator[Draft]:
    names = [name for name, given in draft.given.items() if isinstance(given, Drawn)]
    for values in product(*(drawn[draft.action.name, name].values() for name in names)):
        yield attrs.evolve(draft, given={**draft.given, **dict(zip(names, values, strict=True))})
