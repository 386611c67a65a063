"""The two ways to reach the database: through its file, or through the application's connection.

Both take images with ``serialize`` and restore them with the online backup API, which keeps every
open connection valid. Both translate SQLite's errors into ours.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from venomqa_hyp.adapters.sqlite.driver import (
    File,
    is_closed,
    is_lock,
    present_journal_mode,
    translated,
)
from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.adapters.sqlite.settings import write_journal_mode
from venomqa_hyp.errors import DefinitionError, RollbackError

_SHARED = "The shared SQLite connection"


class Source(Protocol):
    """Where images come from and are restored to."""

    def look(self, current: Image | None) -> Image:
        """Return the present state: ``current`` itself when nothing changed since."""
        ...

    def refuse_checkpoint(self) -> None:
        """Raise RollbackError if the present state cannot be returned to."""
        ...

    def restore(self, image: Image, current: Image | None) -> None:
        """Make the database equal to ``image``; ``current`` is what was last looked at."""
        ...

    def close(self) -> None:
        """Free what the source itself opened."""
        ...


class FileSource:
    """A database file that other connections, mostly of another process, have open."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._seen: int | None = None

    def look(self, current: Image | None) -> Image:
        """Return the present state, without reading it if no other connection has committed."""
        self._file.refuse_replaced()
        with self._file.errors("read"):
            if current is not None and self._seen == self._file.version():
                return current
            with self._file.transaction("DEFERRED"):
                self._seen = self._file.version()
                return self._file.image(current)

    def refuse_checkpoint(self) -> None:
        """Refuse a transaction that another connection has open: its changes cannot be seen here.

        :raises RollbackError: it did not end within the timeout.
        """
        self._file.refuse_open_transaction("checkpoint")

    def restore(self, image: Image, current: Image | None) -> None:
        """Write ``image`` into the file, which the other connections see at once."""
        self._file.refuse_replaced()
        with self._file.errors("roll back", RollbackError):
            # Also where nothing was committed since: an open transaction would outlive us.
            with self._file.transaction("IMMEDIATE"):
                before = self._file.version()
            if image is current and before == self._seen:
                return
            self._seen = None
            write_journal_mode(self._file.connection, image.journal_mode, self._file.where)
            image.restore(self._file.connection)
            self._file.refuse_old_readers()
            after = self._file.version()
        # Our own commit does not count in data_version. Where it changed, somebody else has
        # committed meanwhile, and the next look reads everything.
        self._seen = after if after == before else None

    def close(self) -> None:
        """Close our connection."""
        self._file.close()


class SharedSource:
    """A connection that the application in this process uses too.

    Whether it changed cannot be told cheaply (``total_changes`` misses incremental blob writes,
    pragmas and schema changes), so every look takes an image and compares pages.
    """

    def __init__(self, connection: sqlite3.Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        with translated(self._explained, "use"):
            self._refuse_attached(DefinitionError)

    def look(self, current: Image | None) -> Image:
        """Return the present state, with what an open transaction has changed.

        :raises RollbackError: a database was attached.
        """
        with translated(self._explained, "read"):
            self._refuse_attached(RollbackError)
            # A database with no page yet would be written to by serialize().
            raw = self._connection.serialize() if self._number("PRAGMA page_count") else b""
            return Image.cut(raw, present_journal_mode(self._connection), current)

    def refuse_checkpoint(self) -> None:
        """Refuse an open transaction: a rollback could restore its rows, but not that it is open.

        :raises RollbackError: names the remedy.
        """
        with translated(self._explained, "checkpoint", RollbackError):
            is_open = self._connection.in_transaction
        if is_open:
            raise RollbackError(
                f"{_SHARED} has a transaction open, so its state cannot be "
                "checkpointed: later, a rollback by the application would not undo what it undoes "
                "now. Let each action end with connection.commit() or connection.rollback(), or "
                "open the connection with isolation_level=None (on Python 3.12 and later, "
                "autocommit=True)."
            )

    def restore(self, image: Image, current: Image | None) -> None:
        """End an open transaction, and write ``image`` into the database."""
        with translated(self._explained, "roll back", RollbackError):
            # No checkpoint is ever taken in a transaction, so none was open in that state.
            if self._connection.in_transaction:
                self._connection.rollback()
            if current is None or self.look(current) is not image:
                with self._lock_timeout():
                    write_journal_mode(self._connection, image.journal_mode, _SHARED)
                    image.restore(self._connection)

    def close(self) -> None:
        """Leave the connection to the application, which opened it."""

    def _refuse_attached(self, error: type[DefinitionError | RollbackError]) -> None:
        attached = self._number(
            "SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')"
        )
        if attached:
            raise error(
                f"{_SHARED} has {attached} attached database(s): only its main "
                "database is rolled back. Pass one SQLiteAdapter(path) per attached file instead."
            )

    def _number(self, sql: str) -> int:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # the application's own need not give tuples
        number: int = cursor.execute(sql).fetchone()[0]
        return number

    @contextmanager
    def _lock_timeout(self) -> Iterator[None]:
        applications = self._number("PRAGMA busy_timeout")
        self._number(f"PRAGMA busy_timeout = {int(self._timeout * 1000)}")
        try:
            yield
        finally:
            self._number(f"PRAGMA busy_timeout = {applications}")

    def _explained(self, error: sqlite3.Error, attempt: str) -> str:
        problem = f"{_SHARED}: cannot {attempt}: {error}."
        if is_closed(error):
            return f"{problem} The application closed it; keep it open while the World lives."
        if "same thread" in str(error):
            return f"{problem} Open it with sqlite3.connect(..., check_same_thread=False)."
        if "in use" in str(error):
            return (
                f"{problem} A cursor on it has rows left to read: call fetchall() or "
                "cursor.close() before the action returns."
            )
        if is_lock(error):
            return (
                f"{problem} Another connection has held a lock for more than lock_timeout="
                f"{self._timeout} s: let it commit or roll back before the action returns."
            )
        return problem
