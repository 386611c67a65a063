"""Let an application that uses psycopg itself work on a shared connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from venomqa_hyp.adapters.postgres.sharing.connection import SharedConnection


class SharedPool:
    """Stands in for a ``psycopg_pool.ConnectionPool``, and always gives the shared connection.

        connection = SharedConnection.connect(dsn)
        app = create_app(pool=SharedPool(connection))

    As with the real one, a connection that is returned is in no transaction, and ``with
    pool.connection() as connection:`` commits at its end, or rolls back where it raises.
    """

    def __init__(self, connection: SharedConnection) -> None:
        self._connection = connection

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[SharedConnection]:
        """Give the connection for the length of a block.

        :raises RollbackError: it is in use already; the test ends with this error as well.
        """
        connection = self.getconn(timeout)
        try:
            with connection:
                yield connection
        finally:
            self.putconn(connection)

    def getconn(self, timeout: float | None = None) -> SharedConnection:
        """Give the connection until ``putconn``; it never waits."""
        self._connection.check_out()
        return self._connection

    def putconn(self, connection: SharedConnection) -> None:
        """Take the connection back, and roll back what was not committed."""
        connection.close()
        connection.check_in()

    def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        """Do nothing: the connection is open."""

    def wait(self, timeout: float = 30.0) -> None:
        """Do nothing: the connection is there."""

    def close(self, timeout: float = 5.0) -> None:
        """Do nothing: the test ends the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SharedPool({self._connection!r})"
