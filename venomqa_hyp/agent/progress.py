"""Print how far an exploration is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from venomqa_hyp.core import OnProgress, Progress

SECONDS_BETWEEN_UPDATES = 0.1


@contextmanager
def shown(every: int | None) -> Iterator[OnProgress]:
    """Yield what shows progress: a line every so many steps, and a live one on a terminal."""
    live = sys.stderr.isatty()
    printed, updated, width = 0, monotonic(), 0

    def show(now: Progress) -> None:
        nonlocal printed, updated, width
        if every is not None and now.step // every > printed:
            printed = now.step // every
            print(f"  {now}", flush=True)
        elif live and every is None and monotonic() - updated >= SECONDS_BETWEEN_UPDATES:
            updated, text = monotonic(), f"  {now}"
            sys.stderr.write(f"\r{text:<{width}}")
            sys.stderr.flush()
            width = len(text)

    try:
        yield show
    finally:
        if width:
            sys.stderr.write(f"\r{'':<{width}}\r")
            sys.stderr.flush()
