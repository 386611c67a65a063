"""The schema in words, to say what was changed in it during a run."""

from venomqa_hyp.adapters.postgres.catalog import Catalog
from venomqa_hyp.adapters.postgres.driver import Connection

_AT_MOST = 5


def lines(connection: Connection, catalog: Catalog) -> frozenset[str]:
    """Return one line for each relation, column, trigger and schema."""
    schemas, tables = list(catalog.schemas), list(catalog.relations)
    return frozenset(row[0] for row in connection.execute(_LINES, [schemas, tables, tables]))


def difference(before: frozenset[str], after: frozenset[str]) -> str:
    """Return what was added and removed."""
    found = [f"new: {line}" for line in sorted(after - before)]
    found += [f"gone: {line}" for line in sorted(before - after)]
    more = f"; and {len(found) - _AT_MOST} more" if len(found) > _AT_MOST else ""
    return "; ".join(found[:_AT_MOST]) + more or "a column or trigger was altered"


_LINES = """
    SELECT format('%%s %%I.%%I', CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table'
            WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'S' THEN 'sequence'
            WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'relation' END,
        nspname, relname)
    FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE relnamespace = ANY (%s::oid[]) AND relpersistence <> 't'
    UNION ALL
    SELECT format('column %%s.%%I %%s', attrelid::regclass, attname,
        format_type(atttypid, atttypmod))
    FROM pg_attribute WHERE attrelid = ANY (%s::oid[]) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('trigger %%I of table %%s, %%s', tgname, tgrelid::regclass,
        CASE tgenabled WHEN 'D' THEN 'disabled' ELSE 'enabled' END)
    FROM pg_trigger WHERE tgrelid = ANY (%s::oid[]) AND NOT tgisinternal
    UNION ALL
    SELECT format('schema %%I', nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%%'
"""
