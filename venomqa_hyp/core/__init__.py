"""Frozen records of what a test may do, what was seen and what was found. No I/O."""

from venomqa_hyp.core.action import Action, ActionResult, FromContext, action, from_context
from venomqa_hyp.core.counterexample import (
    Change,
    Counterexample,
    CounterexampleStep,
    Exchange,
)
from venomqa_hyp.core.counts import ActionCounts, InvariantCounts
from venomqa_hyp.core.difference import RowChange, TableChanges, changes
from venomqa_hyp.core.divergence import Differing, Divergence
from venomqa_hyp.core.graph import Graph
from venomqa_hyp.core.invariant import (
    Invariant,
    Path,
    Severity,
    Step,
    Verdict,
    Violation,
    invariant,
    sometimes,
)
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.core.progress import OnProgress, Progress
from venomqa_hyp.core.redaction import Redaction
from venomqa_hyp.core.result import ExplorationResult
from venomqa_hyp.core.state import State, Transition

__all__ = [
    "Action",
    "ActionCounts",
    "ActionResult",
    "Change",
    "Counterexample",
    "CounterexampleStep",
    "Differing",
    "Divergence",
    "Exchange",
    "ExplorationResult",
    "FromContext",
    "Graph",
    "Invariant",
    "InvariantCounts",
    "Observation",
    "OnProgress",
    "Path",
    "Progress",
    "Redaction",
    "RowChange",
    "Severity",
    "State",
    "Step",
    "TableChanges",
    "Transition",
    "Verdict",
    "Violation",
    "action",
    "changes",
    "from_context",
    "invariant",
    "sometimes",
]
