"""Mode ``copy``: checkpoints, rollback and observation over one source of images.

A checkpoint is an exact copy: rows, rowids, AUTOINCREMENT counters, schema, settings, statistics.
It shares the pages that are equal with the state before it.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing

import attrs

from venomqa_hyp.adapters.sqlite import reading
from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.adapters.sqlite.sources import Source
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError, SystemUnavailable


class CopyHandle:
    """What :meth:`CopyMode.checkpoint` returns; only the adapter looks inside."""

    __slots__ = ("image", "name", "owner")

    def __init__(self, name: str, owner: "CopyMode", image: Image) -> None:
        self.name = name
        self.owner = owner
        self.image: Image | None = image

    def __repr__(self) -> str:
        return f"<CopyHandle {self.name!r}>"


class CopyMode:
    """Roll back a database by whole copies of it.

    :param observe_tables: count only the rows of these tables; the schema counts whole.
    :raises DefinitionError: an observed table does not exist.
    :raises SystemUnavailable: the database cannot be read.
    """

    def __init__(
        self, source: Source, *, observe_tables: Iterable[str] | None = None, name: str = "sqlite"
    ) -> None:
        self.name = name
        self._closed = False
        self._source = source
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
        with closing(reading.open_for_reading(self._look())) as connection:
            reading.check_query(
                self.name,
                lambda query: (reading.columns_of_query(connection, query), ()),
                name,
                sql,
                dict(self._plan.queries),
            )
        self._plan = attrs.evolve(self._plan, queries=(*self._plan.queries, (name, sql)))

    def checkpoint(self, name: str) -> CopyHandle:
        """Remember an exact copy of the database.

        :raises RollbackError: the shared connection has a transaction open.
        :raises SystemUnavailable: the database cannot be read.
        """
        self._source.refuse_checkpoint()
        return CopyHandle(name, self, self._look())

    def rollback(self, handle: CopyHandle) -> None:
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

    def is_live(self, handle: CopyHandle) -> bool:
        """Tell whether ``handle`` can be rolled back to: any one, until forgotten."""
        return (
            isinstance(handle, CopyHandle)
            and handle.owner is self
            and handle.image is not None
            and not self._closed
        )

    def forget(self, handle: CopyHandle) -> None:
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
        return reading.checked_tables(self.name, wanted, reading.table_names(self._look()))
