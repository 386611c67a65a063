"""Explore without a test runner, and collect every violation."""

from venomqa_hyp.agent.agent import Agent
from venomqa_hyp.agent.parallel import explore_parallel
from venomqa_hyp.core import Progress

__all__ = ["Agent", "Progress", "explore_parallel"]
