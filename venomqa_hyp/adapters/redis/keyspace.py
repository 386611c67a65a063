"""A persistent map: a new version shares all but the changed parts with the one before it.

Two levels of 64 branches over small dicts. Keeping a version costs the memory of what changed, and
comparing two versions costs what differs, since equal parts are the same object.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, Self, TypeVar

_BITS = 6
_WIDTH = 1 << _BITS
_MASK = _WIDTH - 1

K = TypeVar("K")
V = TypeVar("V")

_Leaf = dict[K, V]
_Branch = tuple[_Leaf[K, V], ...]


class Keyspace(Generic[K, V]):
    """An immutable mapping with cheap changed copies and cheap differences."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        empty: _Leaf[K, V] = {}
        branch: _Branch[K, V] = (empty,) * _WIDTH
        self._root: tuple[_Branch[K, V], ...] = (branch,) * _WIDTH

    def get(self, key: K) -> V | None:
        """Return the value of ``key``, or None."""
        at = hash(key)
        return self._root[at & _MASK][at >> _BITS & _MASK].get(key)

    def changed(self, changes: Mapping[K, V | None]) -> Self:
        """Return a version with these values; None removes a key."""
        if not changes:
            return self
        leaves: dict[tuple[int, int], _Leaf[K, V]] = {}
        for key, value in changes.items():
            at = hash(key)
            where = at & _MASK, at >> _BITS & _MASK
            if where not in leaves:
                leaves[where] = dict(self._root[where[0]][where[1]])
            if value is None:
                leaves[where].pop(key, None)
            else:
                leaves[where][key] = value
        root = list(self._root)
        for (high, low), leaf in leaves.items():
            branch = list(root[high])
            branch[low] = leaf
            root[high] = tuple(branch)
        version = type(self)()
        version._root = tuple(root)
        return version

    def differences(self, other: Self) -> Iterator[tuple[K, V | None, V | None]]:
        """Yield key, value here and value there, for all that are not the same object."""
        for mine, theirs in zip(self._root, other._root, strict=True):
            if mine is not theirs:
                for here, there in zip(mine, theirs, strict=True):
                    if here is not there:
                        for key in {**here, **there}:
                            value, its = here.get(key), there.get(key)
                            if value is not its:
                                yield key, value, its

    def __iter__(self) -> Iterator[K]:
        for branch in self._root:
            for leaf in branch:
                yield from leaf
