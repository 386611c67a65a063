"""How far an exploration is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import attrs

SECONDS_BETWEEN_UPDATES = 0.1


@attrs.frozen
class Progress:
    """One moment of an exploration.

    :ivar step: calls of actions so far, of ``max_steps``.
    :ivar coverage: share of the actions that were executed at least once, 0.0 to 1.0.
    """

    step: int
    max_steps: int
    states: int
    coverage: float
    violations: int

    def __str__(self) -> str:
        return (
            f"step {self.step}/{self.max_steps} | states {self.states} | "
            f"coverage {self.coverage:.0%} | violations {self.violations}"
        )


OnProgress = Callable[[Progress], None]


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
