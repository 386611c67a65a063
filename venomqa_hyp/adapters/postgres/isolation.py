"""A database for each worker of a parallel run."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from venomqa_hyp.adapters.postgres.databases import Server, conninfo_of, url_of
from venomqa_hyp.adapters.postgres.driver import Failed
from venomqa_hyp.adapters.postgres.safety import check_source
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

_WORKER = re.compile(r"[A-Za-z0-9_]{1,32}")


@attrs.frozen
class ClonedDatabase:
    """A database of a worker's own, which is there until the block ends.

    :ivar dsn: connects to it; it may hold a password, and is not shown.
    :ivar url: the same as ``postgresql://...``, as SQLAlchemy and most applications take it.
    """

    name: str
    dsn: str = attrs.field(repr=False)

    @property
    def url(self) -> str:
        """The database as a URL."""
        return url_of(self.dsn)


@contextmanager
def clone(
    source: Any,
    worker_id: str | None = None,
    *,
    allow_destructive: str | None = None,
    lock_timeout: float = 5.0,
) -> Iterator[ClonedDatabase]:
    """Copy a database for a worker, and drop the copy at the end of the block.

    What an earlier run left behind when it was killed is dropped first.

    :param source: the database to copy, which nobody may be connected to meanwhile.
    :param worker_id: as of pytest-xdist: ``gw0``, ``master``; that of this process by default.
    :param allow_destructive: its name, where it is not plainly one for tests.
    :param lock_timeout: seconds to wait until nobody is.
    :raises DefinitionError: the id is no plain word, or the database is refused.
    :raises SystemUnavailable: the database is in use, or cannot be copied.
    """
    if worker_id is None:
        worker_id = os.environ.get("PYTEST_XDIST_WORKER", "main")
    if not _WORKER.fullmatch(worker_id):
        raise DefinitionError(
            f"worker_id={worker_id!r} becomes a part of the name of a database, and can have up to "
            "32 letters, digits and underscores. Write 'gw0'."
        )
    database = check_source(source, "clone", allow_destructive, lock_timeout).database
    with Server(source, database, lock_timeout) as server:
        for left in server.left_over():
            server.drop(left)
        server.wait_until_unused(database)
        name = server.new_name(worker_id)
        try:
            server.copy(database, name)
        except Failed as error:
            raise SystemUnavailable(
                f"database {database!r} cannot be copied for worker {worker_id!r}: {error} The "
                "role needs CREATEDB, and must own the database."
            ) from error
        yield ClonedDatabase(name, conninfo_of(source, dbname=name))
