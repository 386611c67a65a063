"""How arguments are drawn from strategies: from which choices, and outside of a test."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from random import Random

from hypothesis.control import BuildContext, currently_in_test_context
from hypothesis.errors import StopTest
from hypothesis.internal.conjecture.choice import ChoiceTemplate
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.stateful import Bundle
from hypothesis.strategies._internal.lazy import unwrap_strategies
from hypothesis.strategies._internal.misc import BooleansStrategy
from hypothesis.strategies._internal.numbers import IntegersStrategy
from hypothesis.strategies._internal.strategies import SampledFromStrategy

from venomqa_hyp.core import FromContext
from venomqa_hyp.core.action import Argument
from venomqa_hyp.errors import DigestError
from venomqa_hyp.explore import Choices, Drawn, Source, Taken
from venomqa_hyp.values import canonical_text

#: So many members of an enum, or of what else is sampled from, are tried to find a value.
_MEMBERS = 256


def source_of(given: object) -> Source | None:
    """Return the pool that an argument is picked from as it is, if any."""
    if isinstance(given, FromContext):
        return Source(f"context:{given.key}")
    if not isinstance(given, Bundle):
        return None
    plain = not getattr(given, "_transformations", ())
    # Older versions keep it under a private name.
    return Source(f"bundle:{given.name}", "consume=True" in repr(given), plain)


def redraw(strategy: Argument, choices: Choices | None) -> Drawn | None:
    """Draw from a strategy with given choices, or with the simplest ones.

    :return: ``None`` where the strategy does not accept the choices.
    """
    if isinstance(strategy, FromContext):
        return None
    prefix = (ChoiceTemplate("simplest", count=None),) if choices is None else choices
    data = ConjectureData.for_choices(prefix)
    # Outside of a test case, many strategies refuse to draw.
    draws_anyway = currently_in_test_context()
    context = nullcontext() if draws_anyway else BuildContext(data, wrapped_test=redraw)
    try:
        with context:
            value = data.draw(strategy)
    except (StopTest, Exception):
        return None  # whatever a user's strategy raises: these choices are not for it
    made = tuple(data.choices)
    return Drawn(value, made) if choices in (None, made) else None


def choices_that_make(strategy: Argument, value: object) -> Choices | None:
    """Return choices that make a value, where some can be found: simple ones are tried."""
    text = _text(value)
    if text is None:
        return None  # nothing tells whether the same value is made again
    for choices in _likely_choices(strategy, value):
        made = redraw(strategy, choices)
        if made is not None and _text(made.value) == text:
            return choices
    return None


def _likely_choices(strategy: Argument, value: object) -> Iterator[Choices]:
    """Yield the simplest choices, and those with one integer in place of another."""
    simplest = redraw(strategy, None)
    if simplest is None:
        return
    yield simplest.choices
    for at, choice in enumerate(simplest.choices):
        if type(choice) is int:
            for other in [*([value] if type(value) is int else []), *range(_MEMBERS)]:
                yield (*simplest.choices[:at], other, *simplest.choices[at + 1 :])


def _text(value: object) -> str | None:
    try:
        return canonical_text(value)
    except DigestError:
        return None


def draw(strategy: Argument, random: Random | None) -> Drawn | None:
    """Draw from a strategy as Hypothesis does; the simplest value without ``random``.

    :return: ``None`` where the strategy cannot be drawn from outside of a test case, or rejected
        what it drew.
    """
    if random is None:
        return redraw(strategy, None)
    if isinstance(strategy, FromContext):
        return None
    data = ConjectureData(random=random, provider=HypothesisProvider)
    try:
        value = data.draw(strategy)
    except (StopTest, Exception):
        return None
    return Drawn(value, tuple(data.choices))


def size(strategy: Argument) -> int | None:
    """Return how many values a strategy has, where that is known: those that list them all."""
    inner = unwrap_strategies(strategy)  # type: ignore[no-untyped-call]
    if isinstance(inner, BooleansStrategy):
        return 2
    if isinstance(inner, IntegersStrategy) and inner.start is not None and inner.end is not None:
        return inner.end - inner.start + 1
    if isinstance(inner, SampledFromStrategy) and not inner._transformations:
        return len(inner.elements)
    return None


def choices_of(taken: Taken) -> Mapping[str, Choices]:
    """Return argument -> the choices that its strategy made."""
    given = taken.draft.given.items()
    return {name: item.choices for name, item in given if isinstance(item, Drawn)}
