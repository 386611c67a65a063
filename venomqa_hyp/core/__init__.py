"""Frozen records of what a test may do, what was seen and what was found. No I/O."""

from venomqa_hyp.core.action import Action, ActionResult, FromContext, action, from_context
from venomqa_hyp.core.difference import RowChange, TableChanges, changes
from venomqa_hyp.core.digest import canonical_text, digest, hash_text, snapshot
from venomqa_hyp.core.graph import Graph
from venomqa_hyp.core.invariant import (
    Invariant,
    Path,
    Severity,
    Step,
    Verdict,
    Violation,
    invariant,
)
from venomqa_hyp.core.names import Name, Named, names_in, number_names, rename
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.core.result import ExplorationResult
from venomqa_hyp.core.state import State, Transition
from venomqa_hyp.core.volatile import Place, volatile_places, without

__all__ = [
    "Action",
    "ActionResult",
    "ExplorationResult",
    "FromContext",
    "Graph",
    "Invariant",
    "Name",
    "Named",
    "Observation",
    "Path",
    "Place",
    "RowChange",
    "Severity",
    "State",
    "Step",
    "TableChanges",
    "Transition",
    "Verdict",
    "Violation",
    "action",
    "canonical_text",
    "changes",
    "digest",
    "from_context",
    "hash_text",
    "invariant",
    "names_in",
    "number_names",
    "rename",
    "snapshot",
    "volatile_places",
    "without",
]
