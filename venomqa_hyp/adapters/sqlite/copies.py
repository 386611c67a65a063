"""Mode ``copy``: checkpoints, rollback and observation over one source of images.

A checkpoint is an exact copy: rows, rowids, AUTOINCREMENT counters, schema, settings, statistics.
It shares the pages that are equal with the state before it.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import attrs

from venomqa_hyp.adapters.handles import Handle, HandleOwner
from venomqa_hyp.adapters.sql import Answer, Choice, Queries
from venomqa_hyp.adapters.sqlite import contents
from venomqa_hyp.adapters.sqlite.catalog import read_schema, readable
from venomqa_hyp.adapters.sqlite.driver import answer
from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.adapters.sqlite.sources import Source
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import SystemUnavailable


class CopyMode(HandleOwner):
    """Roll back a database by whole copies of it.

    :param choice: which tables are observed; the schema counts whole.
    :raises DefinitionError: an observed table does not exist.
    :raises SystemUnavailable: the database cannot be read.
    """

    def __init__(self, source: Source, choice: Choice, name: str) -> None:
        super().__init__(name)
        self._source = source
        self._current: Image | None = None
        self._last_read: Image | None = None
        self._plan = contents.Plan(name, choice)
        self._queries = Queries(self._ask, name, "SQLite", sqlite3.Error)
        try:
            self._current = self._source.look(None)
            if choice.tables is not None:
                with closing(contents.open_for_reading(self._current)) as connection:
                    choice.check(readable(read_schema(connection)[0]), {})
        except BaseException:
            self._source.close()
            raise

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too; it is executed on a copy in memory.

        :raises DefinitionError: SQLite cannot run it, it answers with no rows, or the name is used.
        """
        self._queries.add(name, sql)
        self._plan = attrs.evolve(self._plan, queries=tuple(self._queries.sql.items()))

    def checkpoint(self, name: str) -> Handle:
        """Remember an exact copy of the database.

        :raises RollbackError: the shared connection has a transaction open.
        :raises SystemUnavailable: the database cannot be read.
        """
        self._source.refuse_checkpoint()
        return self._handle(name, self._look())

    def rollback(self, handle: Handle) -> None:
        """Restore the database of ``handle``, in the file itself.

        :raises RollbackError: the handle is not live, or a lock was held for too long.
        """
        image = self._content(handle)
        self._source.restore(image, self._current)
        self._current = image
        if image.content is not None:
            self._last_read = image

    def observe(self) -> Observation:
        """Return the present content; rows are read again only of tables that changed.

        :raises SystemUnavailable: the database cannot be read.
        """
        image = self._look()
        content: contents.Content | None = image.content
        if content is None or content.plan is not self._plan:
            content = image.content = self._read(image)
        self._last_read = image
        return content.observation

    def close(self) -> None:
        """Leave the database as it is, and close what the adapter has opened."""
        super().close()
        self._current = self._last_read = None
        self._source.close()

    def _look(self) -> Image:
        self._refuse_closed()
        self._current = self._source.look(self._current)
        return self._current

    def _read(self, image: Image) -> contents.Content:
        try:
            return contents.read(image, self._plan, self._last_read)
        except sqlite3.Error as error:
            raise SystemUnavailable(
                f"{self.name}: cannot read the content: {error}. Where the database needs the "
                "application's own collations or functions, name the tables that do not: "
                "SQLiteAdapter(..., observe_tables=[...])."
            ) from error

    def _ask(self, queries: Sequence[str]) -> list[Answer]:
        with closing(contents.open_for_reading(self._look())) as connection:
            return [answer(connection, sql) for sql in queries]
