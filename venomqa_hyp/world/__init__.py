"""The sandbox that is acted on, observed, checkpointed and rolled back."""

from venomqa_hyp.world.context import Context, values_under
from venomqa_hyp.world.mover import ROOT, Chain, Mover, extend
from venomqa_hyp.world.rollbackable import Handle, Rollbackable
from venomqa_hyp.world.world import Checkpoint, World

__all__ = [
    "Chain",
    "Checkpoint",
    "Context",
    "Handle",
    "Mover",
    "ROOT",
    "Rollbackable",
    "World",
    "extend",
    "values_under",
]
