"""Actions and invariants as a Hypothesis state machine on a World that rolls back."""

from venomqa_hyp.stateful.failure_files import SavedFailure, read_failure
from venomqa_hyp.stateful.guidance import ActionDraws
from venomqa_hyp.stateful.hooks import install as _install
from venomqa_hyp.stateful.idle import IdleActionWarning
from venomqa_hyp.stateful.internals import (
    as_in_test_case,
    has_seed,
    shown_by_pytest,
    state_machine_of,
)
from venomqa_hyp.stateful.machine import VenomStateMachine, machine_of, venom_machine
from venomqa_hyp.stateful.overrides import (
    FixtureWorld,
    Overrides,
    Replay,
    overrides,
    overriding,
    world_from_fixture,
)
from venomqa_hyp.stateful.run import DivergenceWarning, Run
from venomqa_hyp.stateful.saved import FailureFileWarning
from venomqa_hyp.stateful.scope import watching

__all__ = [
    "ActionDraws",
    "DivergenceWarning",
    "FailureFileWarning",
    "FixtureWorld",
    "IdleActionWarning",
    "Overrides",
    "Replay",
    "Run",
    "SavedFailure",
    "VenomStateMachine",
    "as_in_test_case",
    "has_seed",
    "machine_of",
    "overrides",
    "overriding",
    "read_failure",
    "shown_by_pytest",
    "state_machine_of",
    "venom_machine",
    "watching",
    "world_from_fixture",
]

_install()
