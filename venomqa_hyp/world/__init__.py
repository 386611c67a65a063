"""The sandbox that is acted on, observed, checkpointed and rolled back."""

from venomqa_hyp.world.context import Context, values_under
from venomqa_hyp.world.loop import Loop
from venomqa_hyp.world.mover import Mover
from venomqa_hyp.world.rollbackable import Handle, Rollbackable
from venomqa_hyp.world.signals import acknowledge, ending_in_order, uninterrupted
from venomqa_hyp.world.world import Checkpoint, World

__all__ = [
    "Checkpoint",
    "Context",
    "Handle",
    "Loop",
    "Mover",
    "Rollbackable",
    "World",
    "acknowledge",
    "ending_in_order",
    "uninterrupted",
    "values_under",
]
