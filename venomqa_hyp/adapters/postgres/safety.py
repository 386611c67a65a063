"""Which databases may be overwritten: those of this machine that are marked for tests.

Only what the connection itself says is looked at: the address that was really reached, the name
of the database and its comment. No settings of the application and no environment are read.
"""

import re
from typing import Any, Self

import attrs

from venomqa_hyp.adapters.postgres.catalog import quoted
from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.adapters.sql import safety

#: What a mode does to a database, for the error that asks for permission.
TOUCHES = {
    "journal": "install a schema and triggers for the length of a run, and delete, insert and "
    "update rows of every table to set them back",
    "savepoint": "hold one transaction open, which is never committed, and set sequences back",
    "template": "end all its connections, and replace the whole database by a copy, over and over",
    "clone": "create a copy of it, and drop that copy",
}


@attrs.frozen
class Target:
    """A database, as a connection to it says.

    :ivar host: the address that was reached, or the folder of the socket.
    :ivar comment: what ``COMMENT ON DATABASE`` says.
    """

    host: str
    database: str
    comment: str

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Read it from an open connection."""
        ((database, comment),) = connection.execute(
            "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '')"
            " FROM pg_database WHERE datname = current_database()"
        )
        return cls(connection.host, database, comment)


def check_destructive(target: Target, mode: str, allow_destructive: str | None) -> None:
    """Refuse a database that is not plainly one for tests.

    :param mode: a key of ``TOUCHES``.
    :param allow_destructive: the exact name of the database, to use it all the same.
    :raises DefinitionError: says why, what would be touched, and how to permit it.
    """
    safety.check_destructive(
        "PostgreSQL",
        target.host,
        target.database,
        f"Mode {mode!r} would {TOUCHES[mode]}.",
        allow_destructive,
        source="DSN",
        is_marked=re.search(r"\bvenomqa\b", target.comment, re.IGNORECASE) is not None,
        marking=f"COMMENT ON DATABASE {quoted(target.database)} IS "
        "'venomqa: rows may be overwritten'",
    )


def check_source(
    source: Any, mode: str, allow_destructive: str | None, lock_timeout: float
) -> Target:
    """Connect once, refuse what is not plainly a database for tests, and say what it is.

    :raises DefinitionError: it is refused.
    :raises SystemUnavailable: it cannot be reached.
    """
    connection = Connection(source, lock_timeout)
    try:
        found = Target.of(connection)
    finally:
        connection.close()
    check_destructive(found, mode, allow_destructive)
    return found
