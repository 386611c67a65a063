"""What the database consists of, as far as it is journaled, and what cannot be."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.errors import DefinitionError

#: The schema that holds the journal while an adapter is open.
JOURNAL = "venomqa_journal"


@attrs.frozen
class Column:
    """One column.

    :ivar type: number of the type; of a domain, that of the type beneath.
    :ivar generated: its value follows from the other columns.
    """

    name: str
    type: int
    generated: bool


@attrs.frozen
class Relation:
    """One table, or one partition of a table.

    :ivar number: its OID.
    :ivar root: OID of the table that it is a partition of in the end; its own, if it is none.
    :ivar partitioned: it has partitions, and no rows of its own.
    :ivar inherits: it has a parent or children by inheritance, so that statements on one table
        change rows of another.
    :ivar columns: in the order of the table.
    :ivar key: names of the columns of the primary key, else of another unique key, if any; none
        where one of them is generated.
    :ivar equals: for each of these the operator that its index finds rows by.
    """

    number: int
    root: int
    schema: str
    table: str
    partitioned: bool
    inherits: bool
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    equals: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called in observations: the schema is left out where it is ``public``."""
        return dotted(self.schema, self.table)

    @property
    def sql(self) -> str:
        """Its name for a statement."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    @property
    def is_root(self) -> bool:
        """Tell whether it is no partition."""
        return self.root == self.number

    def row(self, of: tuple[Column, ...], alias: str) -> str:
        """Return the expression for the text of a row, with the columns in the order of ``of``.

        Generated columns are NULL: they follow from the others, and cannot be written.
        """
        written = (
            "NULL" if column.generated else f"{alias}.{quoted(column.name)}" for column in of
        )
        return f"ROW({', '.join(written)})::text"


@attrs.frozen
class Sequence:
    """One sequence.

    :ivar owner: OID of the table that a column of has its numbers from; 0 where none has.
    """

    number: int
    schema: str
    table: str
    owner: int

    @property
    def name(self) -> str:
        """What it is called in observations."""
        return dotted(self.schema, self.table)


@attrs.frozen
class Catalog:
    """Everything that is journaled.

    :ivar schemas: OIDs of the covered schemas.
    :ivar covers_all: these are all there are.
    :ivar relations: OID -> each table and each partition.
    :ivar sequences: in the order of their names.
    :ivar left_out: what is there and is not covered, in words.
    """

    schemas: tuple[int, ...]
    covers_all: bool
    relations: Mapping[int, Relation]
    sequences: tuple[Sequence, ...]
    left_out: tuple[str, ...]

    @property
    def roots(self) -> list[Relation]:
        """The tables that are no partitions, in the order of their names."""
        return sorted((r for r in self.relations.values() if r.is_root), key=lambda r: r.name)


def quoted(name: str) -> str:
    """Return an identifier for a statement."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string constant for a statement."""
    return "'" + text.replace("'", "''") + "'"


def dotted(schema: str, name: str) -> str:
    """Return what a table or sequence is called in observations."""
    parts = [name] if schema == "public" else [schema, name]
    return ".".join(quoted(part) if "." in part else part for part in parts)


def read(connection: Connection, schemas: Iterable[str] | None, *, checked: bool = True) -> Catalog:
    """Read what there is.

    :param checked: refuse what a journal cannot roll back; else see :func:`problems`.
    :raises DefinitionError: a schema does not exist, or a table cannot be journaled.
    """
    covered = _covered_schemas(connection, schemas)
    _refuse_torn_trees(connection, covered)
    found = connection.execute(_RELATIONS, [covered])
    domains: dict[int, int] = dict(connection.execute(_DOMAINS))
    numbers = [row[0] for row in found if row[4] in "rp"]
    columns: dict[int, list[Column]] = {number: [] for number in numbers}
    for number, name, kind, generated in connection.execute(_COLUMNS, [numbers]):
        columns[number].append(Column(name, _base_type(kind, domains), generated))
    keys = _keys(connection, columns)
    relations = {
        number: Relation(
            number,
            root,
            schema,
            table,
            kind == "p",
            inherits,
            tuple(columns[number]),
            *keys.get(number, ((), ())),
        )
        for number, root, schema, table, kind, inherits in found
        if kind in "rp"
    }
    sequences = _sequences(connection, found)
    left_out = [f"{_KINDS[row[4]]} {dotted(row[2], row[3])}" for row in found if row[4] in _KINDS]
    left_out += [row[0] for row in connection.execute(_ELSEWHERE)]
    found_all = Catalog(
        tuple(covered),
        schemas is None,
        relations,
        sequences,
        tuple(sorted(left_out)),
    )
    for problem in problems(connection, found_all) if checked else ():
        raise DefinitionError(problem)
    return found_all


