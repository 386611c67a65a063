"""The ``Store`` of mode ``journal``: take what triggers wrote down, and set rows back."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import attrs

from venomqa_hyp.adapters.postgres import (
    installation,
    locks,
    recovery,
    schema,
    schema_catalogs,
)
from venomqa_hyp.adapters.postgres.advancing import Advancing
from venomqa_hyp.adapters.postgres.catalog import JOURNAL, read
from venomqa_hyp.adapters.postgres.driver import NOT_ALLOWED, Connection, Failed
from venomqa_hyp.adapters.postgres.rows import check_choice, observed_tables
from venomqa_hyp.adapters.postgres.seeding import Seed, plant
from venomqa_hyp.adapters.recovery import warn_of_recovery
from venomqa_hyp.adapters.sql import Choice, Journal, Move, Queries, Table, Taken
from venomqa_hyp.errors import RollbackError, SystemUnavailable

_CHANGED_BEHIND = "27000"

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Options:
    """What the user chose.

    :ivar schemas: names of the schemas to cover; all by default.
    :ivar lock_timeout: seconds to wait for a lock of the application.
    :ivar advance: let sequences go on counting.
    :ivar allow_cancel: cancel statements of the application that hold a lock for longer.
    :ivar seed: executed at the beginning, and undone when the journal is removed.
    """

    name: str
    choice: Choice
    schemas: Iterable[str] | None
    lock_timeout: float
    advance: bool
    allow_cancel: bool
    seed: Seed | None


def open_journal(source: Any, options: Options) -> Journal:
    """Install a journal, and return what rolls back by it.

    :param source: a DSN, or a psycopg connection or pool that says where to connect to.
    :raises DefinitionError: the database holds what a journal cannot roll back.
    :raises SystemUnavailable: it cannot be reached or changed, or another run uses it.
    """
    connection = Connection(source, options.lock_timeout)
    try:
        store = _Store(connection, options)
        try:
            if store.recovered is not None:
                warn_of_recovery(options.name, store.recovered)
            store.begin(source)
            return Journal(store)
        except BaseException:
            store.close()
            raise
    except BaseException:
        connection.close()
        raise


class _Store:
    """The database and its journal.

    :ivar recovered: what was done about a killed run, as a sentence; ``None`` where there was none.
    """

    counted = "sequences"
    tables: Mapping[int, Table]
    metadata: Mapping[str, Any]

    def __init__(self, connection: Connection, options: Options) -> None:
        self.name, choice = options.name, options.choice
        self._connection = connection
        self._options = options
        self._since_vacuum = 0
        self.queries = Queries(connection.read, self.name, "PostgreSQL", Failed)
        installation.claim(connection)
        installation.silence(connection)
        try:
            self.recovered = installation.recover(connection)
            self._catalog = read(connection, options.schemas)
            check_choice(self._catalog, choice)
            installation.install(connection, self._catalog)
        except Failed as error:
            raise SystemUnavailable(self._explained("install the journal", error)) from error
        self._advancing = Advancing(connection, self._catalog) if options.advance else None
        self._counters: tuple[str, Mapping[str, Any]] = ("", {})
        self._names = {sequence.number: sequence.name for sequence in self._catalog.sequences}
        self._numbers = {name: number for number, name in self._names.items()}
        observed = {root.number for root in self._catalog.roots if choice.observes(root.name)}
        self._hidden = frozenset(
            sequence.name
            for sequence in self._catalog.sequences
            if choice.tables is not None and sequence.owner not in observed
        )
        self.metadata = {"mode": "journal", "left_out": self._catalog.left_out}

    def begin(self, source: Any) -> None:
        """Note what the database is at the beginning, once a seed was executed."""
        connection = self._connection
        # In this order: what changes in between is then compared once more, and found equal.
        self._fingerprint = self._ask()[-1][2]
        self._schema_query = schema_catalogs.snapshot_query(connection)
        self._schema = schema.read(connection, self._schema_query)
        seed = self._options.seed
        if seed is None:
            recovery.begin(connection)
        else:
            plant(source, seed, connection.where)
            self.take()
        self.tables = observed_tables(connection, self._catalog, self._options.choice)

    def take(self) -> Taken:
        try:
            *entries, (_, _, sequences), (_, _, fingerprint) = self._freely(self._ask)
        except Failed as error:
            self._refuse_changed_schema(error)
            raise SystemUnavailable(self._explained("observe", error)) from error
        if fingerprint != self._fingerprint:
            self._refuse_changed_schema(None)
            self._fingerprint = fingerprint
        if sequences != self._counters[0]:
            self._counters = (sequences, self._read_counters(sequences))
        self._clean_up(len(entries))
        return Taken(entries, self._counters[1], self._hidden)

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, Any]) -> bool:
        rows = [
            (number, sign, row)
            for number, move in moves.items()
            for sign, of_sign in ((-1, move.remove), (1, move.add))
            for row in of_sign
        ]
        values = [(self._numbers[name], *value) for name, value in counters.items()]
        columns = [[row[at] for row in part] for part in (rows, values) for at in range(3)]
        try:
            ((outcome,),) = self._freely(lambda: self._connection.execute(_RESTORE, columns))
        except Failed as error:
            self._refuse_changed_schema(error)
            raise RollbackError(self._explained("roll back", error)) from error
        self._clean_up(len(rows))
        return bool(outcome)

    def close(self) -> None:
        try:
            if self._advancing:
                self._advancing.set_back()
            is_seeded = self._options.seed is not None
            end = installation.recover if is_seeded else installation.remove
            self._freely(lambda: end(self._connection))
        except Failed as error:
            raise SystemUnavailable(
                f"{self._explained('remove the journal', error)} What is left of it is removed by "
                "the next run, or by: venomqa clean DSN"
            ) from error
        finally:
            self._connection.close()

    def _freely(self, ask: Callable[[], _T]) -> _T:
        """Ask or change the database; where allowed, cancel statements that are in the way."""
        try:
            return ask()
        except Failed as error:
            may_cancel = self._options.allow_cancel and error.is_lock
            if not may_cancel or not locks.cancel(self._connection):
                raise
        return ask()

    def _ask(self) -> list[Any]:
        return self._connection.execute(_TAKE)

    def _read_counters(self, sequences: str) -> dict[str, tuple[int, bool]]:
        numbers = (map(int, one.split()) for one in sequences.split(","))
        advancing = self._advancing.numbers if self._advancing else ()
        return {
            self._names[number]: (value, called == 1)
            for number, value, called in numbers
            if number not in advancing
        }

    def _clean_up(self, rows: int) -> None:
        """Sum up what is kept, and free the space of what was taken, before it takes time."""
        self._since_vacuum += rows
        if self._since_vacuum > recovery.SUMMED_AFTER:
            self._since_vacuum = 0
            self._connection.execute(f"SELECT {JOURNAL}.sum_up()")
            self._connection.execute(f"VACUUM {JOURNAL}.entry, {JOURNAL}.kept")

    def _refuse_changed_schema(self, cause: Failed | None) -> None:
        """Raise RollbackError if the schema is not what it was.

        :param cause: what failed, if anything; a lock and a lost connection have other reasons.
        """
        if cause is not None and (cause.is_lock or cause.sqlstate is None):
            return
        try:
            present = schema.read(self._connection, self._schema_query)
        except Failed as error:
            raise SystemUnavailable(self._explained("compare the schema", error)) from error
        if found := schema.differences(self._schema, present, self._catalog):
            raise RollbackError(
                f"{self.name}: the schema of {self._connection.where} was changed during the run "
                f"({schema.in_words(found)}), which a journal cannot roll back. "
                "Run the migrations before the adapter is created; where the application changes "
                'the schema as it works, use PostgresAdapter(..., mode="template").'
            ) from cause

    def _explained(self, attempt: str, error: Failed) -> str:
        problem = f"{self.name}: cannot {attempt} in {self._connection.where}: "
        if error.is_lock:
            return problem + locks.holders(self._connection, self._options.lock_timeout)
        if error.sqlstate is None:
            return f"{problem}{error} The connection is lost: look at the log of PostgreSQL."
        if error.sqlstate == NOT_ALLOWED:
            return f"{problem}{error} Connect as the owner of the tables, or as a superuser."
        if error.sqlstate == _CHANGED_BEHIND:
            return (
                f"{problem}{error} So rows were written that no trigger reported: triggers were "
                "disabled for a while, or TRUNCATE met rows that its transaction could not see."
            )
        return problem + str(error)


_TAKE = f"SELECT number, sign, content FROM {JOURNAL}.take()"
_RESTORE = (
    f"SELECT {JOURNAL}.restore(%s::bigint[], %s::integer[], %s::text[], "
    "%s::bigint[], %s::bigint[], %s::boolean[])"
)
