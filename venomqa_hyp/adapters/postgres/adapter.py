"""The PostgreSQL system: one front, a mode behind it."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from venomqa_hyp.adapters.journal import Choice
from venomqa_hyp.adapters.modes import Front
from venomqa_hyp.adapters.postgres.choosing import Wish, choose
from venomqa_hyp.adapters.postgres.isolation import clone


class PostgresAdapter(Front):
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

    In mode ``savepoint`` the application is in this process and shares one connection, a
    ``SharedConnection``. In mode ``template`` the whole database is copied, and the connections
    of the application end at each checkpoint and rollback. Both show all rows, and no ``base``.

    Only a database of this machine that is marked for tests is accepted: its name has the word
    ``test`` or ``venomqa``, or its comment has the word ``venomqa``.

    :param source: a DSN, the application's psycopg connection or ``ConnectionPool``, or a
        ``SharedConnection``.
    :param mode: ``auto`` takes ``savepoint`` for a SharedConnection, else ``journal``, else,
        where a journal is not possible, ``template``; ``adapter.mode_reason`` says why.
    :param observe_tables: count only the rows of these tables; all are rolled back.
    :param ignore_columns: leave these out: ``"updated_at"`` of all tables, or
        ``"orders.updated_at"``.
    :param sequences: ``"restore"`` sets them back with the rows. ``"advance"`` lets them go on,
        from 1,000,000,000, so that no id is given twice, and sets them back in ``close()``: for a
        server that caches rows by id. Mode ``journal`` only.
    :param schemas: cover only the tables and sequences of these schemas; all by default.
    :param allow_destructive: the exact name of the database, to accept it all the same.
    :param lock_timeout: seconds to wait for a lock of another connection.
    :param warm_up: mode ``template``: called after connections were ended, until it works; a
        request that changes nothing, by a client of its own.
    :ivar mode: the mode that was chosen.
    :ivar mode_reason: why.
    :raises DefinitionError: the database is refused, an argument is wrong, or the database holds
        what cannot be rolled back.
    :raises SystemUnavailable: the database cannot be reached or changed, or another run uses it.
    """

    #: Give a worker of a parallel run a database of its own.
    clone = staticmethod(clone)

    def __init__(
        self,
        source: Any,
        *,
        mode: Literal["auto", "journal", "savepoint", "template"] = "auto",
        observe_tables: Iterable[str] | None = None,
        ignore_columns: Iterable[str] = (),
        sequences: Literal["restore", "advance"] = "restore",
        schemas: Iterable[str] | None = None,
        allow_destructive: str | None = None,
        lock_timeout: float = 5.0,
        warm_up: Callable[[], object] | None = None,
        name: str = "postgres",
    ) -> None:
        choice = Choice(observe_tables, ignore_columns)
        chosen = choose(
            Wish(
                source,
                mode,
                name,
                choice,
                schemas,
                allow_destructive,
                lock_timeout,
                warm_up,
                sequences,
            )
        )
        super().__init__(name, chosen)

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too, under ``data["queries"][name]``, in sorted order.

        It must depend on the content only: no ``now()``, no ``random()``.

        :raises DefinitionError: PostgreSQL refuses it, it answers with no rows, or the name is
            used.
        """
        with self._telling_the_mode():
            self._mode.add_observation_query(name, sql)
