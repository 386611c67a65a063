"""Noticing, inside the database and at each step, that the schema may have been changed.

Only superusers may have triggers on definitions, and those do not fire for all of them. So
``fingerprint()`` is a number that changes with what they do not report, or else with everything;
it changes without need too, and then the whole schema is compared.
"""

from collections.abc import Iterator

from venomqa_hyp.adapters.postgres.catalog import CONTENTS_ARE_READ, JOURNAL, literal
from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.adapters.postgres.schema_catalogs import BORN, FIRST_OBJECT, KINDS

_EVENTS = ("ddl_command_end", "sql_drop")
#: Catalogs that are read whole each time: no event is fired for some of their changes.
_WITHOUT_EVENTS = ("pg_event_trigger", "pg_largeobject_metadata", "pg_index")


def install(connection: Connection) -> None:
    """Create what notices changes, in the schema of the journal and in its transaction."""
    connection.execute(";\n".join(_event_triggers()))
    ((fires,),) = connection.execute(
        "SELECT count(*) = 2 FROM pg_event_trigger WHERE evtname LIKE %s", [f"{JOURNAL}%"]
    )
    ((contents,),) = connection.execute(f"SELECT {CONTENTS_ARE_READ}")
    present = {row[0] for row in connection.execute(_READABLE)}
    parts = list(_rare(contents, "pg_subscription" in present))
    parts += _events() if fires else _everything(present)
    total = " + ".join(f"coalesce(({part}), 0)" for part in parts)
    connection.execute(
        f"CREATE FUNCTION {JOURNAL}.fingerprint() RETURNS text LANGUAGE plpgsql "
        f"SET search_path = pg_catalog, pg_temp AS {literal(f'BEGIN RETURN {total}; END')}"
    )


def _event_triggers() -> Iterator[str]:
    # Unlogged, so that a publication of all tables does not have it.
    yield f"CREATE UNLOGGED TABLE {JOURNAL}.ddl (tag text NOT NULL)"
    yield (
        f"CREATE FUNCTION {JOURNAL}.note_ddl() RETURNS event_trigger LANGUAGE plpgsql "
        f"SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {literal(_NOTE)}"
    )
    create = "".join(
        f"CREATE EVENT TRIGGER {JOURNAL}_{event} ON {event} "
        f"EXECUTE FUNCTION {JOURNAL}.note_ddl();"
        # Also for an application with session_replication_role = replica.
        f"ALTER EVENT TRIGGER {JOURNAL}_{event} ENABLE ALWAYS;"
        for event in _EVENTS
    )
    body = f"BEGIN {create} EXCEPTION WHEN insufficient_privilege THEN NULL; END"
    yield f"DO {literal(body)}"


def _events() -> Iterator[str]:
    yield f"SELECT count(*) FROM {JOURNAL}.ddl"
    yield from (_born(catalog) for catalog in _WITHOUT_EVENTS)
    # REASSIGN OWNED fires no event.
    yield (
        f"SELECT {BORN.replace('xmin', 's.xmin')} FROM pg_shdepend AS s "
        "WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = objid AND relpersistence = 't')"
    )


def _everything(present: set[str]) -> Iterator[str]:
    """Yield a query for each catalog: of all objects that initdb did not make."""
    for kind in KINDS:
        if kind.catalog not in present or kind.catalog in _RARE:
            continue
        if kind.catalog == "pg_class":
            yield _RELATIONS
        elif kind.whole or kind.catalog in _WITHOUT_EVENTS:
            yield _born(kind.catalog)
        else:
            yield f"{_born(kind.catalog)} AS t WHERE {kind.number} >= {FIRST_OBJECT}"


def _rare(contents: bool, subscriptions: bool) -> Iterator[str]:
    """Yield queries for what belongs to the database and is in a catalog of the whole server."""
    own = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    yield f"{_born('pg_database')} WHERE datname = current_database()"
    yield f"{_born('pg_db_role_setting')} WHERE setdatabase = {own}"
    yield f"{_born('pg_shdescription')} WHERE objoid = {own}"
    if subscriptions:
        yield f"{_born('pg_subscription')} WHERE subdbid = {own}"
    if contents:
        yield _born("pg_largeobject")


def _born(catalog: str) -> str:
    return f"SELECT {BORN} FROM pg_catalog.{catalog}"


_RARE = ("pg_database", "pg_db_role_setting", "pg_shdescription", "pg_subscription")
# DROP has its own event, which knows what was dropped, save where privileges are.
_NOTE = f"""
    BEGIN
        IF TG_EVENT = 'sql_drop' THEN
            IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary)
            THEN RETURN; END IF;
        ELSIF TG_TAG LIKE 'DROP %' AND TG_TAG <> 'DROP OWNED' THEN
            RETURN;
        ELSIF EXISTS (SELECT FROM pg_event_trigger_ddl_commands())
            AND NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands()
                WHERE schema_name IS DISTINCT FROM 'pg_temp')
        THEN
            RETURN;
        END IF;
        INSERT INTO {JOURNAL}.ddl VALUES (TG_TAG);
    END"""
# TRUNCATE and VACUUM FULL write the row of a table too, so its definition counts and not its age.
_RELATIONS = f"""
    SELECT sum(hashtextextended(concat_ws(' ', relname, relnamespace, relowner, relacl, reloptions,
        relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reltablespace,
        relispartition, relpartbound), oid::bigint))
    FROM pg_class WHERE oid >= {FIRST_OBJECT} AND relpersistence <> 't'
        AND relnamespace <> 'pg_toast'::regnamespace"""
_READABLE = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'
        AND has_table_privilege(oid, 'SELECT')
"""
