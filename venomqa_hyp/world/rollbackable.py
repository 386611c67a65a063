"""The contract between the World and a system. Implementations need no base class."""

from typing import Any, Protocol, runtime_checkable

from venomqa_hyp.core.observation import Observation

#: What a system returned from ``checkpoint``; only that system looks inside.
Handle = Any


@runtime_checkable
class Rollbackable(Protocol):
    """A system that can be set back to any state it was in.

    The World calls ``checkpoint`` and ``rollback`` between actions only, from one thread.

    Optional methods, used where they are there:

    * ``is_live(handle) -> bool``: false once a rollback has destroyed the handle, as databases
      with a stack of savepoints do. Without the method every handle lives until forgotten.
    * ``forget(handle)``: the handle will not be used again; free what it holds.
    * ``close()``: the World ends, and was rolled back if it was to be; free everything.
    """

    def checkpoint(self, name: str) -> Handle:
        """Remember the present state and return a handle to it."""
        ...

    def rollback(self, handle: Handle) -> None:
        """Restore the state of ``handle``: any live one, earlier or later, any number of times."""
        ...

    def observe(self) -> Observation:
        """Return everything that identifies the present state."""
        ...
