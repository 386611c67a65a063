"""Checkpoints, rollback and observation of a database that keeps a journal of its changes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from venomqa_hyp.adapters.journal.delta import Delta, Entry, Move
from venomqa_hyp.adapters.journal.observing import Table, observation
from venomqa_hyp.adapters.lifetime import closed, not_live
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
    """

    name: str
    tables: Mapping[int, Table]
    counted: str
    metadata: Mapping[str, Any]

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

    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return name -> ``{"columns": ..., "rows": ...}`` of the observation queries."""
        ...

    def close(self) -> None:
        """Remove the triggers and everything else that was installed."""
        ...


@attrs.frozen
class _Moment:
    delta: Delta
    counters: Mapping[str, Any]


class JournalHandle:
    """What ``checkpoint`` returns; only the journal looks inside."""

    __slots__ = ("moment", "name", "owner")

    def __init__(self, name: str, owner: "Journal", moment: _Moment) -> None:
        self.name = name
        self.owner = owner
        self.moment: _Moment | None = moment

    def __repr__(self) -> str:
        return f"<JournalHandle {self.name!r}>"


class Journal:
    """A ``Rollbackable`` over a store whose triggers report every row that is written.

    The journal in the database is a letter box: it is emptied whenever the store is asked. Every
    moment is kept here, as a difference from the beginning, so any handle can be gone to.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closed = False
        self._here = _Moment(Delta(), store.take().counters)

    def checkpoint(self, name: str) -> JournalHandle:
        """Remember the present moment.

        :raises WorldError: a transaction is open, or the schema was changed.
        """
        self._catch_up()
        return JournalHandle(name, self, self._here)

    def rollback(self, handle: JournalHandle) -> None:
        """Make the database what it was at the moment of ``handle``.

        :raises RollbackError: the handle is not live, or the database cannot be changed.
        """
        if not self.is_live(handle) or handle.moment is None:
            raise not_live(self._store.name, handle)
        for _ in range(_ATTEMPTS):
            self._catch_up()
            if self._restore(handle.moment):
                self._here = handle.moment
                return
        raise RollbackError(
            f"{self._store.name}: cannot roll back to {handle!r}: the application went on writing "
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
        others = {store.counted: counters, "queries": store.answers()}
        return observation(store.name, store.tables, self._here.delta, others, store.metadata)

    def is_live(self, handle: JournalHandle) -> bool:
        """Tell whether ``handle`` can be rolled back to: any one, until forgotten."""
        return (
            isinstance(handle, JournalHandle)
            and handle.owner is self
            and handle.moment is not None
            and not self._closed
        )

    def forget(self, handle: JournalHandle) -> None:
        """Free the rows that only ``handle`` holds."""
        if self.is_live(handle):
            handle.moment = None

    def close(self) -> None:
        """Leave the rows as they are, and remove everything that was installed."""
        if not self._closed:
            self._closed = True
            self._store.close()

    def _catch_up(self) -> Taken:
        if self._closed:
            raise closed(self._store.name)
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
