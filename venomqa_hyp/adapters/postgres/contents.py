"""Read the whole content of a database: every row, every sequence, and the named queries."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from venomqa_hyp.adapters.postgres.catalog import JOURNAL, dotted, literal, quoted
from venomqa_hyp.adapters.postgres.driver import NOT_ALLOWED, Failed, Load, Session, load_of
from venomqa_hyp.adapters.postgres.rows import PARTITIONS
from venomqa_hyp.adapters.sql import Choice, Queries, refuse_unknown
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

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
# With the table whose column a sequence belongs to.
_SEQUENCES = f"""
SELECT n.nspname, c.relname, coalesce(owner.schema, ''), coalesce(owner.name, '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT nspname, relname FROM pg_depend JOIN pg_class AS t ON t.oid = refobjid
    JOIN pg_namespace AS s ON s.oid = t.relnamespace
    WHERE classid = 'pg_class'::regclass AND objid = c.oid
        AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
) AS owner (schema, name) ON true
WHERE c.relkind = 'S' AND {_OF_APPLICATION} ORDER BY 1, 2
"""


@attrs.frozen
class _Table:
    name: str
    source: str
    columns: tuple[str, ...]
    loads: tuple[Load, ...]
    key: tuple[str, ...]

    def read(self, session: Session) -> Mapping[str, Any]:
        columns = [f"t.{quoted(column)}" for column in self.columns]
        values = ", ".join(f"{column}::text" for column in columns) or "NULL"
        # Not by columns that are left out: they would show in the order of the rows.
        whole = f'ROW({", ".join(columns)})::text COLLATE "C"'
        order = ", ".join(f"t.{quoted(key)}" for key in self.key) or whole
        found = session.execute(f"SELECT {values} FROM {self.source} AS t ORDER BY {order}")
        rows = [_loaded(row, self.loads) for row in found]
        return {"columns": self.columns, "key": self.key, "rows": rows}


class Contents:
    """Reads a database whole, in the schema it has at that moment.

    :param schemas: names of the schemas that count; None means all of the application's.
    :raises DefinitionError: a table, column or schema that is named does not exist.
    """

    def __init__(
        self,
        session: Session,
        system: str,
        choice: Choice | None = None,
        schemas: Iterable[str] | None = None,
    ) -> None:
        if isinstance(schemas, str):
            raise DefinitionError(f"schemas={schemas!r} must be a list: [{schemas!r}].")
        self._session = session
        self._system = system
        self._choice = choice or Choice()
        self._schemas = None if schemas is None else frozenset(schemas)
        self._check()
        self.queries = Queries(session.read, system, "PostgreSQL", Failed)

    def observe(self) -> Observation:
        """Read everything.

        :raises SystemUnavailable: something cannot be read.
        """
        try:
            data = {
                "tables": {table.name: table.read(self._session) for table in self._tables()},
                "sequences": _positions(self._session, self._sequences()),
                "queries": self.queries.answers(),
            }
        except Failed as error:
            remedy = (
                " Write GRANT pg_read_all_data TO that role, or observe_tables=[what it may read]."
                if error.sqlstate == NOT_ALLOWED
                else ""
            )
            raise SystemUnavailable(
                f"{self._system}: cannot read the content: {error}{remedy}"
            ) from error
        return Observation.create(self._system, data)

    def _tables(self) -> Iterator[_Table]:
        for schema, relation, partitioned, columns, types, key in self._session.execute(_TABLES):
            name = dotted(schema, relation)
            if self._schemas is not None and schema not in self._schemas:
                continue
            if not self._choice.observes(name):
                continue
            kept = [
                (column, kind)
                for column, kind in zip(columns, types, strict=True)
                if not self._choice.ignores(name, column)
            ]
            yield _Table(
                name,
                f"{'' if partitioned else 'ONLY '}{quoted(schema)}.{quoted(relation)}",
                tuple(column for column, _ in kept),
                tuple(load_of(kind) for _, kind in kept),
                tuple(key) if {*key} <= {column for column, _ in kept} else (),
            )

    def _sequences(self) -> list[tuple[str, str]]:
        """Return those that count: where tables were chosen, the ones that belong to these."""
        return [
            (schema, name)
            for schema, name, *owner in self._session.execute(_SEQUENCES)
            if (self._schemas is None or schema in self._schemas)
            and self._choice.observes(dotted(*owner))
        ]

    def _check(self) -> None:
        found = self._session.execute(_TABLES)
        names = {dotted(schema, relation): columns for schema, relation, _, columns, *_ in found}
        schemas = {row[0] for row in found} | {"public"}
        refuse_unknown("schemas", self._schemas or (), schemas, PARTITIONS)
        self._choice.check(names, names, PARTITIONS)


def read_sequences(session: Session) -> Counters:
    """Return where every sequence stands."""
    return _positions(session, [row[:2] for row in session.execute(_SEQUENCES)])


def _positions(session: Session, sequences: Iterable[tuple[str, str]]) -> Counters:
    queries = [
        f"SELECT {literal(dotted(schema, name))}, last_value, is_called"
        f" FROM {quoted(schema)}.{quoted(name)}"
        for schema, name in sequences
    ]
    values = session.execute(" UNION ALL ".join(queries)) if queries else ()
    return {str(name): (int(last), bool(given)) for name, last, given in values}


def set_sequences(session: Session, wanted: Counters) -> None:
    """Set back the sequences that stand elsewhere; all of the wanted ones must exist."""
    present = read_sequences(session)
    calls = [
        f"setval({literal(f'{quoted(schema)}.{quoted(name)}')}, {last}, {given})"
        for schema, name, *_ in session.execute(_SEQUENCES)
        for last, given in [wanted[dotted(schema, name)]]
        if present[dotted(schema, name)] != (last, given)
    ]
    if calls:
        session.execute(f"SELECT {', '.join(calls)}")


def _loaded(row: Sequence[str | None], loads: Sequence[Load]) -> tuple[Any, ...]:
    # A table without columns was asked for one NULL per row.
    pairs = zip(row, loads, strict=False)
    return tuple(None if text is None else load(text) for text, load in pairs)
