"""An event loop in a thread of its own, for the async functions of one World.

It stands still for nobody: a task that an action leaves behind would write while the World is
rolled back. So each call ends with a look at what else is running.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any, Literal, TypeVar, cast
from weakref import WeakSet

import anyio
from anyio.from_thread import BlockingPortal
from anyio.lowlevel import checkpoint

from venomqa_hyp.errors import DefinitionError, WorldError

T = TypeVar("T")
Backend = Literal["asyncio", "trio"]
BACKENDS: tuple[Backend, ...] = ("asyncio", "trio")
#: Rounds of the loop in which what has ended may go away.
_ROUNDS = 5
#: Seconds that tasks of a call that raised have to come to an end before they are cancelled.
_LAST_SECONDS = 5.0


class Loop:
    """Runs awaitables one after another, each to its end.

    :param backend: ``"asyncio"``, or ``"trio"`` where that package is installed.
    """

    def __init__(self, backend: Backend) -> None:
        if find_spec(backend) is None:
            raise DefinitionError(
                f"async_backend={backend!r} needs a package that is not installed. "
                f"Run: pip install {backend}"
            )
        self._is_asyncio = backend == "asyncio"
        opened: Future[BlockingPortal] = Future()
        # Not anyio's start_blocking_portal: the interpreter waits for its thread before any hook.
        self._thread = threading.Thread(
            target=anyio.run,
            args=(_serve, opened),
            kwargs={"backend": backend},
            name="venomqa-loop",
            daemon=True,
        )
        self._thread.start()
        self._portal = opened.result()
        _open_loops.add(self)
        _close_at_exit()
        self._known = self._portal.call(_tasks) if self._is_asyncio else set()

    def run(self, what: Awaitable[T], who: str, *, keep: bool = False) -> T:
        """Return what an awaitable comes to.

        :param who: whose it is, for messages: ``action 'pay'``.
        :param keep: let the tasks that it leaves running go on until the loop is closed.
        :raises DefinitionError: it left tasks running.
        """
        if not self._thread.is_alive():
            dropped(what)
            raise WorldError(f"{who} cannot be awaited: the event loop of the World has ended.")
        future = self._portal.start_task_soon(self._run, what, keep)
        try:
            result, left, error = future.result()
        except KeyboardInterrupt:
            future.cancel()
            self._portal.call(self._end_tasks)
            raise
        if error is not None:
            raise error
        if left:
            raise DefinitionError(
                f"{who} left running: {', '.join(left)}. What goes on after a step may write while "
                "the World is rolled back. Await it, or cancel it, before the function returns: "
                "async with asyncio.TaskGroup() as tasks: tasks.create_task(...)."
            )
        return cast(T, result)

    def close(self) -> None:
        """End the loop; what is still running is cancelled."""
        _open_loops.discard(self)
        if self._thread.is_alive():
            self._portal.call(self._portal.stop, True)
            self._thread.join()

    async def _run(
        self, what: Awaitable[T], keep: bool
    ) -> tuple[T | None, list[str], BaseException | None]:
        """Return a result, the tasks left and an error: the portal ends with what it raises."""
        try:
            result = await what
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            await self._end_tasks()
            return None, [], error
        left = await self._left()
        if keep:
            self._known.update(left)
            return result, [], None
        names = [_name(task) for task in left]
        for task in left:
            task.cancel()
        await self._end_tasks()
        return result, names, None

    async def _left(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that are not the World's; with trio none can outlive their block."""
        if not self._is_asyncio:
            return []
        for _ in range(_ROUNDS):
            if not (_other_tasks() - self._known):
                break
            await checkpoint()
        return sorted(_other_tasks() - self._known, key=_name)

    async def _end_tasks(self) -> None:
        """Let the tasks of a call that raised end, as those beside it in ``asyncio.gather``."""
        if left := await self._left():
            _, going_on = await asyncio.wait(left, timeout=_LAST_SECONDS)
            for task in going_on:
                task.cancel()
            if going_on:
                await asyncio.wait(going_on, timeout=_LAST_SECONDS)


async def _serve(opened: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        opened.set_result(portal)
        await portal.sleep_until_stopped()


_open_loops: WeakSet[Loop] = WeakSet()


@functools.cache
def _close_at_exit() -> None:
    """Close loops that nobody closed before the interpreter waits for their threads."""

    def close() -> None:
        threading.main_thread().join()
        for loop in list(_open_loops):
            loop.close()

    threading.Thread(target=close, name="venomqa-close-loops", daemon=True).start()


def dropped(value: object) -> object:
    """Return an awaitable that nobody will await, without the warning of the interpreter."""
    if inspect.iscoroutine(value):
        value.close()
    return value


async def _tasks() -> set[asyncio.Task[Any]]:
    return _other_tasks()


def _other_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def _name(task: asyncio.Task[Any]) -> str:
    return f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', task.get_coro())})"
