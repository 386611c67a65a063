"""Where the command writes to: a terminal with colours and a live line, or plain text.

Everything written is ASCII, so that any console and any file can take it.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol, TextIO

#: A text, or a text and what it is: one of STYLES.
Piece = str | tuple[str, str]

STYLES = {
    "heading": "bold",
    "action": "bold cyan",
    "label": "dim",
    "added": "green",
    "changed": "yellow",
    "removed": "red",
    "broken": "bold red",
    "good": "bold green",
}
PLAIN_WIDTH = 100
LARGEST_WIDTH = 100
SMALLEST_WIDTH = 60
SECONDS_BETWEEN_LINES = 2.0


class Screen(Protocol):
    """What the demo writes with."""

    @property
    def width(self) -> int:
        """Columns of a line."""
        ...

    def show(self, *pieces: Piece) -> None:
        """Write one line."""
        ...

    def live(self) -> Any:
        """Return a context manager, which gives a function that replaces the live line."""
        ...


def open_screen(stream: TextIO | None = None) -> Screen:
    """Return the screen for a stream; rich is used where it is installed and can show colours."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return PlainScreen(stream)
    try:
        return RichScreen(stream)
    except ImportError:
        return PlainScreen(stream)


class PlainScreen:
    """Lines of text; progress is one more line every two seconds."""

    width = PLAIN_WIDTH

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, *pieces: Piece) -> None:
        """Write one line."""
        text = "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)
        print(text.rstrip(), file=self._stream, flush=True)

    @contextmanager
    def live(self) -> Iterator[Callable[[str], None]]:
        """Write what is given, at most every two seconds."""
        last = monotonic()

        def update(text: str) -> None:
            nonlocal last
            if monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = monotonic()
                self.show(text)

        yield update


class RichScreen:
    """Colours, and a line that is replaced while the run goes on and then removed."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.text import Text

        self._console = Console(file=stream, highlight=False)
        self._text = Text
        columns = shutil.get_terminal_size().columns
        self.width = max(SMALLEST_WIDTH, min(columns, LARGEST_WIDTH))

    def show(self, *pieces: Piece) -> None:
        """Write one line."""
        self._console.print(self._assemble(pieces), soft_wrap=True)

    @contextmanager
    def live(self) -> Iterator[Callable[[str], None]]:
        """Show what is given next to a spinner."""
        with self._console.status("", spinner="line") as status:
            yield lambda text: status.update(self._text(text, overflow="ellipsis", no_wrap=True))

    def _assemble(self, pieces: tuple[Piece, ...]) -> Any:
        styled = [
            piece if isinstance(piece, str) else (piece[0], STYLES[piece[1]]) for piece in pieces
        ]
        return self._text.assemble(*styled)
