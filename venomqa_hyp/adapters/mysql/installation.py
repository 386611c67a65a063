"""What the journal adds to a server, and how it is taken away again, also after a crash.

The journal lives in a database of its own, which the application does not see. The application's
triggers are replaced by ones that keep silent on our connection, since MySQL cannot switch triggers
off; the originals are kept beside the journal until they are put back.
"""

import hashlib
from collections.abc import Callable, Mapping, Set

import attrs

from venomqa_hyp.adapters.mysql import beginning, blocking, triggers
from venomqa_hyp.adapters.mysql.catalog import PREFIX, Catalog, Trigger, as_written, read
from venomqa_hyp.adapters.mysql.driver import Connection, Failed, quoted, text
from venomqa_hyp.errors import SystemUnavailable

_LONGEST_NAME = 64
_ATTEMPTS = 10
_BINLOG = 1419
_DENIED = (1044, 1142, 1227)
_NOT_STORED = 3507
#: This table says that all triggers of the application were replaced by silent ones.
_REPLACED = "replaced"
_Create = Callable[[Trigger, str], str]
_SAVED = ", ".join(f"{quoted(field.name)} LONGTEXT" for field in attrs.fields(Trigger))


def journal_name(database: str) -> str:
    """Return the name of the database that holds the journal of ``database``."""
    name = f"{database}_venomqa_journal"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"venomqa_journal_{hashlib.blake2b(database.encode(), digest_size=8).hexdigest()}"


@attrs.frozen
class Installation:
    """Triggers on all tables of a database, and the journal that they write.

    :ivar journal: name of the journal's database.
    :ivar numbers: table -> its number in the journal.
    """

    connection: Connection
    catalog: Catalog
    journal: str
    numbers: Mapping[str, int]

    @classmethod
    def create(cls, connection: Connection) -> "Installation":
        """Remove what a crash left behind, and install the journal.

        :raises SystemUnavailable: a privilege is missing, or a lock was held for too long.
        :raises DefinitionError: a table cannot be rolled back.
        """
        remove(connection)
        found = cls.existing(connection)
        theirs = tuple(as_written(connection, trigger) for trigger in found.catalog.triggers)
        installation = attrs.evolve(found, catalog=attrs.evolve(found.catalog, triggers=theirs))
        writer = triggers.Writer(installation.catalog, installation.journal, installation.numbers)
        statements = list(writer.triggers())
        try:
            installation._install(statements)
        except Failed as error:
            remove(connection)
            raise _cannot_install(connection, error) from error
        except BaseException:
            remove(connection)
            raise
        return installation

    @classmethod
    def existing(cls, connection: Connection) -> "Installation":
        """Return the journal of a database as it is; that of a run that was killed, if it is there.

        :raises DefinitionError: a table cannot be rolled back.
        """
        catalog = read(connection)
        numbers = {table: number for number, table in enumerate(sorted(catalog.layouts), 1)}
        return cls(connection, catalog, journal_name(connection.database), numbers)

    def _install(self, statements: list[str]) -> None:
        journal = self.journal
        self.connection.run(
            f"CREATE DATABASE {quoted(journal)}",
            triggers.journal_table(journal),
            *beginning.tables(journal),
            f"CREATE TABLE {quoted(journal, 'triggers')} (number INT PRIMARY KEY, {_SAVED})"
            " ENGINE=InnoDB CHARACTER SET utf8mb4",
        )
        theirs = self.catalog.triggers
        # Who may not create a trigger of a definer must not drop one: it could not be put back.
        for trigger in {each.definer: each for each in theirs}.values():
            self.connection.run(
                triggers.trial(trigger, journal),
                f"DROP TRIGGER {quoted(journal, triggers.TRIAL)}",
            )
        if theirs:
            values = (", ".join(map(text, attrs.astuple(trigger))) for trigger in theirs)
            listed = ", ".join(f"({number}, {one})" for number, one in enumerate(values))
            # All at once: a crash leaves the originals of all, or of none and none is replaced.
            self.connection.run(f"INSERT INTO {quoted(journal, 'triggers')} VALUES {listed}")
        _replace(self.connection, theirs, triggers.quiet)
        self.connection.run(f"CREATE TABLE {quoted(journal, _REPLACED)} (id INT PRIMARY KEY)")
        self.connection.run_all(statements)


def remove(connection: Connection) -> None:
    """Take away whatever a journal of the database has added, and leave the rows as they are.

    :raises SystemUnavailable: a lock was held for too long.
    """
    database, journal = connection.database, journal_name(connection.database)
    try:
        tables = _tables(connection, journal)
        if beginning.TABLE in tables:
            # First of all: were this interrupted, there would be triggers that miss some rows.
            connection.run(beginning.forgotten(journal))
        connection.run_all(f"DROP TRIGGER {quoted(database, name)}" for name in ours(connection))
        _put_back(connection, journal, tables)
        if exists(connection):
            connection.run(f"DROP DATABASE {quoted(journal)}")
    except Failed as error:
        raise SystemUnavailable(
            f"MySQL: {connection.where}: the journal's triggers cannot be removed: {error}. "
            f"{blocking.holders(connection) if error.is_lock else ''}They do no harm, but they "
            "slow the application down. The next MySQLAdapter for this database removes them, when "
            "no transaction is open."
        ) from error


