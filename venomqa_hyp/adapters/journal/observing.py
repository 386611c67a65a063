"""Observations made of differences: what is shown of a table is what was done to it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from venomqa_hyp.adapters.journal.delta import Delta, TableDelta
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.values.digest import canonical_text, digest


@attrs.frozen
class Table:
    """How a table is observed.

    :ivar columns: names of the observed columns.
    :ivar key: the columns that tell rows apart; none where the whole row does.
    :ivar base: identifies the content at the beginning.
    :ivar read: row -> the values of the observed columns. Different rows that differ in these must
        give different values, since they tell states apart.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    base: str
    read: Callable[[str], tuple[Any, ...]]

    def weigh(self, row: str) -> int:
        """Return a number of 256 bits that stands for the observed values of a row."""
        text = canonical_text(self.read(row), where=self.name)
        hashed = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32)
        return int.from_bytes(hashed.digest(), "big")

    def show(self, delta: TableDelta | None) -> Mapping[str, Any]:
        """Return the part of ``Observation.data`` for this table."""
        counts: Counter[str] = Counter()
        values: dict[str, tuple[Any, ...]] = {}
        for row, count in delta.counts.items() if delta else ():
            read = self.read(row)
            text = canonical_text(read)
            values[text] = read
            counts[text] += count
        texts = sorted(values)
        return {
            "columns": self.columns,
            "key": self.key,
            "rows": [values[text] for text in texts for _ in range(counts[text])],
            "removed": [values[text] for text in texts for _ in range(-counts[text])],
            "base": self.base,
        }


class Rows(Mapping[str, Mapping[str, Any]]):
    """The rows of all observed tables, read out of the difference when they are first asked for."""

    def __init__(self, tables: Mapping[int, Table], delta: Delta) -> None:
        self._numbers = {table.name: number for number, table in tables.items()}
        self._tables = tables
        self._delta = delta
        self._shown: dict[str, Mapping[str, Any]] = {}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if name not in self._shown:
            number = self._numbers[name]
            self._shown[name] = self._tables[number].show(self._delta.tables.get(number))
        return self._shown[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def observation(
    system: str,
    tables: Mapping[int, Table],
    delta: Delta,
    others: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> Observation:
    """Return the observation of a difference.

    :param tables: number -> each observed table.
    :param others: what stands beside ``tables`` in the data, such as sequences.
    """
    bases = {table.name: table.base for table in tables.values()}
    weights = {
        tables[number].name: of_table.weight
        for number, of_table in delta.tables.items()
        if number in tables and of_table.weight
    }
    return Observation.create(
        system,
        {"tables": Rows(tables, delta), **others},
        metadata,
        known_digest=digest([bases, weights, others], where=f"{system} observation"),
    )
