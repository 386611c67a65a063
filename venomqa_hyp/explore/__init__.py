"""Exploring the graph of states: the execution memo, the strategies and the path minimiser."""

from venomqa_hyp.explore.argument_kinds import ArgumentKinds, Draws
from venomqa_hyp.explore.atlas import Atlas, Choice, Node, Option, Strategy
from venomqa_hyp.explore.counterexample import Transcript, counterexample_of
from venomqa_hyp.explore.executor import Executor
from venomqa_hyp.explore.explorer import Explored, Explorer
from venomqa_hyp.explore.failure import Failure, Origin, failure_of_result, failure_of_verdict
from venomqa_hyp.explore.given import Choices, Chosen, Drawn, Given, Literal, Picked
from venomqa_hyp.explore.live import Live, attempt_live, retrace
from venomqa_hyp.explore.lowering import Redraw
from venomqa_hyp.explore.minimiser import Minimiser
from venomqa_hyp.explore.position import Draft, Position, Rules, Source, Taken, results, source_of
from venomqa_hyp.explore.proofs import ADVICE, Diverged
from venomqa_hyp.explore.recorder import Recorder, Unrecordable
from venomqa_hyp.explore.strategies import (
    BFS,
    DFS,
    MCTS,
    CoverageGuided,
    Novelty,
    Random,
    Weighted,
)
from venomqa_hyp.explore.tally import Tally
from venomqa_hyp.explore.triage import Parting, parting
from venomqa_hyp.explore.trial import Trial, advance, attempt

__all__ = [
    "ADVICE",
    "ArgumentKinds",
    "Atlas",
    "BFS",
    "Choice",
    "Choices",
    "Chosen",
    "CoverageGuided",
    "DFS",
    "Diverged",
    "Draft",
    "Drawn",
    "Draws",
    "Executor",
    "Explored",
    "Explorer",
    "Failure",
    "Given",
    "Literal",
    "Live",
    "MCTS",
    "Minimiser",
    "Node",
    "Novelty",
    "Option",
    "Origin",
    "Parting",
    "Picked",
    "Position",
    "Random",
    "Recorder",
    "Redraw",
    "Rules",
    "Source",
    "Strategy",
    "Taken",
    "Tally",
    "Transcript",
    "Trial",
    "Unrecordable",
    "Weighted",
    "advance",
    "attempt",
    "attempt_live",
    "counterexample_of",
    "failure_of_result",
    "failure_of_verdict",
    "parting",
    "results",
    "retrace",
    "source_of",
]
