"""The tree of errors, ordered by who can act.

    VenomError
    ├── DefinitionError        the test is wrong: its author acts
    │   └── DigestError        a value has no canonical digest
    ├── WorldError             the World could not be reached or moved: its environment acts
    │   ├── RollbackError      a checkpoint or a rollback failed
    │   ├── DivergenceError    the World did not repeat itself
    │   ├── SystemUnavailable  a store cannot be opened
    │   └── ServerNotAnswering the API under test does not answer
    └── InvariantViolated      the finding: the system under test broke a rule

``InvariantViolated`` is an ``AssertionError`` as well, so test runners show it as a failed check.
"""


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
