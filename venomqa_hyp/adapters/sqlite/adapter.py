"""The SQLite system: one front, a mode behind it."""

import os
import sqlite3
from collections.abc import Iterable
from typing import Literal

from venomqa_hyp.adapters.modes import Front
from venomqa_hyp.adapters.sqlite.choosing import Wish, choose


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

    :param mode: ``auto`` takes ``journal`` for a file of 1 MB or more, where it can be sound, else
        ``copy``; ``adapter.mode_reason`` says why.
    :param observe_tables: count only the rows of these tables; all is rolled back.
    :param lock_timeout: seconds to wait for a lock of another connection.
    :ivar mode: the mode that was chosen.
    :ivar mode_reason: why.
    :raises DefinitionError: the first argument is no path and no connection, or names a database
        in memory; an observed table does not exist; the mode cannot work with this database.
    :raises SystemUnavailable: the database cannot be opened, read or written.
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
        if observe_tables is not None and not isinstance(observe_tables, str):
            observe_tables = tuple(observe_tables)  # it may be asked for twice
        chosen = choose(Wish(path_or_connection, mode, observe_tables, lock_timeout, name))
        super().__init__(name, chosen)

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too, under ``data["queries"][name]``.

        It runs on a connection of the adapter's own, without the application's SQL functions. It
        must depend on the content only (no ``random()``, no ``'now'``); write an ORDER BY.

        :raises DefinitionError: SQLite cannot run it, it answers with no rows, or the name is used.
        """
        with self._telling_the_mode():
            self._mode.add_observation_query(name, sql)
