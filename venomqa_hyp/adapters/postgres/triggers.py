"""The SQL of the journal: a table, triggers that write to it, functions that read it."""

from collections.abc import Iterator

from venomqa_hyp.adapters.postgres import recovery
from venomqa_hyp.adapters.postgres.catalog import JOURNAL, Catalog, Relation, literal, quoted
from venomqa_hyp.adapters.postgres.driver import EXACT

COMMENT = "Journal of venomqa-hyp. To remove it when no test runs: venomqa clean DSN"
#: A session in which this is on writes no journal.
OWN_SESSION = f"{JOURNAL}.own_session"


def statements(catalog: Catalog) -> Iterator[str]:
    """Yield what creates the journal and the triggers."""
    yield f"CREATE SCHEMA {JOURNAL}"
    yield f"COMMENT ON SCHEMA {JOURNAL} IS {literal(COMMENT)}"
    yield (
        f"CREATE UNLOGGED TABLE {JOURNAL}.entry "
        "(number bigint NOT NULL, sign integer NOT NULL, content text NOT NULL) "
        # Its lock would be in the way of ours; space is freed between two steps instead.
        "WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)"
    )
    for relation in catalog.relations.values():
        yield from _triggers(relation, catalog.relations[relation.root])
    for root in catalog.roots:
        yield from _movers(root)
    yield _take(catalog)
    yield _RESTORE
    yield from recovery.statements(catalog)


def _triggers(relation: Relation, root: Relation) -> Iterator[str]:
    """Yield the statements that make a table report its changes as rows of ``root``.

    A trigger per statement sees what statements on the table itself did, in whatever partition. So
    each partition has triggers, for statements that name it. With inheritance it would
    see rows of the children without the columns that only they have: there, triggers are per row.
    """
    function = f"{JOURNAL}.report_{relation.number}"
    yield _report(function, relation, root)
    unless_ours = f"WHEN (current_setting({literal(OWN_SESSION)}, true) IS DISTINCT FROM 'on')"
    if relation.inherits:
        events = {"change": ("AFTER INSERT OR UPDATE OR DELETE", "FOR EACH ROW")}
    else:
        events = {
            "insert": ("AFTER INSERT", "REFERENCING NEW TABLE AS written FOR EACH STATEMENT"),
            "update": (
                "AFTER UPDATE",
                "REFERENCING OLD TABLE AS gone NEW TABLE AS written FOR EACH STATEMENT",
            ),
            "delete": ("AFTER DELETE", "REFERENCING OLD TABLE AS gone FOR EACH STATEMENT"),
        }
    if not relation.partitioned:
        events["truncate"] = ("BEFORE TRUNCATE", "FOR EACH STATEMENT")
    for event, (when, how) in events.items():
        trigger = f"{JOURNAL}_{event}"
        yield (
            f"CREATE TRIGGER {trigger} {when} ON {relation.sql} {how} {unless_ours} "
            f"EXECUTE FUNCTION {function}()"
        )
        # Also for an application that loads data with session_replication_role = replica.
        yield f"ALTER TABLE ONLY {relation.sql} ENABLE ALWAYS TRIGGER {trigger}"


def _report(function: str, relation: Relation, root: Relation) -> str:
    def entries(sign: int, alias: str, source: str = "") -> str:
        row = relation.row(root.columns, alias)
        return f"SELECT {root.number}, {sign}, {row}{source}"

    into = f"INSERT INTO {JOURNAL}.entry"
    if relation.inherits:
        gone, written = entries(-1, "OLD"), entries(1, "NEW")
    else:
        gone = entries(-1, "gone", " FROM gone")
        written = entries(1, "written", " FROM written")
    every = entries(-1, "every", f" FROM ONLY {relation.sql} AS every")
    settings = {**EXACT, "row_security": "off"}
    pinned = " ".join(f"SET {name} = {literal(value)}" for name, value in settings.items())
    body = f"""
        BEGIN
            IF TG_OP = 'INSERT' THEN {into} {written};
            ELSIF TG_OP = 'DELETE' THEN {into} {gone};
            ELSIF TG_OP = 'UPDATE' THEN {into} {gone} UNION ALL {written};
            ELSE {into} {every};
            END IF;
            RETURN NULL;
        END"""
    return (
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path = pg_catalog, pg_temp {pinned} AS {literal(body)}"
    )


def _movers(root: Relation) -> Iterator[str]:
    """Yield the functions that lock a table, and that remove and add rows."""
    only = "" if root.partitioned else "ONLY "
    # Waits for statements that write, and lets those that read go on.
    lock = f"LOCK TABLE {only}{root.sql} IN SHARE ROW EXCLUSIVE MODE"
    yield (
        f"CREATE FUNCTION {JOURNAL}.lock_{root.number}() RETURNS void LANGUAGE plpgsql "
        f"AS {literal(f'BEGIN {lock}; END')}"
    )
    move = f"""
        DECLARE
            moved bigint;
        BEGIN
            IF cardinality($1) > 0 THEN
                {_remove(root, only)};
                GET DIAGNOSTICS moved = ROW_COUNT;
                IF moved <> cardinality($1) THEN
                    RAISE EXCEPTION USING ERRCODE = 'triggered_data_change_violation',
                        MESSAGE = format('of %s rows that the journal reported, table %s holds %s',
                            cardinality($1), {root.number}::oid::regclass, moved);
                END IF;
            END IF;
            IF cardinality($2) > 0 THEN
                {_add(root)};
            END IF;
        END"""
    yield (
        f"CREATE FUNCTION {JOURNAL}.move_{root.number}(text[], text[]) RETURNS void "
        f"LANGUAGE plpgsql AS {literal(move)}"
    )


