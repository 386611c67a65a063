"""Property-based testing of stateful HTTP APIs: Hypothesis state machines that roll back."""

from venomqa_hyp.agent import Agent, explore_parallel
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
from venomqa_hyp.explore import BFS, DFS, MCTS, CoverageGuided, Novelty, Random, Weighted
from venomqa_hyp.stateful import venom_machine, world_from_fixture
from venomqa_hyp.world import Checkpoint, Context, Rollbackable, World

__all__ = [
    "Action",
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
    "venom_machine",
    "world_from_fixture",
]
