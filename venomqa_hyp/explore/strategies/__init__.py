"""Exploration strategies: what to execute next.

Each works with every system, as the World gets back to any state. What a strategy remembers
belongs to one exploration, so one object may be used for many.
"""

from venomqa_hyp.explore.strategies.mcts import MCTS
from venomqa_hyp.explore.strategies.novelty import Novelty
from venomqa_hyp.explore.strategies.simple import BFS, DFS, CoverageGuided, Random, Weighted

__all__ = ["BFS", "CoverageGuided", "DFS", "MCTS", "Novelty", "Random", "Weighted"]
