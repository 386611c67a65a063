"""A database file that others have open, and our connection to it."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from venomqa_hyp.adapters.sql import Answer
from venomqa_hyp.adapters.sqlite.claims import Claim
from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable

_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class File:
    """A database file that other connections, mostly of another process, have open.

    :param timeout: seconds to wait for a lock of another connection.
    :raises DefinitionError: it is no path of a file.
    :raises SystemUnavailable: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float) -> None:
        self._path = checked_path(path)
        self.where = f"SQLite database {self._path}"
        self._timeout = timeout
        self._file = self._identity()
        self._claim: Claim | None = None
        with self.errors("open"):
            self.connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=timeout,
            )
        try:
            with self.errors("open"):
                # Nothing here has to survive a power cut. It holds for this connection only.
                self.connection.execute("PRAGMA synchronous = OFF")
                self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            self.connection.close()
            raise

    def number(self, pragma: str) -> int:
        """Return the number that a pragma answers with."""
        (found,) = self.connection.execute(f"PRAGMA {pragma}").fetchone()
        return int(found)

    def version(self) -> int:
        """Return a number that is another one after each commit of another connection."""
        return self.number("data_version")

    @contextmanager
    def transaction(self, kind: str) -> Iterator[None]:
        """Open a transaction, and end it without a change unless it was committed inside."""
        self.connection.execute(f"BEGIN {kind}")
        try:
            yield
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def claim(self) -> Claim:
        """Claim the file for this process, until it is closed.

        :raises SystemUnavailable: another process has it.
        """
        if self._claim is None:
            self._claim = Claim(self._path)
        return self._claim

    def image(self, previous: Image | None) -> Image:
        """Return the content: ``previous`` itself where nothing changed."""
        # An empty file would be written to by serialize().
        raw = self.connection.serialize() if self.number("page_count") else b""
        return Image.cut(raw, present_journal_mode(self.connection), previous)

    def refuse_open_transaction(self, attempt: str) -> None:
        """Refuse a transaction that another connection has open and has written in.

        :raises RollbackError: it did not end within the timeout.
        """
        with self.errors(attempt, RollbackError), self.transaction("IMMEDIATE"):
            pass

    def refuse_old_readers(self) -> None:
        """Raise RollbackError if a connection in WAL mode still reads from before the rollback."""
        (busy, _, _) = self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if busy:
            raise RollbackError(
                f"{self.where}: rolled back, but after {self._timeout} s another connection still "
                "reads the state before the rollback, so the application would go on with it. "
                "It left a read transaction open: end it (commit, or read the cursor to its end) "
                "before the action returns."
            )

    def refuse_replaced(self) -> None:
        """Raise SystemUnavailable if the path leads to another file, or to none, by now."""
        if self._identity() != self._file:
            raise SystemUnavailable(
                f"{self.where}: the file was deleted and created again, so this adapter and the "
                "application no longer mean the same database. Keep the file and empty its tables "
                "instead, or create the adapter after the application has started."
            )

    def close(self) -> None:
        """Close our connection, and give the file back."""
        self.connection.close()
        if self._claim is not None:
            self._claim.release()

    def _identity(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise SystemUnavailable(
                f"{self.where} cannot be found ({error.strerror}). It is never created here: "
                "start the application, or create its schema, before the adapter."
            ) from error
        return found.st_dev, found.st_ino

    def errors(
        self, attempt: str, otherwise: type[RollbackError | SystemUnavailable] = SystemUnavailable
    ) -> AbstractContextManager[None]:
        """Translate SQLite's errors into ours."""
        return translated(self._explained, attempt, otherwise)

    def _explained(self, error: sqlite3.Error, attempt: str) -> str:
        problem = f"{self.where}: cannot {attempt}: {error}."
        if is_lock(error):
            return (
                f"{problem} Another connection has held a lock for more than lock_timeout="
                f"{self._timeout} s. The usual cause is a transaction or cursor that the "
                "application left open: commit or roll back before the action returns (and do not "
                "use PRAGMA locking_mode=EXCLUSIVE). If it only needs longer, pass "
                "SQLiteAdapter(..., lock_timeout=30)."
            )
        if is_closed(error):
            return f"{problem} The adapter was closed; create a new SQLiteAdapter."
        return f"{problem} Check that the file is a SQLite 3 database which this user may write."


def present_journal_mode(connection: sqlite3.Connection) -> str:
    """Return the journal mode, also where another connection has just set it."""
    cursor = connection.cursor()
    cursor.row_factory = None  # the application's own need not give tuples
    # Only a connection that has read knows of it.
    cursor.execute("SELECT count(*) FROM sqlite_master").fetchall()
    return str(cursor.execute("PRAGMA journal_mode").fetchone()[0])


def rows(connection: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of ``sql``."""
    return answer(connection, sql)[1]


def answer(connection: sqlite3.Connection, sql: str) -> Answer:
    """Return columns and rows of ``sql``.

    Text that is not UTF-8 is decoded with ``surrogateescape``, so that different bytes stay
    different.

    :raises sqlite3.Error: SQLite cannot run it.
    """
    try:
        return _answer(connection, sql)
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    connection.text_factory = decoded
    try:
        return _answer(connection, sql)
    finally:
        connection.text_factory = str


def _answer(connection: sqlite3.Connection, sql: str) -> Answer:
    with closing(connection.execute(sql)) as cursor:
        return tuple(column[0] for column in cursor.description or ()), cursor.fetchall()


def decoded(raw: bytes) -> str:
    """Return text as Python has it; a ``text_factory``."""
    return raw.decode("utf-8", "surrogateescape")


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def translated(
    explained: Callable[[sqlite3.Error, str], str],
    attempt: str,
    otherwise: type[RollbackError | SystemUnavailable] = SystemUnavailable,
) -> Iterator[None]:
    """Translate SQLite's errors into ours.

    :param explained: what to say of an error in an attempt.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise otherwise(explained(error, attempt)) from error


def is_lock(error: sqlite3.Error) -> bool:
    """Tell whether another connection's lock is the cause."""
    # The low byte is the primary code; our own error in Image.restore has none.
    code = getattr(error, "sqlite_errorcode", None)
    return "locked" in str(error) if code is None else code & 0xFF in _LOCKED


def is_closed(error: sqlite3.Error) -> bool:
    """Tell whether the connection was closed."""
    return "closed database" in str(error)


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a database file.

    :raises DefinitionError: it is no path of a file.
    :raises SystemUnavailable: there is no file.
    """
    found = checked_path(path)
    if not found.exists():
        raise SystemUnavailable(
            f"SQLite database {found} cannot be found. It is never created here: start the "
            "application, or create its schema, first."
        )
    return found


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of what may be a database file.

    :raises DefinitionError: it is no path of a file.
    """
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
