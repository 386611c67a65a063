"""What one system shows at one moment."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Self

import attrs

from venomqa_hyp.core.redaction import REDACTED, Redaction
from venomqa_hyp.values.digest import digest
from venomqa_hyp.values.encoding import shown

_EMPTY: Mapping[str, object] = MappingProxyType({})
_LONGEST_SUMMARY = 160
#: A status, a kind, a role: what a state is known by.
_WORD = re.compile(r"[^\W\d][^\W\d]{0,19}")
_REDACTION = Redaction()
_SMALL_TABLE = 50
_FEW = 4


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
        data: Mapping[str, object],
        metadata: Mapping[str, object] | None = None,
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
        """Say in one line what is there: ``"orders 2 (1 new, 1 paid); payments 1"``."""
        if self.known_summary is not None:
            return self.known_summary
        # The client's own values are credentials.
        return _summary(self.data, _kind if self.system == "api" else shown)

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


def _summary(data: Mapping[str, object], show: Callable[[Any], str]) -> str:
    told = ""
    tables = data.get("tables")
    for name, held in (tables if isinstance(tables, Mapping) else data).items():
        part = _part(name, held, show)
        told += f"; {part}" if told and part else part
        if len(told) > _LONGEST_SUMMARY:  # there may be thousands of keys
            return f"{told[: _LONGEST_SUMMARY - 3]}..."
    return told or "empty"


def _part(name: object, held: object, show: Callable[[Any], str]) -> str:
    if isinstance(held, Mapping) and isinstance(held.get("rows"), (list, tuple)):
        columns = held.get("columns")
        return _table_part(name, held["rows"], columns if isinstance(columns, tuple | list) else ())
    if isinstance(held, Collection) and not isinstance(held, (str, bytes, bytearray)):
        return f"{name} {len(held)}" if held else ""
    is_secret = held and not isinstance(held, bool) and _REDACTION.hides(name)
    return f"{name}={REDACTED if is_secret else show(held)}"


def _table_part(name: object, rows: Collection[Any], columns: Sequence[object]) -> str:
    """Count the rows, and in a small table the words of each column that holds but a few."""
    if not rows:
        return ""
    counts: Counter[str] = Counter()
    if len(rows) <= _SMALL_TABLE and all(isinstance(row, (tuple, list)) for row in rows):
        for label, column in zip_longest(columns, zip(*rows, strict=False), fillvalue=()):
            if _REDACTION.hides(label):
                continue
            if all(isinstance(item, str) and _WORD.fullmatch(item) for item in column):
                counts.update(column if len(set(column)) <= _FEW else ())
    words = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{name} {len(rows)} ({words})" if words else f"{name} {len(rows)}"


def _kind(value: object) -> str:
    return type(value).__name__
