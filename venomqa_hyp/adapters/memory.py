"""A dict-like store for an application, or a fake, that runs in the same process."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from venomqa_hyp.adapters.handles import Handle, HandleOwner
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.values.digest import snapshot


class MemoryAdapter(HandleOwner, MutableMapping[Any, Any]):
    """Hold plain Python values under keys, and roll them back.

    The top-level dict keeps its identity over a rollback, the values in it do not: look a nested
    list or dict up again instead of keeping a reference to it. The order of keys is restored, but
    is no part of the observation.

    :param data: the application's own dict, used in place and not copied.
    :raises DefinitionError: ``data`` is not a dict.
    """

    def __init__(self, data: dict[Any, Any] | None = None, *, name: str = "memory") -> None:
        if data is not None and not isinstance(data, dict):
            raise DefinitionError(
                f"MemoryAdapter needs a dict and got a {type(data).__name__}: it is emptied and "
                "filled in place when it is rolled back. Write MemoryAdapter(dict(...))."
            )
        super().__init__(name)
        self._data: dict[Any, Any] = {} if data is None else data

    @property
    def data(self) -> dict[Any, Any]:
        """Return the dict itself, the same object over all rollbacks."""
        return self._data

    def checkpoint(self, name: str) -> Handle:
        """Remember a copy of everything.

        :raises DefinitionError: a value cannot be copied.
        """
        return self._handle(name, self._copied(self._data))

    def rollback(self, handle: Handle) -> None:
        """Restore the content of ``handle``.

        :raises RollbackError: the handle was forgotten, belongs to another adapter, or the
            adapter was closed.
        """
        restored = self._copied(self._content(handle))
        self._data.clear()
        self._data.update(restored)

    def observe(self) -> Observation:
        """Return a copy of everything; later changes of the store do not reach it.

        :raises DefinitionError: a value cannot be copied.
        """
        return Observation.create(self.name, self._copied(self._data))

    def _copied(self, content: dict[Any, Any]) -> dict[Any, Any]:
        try:
            copied: dict[Any, Any] = snapshot(content)
        except Exception as error:
            raise DefinitionError(
                f"{self.name}: {_culprit(content)} cannot be copied ({error}), so it could not be "
                "rolled back. Store plain values instead: numbers, text, lists, dicts, dataclasses."
            ) from error
        return copied

    def __getitem__(self, key: Any) -> Any:
        return self._data[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._data[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._data[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"MemoryAdapter({self._data!r}, name={self.name!r})"


def _culprit(content: dict[Any, Any]) -> str:
    for key, value in content.items():
        try:
            snapshot(value)
        except Exception:
            return f"the {type(value).__name__} under {key!r}"
    return "a value"
