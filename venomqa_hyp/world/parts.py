"""The systems of a World, and its client where that is one, with errors that name the part."""

import sys
from collections.abc import Mapping
from typing import Any

import httpx

from venomqa_hyp.core import Observation
from venomqa_hyp.errors import DefinitionError, RollbackError, WorldError
from venomqa_hyp.world.rollbackable import Handle, Rollbackable
from venomqa_hyp.world.signals import uninterrupted

_REQUIRED = ("checkpoint", "rollback", "observe")
_RESERVED = frozenset({"api", "context"})

Handles = Mapping[str, Handle]


def is_system(value: object) -> bool:
    """Return whether something can be checkpointed, rolled back and observed."""
    return all(callable(getattr(value, name, None)) for name in _REQUIRED)


class Parts:
    """Systems by name, checkpointed and rolled back as one."""

    def __init__(self, systems: Mapping[str, Any]) -> None:
        self._systems = dict(systems)

    def checkpoint(self, name: str) -> Handles:
        """Checkpoint all of them.

        :raises RollbackError: names the one that failed; the others have forgotten theirs.
        """
        handles: dict[str, Handle] = {}
        with uninterrupted():
            for part, system in self._systems.items():
                try:
                    handles[part] = system.checkpoint(name)
                except Exception as error:
                    for done, handle in handles.items():
                        call(self._systems[done], "forget", handle)
                    raise RollbackError(failed("checkpoint", part, system, error)) from error
        return handles

    def rollback(self, handles: Handles) -> None:
        """Roll all of them back.

        :raises RollbackError: names the one that failed, and those that are rolled back.
        """
        done: list[str] = []
        for part, handle in handles.items():
            try:
                self._systems[part].rollback(handle)
            except Exception as error:
                text = failed("roll back", part, self._systems[part], error)
                left = [name for name in self._systems if name not in (*done, part)]
                if done or left:
                    text = f"{text.removesuffix('.')}. Rolled back: {', '.join(done) or 'none'}. "
                    text += f"Not rolled back: {', '.join([part, *left])}."
                raise RollbackError(text) from error
            done.append(part)

    def observe(self) -> dict[str, Observation]:
        """Observe all of them.

        :raises WorldError: names the one that failed.
        """
        with uninterrupted():
            return {part: _observed(part, system) for part, system in self._systems.items()}

    def are_live(self, handles: Handles) -> bool:
        """Return whether all of them can still be rolled back."""
        return all(
            self._ask(part, "is_live", handle) is not False for part, handle in handles.items()
        )

    def forget(self, handles: Handles) -> None:
        """Free what the handles hold."""
        for part, handle in handles.items():
            self._ask(part, "forget", handle)

    def _ask(self, part: str, method: str, handle: Handle) -> object:
        """Call an optional method of a system."""
        try:
            return call(self._systems[part], method, handle)
        except WorldError:
            raise
        except Exception as error:
            raise WorldError(failed(method, part, self._systems[part], error)) from error


def close_all(systems: Mapping[str, object]) -> None:
    """Close everything that can be closed, each object once.

    :raises WorldError: names what failed to close, after everything was tried.
    """
    failures = []
    once = {id(system): (part, system) for part, system in systems.items()}
    for part, system in once.values():
        try:
            with uninterrupted():
                call(system, "close")
        except Exception as error:
            failures.append(failed("close", part, system, error))
    if failures:
        raise WorldError(" ".join(failures))


def check_systems(systems: object) -> None:
    """Refuse what cannot be the systems of a World.

    :raises DefinitionError: says what is wrong, and what to write.
    """
    if not isinstance(systems, Mapping) or isinstance(systems, Rollbackable):
        raise DefinitionError(
            f"systems is {systems!r:.60} of type {type(systems).__name__}, but it maps names to "
            'adapters. Write World(api, {"db": SQLiteAdapter("orders.db")}).'
        )
    for name, system in systems.items():
        if name in _RESERVED or not isinstance(name, str):
            raise DefinitionError(
                f"a system is named {name!r}, but system names are strings other than "
                f"{' and '.join(sorted(map(repr, _RESERVED)))}, which the World uses itself."
            )
        if isinstance(system, type):
            raise DefinitionError(
                f"system {name!r} is the class {system.__name__} itself, but a system is an object "
                f"of it. Write {system.__name__}(...)."
            )
        missing = [method for method in _REQUIRED if not callable(getattr(system, method, None))]
        if missing:
            raise DefinitionError(
                f"system {name!r} ({type(system).__name__}) has no method {', '.join(missing)}, so "
                "the World could not set it back. A system has checkpoint(name) -> handle, "
                "rollback(handle) and observe() -> Observation; "
                "venomqa_hyp.testing.check_rollbackable tests one."
            )


def transport_errors(api: object) -> tuple[type[Exception], ...]:
    """Return what a client raises where no answer came, which is no bug of the API."""
    if isinstance(api, (httpx.Client, httpx.AsyncClient)):
        return (httpx.TransportError,)
    requests = sys.modules.get("requests")
    if requests is not None and isinstance(api, requests.Session):
        return (requests.ConnectionError, requests.Timeout)
    return tuple(getattr(api, "transport_errors", ()))


def _observed(part: str, system: Any) -> Observation:
    try:
        seen = system.observe()
    except WorldError:
        raise
    except Exception as error:
        raise WorldError(failed("observe", part, system, error)) from error
    if not isinstance(seen, Observation):
        raise DefinitionError(
            f"system {part!r} ({type(system).__name__}) observed {seen!r:.60}, but states are "
            f"told apart by an Observation. Return Observation.create({part!r}, data)."
        )
    return seen


def failed(verb: str, part: str, system: object, error: BaseException) -> str:
    """Return the sentence that says which system failed to do what, and why."""
    return (
        f"system {part!r} ({type(system).__name__}) failed to {verb}: "
        f"{type(error).__name__}: {error}"
    )


def call(system: object, method: str, *arguments: object) -> object:
    """Call a method where there is one."""
    function = getattr(system, method, None)
    return function(*arguments) if callable(function) else None
