"""The backend is a conforming provider, and Hypothesis's own where nothing is steered."""

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.internal.conjecture.provider_conformance import (
    choice_types_constraints,
    run_conformance_test,
)
from hypothesis.internal.conjecture.providers import HypothesisProvider, with_register_backend
from hypothesis.stateful import (
    STATE_MACHINE_RUN_LABEL,
    Bundle,
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from venomqa_hyp.stateful.internals import VenomProvider

quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


class RenamedProvider(HypothesisProvider):
    """Hypothesis's own under another name: for any but its own name the engine does less."""


def test_the_provider_conforms() -> None:
    """Hypothesis's suite for authors of backends passes."""
    run_conformance_test(VenomProvider, settings=quick)


@given(
    st.integers(),
    st.lists(choice_types_constraints() | st.booleans() | st.just(STATE_MACHINE_RUN_LABEL)),
)
@settings(quick, max_examples=200)
def test_each_draw_is_that_of_the_own_provider(number: int, script: list[Any]) -> None:
    """The same random numbers and the same requests, in spans of any labels, give equal values."""
    drawn: list[list[str]] = []
    for kind in (HypothesisProvider, VenomProvider):
        provider = ConjectureData(random=Random(number), provider=kind).provider
        open_spans = 0
        drawn.append([])
        for item in script:
            if isinstance(item, tuple):
                constraints = {key: value for key, value in item[1].items() if key != "forced"}
                drawn[-1].append(repr(getattr(provider, f"draw_{item[0]}")(**constraints)))
            elif item is True or item == STATE_MACHINE_RUN_LABEL:
                provider.span_start(STATE_MACHINE_RUN_LABEL if item is not True else 0)
                open_spans += 1
            elif open_spans:
                provider.span_end(False)
                open_spans -= 1
    assert drawn[0] == drawn[1]


def drawn_by_a_function(backend: str, number: int) -> list[str]:
    drawn: list[str] = []

    @seed(number)
    @settings(quick, backend=backend, phases=[Phase.generate], database=None)
    @given(st.lists(st.integers()), st.floats() | st.text(), st.binary(), st.sampled_from("abc"))
    def test(numbers: Any, mixed: Any, data: Any, letter: Any) -> None:
        drawn.append(repr((numbers, mixed, data, letter)))

    test()
    return drawn


def drawn_by_a_machine(backend: str, number: int) -> list[str]:
    drawn: list[str] = []

    class Machine(RuleBasedStateMachine):
        words = Bundle("words")

        @rule(target=words, word=st.text(max_size=3))
        def say(self, word: str) -> str:
            drawn.append(f"say {word!r}")
            return word

        @rule(word=words, times=st.integers(1, 3), data=st.data())
        def repeat(self, word: str, times: int, data: st.DataObject) -> None:
            drawn.append(f"repeat {word!r} {times} {data.draw(st.booleans())}")

    chosen = settings(quick, backend=backend, phases=[Phase.generate], database=None)
    run_state_machine_as_test(seed(number)(Machine), settings=chosen)
    return drawn


@pytest.mark.parametrize("drawn_by", [drawn_by_a_function, drawn_by_a_machine])
def test_other_tests_run_as_with_the_own_provider(drawn_by: Any) -> None:
    """A test that is not one of our machines gets the values it got before, seed by seed."""
    with with_register_backend("renamed", RenamedProvider):
        runs = [(drawn_by("renamed", number), drawn_by("venomqa", number)) for number in range(5)]
    assert all(renamed == ours for renamed, ours in runs)
    assert len({tuple(ours) for _, ours in runs}) == 5
