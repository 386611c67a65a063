"""The PostgreSQL system: one front, a mode behind it."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import attrs

from venomqa_hyp.adapters.postgres.databases import url_of
from venomqa_hyp.adapters.postgres.driver import NOT_ALLOWED, Failed
from venomqa_hyp.adapters.postgres.isolation import clone
from venomqa_hyp.adapters.postgres.journal import Options, open_journal
from venomqa_hyp.adapters.postgres.safety import check_source
from venomqa_hyp.adapters.postgres.seeding import Seed
from venomqa_hyp.adapters.postgres.template import TemplateMode
from venomqa_hyp.adapters.sql import Choice, Chosen, Front, Journal, Mode, refuse_unknown_mode
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable

_MODES = ("auto", "journal", "savepoint", "template")


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
    :param seed: content for the length of a run: a file of SQL statements, or a function that gets
        a psycopg connection. It is executed when the adapter is opened and undone in ``close()``,
        with all that the run changed. Mode ``journal`` only.
    :param schemas: cover only the tables and sequences of these schemas; all by default.
    :param allow_destructive: the exact name of the database, to accept it all the same.
    :param lock_timeout: seconds to wait for a lock of another connection.
    :param allow_cancel: mode ``journal``: cancel statements of the application that still run and
        hold a lock after that time, where rows are to be read or to go back.
    :param warm_up: mode ``template``: called after connections were ended, until it works; a
        request that changes nothing, by a client of its own.
    :ivar mode: the mode that was chosen.
    :ivar mode_reason: why.
    :ivar location: a command that connects to it, without a password.
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
        seed: Seed | None = None,
        schemas: Iterable[str] | None = None,
        allow_destructive: str | None = None,
        lock_timeout: float = 5.0,
        allow_cancel: bool = False,
        warm_up: Callable[[], object] | None = None,
        name: str = "postgres",
    ) -> None:
        refuse_unknown_mode(mode, _MODES)
        common = {
            "name": name,
            "choice": Choice(observe_tables, ignore_columns),
            "schemas": schemas,
            "lock_timeout": lock_timeout,
        }
        options = _Options(
            source, mode, sequences, seed, allow_cancel, allow_destructive, warm_up, common
        )
        super().__init__(name, _choose(options))
        if not _is_shared(source):
            self.location = f"psql '{url_of(source, password=False)}'"


@attrs.frozen
class _Options:
    """The arguments of an adapter.

    :ivar common: those that every mode takes.
    """

    source: Any
    mode: str
    sequences: str
    seed: Seed | None
    allow_cancel: bool
    allow_destructive: str | None
    warm_up: Callable[[], object] | None
    common: dict[str, Any]

    def check_destructive(self, mode: str) -> None:
        """Refuse a database that the mode may not change."""
        check_source(self.source, mode, self.allow_destructive, self.common["lock_timeout"])

    def journal(self) -> Journal:
        """Open mode ``journal``."""
        advance, cancel = self.sequences == "advance", self.allow_cancel
        options = Options(**self.common, advance=advance, allow_cancel=cancel, seed=self.seed)
        return open_journal(self.source, options)

    def template(self) -> TemplateMode:
        """Open mode ``template``."""
        return TemplateMode(self.source, warm_up=self.warm_up, **self.common)

    def savepoint(self) -> Mode:
        """Open mode ``savepoint``."""
        # Not above: that module cannot be imported without psycopg, and this one can.
        from venomqa_hyp.adapters.postgres.savepoint import SavepointMode

        return SavepointMode(self.source, **self.common)


def _choose(options: _Options) -> Chosen:
    """Open a mode for a database that may be overwritten."""
    is_shared = _is_shared(options.source)
    _refuse_mismatch(options, is_shared)
    why = f"mode={options.mode!r} was asked for"
    if is_shared:
        options.check_destructive("savepoint")
        if options.mode == "auto":
            why = "the source is a SharedConnection"
        return Chosen(options.savepoint(), "savepoint", why)
    if options.mode == "template":
        options.check_destructive("template")
        return Chosen(options.template(), "template", why)
    options.check_destructive("journal")
    if options.mode == "journal":
        return Chosen(options.journal(), "journal", why)
    return _automatic(options)


def _refuse_mismatch(options: _Options, is_shared: bool) -> None:
    """Raise DefinitionError where mode, sequences and source do not go together."""
    if options.sequences not in ("restore", "advance"):
        raise DefinitionError(
            f"sequences={options.sequences!r} was refused: sequences are set back with the rows, "
            "or go on counting. Write sequences='restore' or sequences='advance'."
        )
    if options.mode == "savepoint" and not is_shared:
        raise DefinitionError(
            "mode='savepoint' needs the connection that the application uses, opened with "
            f"SharedConnection.connect(dsn), and got a {type(options.source).__name__}: on any "
            "other connection a savepoint undoes nothing that the application did."
        )
    if is_shared and options.mode not in ("auto", "savepoint"):
        raise DefinitionError(
            f"mode={options.mode!r} rolls back what is committed, and nothing is ever committed on "
            "a SharedConnection. Pass the DSN instead, or leave mode out."
        )
    if options.seed is not None and (is_shared or options.mode == "template"):
        raise DefinitionError(
            "seed=... needs mode='journal', which can undo it. Execute it yourself before the "
            "adapter is made, or pass the DSN and leave mode out."
        )
    if options.sequences == "advance" and (is_shared or options.mode == "template"):
        raise DefinitionError(
            f"sequences='advance' needs mode='journal': mode {options.mode!r} sets sequences back "
            "with everything else. Pass the DSN, and leave mode out."
        )


def _automatic(options: _Options) -> Chosen:
    try:
        why = "the application has connections of its own, which stay open"
        return Chosen(options.journal(), "journal", why)
    except (DefinitionError, SystemUnavailable) as error:
        if options.sequences == "advance" or options.seed is not None:
            raise
        refused = error
    cause = refused.__cause__
    denied = isinstance(cause, Failed) and cause.sqlstate == NOT_ALLOWED
    if not denied and not isinstance(refused, DefinitionError):
        raise refused
    mode: TemplateMode | None = None
    try:
        mode = options.template()
        mode.forget(mode.checkpoint("is it possible?"))
    except (DefinitionError, SystemUnavailable, RollbackError) as error:
        if mode is not None:
            mode.close()
        refused.add_note(f"Mode 'template' is not possible either: {error}")
        raise refused from error
    return Chosen(mode, "template", f"mode 'journal' is not possible: {refused}")


def _is_shared(source: Any) -> bool:
    if isinstance(source, str):
        return False
    from venomqa_hyp.adapters.postgres.sharing import SharedConnection

    return isinstance(source, SharedConnection)
