"""The sandbox: one api client, named systems and a context, checkpointed and rolled back as one."""

import sys
import unittest
from collections.abc import Callable, Iterable, Mapping
from time import monotonic, perf_counter, sleep
from types import MappingProxyType, TracebackType
from typing import Any, Self

import attrs
from hypothesis.errors import HypothesisException

from venomqa_hyp.core import (
    Action,
    ActionResult,
    Invariant,
    Observation,
    Place,
    State,
    Verdict,
    canonical_text,
    hash_text,
    number_names,
    snapshot,
)
from venomqa_hyp.errors import (
    DefinitionError,
    InvariantViolated,
    RollbackError,
    VenomError,
    WorldError,
)
from venomqa_hyp.world.context import Context
from venomqa_hyp.world.rollbackable import Handle, Rollbackable

_REQUIRED = ("checkpoint", "rollback", "observe")
_RESERVED = frozenset({"api", "context"})


@attrs.frozen(eq=False)
class Checkpoint:
    """One moment of the World, which it can be rolled back to."""

    name: str
    handles: Mapping[str, Handle] = attrs.field(repr=False)
    context: Mapping[str, Any] = attrs.field(repr=False)


class World:
    """Everything an action can change.

    :param api: the client that actions call. It takes part in checkpoints when it has
        ``checkpoint``, ``rollback`` and ``observe``, as :class:`~venomqa_hyp.adapters.HttpClient`.
    :param systems: name -> the store behind the API, each a ``Rollbackable``.
    :param context: what the context holds at the start.
    :param state_from_context: the context keys that tell states apart; all of them by default.
    :param settle: ``(world) -> what is still going on in the background``, or nothing. Before the
        World is observed, judged, checkpointed or rolled back it is asked again and again until it
        returns something false.
    :param settle_timeout: seconds to wait for that at most.
    :raises DefinitionError: names what is wrong with an argument.
    """

    def __init__(
        self,
        api: Any,
        systems: Mapping[str, Rollbackable] = MappingProxyType({}),
        *,
        context: Mapping[str, Any] = MappingProxyType({}),
        state_from_context: Iterable[str] | None = None,
        settle: Callable[["World"], object] | None = None,
        settle_timeout: float = 5.0,
    ) -> None:
        _check_systems(systems)
        if isinstance(api, str):
            raise DefinitionError(
                f"api is the text {api!r:.60}, which actions could call nothing on. Write "
                f"World(HttpClient({api!r:.60}), systems), or give a client of your own."
            )
        if not isinstance(context, Mapping):
            raise DefinitionError(
                f"context is {context!r:.60} of type {type(context).__name__}, but it maps keys to "
                'values. Write World(api, context={"order_id": 1}).'
            )
        self.api = api
        self.systems: Mapping[str, Any] = MappingProxyType(dict(systems))
        self.context = Context(snapshot(dict(context)), lambda: self)
        self._context_keys = _check_keys(state_from_context)
        self._settle = settle
        self._settle_timeout = settle_timeout
        self._parts: dict[str, Any] = dict(systems)
        is_system = any(api is system for system in systems.values())
        if not is_system and all(callable(getattr(api, name, None)) for name in _REQUIRED):
            self._parts = {"api": api, **systems}
        self._transport_errors = tuple(getattr(api, "transport_errors", ()))
        self._broken: str | None = None
        self._closed = False

    def check_ready(self) -> None:
        """Raise :class:`~venomqa_hyp.errors.WorldError` unless the API can be reached.

        Asks the api client, where it has a ``check_ready`` of its own.
        """
        self._check_usable()
        check = getattr(self.api, "check_ready", None)
        if callable(check):
            check()

    def checkpoint(self, name: str = "checkpoint") -> Checkpoint:
        """Remember the present state of every system, of the client and of the context.

        :raises RollbackError: names the system that failed.
        """
        self._check_usable()
        self._wait_until_settled()
        context = self.context.save()
        handles: dict[str, Handle] = {}
        for part, system in self._parts.items():
            try:
                handles[part] = system.checkpoint(name)
            except Exception as error:
                for done, handle in handles.items():
                    _call(self._parts[done], "forget", handle)
                raise RollbackError(_failed("checkpoint", part, system, error)) from error
        return Checkpoint(name, handles, context)

    def rollback(self, checkpoint: Checkpoint) -> None:
        """Set everything back to ``checkpoint``.

        :raises RollbackError: names the system that failed, and those rolled back before it; the
            World then refuses any further use.
        """
        self._check_usable()
        self._wait_until_settled()
        done: list[str] = []
        for part, handle in checkpoint.handles.items():
            try:
                self._parts[part].rollback(handle)
            except BaseException as error:
                left = ", ".join(self._after(part)) or "nothing"
                self._broken = _failed("roll back", part, self._parts[part], error) + (
                    f". Rolled back before it: {', '.join(done) or 'nothing'}; not reached: {left}."
                )
                if not isinstance(error, Exception):
                    raise
                raise RollbackError(self._broken) from error
            done.append(part)
        self.context.load(checkpoint.context)

    def is_live(self, checkpoint: Checkpoint) -> bool:
        """Return whether every system can still be rolled back to ``checkpoint``."""
        for part, handle in checkpoint.handles.items():
            if self._ask(part, "is_live", handle) is False:
                return False
        return True

    def forget(self, checkpoint: Checkpoint) -> None:
        """Free what ``checkpoint`` holds; it cannot be rolled back to any more."""
        for part, handle in checkpoint.handles.items():
            self._ask(part, "forget", handle)

    def act(
        self, action: Action, arguments: Mapping[str, Any] = MappingProxyType({})
    ) -> ActionResult:
        """Execute an action and say what came of it.

        What the action raises is kept in the result, except what steers the test runner
        (``assume``, a skip) and what says that the test or the World cannot work.
        """
        self._check_usable()
        outer = sys.exception()
        start = perf_counter()
        try:
            value = action.execute(self.api, self.context, **arguments)
        except self._transport_errors as error:
            return ActionResult(
                False,
                error=f"{type(error).__name__}: {error}",
                duration=perf_counter() - start,
            )
        except BaseException as error:
            if not _is_finding(error):
                raise
            _cut_context(error, outer)
            text = f"{type(error).__name__}: {error}"
            return ActionResult(
                False,
                error=text,
                exception=error,
                duration=perf_counter() - start,
                traceback=error.__traceback__,
            )
        return ActionResult.returned(value, perf_counter() - start)

    def judge(self, invariant: Invariant) -> Verdict:
        """Ask an invariant about the present state.

        :raises WorldError: when the API could not be reached, since that says nothing of the rule.
        """
        self._check_usable()
        self._wait_until_settled()
        outer = sys.exception()
        try:
            if invariant.when is not None and not invariant.when(self):
                return Verdict(invariant)
            return Verdict(invariant, _message(invariant, invariant.check(self)))
        except self._transport_errors as error:
            raise WorldError(
                f"invariant {invariant.name!r} could not be checked, because the API did not "
                f"answer it: {type(error).__name__}: {error}. Look at the output of the server: "
                "the last action may have stopped it."
            ) from error
        except BaseException as error:
            if not _is_finding(error):
                raise
            _cut_context(error, outer)
            return Verdict(invariant, f"{type(error).__name__}: {error}", error)

    def observe(self) -> State:
        """Return what all systems, the client and the context show now.

        :raises WorldError: names the system that could not be observed, or what was still going on
            in the background when the time to settle was over.
        """
        self._check_usable()
        self._wait_until_settled()
        observations: dict[str, Observation] = {}
        for part, system in self._parts.items():
            try:
                observations[part] = system.observe()
            except WorldError:
                raise
            except Exception as error:
                raise WorldError(_failed("observe", part, system, error)) from error
            if not isinstance(observations[part], Observation):
                raise DefinitionError(
                    f"system {part!r} ({type(system).__name__}) observed "
                    f"{observations[part]!r:.60}, but states are told apart by an Observation. "
                    f"Return Observation.create({part!r}, data)."
                )
        context = self.context.save()
        told = canonical_text(self.telling(context), where="context")
        digests = [f"{part}={seen.digest}" for part, seen in observations.items()]
        return State(hash_text(";".join(digests) + told), observations, context)

    def identify(self, seen: State, volatile: Mapping[str, frozenset[Place]]) -> State:
        """Return a state with the id that it has but for clocks and random ids.

        :param volatile: for each system, and for ``"context"``, the places where they stand.
        """
        parts = {part: shown.data for part, shown in seen.observations.items() if part in volatile}
        named = number_names({**parts, "context": self.telling(seen.context)}, volatile)
        plain = [
            f"{part}={shown.digest}"
            for part, shown in seen.observations.items()
            if part not in volatile
        ]
        identity = hash_text(";".join([*plain, named.identity]))
        return attrs.evolve(seen, id=identity, names=named.names)

    def telling(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the part of a context that tells states apart."""
        keys = self._context_keys
        return context if keys is None else {key: context[key] for key in keys if key in context}

    def close(self) -> None:
        """Close the systems and the client; a second call does nothing.

        :raises WorldError: names what failed to close, after everything was tried.
        """
        if self._closed:
            return
        self._closed = True
        failures = []
        parts = {**self.systems, "api": self.api}
        for part, system in {id(system): (part, system) for part, system in parts.items()}.values():
            try:
                _call(system, "close")
            except Exception as error:
                failures.append(_failed("close", part, system, error))
        if failures:
            raise WorldError(" ".join(failures))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except WorldError as failure:
            if error is None:
                raise
            error.add_note(f"While closing the World: {failure}")

    def _wait_until_settled(self) -> None:
        if self._settle is None:
            return
        deadline, pause = monotonic() + self._settle_timeout, 0.001
        while pending := self._settle(self):
            if monotonic() > deadline:
                raise WorldError(
                    f"the World did not settle within {self._settle_timeout:g} s; still going on: "
                    f"{pending!r:.200}. Raise settle_timeout, or look at why it never ends."
                )
            sleep(pause)
            pause = min(pause * 2, 0.05)

    def _ask(self, part: str, method: str, handle: Handle) -> object:
        """Call an optional method of a system."""
        try:
            return _call(self._parts[part], method, handle)
        except WorldError:
            raise
        except Exception as error:
            raise WorldError(_failed(method, part, self._parts[part], error)) from error

    def _after(self, part: str) -> list[str]:
        names = list(self._parts)
        return names[names.index(part) + 1 :]

    def _check_usable(self) -> None:
        if self._broken:
            raise RollbackError(f"this World is in an unknown state since: {self._broken}")
        if self._closed:
            raise WorldError("this World is closed; make a new one")


def _check_systems(systems: object) -> None:
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


def _check_keys(keys: Iterable[str] | None) -> tuple[str, ...] | None:
    if keys is None:
        return None
    listed = (keys,) if isinstance(keys, str) else tuple(keys)
    if isinstance(keys, str) or not all(isinstance(key, str) for key in listed):
        raise DefinitionError(
            f"state_from_context is {keys!r}, but it is a list of context keys. "
            'Write state_from_context=["order_id"].'
        )
    return tuple(sorted(listed))


def _failed(verb: str, part: str, system: object, error: BaseException) -> str:
    return (
        f"system {part!r} ({type(system).__name__}) failed to {verb}: "
        f"{type(error).__name__}: {error}"
    )


def _call(system: object, method: str, *arguments: object) -> object:
    function = getattr(system, method, None)
    return function(*arguments) if callable(function) else None


def _message(invariant: Invariant, seen: object) -> str | None:
    if seen is None or seen is True or seen == "":
        return None
    if seen is False:
        return "the check returned False"
    if isinstance(seen, str):
        return seen
    raise DefinitionError(
        f"invariant {invariant.name!r}: the check returned {seen!r:.80} of type "
        f"{type(seen).__name__}, but it returns None or True where the rule holds, and False or a "
        "message where it does not. Compare explicitly: return count == expected."
    )


def _cut_context(error: BaseException, outer: BaseException | None) -> None:
    """Take out of the context of an error what was being handled around the call that raised it.

    The context is part of what tells one bug from another, and that part is ours.
    """
    while error.__context__ is not None:
        if error.__context__ is outer:
            error.__context__ = None
            return
        error = error.__context__


def _is_finding(error: BaseException) -> bool:
    if isinstance(error, (HypothesisException, unittest.SkipTest)):
        return False
    if isinstance(error, VenomError):
        return isinstance(error, InvariantViolated)
    if isinstance(error, (Exception, SystemExit)):
        return True
    # pytest.fail() raises outside the Exception tree, and yet it is a failed check.
    pytest = sys.modules.get("pytest")
    return pytest is not None and isinstance(error, pytest.fail.Exception)
