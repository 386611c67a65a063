"""Being asked to end, by Ctrl-C or a signal.

An exception raised by a signal is lost where Python cannot raise one, as in a callback of the
garbage collector. So it is also remembered, and raised at the next step.
"""

import signal
from types import FrameType

_asked = False


def install() -> None:
    """Let SIGINT and SIGTERM end the command, so that what was started is stopped as well."""
    global _asked
    _asked = False
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def check() -> None:
    """Raise KeyboardInterrupt if the command was asked to end, and has not."""
    if _asked:
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
