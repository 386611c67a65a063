"""Ctrl-C and SIGTERM, kept from interrupting what must not end half way."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType, TracebackType

Handler = Callable[[int, FrameType | None], object]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM asked the process to end; raised in place of ending it at once."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


class _Watch:
    """Receives signals in place of their handlers, and passes them on when nobody holds them back.

    Its handlers are set once for a run: setting them at each rollback would take as long as one.
    """

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, Handler] = {}
        self._waiting: list[signal.Signals] = []
        self._depth = 0
        self.delivered: signal.Signals | None = None

    @property
    def is_set(self) -> bool:
        return bool(self._handlers)

    def set(self) -> None:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
            elif number == signal.SIGTERM and handler is signal.SIG_DFL:
                self._handlers[number] = _terminate
        for number in self._handlers:
            signal.signal(number, self._receive)

    def unset(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is _terminate else handler)
        self._handlers.clear()
        self.delivered = None

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if not self._depth and self._waiting:
            number = self._waiting[0]
            self._waiting.clear()
            signal.raise_signal(number)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._depth:
            self._waiting.append(signal.Signals(number))
        else:
            self.delivered = signal.Signals(number)
            self._handlers[self.delivered](number, frame)
            self.delivered = None  # its handler lets the run go on


_watch = _Watch()


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM raise :class:`Terminated` within, where it would end the process at once."""
    if not _is_main() or _watch.is_set:
        yield
        return
    _watch.set()
    try:
        yield
    finally:
        _watch.unset()


def uninterrupted() -> AbstractContextManager[None]:
    """Return a context that holds back Ctrl-C and SIGTERM until its end."""
    if not _is_main():
        return nullcontext()
    return _watch if _watch.is_set else _alone()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold signals back outside of a run."""
    _watch.set()
    try:
        with _watch:
            yield
    finally:
        _watch.unset()


def insist() -> None:
    """Raise a signal again that somebody caught, as code with a bare ``except`` does."""
    if _watch.delivered is not None and _is_main():
        signal.raise_signal(_watch.delivered)


def acknowledge() -> None:
    """Note that a signal was received by those who end the run."""
    _watch.delivered = None


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
