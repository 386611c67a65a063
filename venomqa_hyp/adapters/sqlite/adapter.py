"""The SQLite system: checkpoints, rollback and observation over one source of images."""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing

import attrs

from venomqa_hyp.adapters.sqlite import reading
from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.adapters.sqlite.sources import FileSource, SharedSource, Source
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable


class SQLiteHandle:
    """What :meth:`SQLiteAdapter.checkpoint` returns; only the adapter looks inside."""

    __slots__ = ("image", "name", "owner")

    def __init__(self, name: str, owner: "SQLiteAdapter", image: Image) -> None:
        self.name = name
        self.owner = owner
        self.image: Image | None = image

    def __repr__(self) -> str:
        return f"<SQLiteHandle {self.name!r}>"


class SQLiteAdapter:
    """Observe and roll back the main database of a file or of a shared connection.

    Given a path, the application is another process, or has connections of its own: they stay open
    and valid, and see a rollback at once. A rollback waits up to ``lock_timeout`` for their locks.

    Given a ``sqlite3.Connection``, the application in this process uses the same connection. A
    checkpoint refuses an open transaction; a rollback ends one.

    A checkpoint is an exact copy: rows, rowids, AUTOINCREMENT counters, schema, ``user_version``.
    It shares the pages that are equal with the state before it.

    The ``data`` of an observation::

        {"schema": {"table orders": "CREATE TABLE ...", "index ...": ..., "view ...": ...},
         "settings": {"user_version": 0, "application_id": 0},
         "tables": {"orders": {"columns": ("id", "total"), "key": ("id",), "rows": [(1, 250)]}},
         "queries": {name: {"columns": (...), "rows": [...]}}}

    Rows are in the order of the rowid, or of the primary key in a table WITHOUT ROWID. A table
    with no primary key has its rowid as first column and key. Left out are generated columns
    (they follow from the others), the rowid numbers of tables with another primary key (their
    order counts), the planner's statistics, and attached or temporary databases. A virtual table is
    observed through its shadow tables.

    :param observe_tables: count only the rows of these tables; the schema counts whole.
    :param lock_timeout: seconds to wait for a lock of another connection.
    :raises DefinitionError: the first argument is no path and no connection, or names a database
        in memory; an observed table does not exist.
    :raises SystemUnavailable: the database cannot be opened or read.
    """

    def __init__(
        self,
        path_or_connection: str | os.PathLike[str] | sqlite3.Connection,
        *,
        observe_tables: Iterable[str] | None = None,
        lock_timeout: float = 5.0,
        name: str = "sqlite",
    ) -> None:
        self.name = name
        self._closed = False
        self._source = _source(path_or_connection, lock_timeout)
        self._current: Image | None = None
        self._last_read: Image | None = None
        self._plan = reading.Plan(name)
        try:
            self._current = self._source.look(None)
            if observe_tables is not None:
                self._plan = reading.Plan(name, self._checked_tables(observe_tables))
        except BaseException:
            self._source.close()
            raise

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too, under ``data["queries"][name]``.

        It runs on a copy in memory, without the application's own SQL functions. It must depend on
        the content only (no ``random()``, no ``'now'``); write an ORDER BY.

        :raises DefinitionError: SQLite cannot run it, it answers with no rows, or the name is used.
        """
        if name in dict(self._plan.queries):
            raise DefinitionError(
                f"{self.name}: there is an observation query {name!r} already; choose another name."
            )
        with closing(reading.open_for_reading(self._look())) as connection:
            try:
                columns = reading.columns_of_query(connection, sql)
            except sqlite3.Error as error:
                raise DefinitionError(
                    f"{self.name}: SQLite refuses the observation query {name!r}: {error}. "
                    f"The query: {sql}"
                ) from error
        if not columns:
            raise DefinitionError(
                f"{self.name}: the observation query {name!r} answers with no rows: {sql}. "
                "Write a SELECT."
            )
        self._plan = attrs.evolve(self._plan, queries=(*self._plan.queries, (name, sql)))

    def checkpoint(self, name: str) -> SQLiteHandle:
        """Remember an exact copy of the database.

        :raises RollbackError: the shared connection has a transaction open.
        :raises SystemUnavailable: the database cannot be read.
        """
        self._source.refuse_checkpoint()
        return SQLiteHandle(name, self, self._look())

    def rollback(self, handle: SQLiteHandle) -> None:
        """Restore the database of ``handle``, in the file itself.

        :raises RollbackError: the handle is not live, or a lock was held for too long.
        """
        if not self.is_live(handle) or handle.image is None:
            raise RollbackError(
                f"{self.name}: cannot roll back to {handle!r}: it was forgotten, it is another "
                "adapter's, or this adapter was closed. Take a new checkpoint."
            )
        self._source.restore(handle.image, self._current)
        self._current = handle.image
        if handle.image.content is not None:
            self._last_read = handle.image

    def observe(self) -> Observation:
        """Return the present content; rows are read again only of tables that changed.

        :raises SystemUnavailable: the database cannot be read.
        """
        image = self._look()
        content: reading.Content | None = image.content
        if content is None or content.plan is not self._plan:
            content = image.content = self._read(image)
        self._last_read = image
        return content.observation

    def is_live(self, handle: SQLiteHandle) -> bool:
        """Tell whether ``handle`` can be rolled back to: any one, until forgotten."""
        return (
            isinstance(handle, SQLiteHandle)
            and handle.owner is self
            and handle.image is not None
            and not self._closed
        )

    def forget(self, handle: SQLiteHandle) -> None:
        """Free the pages that only ``handle`` holds."""
        if self.is_live(handle):
            handle.image = None

    def close(self) -> None:
        """Leave the database as it is, and close what the adapter has opened."""
        self._closed = True
        self._current = self._last_read = None
        self._source.close()

    def _look(self) -> Image:
        if self._closed:
            raise SystemUnavailable(f"{self.name}: the SQLiteAdapter was closed; create a new one.")
        self._current = self._source.look(self._current)
        return self._current

    def _read(self, image: Image) -> reading.Content:
        try:
            return reading.read(image, self._plan, self._last_read)
        except sqlite3.Error as error:
            raise SystemUnavailable(
                f"{self.name}: cannot read the content: {error}. Where the database needs the "
                "application's own collations or functions, name the tables that do not: "
                "SQLiteAdapter(..., observe_tables=[...])."
            ) from error

    def _checked_tables(self, wanted: Iterable[str]) -> frozenset[str]:
        if isinstance(wanted, str):
            raise DefinitionError(f"observe_tables={wanted!r} must be a list: [{wanted!r}].")
        names = frozenset(wanted)
        existing = reading.table_names(self._look())
        if unknown := sorted(names.difference(existing)):
            raise DefinitionError(
                f"{self.name}: observe_tables names {unknown}, which the database does not have. "
                f"Its tables: {existing}."
            )
        return names


def _source(database: str | os.PathLike[str] | sqlite3.Connection, timeout: float) -> Source:
    if isinstance(database, sqlite3.Connection):
        return SharedSource(database, timeout)
    if isinstance(database, str | os.PathLike):
        return FileSource(database, timeout)
    raise DefinitionError(
        f"SQLiteAdapter got a {type(database).__name__}: pass the path of the database file (the "
        "application is another process) or the sqlite3.Connection that the application uses too."
    )
