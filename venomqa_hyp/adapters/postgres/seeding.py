"""Content that a database has for the length of a run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from venomqa_hyp.adapters.postgres.driver import load_psycopg, target
from venomqa_hyp.errors import DefinitionError

#: A file of SQL statements, or what is called with a psycopg connection.
Seed = str | os.PathLike[str] | Callable[[Any], object]


def plant(source: Any, seed: Seed, where: str) -> None:
    """Execute a seed, in one transaction on a connection of its own.

    :param where: the database, for errors.
    :raises DefinitionError: the file cannot be read, or PostgreSQL refuses what is in it.
    """
    statements = None if callable(seed) else _read(seed)
    psycopg = load_psycopg()
    conninfo, options = target(source)
    with psycopg.connect(conninfo, **options) as connection:
        if callable(seed):
            seed(connection)
            return
        try:
            connection.execute(statements)
        except psycopg.Error as error:
            raise DefinitionError(
                f"seed={str(seed)!r} was refused by {where}: {str(error).strip()} It holds SQL "
                "statements that fit the present schema, as pg_dump --data-only --inserts writes "
                "them; COPY ... FROM stdin and commands of psql are none."
            ) from error


def _read(seed: str | os.PathLike[str]) -> str:
    try:
        return Path(seed).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"seed={str(seed)!r} cannot be read: {error}. Write the path of a file of SQL "
            "statements, or a function that gets a psycopg connection."
        ) from error
