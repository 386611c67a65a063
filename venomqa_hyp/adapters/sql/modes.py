"""Adapters with several modes: one front, and the mode that was chosen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import attrs

from venomqa_hyp.adapters.handles import Handle
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError, WorldError


class Mode(Protocol):
    """What does the work of an adapter."""

    def add_observation_query(self, name: str, sql: str) -> None: ...

    def checkpoint(self, name: str) -> Handle: ...

    def rollback(self, handle: Handle) -> None: ...

    def observe(self) -> Observation: ...

    def is_live(self, handle: Handle) -> bool: ...

    def forget(self, handle: Handle) -> None: ...

    def close(self) -> None: ...


@attrs.frozen
class Chosen:
    """A mode, its name, and why it is this one."""

    mode: Mode
    name: str
    reason: str


def refuse_unknown_mode(mode: str, modes: Sequence[str]) -> None:
    """Raise DefinitionError if a mode is none of those that there are."""
    if mode not in modes:
        raise DefinitionError(f"mode={mode!r} is none of {', '.join(map(repr, modes))}.")


class Front:
    """An adapter whose mode does the work; its errors tell which mode, and why it is this one.

    :ivar mode: the name of the mode that was chosen.
    :ivar mode_reason: why.
    :ivar location: how a person connects to look at it, without a password; may be empty.
    """

    location = ""

    def __init__(self, name: str, chosen: Chosen) -> None:
        self.name = name
        self._mode = chosen.mode
        self.mode = chosen.name
        self.mode_reason = chosen.reason

    def checkpoint(self, name: str) -> Handle:
        """Remember the present state.

        :raises WorldError: the application left a transaction open, or changed the schema, where
            the mode could not roll that back; or the database cannot be read.
        """
        with self._naming_the_mode():
            return self._mode.checkpoint(name)

    def rollback(self, handle: Handle) -> None:
        """Restore the state of ``handle``.

        :raises RollbackError: the handle is not live, or the database cannot be changed.
        """
        with self._naming_the_mode():
            self._mode.rollback(handle)

    def observe(self) -> Observation:
        """Return the present state.

        :raises WorldError: as of :meth:`checkpoint`.
        """
        with self._naming_the_mode():
            return self._mode.observe()

    def is_live(self, handle: Handle) -> bool:
        """Tell whether ``handle`` can be rolled back to."""
        return self._mode.is_live(handle)

    def forget(self, handle: Handle) -> None:
        """Free what only ``handle`` holds."""
        self._mode.forget(handle)

    def close(self) -> None:
        """Leave the rows as they are, and remove and close what the adapter made and opened."""
        with self._naming_the_mode():
            self._mode.close()

    def add_observation_query(self, name: str, sql: str) -> None:
        """Observe the rows of ``sql`` too, under ``data["queries"][name]``.

        It must depend on the content only: no time of day, no random number. The rows are sorted,
        but not those of SQLite: write an ORDER BY there. A query runs on a connection of the
        adapter's own, without SQL functions that the application has defined on its connections.

        :raises DefinitionError: the database refuses it, it answers with no rows, or the name is
            used.
        """
        with self._naming_the_mode():
            self._mode.add_observation_query(name, sql)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mode={self.mode!r}, because {self.mode_reason})"

    @contextmanager
    def _naming_the_mode(self) -> Iterator[None]:
        try:
            yield
        except WorldError as error:
            error.add_note(f"{self!r}")
            raise
