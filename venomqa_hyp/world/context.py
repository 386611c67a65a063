"""The key-value memory of one path."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from venomqa_hyp.errors import DefinitionError, RollbackError
from venomqa_hyp.values import snapshot


class Context(MutableMapping[str, Any]):
    """What actions remember for later ones: ids, tokens. It rolls back with the World."""

    def __init__(
        self,
        values: Mapping[str, object] | None = None,
        find_world: Callable[[], Any] | None = None,
    ) -> None:
        self._values: dict[str, Any] = dict(values or {})
        self._find_world = find_world

    @property
    def world(self) -> Any:
        """The World this context belongs to."""
        if self._find_world is None:
            raise DefinitionError("this context stands alone: only the one of a World has a world")
        return self._find_world()

    def set(self, key: str, value: object) -> None:
        """Store ``value`` under ``key``."""
        if not isinstance(key, str):
            raise DefinitionError(
                f"context key {key!r} is of type {type(key).__name__}, but keys are strings. "
                f"Write context.set({str(key)!r}, ...)."
            )
        self._values[key] = value

    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens when there is none."""
        self._values.pop(key, None)

    def values_under(self, key: str) -> list[Any]:
        """Return what is held under ``key``: the elements of a collection, or the one value."""
        return values_under(self._values, key)

    def save(self) -> dict[str, Any]:
        """Return a copy of everything held, which shares nothing mutable with it."""
        try:
            return {key: snapshot(value) for key, value in self._values.items()}
        except Exception as error:
            key = next(key for key, value in self._values.items() if not _copies(value))
            raise RollbackError(
                f"context[{key!r}] holds a {type(self._values[key]).__name__} that cannot be "
                f"copied ({error}), so it cannot roll back. Store plain values: an id instead of "
                "the object."
            ) from error

    def load(self, values: Mapping[str, object]) -> None:
        """Replace everything held by a copy of ``values``."""
        self._values = {key: snapshot(value) for key, value in values.items()}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: object) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __repr__(self) -> str:
        return f"Context({self._values!r})"


def values_under(held: Mapping[str, object], key: str) -> list[object]:
    """Return what is held under ``key``: the elements of a collection, or the one value."""
    if key not in held:
        return []
    value = held[key]
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return [value]


def _copies(value: object) -> bool:
    try:
        snapshot(value)
    except Exception:
        return False
    return True
