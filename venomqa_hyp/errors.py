"""The tree of errors, ordered by who can act.

    VenomError
    ├── DefinitionError        the test is wrong: its author acts
    │   └── DigestError        a value has no canonical digest
    ├── WorldError             the World could not be reached or moved: its environment acts
    │   ├── RollbackError      a checkpoint or a rollback failed
    │   ├── DivergenceError    the World did not repeat itself
    │   ├── SystemUnavailable  a store cannot be opened
    │   └── ServerNotAnswering the API under test does not answer
    ├── InvariantViolated      the finding: the system under test broke a rule
    └── VacuousRun             nothing was found, but the run did not reach what it must

``InvariantViolated`` and ``VacuousRun`` are ``AssertionError`` as well, so test runners show them
as failed checks.
"""

from collections.abc import Iterable


class VenomError(Exception):
    """Base of everything this library raises on purpose."""


class DefinitionError(VenomError, ValueError):
    """An action, invariant, World or machine is defined in a way that cannot work."""


class DigestError(DefinitionError):
    """A value has no canonical digest, so two states that hold it cannot be compared."""


class WorldError(VenomError):
    """The World, or the service it talks to, cannot be used any further."""


class RollbackError(WorldError):
    """A system failed to checkpoint or to roll back; the run must end."""


class DivergenceError(WorldError):
    """The same steps from the same state led elsewhere, so records cannot be trusted."""


class SystemUnavailable(WorldError):
    """The store behind an adapter cannot be opened, read or written."""


class ServerNotAnswering(WorldError):
    """The API under test does not answer, so nothing observed would be a finding."""


class InvariantViolated(VenomError, AssertionError):
    """An invariant does not hold; each invariant raises a subclass of its own."""


class VacuousRun(VenomError, AssertionError):
    """A run found nothing, and did not reach what ``require`` or ``sometimes`` ask for.

    :ivar unmet: what it did not reach, in words.
    :ivar result: the :class:`~venomqa_hyp.ExplorationResult`, with all counts.
    """

    def __init__(self, unmet: Iterable[str], result: object = None) -> None:
        self.unmet = tuple(unmet)
        self.result = result
        listed = "".join(f"\n  {item}" for item in self.unmet)
        super().__init__(
            f"The run found nothing, but it did not reach what it must:{listed}\n{_DO}"
        )


_DO = (
    "Correct the requests that are refused, let other actions make what they need, or give the run "
    "more steps. Where it reaches enough, lower what is required."
)
