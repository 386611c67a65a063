"""What of a MySQL or MariaDB database can be rolled back, without changing it."""

from collections.abc import Iterator

from venomqa_hyp.adapters.diagnosis import Diagnosis, Part, Verdict, counted
from venomqa_hyp.adapters.mysql.catalog import problems, read
from venomqa_hyp.adapters.mysql.driver import Connection, Target
from venomqa_hyp.adapters.mysql.installation import exists, journal_name, lock_name
from venomqa_hyp.adapters.sql.safety import check_destructive
from venomqa_hyp.errors import DefinitionError


def diagnose(source: str, *, lock_timeout: float = 5.0) -> Diagnosis:
    """Say what of a database can be rolled back; nothing is written.

    :param source: a URL.
    :param lock_timeout: seconds.
    :raises DefinitionError: it is no such URL.
    :raises SystemUnavailable: the database cannot be reached.
    """
    target = Target.parse(source)
    connection = Connection(target, lock_timeout)
    try:
        # The server itself refuses what would write.
        connection.run("SET SESSION TRANSACTION READ ONLY")
        parts = (*_permission(target), *_contents(connection), *_other_run(connection))
        is_possible = not any(part.verdict is Verdict.REFUSED for part in parts)
        kind = "MariaDB" if connection.is_mariadb else "MySQL"
        return Diagnosis(f"{kind} {connection.where}", "journal" if is_possible else "", parts)
    finally:
        connection.close()


def _permission(target: Target) -> Iterator[Part]:
    touches = "Rows of every table would be deleted and written to set them back."
    try:
        check_destructive("MySQL", target.host, target.database, touches, None, source="URL")
    except DefinitionError as error:
        yield Part("permission", Verdict.REFUSED, str(error))


def _contents(connection: Connection) -> Iterator[Part]:
    found = problems(connection)
    yield from (Part("a table", Verdict.REFUSED, problem) for problem in found)
    if found:
        return
    try:
        catalog = read(connection)
    except DefinitionError as error:
        yield Part("a column", Verdict.REFUSED, str(error))
        return
    how = "triggers write down each row"
    yield Part(counted(len(catalog.layouts), "table"), Verdict.ROLLED_BACK, how)
    counters = counted(len(catalog.counted), "AUTO_INCREMENT counter")
    yield Part(counters, Verdict.ROLLED_BACK, "set back with the rows")
    if catalog.triggers:
        silent = "replaced for the length of a run by ones that are silent in a rollback"
        yield Part(counted(len(catalog.triggers), "trigger"), Verdict.NOTE, silent)
    during = "a run that meets one ends; migrate before it"
    yield Part("changes of the schema", Verdict.LEFT_OUT, during)
    needs = (
        f"not looked at; the journal needs a database {journal_name(connection.database)} and "
        "TRIGGER, ALTER on this one"
    )
    yield Part("privileges", Verdict.NOTE, needs)


def _other_run(connection: Connection) -> Iterator[Part]:
    ((holder,),) = connection.rows(f"SELECT IS_USED_LOCK({lock_name(connection.database)})")
    if holder is not None:
        yield Part("another run", Verdict.REFUSED, f"connection {holder} uses the database now")
    elif exists(connection):
        remedy = "the next run undoes it, or write: venomqa clean DSN"
        yield Part("a killed run", Verdict.NOTE, f"its journal and its changes are there; {remedy}")
