"""The statements that remove and add rows, none longer than the server takes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from venomqa_hyp.adapters.mysql.driver import BYTES_AT_ONCE
from venomqa_hyp.adapters.mysql.rows import Layout

#: How many rows are looked for at once.
AT_ONCE = 500
_T = TypeVar("_T")


def removals(layout: Layout, rows: Sequence[str]) -> Sequence[str]:
    """Return the statements that remove rows; together they affect as many rows as are listed."""
    if layout.key:
        return [
            f"DELETE FROM {layout.sql} WHERE "
            f"{layout.found_by_key([layout.key_of(row) for row in some])}"
            for some in chunks(rows, AT_ONCE)
        ]
    return [f"DELETE FROM {layout.sql} WHERE {layout.found_by_all(row)} LIMIT 1" for row in rows]


def additions(layout: Layout, rows: Sequence[str]) -> Sequence[str]:
    """Return the statements that write rows."""
    return [layout.inserted(some) for some in batches(rows)]


def chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Cut a sequence into parts of at most ``size`` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def batches(rows: Iterable[str]) -> Iterator[Sequence[str]]:
    """Cut rows into parts that are short enough for one statement, or have one row only."""
    batch: list[str] = []
    size = 0
    for row in rows:
        if batch and size + len(row) > BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row)
    if batch:
        yield batch
