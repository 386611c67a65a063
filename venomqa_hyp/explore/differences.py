"""Saying in words what differs between two states."""

from collections.abc import Iterator, Mapping
from typing import Any

from venomqa_hyp.core import Observation, State, canonical_text, changes
from venomqa_hyp.errors import DigestError

_AT_MOST = 5


def describe(expected: State, arrived: State) -> str:
    """Return which systems, tables, columns and context keys differ, with both values."""
    found = [
        text
        for name, seen in arrived.observations.items()
        if seen != expected.observations[name]
        for text in _in_system(name, expected.observations[name], seen)
    ]
    found += _in_mapping("context", expected.context, arrived.context)
    more = f"; and {len(found) - _AT_MOST} more" if len(found) > _AT_MOST else ""
    return "; ".join(found[:_AT_MOST]) + more


def _in_system(name: str, before: Observation, after: Observation) -> Iterator[str]:
    if "tables" not in before.data:
        yield from _in_mapping(f"system {name!r}", before.data, after.data)
        return
    tables = changes(before, after)
    for table in tables:
        where = f"system {name!r}, table {table.table!r}"
        for row in table.changed:
            for column in row.columns:
                old, new = (row.before or {}).get(column), (row.after or {}).get(column)
                yield f"{where}, row {row.key!r}, column {column!r}: {old!r:.60} and {new!r:.60}"
        for row in table.removed:
            yield f"{where}: row {row.before!r:.120} only the first time"
        for row in table.added:
            yield f"{where}: row {row.after!r:.120} only the second time"
    if not tables:
        yield from _in_mapping(f"system {name!r}", _rest(before), _rest(after))


def _rest(seen: Observation) -> Mapping[str, Any]:
    return {key: item for key, item in seen.data.items() if key != "tables"}


def _in_mapping(where: str, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[str]:
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in after:
            yield f"{where}[{key!r}]: {before[key]!r:.60} only the first time"
        elif key not in before:
            yield f"{where}[{key!r}]: {after[key]!r:.60} only the second time"
        elif _text(before[key]) != _text(after[key]):
            if isinstance(before[key], Mapping) and isinstance(after[key], Mapping):
                yield from _in_mapping(f"{where}[{key!r}]", before[key], after[key])
            else:
                yield f"{where}[{key!r}]: {before[key]!r:.60} and {after[key]!r:.60}"


def _text(value: Any) -> str:
    try:
        return canonical_text(value)
    except DigestError:
        return ""  # such a value does not tell states apart
