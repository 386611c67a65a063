"""What a step changed in the rows of a database, for reports.

Works on observations whose ``data`` has the shape of the SQL adapters::

    {"tables": {"orders": {"columns": ("id", "total"), "key": ("id",), "rows": [(1, 250)]}}}

A table may show only how it differs from a base that both observations have: ``rows`` are then
those that the base does not have, and ``removed`` those that only the base has.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from venomqa_hyp.core.observation import Observation
from venomqa_hyp.values.digest import canonical_text


@attrs.frozen
class RowChange:
    """One row before and after.

    :ivar key: values of the table's key columns.
    :ivar before: column -> value; None for a row that was added.
    :ivar after: column -> value; None for a row that was removed.
    """

    key: tuple[object, ...]
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns whose value, or type of value, is not the same."""
        before, after = self.before or {}, self.after or {}
        return tuple(
            column
            for column in {**before, **after}
            if column not in before
            or column not in after
            or canonical_text(before[column]) != canonical_text(after[column])
        )


@attrs.frozen
class TableChanges:
    """The rows of one table that differ between two observations."""

    table: str
    added: tuple[RowChange, ...] = ()
    removed: tuple[RowChange, ...] = ()
    changed: tuple[RowChange, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether any row differs."""
        return bool(self.added or self.removed or self.changed)


def _tables(seen: Observation) -> Mapping[str, Any]:
    held: Any = seen.data.get("tables", {})
    return held if isinstance(held, Mapping) else {}


def changes(before: Observation, after: Observation) -> tuple[TableChanges, ...]:
    """Return the tables with different rows, sorted by name.

    Rows are the same row when their keys are equal. In a table with no key the whole row is the
    key, so that a change shows as one row removed and one added. Observations without tables
    have no changes.
    """
    old, new = _tables(before), _tables(after)
    compared = (_compare(name, old.get(name), new.get(name)) for name in sorted({*old, *new}))
    return tuple(table for table in compared if table)


_Table = Mapping[str, Any]


@attrs.frozen
class _Keyed:
    key: tuple[object, ...]
    row: Mapping[str, object]


def _compare(name: str, before: _Table | None, after: _Table | None) -> TableChanges:
    net: Counter[str] = Counter()
    rows: dict[str, _Keyed] = {}
    for sign, table in ((-1, before), (1, after)):
        for part, change in (("rows", sign), ("removed", -sign)):
            for keyed in _keyed(table, part):
                text = canonical_text(keyed.row)
                net[text] += change
                rows[text] = keyed
    old = _by_key(rows[text] for text in net for _ in range(-net[text]))
    new = _by_key(rows[text] for text in net for _ in range(net[text]))
    return TableChanges(
        name,
        added=tuple(RowChange(is_.key, None, is_.row) for k, is_ in new.items() if k not in old),
        removed=tuple(RowChange(was.key, was.row, None) for k, was in old.items() if k not in new),
        changed=tuple(
            RowChange(was.key, was.row, new[k].row) for k, was in old.items() if k in new
        ),
    )


def _keyed(table: _Table | None, part: str) -> Iterator[_Keyed]:
    if table is None:
        return
    for values in table.get(part, ()):
        row = dict(zip(table["columns"], values, strict=True))
        yield _Keyed(tuple(row[column] for column in table.get("key") or row), row)


def _by_key(rows: Iterable[_Keyed]) -> dict[tuple[str, int], _Keyed]:
    """Return the rows under the text of their key and a count.

    The count tells rows of equal key apart: a table may have no key, and SQLite allows NULL in one.
    """
    seen: Counter[str] = Counter()
    keyed = {}
    for row in rows:
        text = canonical_text(row.key)
        keyed[text, seen[text]] = row
        seen[text] += 1
    return keyed
