"""Mode ``journal``: triggers write down what changes, and only that is set back."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from venomqa_hyp.adapters.journal import IDENTIFIED_ROWS, Journal, JournalHandle, Table
from venomqa_hyp.adapters.sqlite import installation, reading
from venomqa_hyp.adapters.sqlite.catalog import Catalog
from venomqa_hyp.adapters.sqlite.file import File
from venomqa_hyp.adapters.sqlite.rows import Layout, decoded, packed
from venomqa_hyp.adapters.sqlite.store import JournalStore
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import SystemUnavailable


class JournalMode:
    """Roll back a file by the rows that changed.

    :param observe_tables: count only the rows of these tables; all are rolled back.
    :raises Unfit: a journal would not be sound for this database.
    :raises DefinitionError: an observed table does not exist.
    :raises SystemUnavailable: the file cannot be written.
    """

    def __init__(
        self, file: File, *, observe_tables: Iterable[str] | None = None, name: str = "sqlite"
    ) -> None:
        self.name = name
        self._file = file
        self._closed = False
        self._queries: dict[str, str] = {}
        run = file.connection.execute
        run("PRAGMA foreign_keys = OFF")
        run("PRAGMA ignore_check_constraints = ON")
        file.connection.text_factory = decoded
        with file.errors("install the journal"), file.transaction("IMMEDIATE"):
            store = self._installed(observe_tables)
            run("COMMIT")
        try:
            self._journal = Journal(store)
        except BaseException:
            store.close()
            raise

    def _installed(self, observe_tables: Iterable[str] | None) -> JournalStore:
        connection = self._file.connection
        catalog = installation.install(connection)
        layouts = catalog.layouts.values()
        observed, counters = _observed(self.name, catalog, observe_tables)
        return JournalStore(
            self._file,
            catalog,
            reading.read_schema(connection)[0],
            {each.number: self._table(each) for each in layouts if each.name in observed},
            observes_counters=counters,
            name=self.name,
            answers=self._answers,
        )

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of a query too.

        :raises DefinitionError: SQLite refuses it, it answers with no rows, or the name is used.
        """
        self._check_open()
        reading.check_query(self.name, self._ask, name, sql, self._queries)
        self._queries[name] = sql

    def checkpoint(self, name: str) -> JournalHandle:
        """Remember the present state.

        :raises RollbackError: another connection has a transaction open, or changed the schema.
        """
        self._check_open()
        self._file.refuse_open_transaction("checkpoint")
        return self._journal.checkpoint(name)

    def rollback(self, handle: JournalHandle) -> None:
        """Restore the state of ``handle``, in the file itself.

        :raises RollbackError: the handle is not live, or the file cannot be changed.
        """
        if self._journal.is_live(handle):
            # Also where there is nothing to change: an open transaction would outlive us.
            self._file.refuse_open_transaction("roll back")
        self._journal.rollback(handle)

    def observe(self) -> Observation:
        """Return what differs from the beginning.

        :raises WorldError: the file cannot be read, or its schema was changed.
        """
        return self._journal.observe()

    def is_live(self, handle: JournalHandle) -> bool:
        """Tell whether ``handle`` can be rolled back to: any one, until forgotten."""
        return self._journal.is_live(handle)

    def forget(self, handle: JournalHandle) -> None:
        """Free the rows that only ``handle`` holds."""
        self._journal.forget(handle)

    def close(self) -> None:
        """Leave the rows as they are, and remove the journal."""
        if not self._closed:
            self._closed = True
            with closing(self._file):
                self._journal.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SystemUnavailable(f"{self.name}: the SQLiteAdapter was closed; create a new one.")

    def _table(self, layout: Layout) -> Table:
        return Table(layout.name, layout.shown, layout.shown_key, self._base(layout), layout.read)

    def _base(self, layout: Layout) -> str:
        sql = f"SELECT {', '.join(layout.stored)} FROM {layout.sql} NOT INDEXED"
        first = self._file.connection.execute(f"{sql} LIMIT {IDENTIFIED_ROWS + 1}").fetchall()
        if len(first) > IDENTIFIED_ROWS:
            (count,) = self._file.connection.execute(
                f"SELECT count(*) FROM {layout.sql}"
            ).fetchone()
            return f"{count} rows"
        seen = [tuple(row[place] for place in layout.places) for row in first]
        content = hashlib.blake2b(packed(seen).encode("latin-1"), digest_size=8)
        return f"{len(first)} rows, {content.hexdigest()}"

    def _answers(self) -> Mapping[str, Mapping[str, Any]]:
        found = {}
        with self._file.errors("answer an observation query"):
            for name, sql in self._queries.items():
                columns, rows = self._ask(sql)
                found[name] = {"columns": columns, "rows": rows}
        return found

    def _ask(self, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        connection = self._file.connection
        connection.execute("PRAGMA query_only = ON")
        try:
            with closing(connection.execute(sql)) as cursor:
                return tuple(column[0] for column in cursor.description or ()), cursor.fetchall()
        finally:
            connection.execute("PRAGMA query_only = OFF")


def _observed(
    system: str, catalog: Catalog, wanted: Iterable[str] | None
) -> tuple[frozenset[str], bool]:
    """Return the names of the observed tables, and whether the counters are observed."""
    existing = reading.readable(catalog.schema)
    names = frozenset(existing)
    if wanted is not None:
        names = reading.checked_tables(system, wanted, sorted(existing))
    return names, reading.COUNTERS in names
