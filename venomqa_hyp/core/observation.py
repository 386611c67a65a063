"""What one system shows at one moment."""

import sys
from collections.abc import Collection, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

import attrs

from venomqa_hyp.core.digest import digest
from venomqa_hyp.core.encoding import shown

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_LONGEST_SUMMARY = 160


@attrs.frozen(eq=False)
class Observation:
    """The content of one system; two observations are equal when their digests are.

    :ivar system: the name of the system, as in ``World.systems``.
    :ivar data: everything that identifies the state. Not a sample: what is left out here makes
        different states look alike.
    :ivar metadata: for people and reports only; it is not part of the digest.
    """

    system: str
    data: Mapping[str, Any]
    metadata: Mapping[str, Any] = _EMPTY
    known_digest: str | None = attrs.field(default=None, repr=False)
    known_summary: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def create(
        cls,
        system: str,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        *,
        known_digest: str | None = None,
    ) -> Self:
        """Build an observation; give ``known_digest`` where the adapter keeps one up to date."""
        return cls(system, data, _EMPTY if metadata is None else metadata, known_digest)

    @cached_property
    def digest(self) -> str:
        """Return 32 hexadecimal digits that identify :attr:`data`."""
        return self.known_digest or digest(self.data, where=f"{self.system} observation")

    @property
    def summary(self) -> str:
        """Say in one line what is there: ``"orders 2, payments 1"``."""
        return summary(self.data) if self.known_summary is None else self.known_summary

    def without_data(self) -> Self:
        """Return the observation with nothing left but its digest and its summary."""
        return attrs.evolve(
            self,
            data=_EMPTY,
            metadata=_EMPTY,
            known_digest=self.digest,
            known_summary=sys.intern(self.summary),  # many states have the same
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Observation):
            return NotImplemented
        return self.system == other.system and self.digest == other.digest

    def __hash__(self) -> int:
        return hash((self.system, self.digest))


def summary(data: Mapping[str, Any]) -> str:
    """Say in one line what ``data`` holds: how many rows or items, or which values."""
    tables = data.get("tables", data)
    parts = (_brief(name, held) for name, held in tables.items())
    text = ", ".join(part for part in parts if part) or "empty"
    return text if len(text) <= _LONGEST_SUMMARY else f"{text[: _LONGEST_SUMMARY - 3]}..."


def _brief(name: Any, held: Any) -> str:
    if isinstance(held, Mapping) and "rows" in held:
        held = held["rows"]
    if isinstance(held, Collection) and not isinstance(held, (str, bytes, bytearray)):
        return f"{name} {len(held)}" if held else ""
    return f"{name}={shown(held)}"
