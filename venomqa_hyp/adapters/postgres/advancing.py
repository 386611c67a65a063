"""Sequences that go on counting, so that no id is ever given twice."""

from collections.abc import Mapping

from venomqa_hyp.adapters.postgres.catalog import Catalog
from venomqa_hyp.adapters.postgres.driver import Connection

#: Where the first one goes on, and how far apart they are: the numbers of one look like no other's,
#: and all of them like ids, whatever else the service counts.
FIRST, APART = 1_000_000_000, 10_000_000

Positions = Mapping[int, tuple[int, bool]]


class Advancing:
    """Sets sequences far ahead, and back to where they were at the end.

    :ivar numbers: those that go on counting: a ``smallserial`` has no room for that.
    """

    def __init__(self, connection: Connection, catalog: Catalog) -> None:
        self._connection = connection
        wanted = [sequence.number for sequence in catalog.sequences]
        found = connection.execute(_POSITIONS, [wanted])
        ahead = {row[0]: FIRST + at * APART for at, row in enumerate(found)}
        self._starts: Positions = {
            number: (last, called)
            for number, most, last, called in found
            if ahead[number] + APART <= most
        }
        self.numbers = frozenset(self._starts)
        self._set({number: (ahead[number], False) for number in self._starts})

    def set_back(self) -> None:
        """Let the sequences go on from where they were at the start."""
        self._set(self._starts)

    def _set(self, positions: Positions) -> None:
        columns = [
            list(positions),
            [last for last, _ in positions.values()],
            [called for _, called in positions.values()],
        ]
        self._connection.execute(_SET, columns)


# Ascending ones; last_value is NULL before the first use.
_POSITIONS = """
    SELECT seqrelid::bigint, seqmax, coalesce(pg_sequence_last_value(seqrelid), seqstart),
        pg_sequence_last_value(seqrelid) IS NOT NULL
    FROM pg_sequence WHERE seqrelid = ANY (%s::bigint[]::oid[]) AND seqincrement > 0
    ORDER BY seqrelid
"""
_SET = """
    SELECT setval(number::oid::regclass, last, called)
    FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[]) AS wanted (number, last, called)
"""
