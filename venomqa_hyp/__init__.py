"""Property-based testing of stateful HTTP APIs: Hypothesis state machines that roll back."""

from venomqa_hyp.core import (
    Action,
    ActionResult,
    ExplorationResult,
    Graph,
    Invariant,
    Observation,
    Severity,
    State,
    Step,
    Transition,
    Violation,
    action,
    from_context,
    invariant,
)
from venomqa_hyp.stateful import venom_machine
from venomqa_hyp.world import Checkpoint, Context, Rollbackable, World

__all__ = [
    "Action",
    "ActionResult",
    "Checkpoint",
    "Context",
    "ExplorationResult",
    "Graph",
    "Invariant",
    "Observation",
    "Rollbackable",
    "Severity",
    "State",
    "Step",
    "Transition",
    "Violation",
    "World",
    "action",
    "from_context",
    "invariant",
    "venom_machine",
]
