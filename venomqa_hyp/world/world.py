"""The sandbox: one api client, named systems and a context, checkpointed and rolled back as one."""

import inspect
import sys
import unittest
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic, perf_counter, sleep
from types import MappingProxyType, TracebackType
from typing import Any, Self

import attrs
from hypothesis.errors import HypothesisException

from venomqa_hyp.core import Action, ActionResult, Invariant, State, Verdict
from venomqa_hyp.core.action import is_async
from venomqa_hyp.errors import (
    DefinitionError,
    InvariantViolated,
    RollbackError,
    VenomError,
    WorldError,
)
from venomqa_hyp.values import Shown, canonical_text, hash_text, snapshot
from venomqa_hyp.world.context import Context
from venomqa_hyp.world.loop import BACKENDS, Backend, Loop, dropped
from venomqa_hyp.world.parts import (
    Handles,
    Parts,
    check_systems,
    close_all,
    is_system,
    transport_errors,
)
from venomqa_hyp.world.rollbackable import Rollbackable
from venomqa_hyp.world.signals import insist, uninterrupted


@attrs.frozen(eq=False)
class Checkpoint:
    """One moment of the World, which it can be rolled back to."""

    name: str
    handles: Handles = attrs.field(repr=False)
    context: Mapping[str, object] = attrs.field(repr=False)