def _keys(
    connection: Connection, columns: Mapping[int, list[Column]]
) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return table -> names and operators of the key that its rows are found by."""
    # A generated column is NULL in the text of a row, so no row is found by it.
    generated = {
        (table, c.name) for table, of_table in columns.items() for c in of_table if c.generated
    }
    return {
        table: (tuple(names), tuple(operators))
        for table, names, operators in connection.execute(_KEYS, [list(columns)])
        if generated.isdisjoint((table, name) for name in names)
    }


def _sequences(connection: Connection, relations: Iterable[Any]) -> tuple[Sequence, ...]:
    owners: dict[int, int] = dict(connection.execute(_OWNERS))
    found = [
        Sequence(number, schema, name, owners.get(number, 0))
        for number, _, schema, name, kind, _ in relations
        if kind == "S"
    ]
    return tuple(sorted(found, key=lambda sequence: sequence.name))


def _covered_schemas(connection: Connection, wanted: Iterable[str] | None) -> list[int]:
    existing: dict[str, int] = dict(connection.execute(_SCHEMAS, [JOURNAL]))
    if wanted is None:
        return sorted(existing.values())
    if isinstance(wanted, str):
        raise DefinitionError(f"schemas={wanted!r} must be a list: [{wanted!r}].")
    names = set(wanted)
    if unknown := sorted(names.difference(existing)):
        raise DefinitionError(
            f"schemas names {unknown}, which {connection.where} does not have. "
            f"Its schemas: {sorted(existing)}."
        )
    return sorted(existing[name] for name in names)


def _refuse_torn_trees(connection: Connection, covered: list[int]) -> None:
    for child, parent, foreign in connection.execute(_TORN_TREES, [covered, covered, covered]):
        raise DefinitionError(
            f"{connection.where}: the table {child} belongs to {parent}, and "
            + (
                "is a foreign table, which cannot be rolled back. Detach it in the test database."
                if foreign
                else "only one of them is in the covered schemas. Name the schemas of both."
            )
        )


def _base_type(kind: int, domains: Mapping[int, int]) -> int:
    while kind in domains:
        kind = domains[kind]
    return kind


def problems(connection: Connection, catalog: Catalog) -> list[str]:
    """Return what cannot be rolled back by a journal, each with its remedy."""
    numbers = [*catalog.relations, *(sequence.number for sequence in catalog.sequences)]
    return [
        f"{connection.where} cannot be rolled back by a journal: {what} {problem}. {remedy}, "
        'or use PostgresAdapter(..., mode="template").'
        for problem, what, remedy in connection.execute(_PROBLEMS, [numbers] * 4)
    ]


_KINDS = {"f": "foreign table", "m": "materialized view"}

_SCHEMAS = r"""
    SELECT nspname, oid::bigint FROM pg_namespace
    WHERE nspname <> ALL (ARRAY['information_schema', %s]) AND nspname NOT LIKE 'pg\_%%'
"""

# Members of an extension belong to it, and cannot be given triggers that outlive its update.
_RELATIONS = """
    WITH RECURSIVE upward (start, number) AS (
        SELECT oid, oid FROM pg_class WHERE relnamespace = ANY (%s::oid[])
        UNION ALL
        SELECT start, inhparent FROM upward JOIN pg_inherits ON inhrelid = number
        JOIN pg_class ON pg_class.oid = number AND relispartition
    ), roots AS (
        SELECT DISTINCT ON (start) start, number FROM upward JOIN pg_class ON oid = number
        WHERE NOT relispartition
    )
    SELECT c.oid::bigint, roots.number::bigint, nspname, relname, relkind::text,
        NOT relispartition AND relkind = 'r' AND EXISTS (
            SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid)
    FROM roots JOIN pg_class AS c ON c.oid = start
    JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'S', 'f', 'm') AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
    ORDER BY c.oid
"""

_TORN_TREES = """
    SELECT inhrelid::regclass::text, inhparent::regclass::text, child.relkind = 'f'
    FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
    JOIN pg_class AS parent ON parent.oid = inhparent
    WHERE child.relkind IN ('r', 'p', 'f') AND (
        (child.relnamespace = ANY (%s::oid[])) <> (parent.relnamespace = ANY (%s::oid[]))
        OR (child.relkind = 'f' AND child.relnamespace = ANY (%s::oid[])))
