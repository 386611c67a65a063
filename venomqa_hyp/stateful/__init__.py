"""Actions and invariants as a Hypothesis state machine on a World that rolls back."""

from venomqa_hyp.stateful.guidance import ActionDraws
from venomqa_hyp.stateful.hooks import install as _install
from venomqa_hyp.stateful.idle import IdleActionWarning
from venomqa_hyp.stateful.internals import as_in_test_case
from venomqa_hyp.stateful.machine import VenomStateMachine, venom_machine
from venomqa_hyp.stateful.run import DivergenceWarning, Run
from venomqa_hyp.stateful.saved import FailureFileWarning
from venomqa_hyp.stateful.scope import watching

__all__ = [
    "ActionDraws",
    "DivergenceWarning",
    "FailureFileWarning",
    "IdleActionWarning",
    "Run",
    "VenomStateMachine",
    "as_in_test_case",
    "venom_machine",
    "watching",
]

_install()