class World:
    """Everything an action can change.

    :param api: the client that actions call. It takes part in checkpoints when it has
        ``checkpoint``, ``rollback`` and ``observe``, as :class:`~venomqa_hyp.adapters.HttpClient`.
    :param systems: name -> the store behind the API, each a ``Rollbackable``.
    :param context: what the context holds at the start.
    :param state_from_context: the context keys that tell states apart; all of them by default.
    :param volatile: places that count for nothing, such as ``"db.users.password_hash"``: what the
        API makes anew each time is found without being named here.
    :param after_rollback: ``(world)``, called after each rollback: the place to empty the caches of
        the API.
    :param settle: ``(world) -> what is still going on in the background``, or nothing. Before the
        World is observed, checked, checkpointed or rolled back it is asked again and again until it
        returns something false.
    :param settle_timeout: seconds to wait for that at most.
    :param async_backend: runs the async functions of actions and invariants, on an event loop of
        this World's own: ``"asyncio"`` or ``"trio"``.
    :raises DefinitionError: names what is wrong with an argument.
    """

    def __init__(
        self,
        api: object,
        systems: Mapping[str, Rollbackable] = MappingProxyType({}),
        *,
        context: Mapping[str, object] = MappingProxyType({}),
        state_from_context: Iterable[str] | None = None,
        volatile: Iterable[str] = (),
        after_rollback: Callable[["World"], object] | None = None,
        settle: Callable[["World"], object] | None = None,
        settle_timeout: float = 5.0,
        async_backend: Backend = "asyncio",
    ) -> None:
        check_systems(systems)
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
        self.api: Any = api
        self.systems: Mapping[str, Any] = MappingProxyType(dict(systems))
        self.context = Context(snapshot(dict(context)), lambda: self)
        self._context_keys = _check_keys("state_from_context", state_from_context)
        self.volatile = _check_keys("volatile", volatile) or ()
        self.after_rollback = after_rollback
        self._settle = settle
        self._settle_timeout = settle_timeout
        apart = is_system(api) and not any(api is system for system in systems.values())
        self._parts = Parts({"api": api, **systems} if apart else systems)
        self._transport_errors = transport_errors(api)
        self._broken: str | None = None
        self._closed = False
        if async_backend not in BACKENDS:
            raise DefinitionError(
                f'async_backend is {async_backend!r}, but it must be "asyncio" or "trio".'
            )
        self._async_backend = async_backend
        self._loop: Loop | None = None

    @property
    def api_is_apart(self) -> bool:
        """Whether the API is in another process, so that requests to it may be lost."""
        return bool(self._transport_errors)

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
        return Checkpoint(name, self._parts.checkpoint(name), context)

    def rollback(self, checkpoint: Checkpoint) -> None:
        """Set everything back to ``checkpoint``.

        :raises RollbackError: names the system that failed, and those rolled back before it; the
            World then refuses any further use.
        """
        self._check_usable()
        self._wait_until_settled()
        with uninterrupted():
            try:
                self._parts.rollback(checkpoint.handles)
            except BaseException as error:
                self._broken = str(error) or repr(error)
                raise
            self.context.load(checkpoint.context)
        if self.after_rollback is not None:
            self._asked(self.after_rollback, "after_rollback")

    def is_live(self, checkpoint: Checkpoint) -> bool:
        """Return whether every system can still be rolled back to ``checkpoint``."""
        return self._parts.are_live(checkpoint.handles)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Free what ``checkpoint`` holds; it cannot be rolled back to any more."""
        self._parts.forget(checkpoint.handles)

    def act(
        self, action: Action, arguments: Mapping[str, object] = MappingProxyType({})
    ) -> ActionResult:
        """Execute an action and say what came of it.

        What the action raises is kept in the result, except what steers the test runner
        (``assume``, a skip) and what says that the test or the World cannot work.
        """
        self._check_usable()
        insist()
        outer = sys.exception()
        start = perf_counter()
        try:
            value = action.execute(self.api, self.context, **arguments)
            if inspect.isawaitable(value):
                value = self._awaited(value, action.execute, f"action {action.name!r}")
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

    def check(self, invariant: Invariant) -> Verdict:
        """Check an invariant in the present state.

        :raises WorldError: when the API could not be reached, since that says nothing of the rule.
        """
        self._check_usable()
        self._wait_until_settled()
        outer, who = sys.exception(), f"invariant {invariant.name!r}"
        try:
            if invariant.when is not None and not self._asked(invariant.when, who):
                return Verdict(invariant, vacuous=True)
            seen = self._asked(invariant.check, who)
            return Verdict(invariant, _message(invariant, seen))
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
        state = State("", self._parts.observe(), self.context.save())
        parts = ";".join(f"{part}={digest}" for part, (digest, _) in self.shown(state).items())
        return attrs.evolve(state, id=hash_text(parts), exact=hash_text(parts))

    def shown(self, state: State) -> Shown:
        """Return what tells a state from others, part by part, each with its digest."""
        keys = self._context_keys
        held = (
            state.context
            if keys is None
            else {k: state.context[k] for k in keys if k in state.context}
        )
        parts = {part: (seen.digest, seen.data) for part, seen in state.observations.items()}
        return {**parts, "context": (canonical_text(held, where="context"), held)}

    def adopt(self, loop: Loop) -> None:
        """Run async functions on a loop that is there already, and close it with the World."""
        self._loop = loop

    def close(self) -> None:
        """Close the systems and the client; a second call does nothing.

        :raises WorldError: names what failed to close, after everything was tried.
        """
        if self._closed:
            return
        self._closed = True
        with uninterrupted():
            try:
                if self._loop is not None and hasattr(self.api, "aclose"):
                    self._loop.run(self.api.aclose(), "closing api")
                close_all({**self.systems, "api": self.api})
            finally:
                if self._loop is not None:
                    self._loop.close()

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

    def _asked(self, function: Callable[["World"], object], who: str) -> object:
        value = function(self)
        return self._awaited(value, function, who) if inspect.isawaitable(value) else value

    def _awaited(self, value: Awaitable[object], function: object, who: str) -> object:
        """Return what an async function comes to; one that is not async forgot an ``await``."""
        if not is_async(function):
            raise DefinitionError(
                f"{who} returned {dropped(value)!r:.80}, which nobody awaits, so nothing was done. "
                "Write: async def ..., and: return await ..."
            )
        if self._loop is None:
            self._loop = Loop(self._async_backend)
        return self._loop.run(value, who)

    def _wait_until_settled(self) -> None:
        if self._settle is None:
            return
        deadline, pause = monotonic() + self._settle_timeout, 0.001
        while pending := self._asked(self._settle, "settle"):
            if monotonic() > deadline:
                raise WorldError(
                    f"the World did not settle within {self._settle_timeout:g} s; still going on: "
                    f"{pending!r:.200}. Raise settle_timeout, or look at why it never ends."
                )
            sleep(pause)
            pause = min(pause * 2, 0.05)

    def _check_usable(self) -> None:
        if self._broken:
            raise RollbackError(f"this World is in an unknown state since: {self._broken}")
        if self._closed:
            raise WorldError("this World is closed; make a new one")


_LISTS = {
    "state_from_context": ("context keys", "order_id"),
    "volatile": ("places", "db.users.password_hash"),
}


def _check_keys(role: str, keys: Iterable[str] | None) -> tuple[str, ...] | None:
    if keys is None:
        return None
    listed = (keys,) if isinstance(keys, str) else tuple(keys)
    if isinstance(keys, str) or not all(isinstance(key, str) for key in listed):
        kind, example = _LISTS[role]
        raise DefinitionError(
            f'{role} is {keys!r}, but it is a list of {kind}. Write {role}=["{example}"].'
        )
    return tuple(sorted(listed))


def _message(invariant: Invariant, seen: object) -> str | None:
    if seen is None or seen is True:
        return None
    if seen is False:
        return "the check returned False"
    if isinstance(seen, str) and seen.strip():
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
