"""Which mode an adapter works in, and why."""

import os
import sqlite3
from collections.abc import Iterable
from typing import Any

import attrs

from venomqa_hyp.adapters.modes import Chosen, refuse_unknown_mode
from venomqa_hyp.adapters.sqlite import installation
from venomqa_hyp.adapters.sqlite.catalog import Unfit
from venomqa_hyp.adapters.sqlite.copying import CopyMode
from venomqa_hyp.adapters.sqlite.file import File
from venomqa_hyp.adapters.sqlite.journaling import JournalMode
from venomqa_hyp.adapters.sqlite.sources import FileSource, SharedSource
from venomqa_hyp.errors import DefinitionError

MODES = ("auto", "copy", "journal")
#: Bytes of a file from which on ``auto`` takes the journal.
JOURNAL_FROM = 1_000_000


@attrs.frozen
class Wish:
    """The arguments of an adapter."""

    source: str | os.PathLike[str] | sqlite3.Connection
    mode: str
    observe_tables: Iterable[str] | None
    lock_timeout: float
    name: str

    @property
    def common(self) -> dict[str, Any]:
        """The arguments that every mode takes."""
        return {"observe_tables": self.observe_tables, "name": self.name}


def choose(wish: Wish) -> Chosen:
    """Open a mode for a file or a connection.

    :raises DefinitionError: an argument is wrong, or the mode cannot work here.
    :raises SystemUnavailable: the database cannot be opened, read or written.
    """
    refuse_unknown_mode(wish.mode, MODES)
    if isinstance(wish.source, sqlite3.Connection):
        return _shared(wish, wish.source)
    if not isinstance(wish.source, str | os.PathLike):
        raise DefinitionError(
            f"SQLiteAdapter got a {type(wish.source).__name__}: pass the path of the database file "
            "(the application is another process) or the sqlite3.Connection that the application "
            "uses too."
        )
    file = File(wish.source, wish.lock_timeout)
    try:
        with file.errors("remove the journal of a run that was killed"):
            installation.remove(file.connection)
        return _of_file(wish, file)
    except BaseException:
        file.close()
        raise


def _shared(wish: Wish, connection: sqlite3.Connection) -> Chosen:
    if wish.mode == "journal":
        raise DefinitionError(
            "mode='journal' needs connections of the application's own, and got the shared "
            "sqlite3.Connection: there, open transactions cannot be told from committed ones. Pass "
            "the path of the file instead, or leave mode out."
        )
    why = f"mode={wish.mode!r} was asked for" if wish.mode == "copy" else "the connection is shared"
    source = SharedSource(connection, wish.lock_timeout)
    return Chosen(CopyMode(source, **wish.common), "copy", why)


def _of_file(wish: Wish, file: File) -> Chosen:
    asked = f"mode={wish.mode!r} was asked for"
    if wish.mode == "copy":
        return _copy(wish, file, asked)
    size = file.number("page_count") * file.number("page_size")
    if wish.mode == "auto" and size < JOURNAL_FROM:
        return _copy(wish, file, f"the file has {size / 1e6:.1f} MB, and copies of it are cheap")
    try:
        mode = JournalMode(file, **wish.common)
    except Unfit as error:
        if wish.mode == "auto":
            return _copy(wish, file, f"mode 'journal' is not possible: {error}")
        raise DefinitionError(
            f"{file.where}: mode='journal' is not possible: {error}. Pass mode='copy', or leave "
            "mode out."
        ) from error
    why = asked if wish.mode == "journal" else f"the file has {size / 1e6:.1f} MB"
    return Chosen(mode, "journal", why)


def _copy(wish: Wish, file: File, reason: str) -> Chosen:
    return Chosen(CopyMode(FileSource(file), **wish.common), "copy", reason)
