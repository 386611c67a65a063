"""Checkpoints, rollback and observation of a database that keeps a journal of its changes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from venomqa_hyp.adapters.handles import Handle, HandleOwner
from venomqa_hyp.adapters.sql.delta import Delta, Entry, Move
from venomqa_hyp.adapters.sql.observation import Table, observation
from venomqa_hyp.adapters.sql.queries import Queries
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError

_ATTEMPTS = 3


@attrs.frozen
class Taken:
    """What was found out about the database since it was last asked.

    :ivar entries: the rows that were written and removed, in any order.
    :ivar counters: name -> value of everything that counts on: sequences, identity columns.
    :ivar hidden: names of the counters that are rolled back, but not observed.
    """

    entries: Sequence[Entry]
    counters: Mapping[str, Any]
    hidden: frozenset[str] = frozenset()


class Store(Protocol):
    """The database with its triggers.

    :ivar name: of the system, for observations and errors.
    :ivar tables: number -> each observed table; others are rolled back, but not observed.
    :ivar counted: what the counters are called in ``Observation.data``, such as ``sequences``.
    :ivar metadata: of each observation.
    :ivar queries: the observation queries.
    """

    name: str
    tables: Mapping[int, Table]
    counted: str
    metadata: Mapping[str, Any]
    queries: Queries

    def take(self) -> Taken:
        """Take all entries out of the journal, when no transaction that wrote is in progress.

        :raises WorldError: one is, and did not end in time; or the schema was changed.
        """
        ...

    def restore(self, moves: Mapping[int, Move], counters: Mapping[str, Any]) -> bool:
        """Change the tables and set the given counters back, in one transaction and unjournaled.

        :return: False if there are new entries in the journal; nothing was changed then.
        :raises RollbackError: the tables were not what the journal says, or a lock was held.
        """
        ...

    def close(self) -> None:
        """Remove the triggers and everything else that was installed."""
        ...


@attrs.frozen
class _Moment:
    delta: Delta
    counters: Mapping[str, Any]


class Journal(HandleOwner):
    """A ``Rollbackable`` over a store whose triggers report every row that is written.

    The journal in the database is a letter box: it is emptied whenever the store is asked. Every
    moment is kept here, as a difference from the beginning, so any handle can be gone to.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store.name)
        self._store = store
        taken = store.take()
        self._here = _Moment(Delta().after(taken.entries, self._weigh), taken.counters)

    def checkpoint(self, name: str) -> Handle:
        """Remember the present moment.

        :raises WorldError: a transaction is open, or the schema was changed.
        """
        self._catch_up()
        return self._handle(name, self._here)

    def rollback(self, handle: Handle) -> None:
        """Make the database what it was at the moment of ``handle``.

        :raises RollbackError: the handle is not live, or the database cannot be changed.
        """
        moment = self._content(handle)
        for _ in range(_ATTEMPTS):
            self._catch_up()
            if self._restore(moment):
                self._here = moment
                return
        raise RollbackError(
            f"{self.name}: cannot roll back to {handle!r}: the application went on writing "
            f"during {_ATTEMPTS} attempts. Something works in the background: wait for it with "
            "World(..., settle=...), or stop it for the test."
        )

    def observe(self) -> Observation:
        """Return what differs from the beginning."""
        hidden = self._catch_up().hidden
        counters = {
            name: value for name, value in self._here.counters.items() if name not in hidden
        }
        store = self._store
        others = {store.counted: counters, "queries": store.queries.answers()}
        return observation(store.name, store.tables, self._here.delta, others, store.metadata)

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too.

        :raises DefinitionError: the database refuses it, or the name is used.
        """
        self._refuse_closed()
        self._store.queries.add(name, sql)

    def close(self) -> None:
        """Leave the rows as they are, and remove everything that was installed."""
        if not self._closed:
            super().close()
            self._store.close()

    def _catch_up(self) -> Taken:
        self._refuse_closed()
        taken = self._store.take()
        delta = self._here.delta.after(taken.entries, self._weigh)
        self._here = _Moment(delta, taken.counters)
        return taken

    def _restore(self, moment: _Moment) -> bool:
        here = self._here
        moves = here.delta.moves_to(moment.delta)
        back = {
            name: value
            for name, value in moment.counters.items()
            if here.counters.get(name) != value
        }
        return not (moves or back) or self._store.restore(moves, back)

    def _weigh(self, number: int, row: str) -> int:
        table = self._store.tables.get(number)
        return 0 if table is None else table.weigh(row)
