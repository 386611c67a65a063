"""The smallest systems that tests of the World need, each with one property."""

from typing import Any

from venomqa_hyp import Observation


class Stack:
    """A store whose later checkpoints die on rollback, as a database's savepoints do."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.saved: list[tuple[object, dict[str, Any]]] = []
        self.forgotten = 0

    def checkpoint(self, name: str) -> object:
        handle = object()
        self.saved.append((handle, dict(self.data)))
        return handle

    def rollback(self, handle: object) -> None:
        handles = [item for item, _ in self.saved]
        if handle not in handles:
            raise LookupError("savepoint does not exist")
        del self.saved[handles.index(handle) + 1 :]
        self.data.clear()
        self.data.update(self.saved[-1][1])

    def observe(self) -> Observation:
        return Observation.create("stack", dict(self.data))

    def is_live(self, handle: object) -> bool:
        return any(item is handle for item, _ in self.saved)

    def forget(self, handle: object) -> None:
        self.forgotten += 1


class Snapshots:
    """A store whose checkpoints live until forgotten; counts what is asked of it.

    Errors given for a method are raised by it, one per call and in that order; None is no error.
    """

    def __init__(self, **errors: list[BaseException | None]) -> None:
        self.data: dict[str, Any] = {}
        self.live: dict[int, dict[str, Any]] = {}
        self.taken = 0
        self.closed = 0
        self.errors = errors

    def checkpoint(self, name: str) -> int:
        self._fail("checkpoint")
        self.taken += 1
        self.live[self.taken] = dict(self.data)
        return self.taken

    def rollback(self, handle: int) -> None:
        self._fail("rollback")
        self.data.clear()
        self.data.update(self.live[handle])

    def observe(self) -> Observation:
        self._fail("observe")
        return Observation.create("snapshots", dict(self.data))

    def forget(self, handle: int) -> None:
        self._fail("forget")
        del self.live[handle]

    def close(self) -> None:
        self.closed += 1
        self._fail("close")

    def _fail(self, method: str) -> None:
        planned = self.errors.get(method)
        error = planned.pop(0) if planned else None
        if error is not None:
            raise error
