"""What the systems made of plain Python values have in common: checkpoints that are copies."""

import threading
from collections.abc import Mapping
from typing import Any, Self

from venomqa_hyp.adapters.lifetime import not_live
from venomqa_hyp.core.observation import Observation


class Snapshot:
    """What ``checkpoint`` returns; only the system looks inside."""

    __slots__ = ("content", "name", "owner")

    def __init__(self, name: str, owner: object, content: Any) -> None:
        self.name = name
        self.owner: object | None = owner
        self.content = content

    def __repr__(self) -> str:
        return f"<Snapshot {self.name!r}>"


class SnapshotSystem:
    """A ``Rollbackable`` over ``_save``, ``_load`` and ``_describe``.

    The three are called with :attr:`_lock` held, which guards the content against the threads of a
    server. What ``_save`` returns shares nothing with the system that may still change.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._owner = object()
        self._lock = threading.RLock()

    def checkpoint(self, name: str) -> Snapshot:
        """Remember everything held now."""
        with self._lock:
            return Snapshot(name, self._owner, self._save())

    def rollback(self, handle: Snapshot) -> None:
        """Restore what was held at ``handle``.

        :raises RollbackError: the handle was forgotten, belongs to another system, or this one was
            closed.
        """
        if not self.is_live(handle):
            raise not_live(self.name, handle)
        with self._lock:
            self._load(handle.content)

    def observe(self) -> Observation:
        """Return everything held now; later changes do not reach it."""
        with self._lock:
            return Observation.create(self.name, self._describe())

    def is_live(self, handle: Snapshot) -> bool:
        """Tell whether ``handle`` can be rolled back to: until it is forgotten."""
        return isinstance(handle, Snapshot) and handle.owner is self._owner

    def forget(self, handle: Snapshot) -> None:
        """Free what ``handle`` holds."""
        if self.is_live(handle):
            handle.owner = handle.content = None

    def close(self) -> None:
        """End the life of all handles, and stop what was started."""
        self._owner = object()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _save(self) -> Any:
        raise NotImplementedError

    def _load(self, content: Any) -> None:
        raise NotImplementedError

    def _describe(self) -> Mapping[str, Any]:
        raise NotImplementedError
