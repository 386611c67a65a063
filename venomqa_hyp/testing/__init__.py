"""For the authors of adapters: the contract of ``Rollbackable`` as a test. Names for workers."""

from venomqa_hyp.testing.conformance import ContractBroken, check_rollbackable
from venomqa_hyp.testing.volatile import volatile_places
from venomqa_hyp.testing.workers import WorkerNames, worker_names

__all__ = [
    "ContractBroken",
    "WorkerNames",
    "check_rollbackable",
    "volatile_places",
    "worker_names",
]
