"""What the benchmarks of exploring have in common."""

from collections.abc import Callable
from typing import Any

from venomqa_hyp import BFS, DFS, MCTS, CoverageGuided, Novelty, Random, Weighted, World
from venomqa_hyp.adapters import MemoryAdapter

STRATEGIES: dict[str, Callable[[], Any]] = {
    kind.__name__: kind for kind in (BFS, DFS, Random, CoverageGuided, Weighted, MCTS, Novelty)
}


def memory_world() -> World:
    """Return a World whose api and only system are one store."""
    store = MemoryAdapter()
    return World(store, {"store": store})
