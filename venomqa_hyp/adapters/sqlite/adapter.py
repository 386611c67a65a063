"""The SQLite system: one front, a mode behind it."""

import os
import sqlite3
from collections.abc import Iterable
from typing import Literal

import attrs

from venomqa_hyp.adapters.recovery import warn_of_recovery
from venomqa_hyp.adapters.sql import Choice, Chosen, Front, refuse_unknown_mode
from venomqa_hyp.adapters.sqlite.catalog import Unfit
from venomqa_hyp.adapters.sqlite.copies import CopyMode
from venomqa_hyp.adapters.sqlite.driver import File
from venomqa_hyp.adapters.sqlite.journal import open_journal
from venomqa_hyp.adapters.sqlite.recovery import recover
from venomqa_hyp.adapters.sqlite.sources import FileSource, SharedSource, Source
from venomqa_hyp.errors import DefinitionError

#: Bytes of a file from which on ``auto`` takes the journal.
JOURNAL_FROM = 1_000_000


class SQLiteAdapter(Front):
    """Observe and roll back the main database of a file or of a shared connection.

    Given a path, the application is another process, or has connections of its own: they stay open
    and valid, and see a rollback at once. A rollback waits up to ``lock_timeout`` for their locks.

    Given a ``sqlite3.Connection``, the application in this process uses the same connection. A
    checkpoint refuses an open transaction; a rollback ends one.

    In mode ``copy`` a checkpoint is an exact copy: rows, rowids, AUTOINCREMENT counters, schema,
    ``user_version``. It shares the pages that are equal with the state before it. The ``data`` of
    an observation::

        {"schema": {"table orders": "CREATE TABLE ...", "index ...": ..., "view ...": ...},
         "settings": {"user_version": 0, "application_id": 0},
         "tables": {"orders": {"columns": ("id", "total"), "key": ("id",), "rows": [(1, 250)]}},
         "queries": {name: {"columns": (...), "rows": [...]}}}

    Rows are in the order of the rowid, or of the primary key in a table WITHOUT ROWID. A table
    with no primary key has its rowid as first column and key. Left out are generated columns
    (they follow from the others), the rowid numbers of tables with another primary key (their
    order counts), the planner's statistics, and attached or temporary databases. A virtual table is
    observed through its shadow tables.

    In mode ``journal`` triggers write down every row that is written, in a table
    ``venomqa_journal`` of the file that is there while the adapter is open. A rollback puts back
    the rows that differ, rowids, AUTOINCREMENT counters and settings; its cost does not depend on
    the size of the file. Changes of the schema are refused. The ``data`` has no ``schema``, and
    shows what differs from the moment the adapter was opened::

        {"settings": {"user_version": 0, "application_id": 0, "autoincrement": {...}},
         "tables": {"orders": {"columns": ("id", "total"), "key": ("id",), "rows": [(2, 300)],
                               "removed": [(1, 250)], "base": "1 rows, 81d1b1c0a3f0e6b2"}},
         "queries": {name: {"columns": (...), "rows": [...]}}}

    ``rows`` are those that were not there at the beginning, ``removed`` those that are not there
    any more; their order does not count. ``base`` identifies the content at the beginning; of more
    than 5,000 rows only by their number.

    What a run that was killed has changed in a file is undone first, and said with a
    ``RecoveryWarning``. For that, there is a folder ``<path>-venomqa`` while the adapter is open.

    :param mode: ``auto`` takes ``journal`` for a file of 1 MB or more, where it can be sound, else
        ``copy``; ``adapter.mode_reason`` says why.
    :param observe_tables: count only the rows of these tables; all is rolled back.
    :param lock_timeout: seconds to wait for a lock of another connection.
    :ivar mode: the mode that was chosen.
    :ivar mode_reason: why.
    :ivar location: how a person looks at it: a command for a terminal.
    :raises DefinitionError: the first argument is no path and no connection, or names a database
        in memory; an observed table does not exist; the mode cannot work with this database.
    :raises SystemUnavailable: the database cannot be opened, read or written, or another process
        is rolling it back.
    :raises RollbackError: a killed run cannot be undone, as another connection holds a lock.
    """

    def __init__(
        self,
        path_or_connection: str | os.PathLike[str] | sqlite3.Connection,
        *,
        mode: Literal["auto", "copy", "journal"] = "auto",
        observe_tables: Iterable[str] | None = None,
        lock_timeout: float = 5.0,
        name: str = "sqlite",
    ) -> None:
        refuse_unknown_mode(mode, ("auto", "copy", "journal"))
        choice = Choice(observe_tables)
        super().__init__(
            name, _choose(path_or_connection, _Options(mode, choice, lock_timeout, name))
        )
        if not isinstance(path_or_connection, sqlite3.Connection):
            self.location = f"sqlite3 '{os.fspath(path_or_connection)}'"


@attrs.frozen
class _Options:
    mode: str
    choice: Choice
    lock_timeout: float
    name: str

    def copy(self, source: Source, reason: str) -> Chosen:
        """Open mode ``copy``."""
        if self.mode == "copy":
            reason = "mode='copy' was asked for"
        return Chosen(CopyMode(source, self.choice, self.name), "copy", reason)


def _choose(source: str | os.PathLike[str] | sqlite3.Connection, options: _Options) -> Chosen:
    """Open a mode for a file or a connection."""
    if isinstance(source, sqlite3.Connection):
        return _of_connection(source, options)
    if not isinstance(source, str | os.PathLike):
        raise DefinitionError(
            f"SQLiteAdapter got a {type(source).__name__}: pass the path of the database file "
            "(the application is another process) or the sqlite3.Connection that the application "
            "uses too."
        )
    file = File(source, options.lock_timeout)
    try:
        if (told := recover(file).told(file.where)) is not None:
            warn_of_recovery(options.name, told)
        return _of_file(file, options)
    except BaseException:
        file.close()
        raise


def _of_connection(connection: sqlite3.Connection, options: _Options) -> Chosen:
    if options.mode == "journal":
        raise DefinitionError(
            "mode='journal' needs connections of the application's own, and got the shared "
            "sqlite3.Connection: there, open transactions cannot be told from committed ones. Pass "
            "the path of the file instead, or leave mode out."
        )
    return options.copy(SharedSource(connection, options.lock_timeout), "the connection is shared")


def _of_file(file: File, options: _Options) -> Chosen:
    size = file.number("page_count") * file.number("page_size")
    if options.mode == "copy" or (options.mode == "auto" and size < JOURNAL_FROM):
        cheap = f"the file has {size / 1e6:.1f} MB, and copies of it are cheap"
        return _copied(file, options, cheap)
    try:
        mode = open_journal(file, options.choice, options.name)
    except Unfit as error:
        if options.mode == "auto":
            return _copied(file, options, f"mode 'journal' is not possible: {error}")
        raise DefinitionError(
            f"{file.where}: mode='journal' is not possible: {error}. Pass mode='copy', or leave "
            "mode out."
        ) from error
    is_asked = options.mode == "journal"
    why = "mode='journal' was asked for" if is_asked else f"the file has {size / 1e6:.1f} MB"
    return Chosen(mode, "journal", why)


def _copied(file: File, options: _Options, reason: str) -> Chosen:
    claim = file.claim()
    if claim.is_first:
        # What an adapter of this process has changed already is not the beginning.
        with file.errors("read"), file.transaction("DEFERRED"):
            claim.keep(file.image(None))
    return options.copy(FileSource(file), reason)
