"""Read the whole content of a database: every row, every sequence, and the named queries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from venomqa_hyp.adapters.postgres.catalog import JOURNAL, dotted, literal, quoted
from venomqa_hyp.adapters.postgres.rows import Load, load_of
from venomqa_hyp.errors import DefinitionError

#: Runs a query and returns its rows.
Ask = Callable[[str], Sequence[tuple[Any, ...]]]
#: Name -> (last value, whether it was given out).
Counters = Mapping[str, tuple[int, bool]]

_OF_APPLICATION = f"""
n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '{JOURNAL}')
AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
    AND deptype = 'e')
"""
# A partitioned table is read as one; the children of an inheritance are tables of their own.
# Generated columns follow from the others. Of a domain, the type beneath counts.
_TABLES = f"""
SELECT n.nspname, c.relname, c.relkind = 'p', columns.names, columns.types,
    ARRAY(SELECT a.attname::text FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{{}}') AS names,
        coalesce(array_agg(CASE t.typbasetype WHEN 0 THEN t.oid ELSE t.typbasetype END::int8
            ORDER BY a.attnum), '{{}}') AS types
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
) AS columns
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_OF_APPLICATION} ORDER BY 1, 2
"""
_SEQUENCES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND {_OF_APPLICATION} ORDER BY 1, 2
"""


@attrs.frozen
class Plan:
    """What is observed.

    :ivar tables: names of the tables whose rows count; None means all.
    :ivar ignored: table -> columns that are left out.
    :ivar schemas: names of the schemas that count; None means all of the application's.
    :ivar queries: (name, SQL) of the named queries.
    """

    tables: frozenset[str] | None = None
    ignored: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    schemas: frozenset[str] | None = None
    queries: tuple[tuple[str, str], ...] = ()

    def counts(self, schema: str) -> bool:
        """Tell whether the tables and sequences of a schema are observed."""
        return self.schemas is None or schema in self.schemas


@attrs.frozen
class _Table:
    name: str
    source: str
    columns: tuple[str, ...]
    loads: tuple[Load, ...]
    key: tuple[str, ...]

    def read(self, ask: Ask) -> Mapping[str, Any]:
        values = ", ".join(f"t.{quoted(column)}::text" for column in self.columns) or "NULL"
        order = ", ".join(f"t.{quoted(key)}" for key in self.key) or 't::text COLLATE "C"'
        found = ask(f"SELECT {values} FROM {self.source} AS t ORDER BY {order}")
        rows = [_loaded(row, self.loads) for row in found]
        return {"columns": self.columns, "key": self.key, "rows": rows}


def read(ask: Ask, plan: Plan) -> dict[str, Any]:
    """Return tables and sequences, as they stand in the ``data`` of an observation."""
    return {
        "tables": {table.name: table.read(ask) for table in _tables(ask, plan)},
        "sequences": read_sequences(ask, plan),
    }


def read_sequences(ask: Ask, plan: Plan) -> Counters:
    """Return where every sequence stands."""
    found = {
        dotted(schema, name): f"{quoted(schema)}.{quoted(name)}"
        for schema, name in ask(_SEQUENCES)
        if plan.counts(schema)
    }
    queries = [
        f"SELECT {literal(name)}, last_value, is_called FROM {source}"
        for name, source in found.items()
    ]
    values = ask(" UNION ALL ".join(queries)) if queries else ()
    return {str(name): (int(last), bool(given)) for name, last, given in values}


def set_sequences(ask: Ask, wanted: Counters) -> None:
    """Set back the sequences that stand elsewhere; all of the wanted ones must exist."""
    present = read_sequences(ask, Plan())
    sources = {dotted(*row): f"{quoted(row[0])}.{quoted(row[1])}" for row in ask(_SEQUENCES)}
    calls = [
        f"setval({literal(sources[name])}, {last}, {given})"
        for name, (last, given) in wanted.items()
        if present[name] != (last, given)
    ]
    if calls:
        ask(f"SELECT {', '.join(calls)}")


def checked(ask: Ask, plan: Plan) -> Plan:
    """Return the plan.

    :raises DefinitionError: it names a table or column that does not exist.
    """
    tables = {table.name: table for table in _tables(ask, Plan(schemas=plan.schemas))}
    if unknown := sorted({*(plan.tables or ()), *plan.ignored}.difference(tables)):
        raise DefinitionError(
            f"the database has no table {unknown[0]!r}. Its tables: {sorted(tables)}."
        )
    for name, columns in plan.ignored.items():
        if missing := sorted(columns.difference(tables[name].columns)):
            raise DefinitionError(
                f"table {name!r} has no column {missing[0]!r}. Its columns: "
                f"{list(tables[name].columns)}."
            )
    return plan


def _tables(ask: Ask, plan: Plan) -> Iterator[_Table]:
    for schema, relation, partitioned, columns, types, key in ask(_TABLES):
        name = dotted(schema, relation)
        if not plan.counts(schema) or (plan.tables is not None and name not in plan.tables):
            continue
        left_out = plan.ignored.get(name, frozenset())
        kept = [pair for pair in zip(columns, types, strict=True) if pair[0] not in left_out]
        yield _Table(
            name,
            f"{'' if partitioned else 'ONLY '}{quoted(schema)}.{quoted(relation)}",
            tuple(column for column, _ in kept),
            tuple(load_of(kind) for _, kind in kept),
            tuple(key) if left_out.isdisjoint(key) else (),
        )


def _loaded(row: Sequence[str | None], loads: Sequence[Load]) -> tuple[Any, ...]:
    # A table without columns was asked for one NULL per row.
    pairs = zip(row, loads, strict=False)
    return tuple(None if text is None else load(text) for text, load in pairs)
