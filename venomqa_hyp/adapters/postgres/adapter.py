"""The PostgreSQL system: one front, a mode behind it."""

from collections.abc import Iterable
from typing import Any, Literal

from venomqa_hyp.adapters.postgres.journal import JournalMode
from venomqa_hyp.adapters.postgres.observing import Choice
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.world.rollbackable import Handle


class PostgresAdapter:
    """Observe and roll back a PostgreSQL database.

    In mode ``journal`` the application is another process, or has connections of its own: they
    stay open and valid. Triggers write down every row that is written, in a schema
    ``venomqa_journal`` that is there while the adapter is open. A rollback removes and puts back
    the rows that differ, and sets sequences back; its cost does not depend on the size of tables.

    The ``data`` of an observation shows what differs from the moment the adapter was opened::

        {"tables": {"orders": {"columns": ("id", "total"), "key": ("id",),
                               "rows": [(2, Decimal("2.50"))], "removed": [(1, Decimal("1"))],
                               "base": "1 rows, 5577006791947779410"}},
         "sequences": {"orders_id_seq": (2, True)},
         "queries": {name: {"columns": (...), "rows": [...]}}}

    ``rows`` are those that were not there at the beginning, ``removed`` those that are not there
    any more. A table outside of ``public`` is called ``schema.table``; partitions belong to their
    table. Numbers, booleans, bytes and UUIDs are Python values, all else is PostgreSQL's text.
    Generated columns are left out. ``base`` identifies the content at the beginning; of more than
    5,000 rows only by their number.

    :param source: a DSN, or the application's psycopg connection or ``ConnectionPool``.
    :param observe_tables: count only the rows of these tables; all are rolled back.
    :param ignore_columns: leave these out: ``"updated_at"`` of all tables, or
        ``"orders.updated_at"``.
    :param schemas: cover only the tables and sequences of these schemas; all by default.
    :param lock_timeout: seconds to wait for a lock of another connection.
    :raises DefinitionError: an argument is wrong, or the database holds what cannot be rolled back.
    :raises SystemUnavailable: the database cannot be reached or changed, or another run uses it.
    """

    def __init__(
        self,
        source: Any,
        *,
        mode: Literal["auto", "journal"] = "auto",
        observe_tables: Iterable[str] | None = None,
        ignore_columns: Iterable[str] = (),
        schemas: Iterable[str] | None = None,
        lock_timeout: float = 5.0,
        name: str = "postgres",
    ) -> None:
        self.name = name
        self._mode = JournalMode(
            source,
            name=name,
            choice=Choice(observe_tables, ignore_columns),
            schemas=schemas,
            lock_timeout=lock_timeout,
        )

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too, under ``data["queries"][name]``, in sorted order.

        It must depend on the content only: no ``now()``, no ``random()``.

        :raises DefinitionError: PostgreSQL refuses it, it answers with no rows, or the name is
            used.
        """
        self._mode.add_observation_query(name, sql)

    def checkpoint(self, name: str) -> Handle:
        """Remember the present state.

        :raises WorldError: the application left a transaction open, or changed the schema.
        """
        return self._mode.checkpoint(name)

    def rollback(self, handle: Handle) -> None:
        """Restore the state of ``handle``.

        :raises RollbackError: the handle is not live, or the database cannot be changed.
        """
        self._mode.rollback(handle)

    def observe(self) -> Observation:
        """Return the present state.

        :raises WorldError: the application left a transaction open, or changed the schema.
        """
        return self._mode.observe()

    def is_live(self, handle: Handle) -> bool:
        """Tell whether ``handle`` can be rolled back to."""
        return self._mode.is_live(handle)

    def forget(self, handle: Handle) -> None:
        """Free what ``handle`` holds."""
        self._mode.forget(handle)

    def close(self) -> None:
        """Leave the rows as they are, and remove everything that was installed."""
        self._mode.close()
