"""What of a PostgreSQL database can be rolled back, without changing it."""

from collections.abc import Iterator
from typing import Any

from venomqa_hyp.adapters.diagnosis import Diagnosis, Part, Verdict, counted
from venomqa_hyp.adapters.postgres import installation
from venomqa_hyp.adapters.postgres.catalog import Catalog, problems, read
from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.adapters.postgres.safety import Target, check_destructive
from venomqa_hyp.errors import DefinitionError, SystemUnavailable


def diagnose(source: Any, *, lock_timeout: float = 5.0) -> Diagnosis:
    """Say what of a database can be rolled back; nothing is written.

    :param source: a DSN.
    :param lock_timeout: seconds.
    :raises SystemUnavailable: the database cannot be reached.
    """
    connection = Connection(source, lock_timeout)
    try:
        # The server itself refuses what would write.
        connection.execute("SET default_transaction_read_only = on")
        against = list(_against_journal(connection))
        mode = "" if against and not _can_copy(connection) else "template" if against else "journal"
        parts = (
            *_permission(connection, mode or "journal"),
            *(_reason(why, mode) for why in against),
            *_contents(connection, mode),
            *_other_run(connection),
        )
        return Diagnosis(f"PostgreSQL {connection.where}", mode, parts)
    finally:
        connection.close()


def _reason(why: str, mode: str) -> Part:
    if mode:
        return Part("mode journal", Verdict.NOTE, f"not possible, so mode template: {why}")
    return Part("the database", Verdict.REFUSED, why)


def _permission(connection: Connection, mode: str) -> Iterator[Part]:
    try:
        check_destructive(Target.of(connection), mode, None)
    except DefinitionError as error:
        yield Part("permission", Verdict.REFUSED, str(error))


def _against_journal(connection: Connection) -> Iterator[str]:
    """Yield why mode ``journal`` is not possible."""
    try:
        installation.silence(connection)
    except SystemUnavailable as error:
        yield str(error)
    try:
        yield from problems(connection, read(connection, None, checked=False))
    except DefinitionError as error:
        yield str(error)
    for (why,) in connection.execute(_DENIED):
        yield why


def _contents(connection: Connection, mode: str) -> Iterator[Part]:
    if not mode:
        return
    if mode == "template":
        how = "the whole database is copied; connections of the application end at each rollback"
        yield Part("everything in the database", Verdict.ROLLED_BACK, how)
        return
    catalog = read(connection, None)
    yield Part(counted(len(catalog.roots), "table"), Verdict.ROLLED_BACK, _tables(catalog))
    yield Part(
        counted(len(catalog.sequences), "sequence"), Verdict.ROLLED_BACK, "set back with the rows"
    )
    for what in catalog.left_out:
        yield Part(what, Verdict.LEFT_OUT, "no trigger fires for it; mode='template' copies it")
    during = "a run that meets one ends; migrate before it, or use mode='template'"
    yield Part("changes of the schema", Verdict.LEFT_OUT, during)


def _tables(catalog: Catalog) -> str:
    without = [item.name for item in catalog.roots if not item.key and not item.partitioned]
    how = "triggers write down each row"
    return (
        f"{how}; no key, so rows are found by all columns: {', '.join(without)}" if without else how
    )


def _other_run(connection: Connection) -> Iterator[Part]:
    try:
        is_there = installation.is_there(connection)
    except SystemUnavailable as error:
        yield Part("the schema of the journal", Verdict.REFUSED, str(error))
        return
    if holders := installation.holders(connection):
        yield Part("another run", Verdict.REFUSED, f"{', '.join(holders)} uses the database now")
    elif is_there:
        remedy = "the next run undoes it, or write: venomqa clean DSN"
        yield Part("a killed run", Verdict.NOTE, f"its journal and its changes are there; {remedy}")


def _can_copy(connection: Connection) -> bool:
    ((able,),) = connection.execute(
        "SELECT rolsuper OR (rolcreatedb AND pg_has_role(datdba, 'MEMBER'))"
        " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
    )
    return bool(able)


_DENIED = """
    SELECT format('the role %I may not create a schema: GRANT CREATE ON DATABASE %I TO %I',
        current_user, current_database(), current_user)
    WHERE NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT format('the role %I may not make triggers on %s: connect as its owner',
        current_user, string_agg(c.oid::regclass::text, ', '))
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        AND NOT has_table_privilege(c.oid, 'TRIGGER')
    HAVING count(*) > 0
"""