def _remove(root: Relation, only: str) -> str:
    """Return the statement that removes the rows of ``$1``, one for each element.

    A key is only the way to find a row quickly: the whole row must be equal.
    """
    row = root.row(root.columns, "r")
    if root.key:
        found = " AND ".join(
            f"r.{quoted(name)} {equals} w.{quoted(name)}"
            for name, equals in zip(root.key, root.equals, strict=True)
        )
        wanted = root.row(root.columns, "w")
        return (
            f"DELETE FROM {only}{root.sql} AS r USING unnest($1::{root.sql}[]) AS w "
            f"WHERE {found} AND {row} = {wanted}"
        )
    return f"""
        DELETE FROM {only}{root.sql} AS r USING (
            SELECT r.tableoid AS part, r.ctid AS place, w.copies,
                row_number() OVER (PARTITION BY w.content) AS copy
            FROM (
                SELECT u.content, count(*) AS copies FROM unnest($1) AS u (content)
                GROUP BY u.content
            ) AS w
            JOIN {only}{root.sql} AS r ON {row} = w.content
        ) AS found
        WHERE r.ctid = found.place AND r.tableoid = found.part AND found.copy <= found.copies"""


def _add(root: Relation) -> str:
    names = [quoted(column.name) for column in root.columns if not column.generated]
    if not names:
        return f"INSERT INTO {root.sql} SELECT FROM unnest($2)"
    values = ", ".join(f"w.{name}" for name in names)
    return (
        f"INSERT INTO {root.sql} ({', '.join(names)}) OVERRIDING SYSTEM VALUE "
        f"SELECT {values} FROM unnest($2::{root.sql}[]) AS w"
    )


def _take(catalog: Catalog) -> str:
    """Return the function that empties the journal, in one statement and with plans that last.

    Of the rows with sign 0, number 1 is the text of all sequences, and number 2 the fingerprint of
    the schema.
    """
    body = f"""
        #variable_conflict use_column
        BEGIN
            -- Waits for every transaction that has written a row.
            LOCK TABLE {JOURNAL}.entry IN SHARE ROW EXCLUSIVE MODE;
            RETURN QUERY WITH
                taken AS (DELETE FROM {JOURNAL}.entry RETURNING number, sign, content),
                noted AS (INSERT INTO {JOURNAL}.kept SELECT number, sign, content FROM taken)
                SELECT number, sign, content FROM taken;
            RETURN QUERY SELECT 1::bigint, 0, ({_sequences(catalog)});
            RETURN QUERY SELECT 2::bigint, 0, {JOURNAL}.fingerprint();
        END"""
    return (
        f"CREATE FUNCTION {JOURNAL}.take() "
        "RETURNS TABLE (number bigint, sign integer, content text) "
        f"LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {literal(body)}"
    )


def _sequences(catalog: Catalog) -> str:
    """Return the query for one text of number, value and ``is_called`` of each sequence.

    Most steps change no sequence, and then its hundreds of numbers need not be looked at.
    """
    values = [
        f"SELECT {sequence.number} AS number, last_value, is_called::integer "
        f"FROM {quoted(sequence.schema)}.{quoted(sequence.table)}"
        for sequence in catalog.sequences
    ]
    if not values:
        return "SELECT ''"
    return (
        "SELECT string_agg(concat_ws(' ', number, last_value, is_called), ',') "
        f"FROM ({' UNION ALL '.join(values)}) AS sequences"
    )


_RESTORE = f"""
    CREATE FUNCTION {JOURNAL}.restore(
        tables bigint[], signs integer[], contents text[],
        sequences bigint[], counters bigint[], called boolean[]
    ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $restore$
    DECLARE
        one record;
    BEGIN
        -- The tables before the journal: a statement that has begun needs the journal to end.
        FOR one IN SELECT DISTINCT number FROM unnest(tables) AS number ORDER BY number
        LOOP EXECUTE format('SELECT {JOURNAL}.lock_%s()', one.number); END LOOP;
        LOCK TABLE {JOURNAL}.entry IN SHARE ROW EXCLUSIVE MODE;
        IF EXISTS (SELECT FROM {JOURNAL}.entry) THEN RETURN false; END IF;
        FOR one IN
            SELECT number, array_agg(content) FILTER (WHERE sign < 0) AS removed,
                array_agg(content) FILTER (WHERE sign > 0) AS added
            FROM unnest(tables, signs, contents) AS moved (number, sign, content)
            GROUP BY number ORDER BY number
        LOOP
            EXECUTE format('SELECT {JOURNAL}.move_%s($1, $2)', one.number)
                USING one.removed, one.added;
        END LOOP;
        INSERT INTO {JOURNAL}.kept SELECT * FROM unnest(tables, signs, contents);
        PERFORM setval(number::oid::regclass, counter, is_called)
            FROM unnest(sequences, counters, called) AS s (number, counter, is_called);
        RETURN true;
    END $restore$"""
