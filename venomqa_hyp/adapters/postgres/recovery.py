"""What the journal keeps in the database, so that the beginning can be restored after a kill.

``kept`` holds all entries that were taken, and the rows that rollbacks removed and added: their sum
is the difference from the beginning, whenever the run ends. ``counter`` holds the sequences as they
were. ``undo()`` restores the beginning; in one transaction, so it may be killed itself.
"""

from collections.abc import Iterator

from venomqa_hyp.adapters.postgres.catalog import JOURNAL, Catalog, quoted
from venomqa_hyp.adapters.postgres.driver import Connection

#: After so many rows ``kept`` is summed up; it has no index.
SUMMED_AFTER = 20_000


def statements(catalog: Catalog) -> Iterator[str]:
    """Yield what creates the tables and functions, in the schema of the journal."""
    # Unlogged, as the journal is: where the server itself crashes both are emptied, this row too.
    yield (
        f"CREATE UNLOGGED TABLE {JOURNAL}.kept "
        "(number bigint NOT NULL, sign integer NOT NULL, content text NOT NULL) "
        "WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)"
    )
    yield f"INSERT INTO {JOURNAL}.kept VALUES (0, 0, '')"
    yield f"CREATE TABLE {JOURNAL}.counter (number bigint, value bigint, called boolean)"
    for item in catalog.sequences:
        yield (
            f"INSERT INTO {JOURNAL}.counter SELECT {item.number}, last_value, is_called "
            f"FROM {quoted(item.schema)}.{quoted(item.table)}"
        )
    yield _SUM_UP
    yield _UNDO


def begin(connection: Connection) -> None:
    """Take what was written so far for a part of the beginning."""
    connection.execute(f"DELETE FROM {JOURNAL}.kept WHERE number <> 0")


def undo(connection: Connection) -> int | None:
    """Restore the beginning of the run that left the journal.

    :return: how many rows were removed and added; ``None`` where that cannot be told any more,
        because the server crashed.
    :raises Failed: a lock is held, or the tables are others now.
    """
    ((rows,),) = connection.execute(f"SELECT {JOURNAL}.undo()")
    return None if rows is None else int(rows)


def is_possible(connection: Connection) -> bool:
    """Return whether the journal that is there can be undone; one of an earlier version cannot."""
    ((found,),) = connection.execute(f"SELECT to_regprocedure('{JOURNAL}.undo()') IS NOT NULL")
    return bool(found)


_SUM_UP = f"""
    CREATE FUNCTION {JOURNAL}.sum_up() RETURNS void LANGUAGE sql
    SET search_path = pg_catalog, pg_temp AS $sum_up$
        WITH gone AS (DELETE FROM {JOURNAL}.kept WHERE number <> 0 RETURNING number, sign, content)
        INSERT INTO {JOURNAL}.kept
        SELECT number, sign(total), content
        FROM (SELECT number, content, sum(sign) AS total FROM gone GROUP BY number, content) AS net,
            generate_series(1, abs(total))
    $sum_up$"""

_UNDO = f"""
    CREATE FUNCTION {JOURNAL}.undo() RETURNS bigint LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $undo$
    DECLARE
        one record;
        rows bigint := 0;
    BEGIN
        IF NOT EXISTS (SELECT FROM {JOURNAL}.kept WHERE number = 0) THEN RETURN NULL; END IF;
        FOR one IN
            SELECT number FROM {JOURNAL}.kept WHERE number <> 0
            UNION SELECT number FROM {JOURNAL}.entry ORDER BY number
        LOOP EXECUTE format('SELECT {JOURNAL}.lock_%s()', one.number); END LOOP;
        LOCK TABLE {JOURNAL}.entry IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO {JOURNAL}.kept SELECT number, sign, content FROM {JOURNAL}.entry;
        DELETE FROM {JOURNAL}.entry;
        PERFORM {JOURNAL}.sum_up();
        FOR one IN
            SELECT number, array_agg(content) FILTER (WHERE sign > 0) AS removed,
                array_agg(content) FILTER (WHERE sign < 0) AS added, count(*) AS moved
            FROM {JOURNAL}.kept WHERE number <> 0 GROUP BY number ORDER BY number
        LOOP
            EXECUTE format('SELECT {JOURNAL}.move_%s($1, $2)', one.number)
                USING one.removed, one.added;
            rows := rows + one.moved;
        END LOOP;
        DELETE FROM {JOURNAL}.kept WHERE number <> 0;
        PERFORM setval(number::oid::regclass, value, called) FROM {JOURNAL}.counter;
        RETURN rows;
    END $undo$"""
