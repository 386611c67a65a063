"""For the authors of adapters: the contract of ``Rollbackable`` as a test."""

from venomqa_hyp.testing.conformance import ContractBroken, check_rollbackable
from venomqa_hyp.testing.volatile import volatile_places

__all__ = ["ContractBroken", "check_rollbackable", "volatile_places"]
