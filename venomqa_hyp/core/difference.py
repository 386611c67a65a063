"""What a step changed in the rows of a database, for reports.

Works on observations whose ``data`` has the shape of the SQL adapters::

    {"tables": {"orders": {"columns": ("id", "total"), "key": ("id",), "rows": [(1, 250)]}}}
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from venomqa_hyp.core.digest import canonical_text
from venomqa_hyp.core.observation import Observation


@attrs.frozen
class RowChange:
    """One row before and after.

    :ivar key: values of the table's key columns.
    :ivar before: column -> value; None for a row that was added.
    :ivar after: column -> value; None for a row that was removed.
    """

    key: tuple[Any, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

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


def changes(before: Observation, after: Observation) -> tuple[TableChanges, ...]:
    """Return the tables with different rows, sorted by name.

    Rows are the same row when their keys are equal. In a table with no key the whole row is the
    key, so that a change shows as one row removed and one added. Observations without tables
    have no changes.
    """
    old, new = before.data.get("tables", {}), after.data.get("tables", {})
    compared = (_compare(name, old.get(name), new.get(name)) for name in sorted({*old, *new}))
    return tuple(table for table in compared if table)


_Row = Mapping[str, Any]


@attrs.frozen
class _Keyed:
    key: tuple[Any, ...]
    row: _Row


def _compare(name: str, before: _Row | None, after: _Row | None) -> TableChanges:
    old, new = _by_key(before), _by_key(after)
    pairs = [RowChange(was.key, was.row, new[same].row) for same, was in old.items() if same in new]
    return TableChanges(
        name,
        added=tuple(RowChange(is_.key, None, is_.row) for k, is_ in new.items() if k not in old),
        removed=tuple(RowChange(was.key, was.row, None) for k, was in old.items() if k not in new),
        changed=tuple(pair for pair in pairs if pair.columns),
    )


def _by_key(table: _Row | None) -> dict[tuple[str, int], _Keyed]:
    """Return the rows under the text of their key and a count.

    The count tells rows of equal key apart: a table may have no key, and SQLite allows NULL in one.
    """
    if table is None:
        return {}
    columns = table["columns"]
    key_columns = table.get("key") or columns
    seen: Counter[str] = Counter()
    keyed = {}
    for values in table["rows"]:
        row = dict(zip(columns, values, strict=True))
        key = tuple(row[column] for column in key_columns)
        text = canonical_text(key)
        keyed[text, seen[text]] = _Keyed(key, row)
        seen[text] += 1
    return keyed