"""

_DOMAINS = "SELECT oid::bigint, typbasetype::bigint FROM pg_type WHERE typtype = 'd'"

_OWNERS = """
    SELECT objid::bigint, refobjid::bigint FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
        AND deptype IN ('a', 'i') AND refobjsubid > 0
"""

_COLUMNS = """
    SELECT attrelid::bigint, attname, atttypid::bigint, attgenerated <> ''
    FROM pg_attribute WHERE attrelid = ANY (%s::oid[]) AND attnum > 0 AND NOT attisdropped
    ORDER BY attrelid, attnum
"""

_KEYS = """
    SELECT DISTINCT ON (indrelid) indrelid::bigint, names, operators
    FROM pg_index JOIN LATERAL (
        SELECT array_agg(attname ORDER BY place) AS names, bool_and(attnotnull) AS filled,
            array_agg(format('OPERATOR(%%I.%%s)', nspname, oprname) ORDER BY place) AS operators
        FROM unnest(indkey[0:indnkeyatts - 1], indclass[0:indnkeyatts - 1])
            WITH ORDINALITY AS k (number, class, place)
        JOIN pg_attribute ON attrelid = indrelid AND attnum = number
        JOIN pg_opclass AS class_ ON class_.oid = class
        JOIN pg_amop ON amopfamily = opcfamily AND amopstrategy = 3
            AND amoplefttype = opcintype AND amoprighttype = opcintype
        JOIN pg_operator ON pg_operator.oid = amopopr
        JOIN pg_namespace ON pg_namespace.oid = oprnamespace
    ) AS columns ON true
    WHERE indrelid = ANY (%s::oid[]) AND indisunique AND indisvalid AND filled
        AND indpred IS NULL AND indexprs IS NULL
    ORDER BY indrelid, indisprimary DESC, indimmediate DESC, indnkeyatts, indexrelid
"""

#: Whether changes of the content of large objects are noticed: reading it takes a superuser, and
#: time for each page, at each step.
CONTENTS_ARE_READ = """
    has_table_privilege('pg_largeobject', 'SELECT')
    AND pg_relation_size('pg_largeobject') <= 16777216
    AND EXISTS (SELECT FROM pg_largeobject_metadata)
"""

_ELSEWHERE = f"""
    SELECT format('%s large objects', count(*)) || CASE WHEN {CONTENTS_ARE_READ} THEN ''
        ELSE ', and changes of their content are not noticed' END
    FROM pg_largeobject_metadata HAVING count(*) > 0
    UNION ALL
    SELECT format('tables of the extension %I', extname) FROM pg_extension AS e
    WHERE EXISTS (
        SELECT FROM pg_depend JOIN pg_class AS c ON c.oid = objid AND relkind IN ('r', 'p')
        WHERE classid = 'pg_class'::regclass AND refobjid = e.oid AND deptype = 'e')
"""

_PROBLEMS = """
    SELECT 'fires also while the journal puts rows back',
        format('the trigger %%I of table %%s', tgname, tgrelid::regclass),
        format('Write ALTER TABLE %%s ENABLE TRIGGER %%I in the test database',
            tgrelid::regclass, tgname)
    FROM pg_trigger
    WHERE tgrelid = ANY (%s::oid[]) AND NOT tgisinternal AND tgenabled IN ('A', 'R')
    UNION ALL
    SELECT 'applies also while the journal puts rows back',
        format('the rule %%I of table %%s', rulename, ev_class::regclass),
        format('Write ALTER TABLE %%s ENABLE RULE %%I in the test database',
            ev_class::regclass, rulename)
    FROM pg_rewrite
    WHERE ev_class = ANY (%s::oid[]) AND ev_enabled IN ('A', 'R')
    UNION ALL
    SELECT format('hands out numbers %%s at a time, which connections of the application keep '
            'when it is set back', seqcache),
        format('the sequence %%s', seqrelid::regclass),
        format('Write ALTER SEQUENCE %%s CACHE 1 in the test database', seqrelid::regclass)
    FROM pg_sequence WHERE seqrelid = ANY (%s::oid[]) AND seqcache > 1
    UNION ALL
    SELECT 'does not show all its rows to ' || current_user,
        format('the row-level security of table %%s', number::oid::regclass),
        format('Write ALTER ROLE %%I BYPASSRLS', current_user)
    FROM unnest(%s::bigint[]) AS number
    JOIN pg_class ON oid = number::oid AND relkind IN ('r', 'p')
    WHERE row_security_active(number::oid)
"""
