"""Exploring the graph of states: the execution memo and the path minimiser."""

from venomqa_hyp.explore.cursor import Arrival, Cursor, key_of
from venomqa_hyp.explore.failure import (
    Failure,
    Origin,
    failure_of_result,
    failure_of_verdict,
)
from venomqa_hyp.explore.minimiser import Minimiser, Redraw
from venomqa_hyp.explore.recorder import Recorder
from venomqa_hyp.explore.rehearsal import (
    Choices,
    Draft,
    Drawn,
    Given,
    Picked,
    Rehearsal,
    Rehearsed,
    draft,
    picked,
    rehearse,
)
from venomqa_hyp.explore.renames import Renames, pool_of
from venomqa_hyp.explore.trail import Trail, context_keys

__all__ = [
    "Arrival",
    "Choices",
    "Cursor",
    "Draft",
    "Drawn",
    "Failure",
    "Given",
    "Minimiser",
    "Origin",
    "Picked",
    "Recorder",
    "Redraw",
    "Rehearsal",
    "Rehearsed",
    "Renames",
    "Trail",
    "context_keys",
    "draft",
    "failure_of_result",
    "failure_of_verdict",
    "key_of",
    "picked",
    "pool_of",
    "rehearse",
]
