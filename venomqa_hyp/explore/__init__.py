"""Exploring the graph of states: the execution memo and the path minimiser."""

from venomqa_hyp.explore.argument_kinds import ArgumentKinds, Draws, Kind
from venomqa_hyp.explore.atlas import Atlas, Choice, Node, Option, Strategy
from venomqa_hyp.explore.explorer import Explored, Explorer
from venomqa_hyp.explore.failure import (
    Failure,
    Origin,
    failure_of_result,
    failure_of_verdict,
)
from venomqa_hyp.explore.mcts import MCTS
from venomqa_hyp.explore.minimiser import Minimiser, Redraw
from venomqa_hyp.explore.novelty import Novelty
from venomqa_hyp.explore.recorder import Recorder
from venomqa_hyp.explore.rehearsal import (
    Choices,
    Draft,
    Drawn,
    Given,
    Picked,
    Pools,
    Rehearsal,
    Rehearsed,
    draft,
    pool_of,
    rehearse,
    resolve,
)
from venomqa_hyp.explore.renames import Renames
from venomqa_hyp.explore.strategies import BFS, DFS, CoverageGuided, Random, Weighted
from venomqa_hyp.explore.trail import Trail, context_keys

__all__ = [
    "ArgumentKinds",
    "Atlas",
    "BFS",
    "Choice",
    "Choices",
    "CoverageGuided",
    "DFS",
    "Draft",
    "Drawn",
    "Draws",
    "Explored",
    "Explorer",
    "Failure",
    "Given",
    "Kind",
    "MCTS",
    "Minimiser",
    "Node",
    "Novelty",
    "Option",
    "Origin",
    "Picked",
    "Pools",
    "Random",
    "Recorder",
    "Redraw",
    "Rehearsal",
    "Rehearsed",
    "Renames",
    "Strategy",
    "Trail",
    "Weighted",
    "context_keys",
    "draft",
    "failure_of_result",
    "failure_of_verdict",
    "pool_of",
    "rehearse",
    "resolve",
]
