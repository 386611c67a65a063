"""Being asked to end, by Ctrl-C or a signal.

An exception raised by a signal is lost where Python cannot raise one, as in a callback of the
garbage collector. So it is also remembered, and raised at the next step.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked = False


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the block, so that what was started is stopped as well."""
    global _asked
    _asked = False
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check() -> None:
    """Raise KeyboardInterrupt if the command was asked to end, and has not."""
    if _asked:
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    # Hypothesis has a callback of the garbage collector, where Python prints what is raised.
    if frame is None or frame.f_code.co_name != "gc_callback":
        raise KeyboardInterrupt