def exists(connection: Connection) -> bool:
    """Tell whether the database has a journal, complete or not."""
    name = text(journal_name(connection.database))
    return bool(
        connection.rows(f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}")
    )


def ours(connection: Connection) -> list[str]:
    """Return the names of the journal's triggers."""
    rows = connection.rows(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA ="
        f" {text(connection.database)} AND TRIGGER_NAME LIKE '{PREFIX.replace('_', '!_')}%'"
        " ESCAPE '!'"
    )
    return [name for (name,) in rows]


def lock_name(database: str) -> str:
    """Return the name of the lock of a run, as a literal."""
    name = hashlib.blake2b(database.encode(), digest_size=16).hexdigest()
    return f"'venomqa:{name}'"


def claim(connection: Connection) -> None:
    """Keep other adapters away from the database until the connection is closed.

    :raises SystemUnavailable: one has it.
    """
    lock = lock_name(connection.database)
    for _ in range(_ATTEMPTS):
        ((holder, got),) = connection.rows(f"SELECT IS_USED_LOCK({lock}), GET_LOCK({lock}, 1)")
        if got:
            return
        # Where a process was killed in a statement, the server notices when it is executed.
        if connection.rows(
            "SELECT 1 FROM information_schema.PROCESSLIST"
            f" WHERE ID = IS_USED_LOCK({lock}) AND COMMAND = 'Sleep'"
        ):
            break
    raise SystemUnavailable(
        f"MySQL: {connection.where} is used by another MySQLAdapter (connection {holder}), "
        "and each would roll back what the other does. Close that one, end its process, or "
        "give each its own database."
    )


def _tables(connection: Connection, journal: str) -> frozenset[str]:
    rows = connection.rows(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {text(journal)}"
    )
    return frozenset(name for (name,) in rows)


def _put_back(connection: Connection, journal: str, tables: Set[str]) -> None:
    """Put back the application's triggers, but none that it has replaced or dropped since."""
    if "triggers" not in tables:
        return
    saved = connection.rows(f"SELECT * FROM {quoted(journal, 'triggers')} ORDER BY number")
    if _REPLACED in tables:
        bodies = dict(
            connection.rows(
                "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS"
                f" WHERE TRIGGER_SCHEMA = {text(connection.database)}"
            )
        )
        silent = {name for name, body in bodies.items() if body.startswith(triggers.LISTENS)}
        changed = [row[0] for row in saved if row[1] not in silent]
        saved = [row for row in saved if row[1] in silent]
        listed = ", ".join(map(str, changed)) or "NULL"
        # Without the mark, a trigger that is missing was lost in a crash of what comes next.
        connection.run(
            f"DELETE FROM {quoted(journal, 'triggers')} WHERE number IN ({listed})",
            f"DROP TABLE {quoted(journal, _REPLACED)}",
        )
    _replace(connection, tuple(Trigger(*row[1:]) for row in saved), triggers.original)


def _replace(connection: Connection, theirs: tuple[Trigger, ...], create: _Create) -> None:
    """Create triggers anew, in the order in which they are to fire."""
    database = connection.database
    connection.run_all(
        f"DROP TRIGGER IF EXISTS {quoted(database, trigger.name)}" for trigger in theirs
    )
    ((mode,),) = connection.rows("SELECT @@SESSION.sql_mode")
    for trigger in theirs:
        connection.run(f"SET SESSION sql_mode = {text(trigger.sql_mode)}")
        try:
            statement = create(trigger, database)
            connection.run_in_charset(statement, trigger.charset, trigger.collation)
        finally:
            connection.run(f"SET SESSION sql_mode = {text(mode)}")


def _cannot_install(connection: Connection, error: Failed) -> SystemUnavailable:
    remedy = "Look at what the server says; nothing was left behind."
    if error.code == _BINLOG:
        remedy = (
            "The server writes a binary log and this user is no administrator. As one: "
            "SET GLOBAL log_bin_trust_function_creators = 1"
        )
    elif error.code in _DENIED:
        remedy = (
            "The journal needs a database of its own, and triggers: as an administrator, GRANT "
            f"ALL ON {quoted(journal_name(connection.database))}.* and GRANT TRIGGER, ALTER ON "
            f"{quoted(connection.database)}.* to the user of the test; to keep triggers that "
            "another user has defined, also SUPER; on MySQL 8.0 SET_USER_ID is enough, later "
            "SET_ANY_DEFINER, and for those of an administrator add SYSTEM_USER."
        )
    elif error.code == _NOT_STORED:
        remedy = (
            "MySQL cannot store triggers of a table in whose name, or in that of a column, there "
            "are both a backtick and letters beyond ASCII. Rename it in the test database."
        )
    elif error.is_lock:
        remedy = f"{blocking.holders(connection)}End that before the adapter is made."
    return SystemUnavailable(
        f"MySQL: {connection.where}: the journal cannot be installed: {error}. {remedy}"
    )
