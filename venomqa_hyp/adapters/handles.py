"""Handles of checkpoints: what they hold, whose they are, and whether they are live."""

from typing import Any

from venomqa_hyp.errors import RollbackError, SystemUnavailable


class Handle:
    """What ``checkpoint`` returns; only the system that made it looks inside.

    :ivar content: what the checkpoint remembers; None once it is forgotten.
    """

    __slots__ = ("content", "name", "owner")

    def __init__(self, name: str, owner: object, content: Any) -> None:
        self.name = name
        self.owner: object | None = owner
        self.content = content

    def __repr__(self) -> str:
        return f"<Handle {self.name!r}>"


class HandleOwner:
    """A system that makes handles, and refuses those that are not live.

    :ivar name: of the system, for observations and errors.
    """

    #: What ends the life of a handle where the test did not, for the error.
    _ended_by = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self._owner = object()
        self._closed = False

    def is_live(self, handle: Handle) -> bool:
        """Tell whether ``handle`` can be rolled back to: any one of this system, until forgotten.

        Closing the system ends the life of all handles.
        """
        return isinstance(handle, Handle) and handle.owner is self._owner

    def forget(self, handle: Handle) -> None:
        """Free what only ``handle`` holds."""
        if self.is_live(handle):
            handle.owner = handle.content = None

    def close(self) -> None:
        """End the life of all handles."""
        self._owner = object()
        self._closed = True

    def _handle(self, name: str, content: Any) -> Handle:
        return Handle(name, self._owner, content)

    def _content(self, handle: Handle) -> Any:
        """Return what a live handle holds.

        :raises RollbackError: the handle is not live.
        """
        if self.is_live(handle):
            return handle.content
        cause = f"{self._ended_by} (ask is_live(handle) first), " if self._ended_by else ""
        raise RollbackError(
            f"{self.name}: cannot roll back to {handle!r}: {cause}it was forgotten, it is another "
            "adapter's, or this adapter was closed. Take a new checkpoint."
        )

    def _refuse_closed(self) -> None:
        """Raise SystemUnavailable if the system was closed."""
        if self._closed:
            raise SystemUnavailable(f"{self.name}: the adapter was closed; create a new one.")
