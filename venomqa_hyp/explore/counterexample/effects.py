"""What a step changed: rows of tables, and values in systems of any other shape."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from venomqa_hyp.core import Observation, State, TableChanges, changes
from venomqa_hyp.core.counterexample import ADDED, CHANGED, REMOVED
from venomqa_hyp.errors import DigestError
from venomqa_hyp.values import canonical_text

#: SQLite's AUTOINCREMENT counters and the like: they follow from the rows that were added.
INTERNAL_TABLES = "sqlite_"
#: So deep mappings are compared key by key; deeper ones as a whole.
_DEEPEST = 8
_GONE = object()


@attrs.frozen(eq=False)
class Effect:
    """One thing that is not as it was.

    :ivar place: the table and the values of the row's key; or the keys that lead to a value.
    :ivar before: a row, or a value; ``None`` where it was added.
    :ivar key: the columns whose values are in the place of a row.
    :ivar columns: those that differ in a row that was changed.
    """

    system: str
    kind: str
    place: tuple[Any, ...]
    before: Any
    after: Any
    is_row: bool = False
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def effects(before: State | None, after: State | None) -> tuple[Effect, ...]:
    """Return what differs between two states, but for the client, whose values are credentials."""
    if before is None or after is None:
        return ()
    found: list[Effect] = []
    for system, seen in after.observations.items():
        was = before.observations.get(system)
        if system != "api" and was is not None and was != seen:
            found += _of_system(system, was, seen)
    return tuple(found)


def _of_system(system: str, before: Observation, after: Observation) -> list[Effect]:
    if isinstance(after.data.get("tables"), Mapping):
        tables = changes(before, after)
        found: list[Effect] = []
        for table in tables:
            described = after.data["tables"].get(table.table) or before.data["tables"][table.table]
            found += _of_table(system, table, tuple(described.get("key") or ()))
        is_known = bool(tables)
    else:
        found = list(_of_values(system, (), _flat(before.data), _flat(after.data)))
        is_known = bool(found)
    return found if is_known else [Effect(system, CHANGED, (), None, None)]


def _of_table(system: str, table: TableChanges, key: tuple[str, ...]) -> Iterator[Effect]:
    if table.table.startswith(INTERNAL_TABLES):
        return
    kinds = ((REMOVED, table.removed), (CHANGED, table.changed), (ADDED, table.added))
    for kind, rows in kinds:
        for row in rows:
            place = (table.table, *(row.key if key else ()))
            yield Effect(system, kind, place, row.before, row.after, True, key, row.columns)


def _flat(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a Redis adapter shows as key -> value; other data as they are."""
    databases = data.get("databases")
    if not isinstance(databases, Mapping) or "start" not in data:
        return data
    found = {}
    for number, groups in databases.items():
        for group, keys in groups.items():
            for name, value in keys.items():
                key = f"{group}{name}" if isinstance(name, str) else f"{group}{name!r}"
                if value is not None:
                    place = key if number == "0" else f"{key} (database {number})"
                    found[place] = _content(value)
    return found


def _content(value: Any) -> Any:
    """Return what a key holds, without its type where nothing else is known of it."""
    return next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value


def _of_values(system: str, place: tuple[Any, ...], before: Any, after: Any) -> Iterator[Effect]:
    if _text(before) == _text(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping) and len(place) < _DEEPEST:
        for key in [*before, *(key for key in after if key not in before)]:
            one, other = before.get(key, _GONE), after.get(key, _GONE)
            at = (*place, key)
            if one is _GONE:
                yield Effect(system, ADDED, at, None, other)
            elif other is _GONE:
                yield Effect(system, REMOVED, at, one, None)
            else:
                yield from _of_values(system, at, one, other)
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        yield from _of_items(system, place, before, after)
    else:
        yield Effect(system, CHANGED, place, before, after)


def _of_items(system: str, place: tuple[Any, ...], before: Any, after: Any) -> Iterator[Effect]:
    """Yield the items that only one of two lists has; both lists where only the order differs."""
    old, new = Counter(map(_text, before)), Counter(map(_text, after))
    if old == new:
        yield Effect(system, CHANGED, place, before, after)
    for kind, items, surplus in ((REMOVED, before, old - new), (ADDED, after, new - old)):
        for item in items:
            if surplus[_text(item)] > 0:
                surplus[_text(item)] -= 1
                one, other = (item, None) if kind == REMOVED else (None, item)
                yield Effect(system, kind, place, one, other)


def _text(value: object) -> str:
    try:
        return canonical_text(value)
    except DigestError:
        return repr(value)
