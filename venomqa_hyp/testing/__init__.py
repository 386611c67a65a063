"""Help for people who write adapters."""

from venomqa_hyp.testing.conformance import ContractBroken, check_rollbackable

__all__ = ["ContractBroken", "check_rollbackable"]
