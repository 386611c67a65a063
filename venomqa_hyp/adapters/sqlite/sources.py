"""The two ways to reach the database: through its file, or through the application's connection.

Both take images with ``serialize`` and restore them with the online backup API, which keeps every
open connection valid. Both translate SQLite's errors into ours.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable

_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


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
    """A database file that other connections, mostly of another process, have open.

    :param timeout: seconds to wait for a lock of another connection.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float) -> None:
        self._path = _checked_path(path)
        self._where = f"SQLite database {self._path}"
        self._timeout = timeout
        self._file = self._identity()
        self._seen: int | None = None
        with self._errors("open"):
            self._connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=timeout,
            )
        try:
            with self._errors("open"):
                # Nothing here has to survive a power cut. It holds for this connection only.
                self._connection.execute("PRAGMA synchronous = OFF")
                self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            self._connection.close()
            raise

    def look(self, current: Image | None) -> Image:
        """Return the present state, without reading it if no other connection has committed."""
        self._refuse_replaced_file()
        with self._errors("read"):
            if current is not None and self._seen == self._version():
                return current
            with self._transaction("DEFERRED"):
                self._seen = self._version()
                # An empty file would be written to by serialize().
                (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
                return Image.cut(self._connection.serialize() if pages else b"", current)

    def refuse_checkpoint(self) -> None:
        """Refuse a transaction that another connection has open: its changes cannot be seen here.

        :raises RollbackError: it did not end within the timeout.
        """
        with self._errors("checkpoint", RollbackError), self._transaction("IMMEDIATE"):
            pass

    def restore(self, image: Image, current: Image | None) -> None:
        """Write ``image`` into the file, which the other connections see at once."""
        self._refuse_replaced_file()
        with self._errors("roll back", RollbackError):
            # Also where nothing was committed since: an open transaction would outlive us.
            with self._transaction("IMMEDIATE"):
                before = self._version()
            if image is current and before == self._seen:
                return
            self._seen = None
            image.restore(self._connection)
            self._refuse_old_readers()
            after = self._version()
        # Our own commit does not count in data_version. Where it changed, somebody else has
        # committed meanwhile, and the next look reads everything.
        self._seen = after if after == before else None

    def close(self) -> None:
        """Close our connection."""
        self._connection.close()

    def _version(self) -> int:
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _refuse_old_readers(self) -> None:
        """Raise RollbackError if a connection in WAL mode still reads from before the rollback."""
        (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if busy:
            raise RollbackError(
                f"{self._where}: rolled back, but after {self._timeout} s another connection still "
                "reads the state before the rollback, so the application would go on with it. "
                "It left a read transaction open: end it (commit, or read the cursor to its end) "
                "before the action returns."
            )

    def _refuse_replaced_file(self) -> None:
        if self._identity() != self._file:
            raise SystemUnavailable(
                f"{self._where}: the file was deleted and created again, so this adapter and the "
                "application no longer mean the same database. Keep the file and empty its tables "
                "instead, or create the adapter after the application has started."
            )

    def _identity(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise SystemUnavailable(
                f"{self._where} cannot be found ({error.strerror}). It is never created here: "
                "start the application, or create its schema, before the adapter."
            ) from error
        return found.st_dev, found.st_ino

    @contextmanager
    def _errors(
        self, attempt: str, otherwise: type[RollbackError | SystemUnavailable] = SystemUnavailable
    ) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise otherwise(self._explained(error, attempt)) from error

    def _explained(self, error: sqlite3.Error, attempt: str) -> str:
        problem = f"{self._where}: cannot {attempt}: {error}."
        if _is_lock(error):
            return (
                f"{problem} Another connection has held a lock for more than lock_timeout="
                f"{self._timeout} s. The usual cause is a transaction or cursor that the "
                "application left open: commit or roll back before the action returns (and do not "
                "use PRAGMA locking_mode=EXCLUSIVE). If it only needs longer, pass "
                "SQLiteAdapter(..., lock_timeout=30)."
            )
        if _is_closed(error):
            return f"{problem} The adapter was closed; create a new SQLiteAdapter."
        return f"{problem} Check that the file is a SQLite 3 database which this user may write."


class SharedSource:
    """A connection that the application in this process uses too.

    Whether it changed cannot be told cheaply (``total_changes`` misses incremental blob writes,
    pragmas and schema changes), so every look takes an image and compares pages.
    """

    def __init__(self, connection: sqlite3.Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        with self._errors("use"):
            attached = self._number(
                "SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')"
            )
        if attached:
            raise DefinitionError(
                f"The shared SQLite connection has {attached} attached database(s): only its main "
                "database is rolled back. Pass one SQLiteAdapter(path) per attached file instead."
            )

    def look(self, current: Image | None) -> Image:
        """Return the present state, with what an open transaction has changed."""
        with self._errors("read"):
            # A database with no page yet would be written to by serialize().
            pages = self._number("PRAGMA page_count")
            return Image.cut(self._connection.serialize() if pages else b"", current)

    def refuse_checkpoint(self) -> None:
        """Refuse an open transaction: a rollback could restore its rows, but not that it is open.

        :raises RollbackError: names the remedy.
        """
        with self._errors("checkpoint", RollbackError):
            is_open = self._connection.in_transaction
        if is_open:
            raise RollbackError(
                "The shared SQLite connection has a transaction open, so its state cannot be "
                "checkpointed: later, a rollback by the application would not undo what it undoes "
                "now. Let each action end with connection.commit() or connection.rollback(), or "
                "open the connection with isolation_level=None (on Python 3.12 and later, "
                "autocommit=True)."
            )

    def restore(self, image: Image, current: Image | None) -> None:
        """End an open transaction, and write ``image`` into the database."""
        with self._errors("roll back", RollbackError):
            # No checkpoint is ever taken in a transaction, so none was open in that state.
            if self._connection.in_transaction:
                self._connection.rollback()
            if current is None or self.look(current) is not image:
                with self._lock_timeout():
                    image.restore(self._connection)

    def close(self) -> None:
        """Leave the connection to the application, which opened it."""

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

    @contextmanager
    def _errors(
        self, attempt: str, otherwise: type[RollbackError | SystemUnavailable] = SystemUnavailable
    ) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise otherwise(self._explained(error, attempt)) from error

    def _explained(self, error: sqlite3.Error, attempt: str) -> str:
        problem = f"The shared SQLite connection: cannot {attempt}: {error}."
        if _is_closed(error):
            return f"{problem} The application closed it; keep it open while the World lives."
        if "same thread" in str(error):
            return f"{problem} Open it with sqlite3.connect(..., check_same_thread=False)."
        if "in use" in str(error):
            return (
                f"{problem} A cursor on it has rows left to read: call fetchall() or "
                "cursor.close() before the action returns."
            )
        if _is_lock(error):
            return (
                f"{problem} Another connection has held a lock for more than lock_timeout="
                f"{self._timeout} s: let it commit or roll back before the action returns."
            )
        return problem


def _checked_path(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if text in ("", ":memory:") or text.startswith("file::memory:"):
        raise DefinitionError(
            f"SQLiteAdapter({text!r}): a database in memory belongs to the connection that opened "
            "it, and another connection sees an empty one. Pass the application's own "
            "sqlite3.Connection: SQLiteAdapter(connection)."
        )
    if text.startswith("file:") or "://" in text:
        raise DefinitionError(
            f"SQLiteAdapter({text!r}) needs a path and got a URL: pass the plain path, such as "
            "SQLiteAdapter('/tmp/shop.db')."
        )
    found = Path(text).absolute()
    if found.is_dir():
        raise SystemUnavailable(
            f"SQLite database {found} is a directory: pass the path of the database file in it."
        )
    return found


def _is_lock(error: sqlite3.Error) -> bool:
    # The low byte is the primary code; our own error in Image.restore has none.
    code = getattr(error, "sqlite_errorcode", None)
    return "locked" in str(error) if code is None else code & 0xFF in _LOCKED


def _is_closed(error: sqlite3.Error) -> bool:
    return "closed database" in str(error)
