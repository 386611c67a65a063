"""Property-based testing of stateful HTTP APIs: Hypothesis state machines that roll back."""

from venomqa_hyp.agent import Agent, explore_parallel
from venomqa_hyp.core import (
    Action,
    ActionCounts,
    ActionResult,
    ExplorationResult,
    Graph,
    Invariant,
    InvariantCounts,
    Observation,
    Severity,
    State,
    Step,
    Transition,
    Violation,
    action,
    from_context,
    invariant,
    sometimes,
)
from venomqa_hyp.explore import BFS, DFS, MCTS, CoverageGuided, Novelty, Random, Weighted
from venomqa_hyp.stateful import venom_machine
from venomqa_hyp.world import Checkpoint, Context, Rollbackable, World

__all__ = [
    "Action",
    "ActionCounts",
    "ActionResult",
    "Agent",
    "BFS",
    "Checkpoint",
    "Context",
    "CoverageGuided",
    "DFS",
    "ExplorationResult",
    "Graph",
    "Invariant",
    "InvariantCounts",
    "MCTS",
    "Novelty",
    "Observation",
    "Random",
    "Rollbackable",
    "Severity",
    "State",
    "Step",
    "Transition",
    "Violation",
    "Weighted",
    "World",
    "action",
    "explore_parallel",
    "from_context",
    "invariant",
    "sometimes",
    "venom_machine",
]
