"""The journal as it is put into a database, and taken out again, also after a crash.

Everything is in one schema and made in one transaction, so it is there whole or not at all; the
triggers depend on functions in that schema, and go with it. A lock that ends with our connection
tells the journal of a living run from one that a crash left behind.
"""

from typing import Any

from venomqa_hyp.adapters.postgres import recovery, schema_watch, triggers
from venomqa_hyp.adapters.postgres.catalog import JOURNAL, Catalog, quoted
from venomqa_hyp.adapters.postgres.driver import NOT_ALLOWED, Connection, Failed
from venomqa_hyp.adapters.recovery import recovered
from venomqa_hyp.errors import SystemUnavailable

#: The advisory lock, in the namespace of this database; the letters of "venomqa".
_LOCK = int.from_bytes(b"venomqa", "big")
_LOCK_HALVES = [_LOCK >> 32, _LOCK & 0xFFFFFFFF]


def claim(connection: Connection) -> None:
    """Take the lock that says a run uses the journal of this database; it ends with the connection.

    :raises SystemUnavailable: another run has it.
    """
    try:
        connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
    except Failed as error:
        if not error.is_lock:
            raise
        raise SystemUnavailable(
            f"{connection.where} is used by another run: "
            f"{', '.join(holders(connection)) or 'it'} holds the "
            "lock of its journal. Two runs would roll back each other's changes: give each a "
            "database of its own, with PostgresAdapter.clone(dsn, worker_id), or end the other."
        ) from error


def holders(connection: Connection) -> list[str]:
    """Return the processes of the runs that use the journal of this database."""
    return [row[0] for row in connection.execute(_HOLDERS, _LOCK_HALVES)]


def recover(connection: Connection) -> str | None:
    """Roll back what a killed run left, and remove its journal; say so, if there is one.

    All in one transaction, so that it may be killed, too.

    :raises SystemUnavailable: it cannot be rolled back, as the schema is another one now; or the
        schema of that name is not ours.
    :raises Failed: a table is locked.
    """
    if not is_there(connection):
        return None
    try:
        with connection.transaction():
            rows = recovery.undo(connection) if recovery.is_possible(connection) else None
            remove(connection)
    except Failed as error:
        if error.is_lock or error.sqlstate is None:
            raise
        raise SystemUnavailable(
            f"{connection.where} has the journal of a run that was killed, and cannot be put back "
            f"to what it was before that run: {error} Was the schema changed since? Create the "
            f"database anew, or restore its data and write: DROP SCHEMA {JOURNAL} CASCADE"
        ) from error
    if rows is None:
        return (
            f"an earlier run on {connection.where} was killed, and so was the server. What the run "
            "had changed cannot be rolled back any more: restore the data."
        )
    return recovered(connection.where, rows)


def remove(connection: Connection) -> None:
    """Remove the journal, if there is one.

    :raises SystemUnavailable: the schema is not ours.
    :raises Failed: a table is locked.
    """
    if is_there(connection):
        connection.execute(f"DROP SCHEMA {JOURNAL} CASCADE")


def is_there(connection: Connection) -> bool:
    """Tell whether the database has a journal.

    :raises SystemUnavailable: it has a schema of that name that is not ours.
    """
    found = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s",
        [JOURNAL],
    )
    if not found:
        return False
    if found[0][0] != triggers.COMMENT:
        raise SystemUnavailable(
            f"{connection.where} has a schema {JOURNAL!r} that was not made by venomqa-hyp. Rename "
            "it: the journal needs that name."
        )
    return True


def install(connection: Connection, catalog: Catalog) -> None:
    """Create the journal and the triggers.

    :raises Failed: the role may not, or a table is locked.
    """
    with connection.transaction():
        connection.execute(";\n".join(triggers.statements(catalog)))
        schema_watch.install(connection)
        connection.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {JOURNAL} FROM PUBLIC")


def silence(connection: Connection) -> None:
    """Keep the application's triggers and foreign keys, and the journal, out of our session.

    :raises SystemUnavailable: the role may not; names what to grant.
    """
    try:
        connection.execute("SET session_replication_role = replica")
    except Failed as error:
        if error.sqlstate != NOT_ALLOWED:
            raise
        ((role,),) = connection.execute("SELECT current_user")
        grant = (
            f"GRANT SET ON PARAMETER session_replication_role TO {quoted(role)}"
            if connection.version >= 150000
            else "nothing can be granted before PostgreSQL 15"
        )
        raise SystemUnavailable(
            f"{connection.where}: the role {role!r} may not set "
            "session_replication_role, without which putting a row back would fire the triggers "
            f"and foreign keys of the application. As a superuser: {grant}; or connect as a "
            "superuser of the test server."
        ) from error
    connection.execute(f"SET {triggers.OWN_SESSION} = 'on'")


def remove_journal(source: Any, *, lock_timeout: float = 5.0) -> str | None:
    """Roll back what a killed run left in a database, and remove its journal.

    :return: what was done, as a sentence; ``None`` where there is no journal.
    :raises SystemUnavailable: a living run uses it, a table is locked, or the schema is another
        one now.
    """
    connection = Connection(source, lock_timeout)
    try:
        claim(connection)
        if not is_there(connection):
            return None
        silence(connection)
        return recover(connection)
    except Failed as error:
        raise SystemUnavailable(
            f"The journal of {connection.where} cannot be removed: {error}"
        ) from error
    finally:
        connection.close()


_HOLDERS = """
    SELECT format('process %%s (%%s, since %%s)',
        pid, application_name, backend_start::timestamp(0))
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
