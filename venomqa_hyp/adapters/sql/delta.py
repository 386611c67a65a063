"""What a database holds more and fewer than it did at the beginning: multisets of rows.

A row is a text that the database wrote: two rows are equal when their texts are, column by column
and byte by byte. Triggers report each row that was written (+1) or removed (-1); the sum of these
is the difference, whatever their order. So neither nested triggers, which report an inner statement
before the outer one, nor concurrent transactions can confuse it.

A moment is a difference from the beginning. The way between two moments is the difference of both.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

import attrs

#: The table's number, +1 for a row written or -1 for one removed, and the row.
Entry = tuple[int, int, str]
#: Table's number, row -> a number that depends on what of the row is observed.
Weigh = Callable[[int, str], int]

_MODULUS = 1 << 256


@attrs.frozen(eq=False)
class TableDelta:
    """How one table differs from what it was.

    :ivar counts: row -> how many of it there are more than in the beginning; never 0.
    :ivar weight: the sum of the weights of these rows; equal sums mean equal observed rows.
    """

    counts: Mapping[str, int] = MappingProxyType({})
    weight: int = 0

    def after(self, net: Mapping[str, int], weigh: Callable[[str], int]) -> "TableDelta":
        """Return the difference after a change by ``net``."""
        counts, weight = dict(self.counts), self.weight
        for row, change in net.items():
            weight += change * weigh(row)
            counts[row] = counts.get(row, 0) + change
            if not counts[row]:
                del counts[row]
        return TableDelta(counts, weight % _MODULUS)


@attrs.frozen
class Move:
    """What to do to a table: the rows to remove first, then those to add; equal rows are listed."""

    remove: tuple[str, ...]
    add: tuple[str, ...]


@attrs.frozen(eq=False)
class Delta:
    """How all tables differ from what they were; it never changes.

    :ivar tables: number of the table -> its difference; tables without one may be missing.
    """

    tables: Mapping[int, TableDelta] = MappingProxyType({})

    def after(self, entries: Iterable[Entry], weigh: Weigh) -> "Delta":
        """Return the difference after ``entries``, in time proportional to the tables they name."""
        nets: dict[int, Counter[str]] = {}
        for table, sign, row in entries:
            nets.setdefault(table, Counter())[row] += sign
        tables = dict(self.tables)
        for table, counter in nets.items():
            net = {row: change for row, change in counter.items() if change}
            if net:
                before = tables.get(table, _NOTHING)
                tables[table] = before.after(net, partial(weigh, table))
        return Delta(tables) if nets else self

    def moves_to(self, target: "Delta") -> dict[int, Move]:
        """Return what leads from here to ``target``, for each table that has to change."""
        moves = {}
        for table in {*self.tables, *target.tables}:
            here, there = self.tables.get(table, _NOTHING), target.tables.get(table, _NOTHING)
            if here is not there and (move := _move(here.counts, there.counts)):
                moves[table] = move
        return moves


_NOTHING = TableDelta()


def _move(here: Mapping[str, int], there: Mapping[str, int]) -> Move | None:
    differing = {row for row, _ in here.items() ^ there.items()}
    remove: list[str] = []
    add: list[str] = []
    for row in sorted(differing):
        change = there.get(row, 0) - here.get(row, 0)
        (add if change > 0 else remove).extend([row] * abs(change))
    return Move(tuple(remove), tuple(add)) if differing else None
