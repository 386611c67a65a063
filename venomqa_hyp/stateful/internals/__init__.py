"""All that is known here of the insides of Hypothesis.

*Runs.* A state machine sees each test case begin and end, but not the run of them.
:func:`install` wraps ``get_state_machine_test``, through which both ``TestCase`` and
``run_state_machine_as_test`` go.

*Database.* The key of a machine is a digest of its source, which a generated class does not have;
:func:`identity` is added to it.

*Steering.* In a machine every step is a span labelled ``STATE_MACHINE_RUN_LABEL``: first the
boolean "stop?", then one span of the rules strategy whose children are the feature flags, the
selection of the rule, and one span per argument in the order of their names.
:class:`VenomProvider` remembers which choices made which argument, and can follow a script. Where
the structure is not this one, :meth:`VenomProvider.argument_choices` says so and nothing is
steered.

*Observability.* :func:`is_observed` says whether it is on: where it is not it costs nothing. The
engine notes no statistics where our own exception ends the test cases; :func:`install` does.

*Memory.* The engine keeps the choices of the last 10,000 test cases; :func:`install` lets it keep
fewer.
"""

from venomqa_hyp.stateful.internals.provider import (
    VenomProvider,
    current_provider,
    rule_positions,
    with_choices,
)
from venomqa_hyp.stateful.internals.runs import (
    IDENTITY_ATTRIBUTE,
    as_in_test_case,
    has_seed,
    identity,
    in_final_replay,
    install,
    is_observed,
    shown_by_pytest,
    state_machine_of,
)
from venomqa_hyp.stateful.internals.strategies import (
    choices_of,
    choices_that_make,
    draw,
    redraw,
    size,
    source_of,
)

__all__ = [
    "IDENTITY_ATTRIBUTE",
    "VenomProvider",
    "as_in_test_case",
    "choices_of",
    "choices_that_make",
    "current_provider",
    "draw",
    "has_seed",
    "identity",
    "in_final_replay",
    "install",
    "is_observed",
    "redraw",
    "rule_positions",
    "shown_by_pytest",
    "size",
    "source_of",
    "state_machine_of",
    "with_choices",
]
