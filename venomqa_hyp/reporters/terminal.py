"""Where the console reporter writes: a terminal with colours and a live line, or plain text.

Everything written is ASCII, so that any console and any file can take it.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any, Protocol, TextIO

#: A text, or a text and what it is: one of STYLES.
Piece = str | tuple[str, str]
#: Returns the text of the live line at this moment.
Line = Callable[[], str]

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
#: Plain lines come after these seconds at first, then more and more rarely: a log is read later.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0
REFRESHES_PER_SECOND = 4


class Terminal(Protocol):
    """What is written to."""

    @property
    def width(self) -> int:
        """Columns of a line."""
        ...

    def show(self, *pieces: Piece) -> None:
        """Write one line."""
        ...

    def live(self, line: Line) -> AbstractContextManager[Callable[[], None]]:
        """Show a line that changes; the context manager gives what to call when it has changed."""
        ...


def open_terminal(stream: TextIO | None = None) -> Terminal:
    """Return the terminal for a stream; rich is used where it is installed and can show colours."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return PlainTerminal(stream)
    try:
        return RichTerminal(stream)
    except ImportError:
        return PlainTerminal(stream)


def text_of(pieces: tuple[Piece, ...]) -> str:
    """Return a line without its styles, in ASCII."""
    return ascii_text("".join(piece if isinstance(piece, str) else piece[0] for piece in pieces))


def ascii_text(text: str) -> str:
    """Return a text in which other letters are spelt out."""
    return text.encode("ascii", "backslashreplace").decode()


class PlainTerminal:
    """Lines of text; progress is one more line now and then."""

    width = PLAIN_WIDTH

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, *pieces: Piece) -> None:
        """Write one line."""
        print(text_of(pieces).rstrip(), file=self._stream, flush=True)

    @contextmanager
    def live(self, line: Line) -> Iterator[Callable[[], None]]:
        """Write the line now and then."""
        last, pause = monotonic(), FIRST_PAUSE

        def update() -> None:
            nonlocal last, pause
            if monotonic() - last >= pause:
                last, pause = monotonic(), min(1.5 * pause, LONGEST_PAUSE)
                text = line()
                self.show(text if len(text) <= self.width else f"{text[: self.width - 3]}...")

        yield update


class RichTerminal:
    """Colours, and a line that is replaced while the run goes on and then removed."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._console = Console(file=stream, highlight=False)
        self._live, self._text = Live, Text
        columns = shutil.get_terminal_size().columns
        self.width = max(SMALLEST_WIDTH, min(columns, LARGEST_WIDTH))

    def show(self, *pieces: Piece) -> None:
        """Write one line."""
        self._console.print(self._assemble(pieces), soft_wrap=True)

    @contextmanager
    def live(self, line: Line) -> Iterator[Callable[[], None]]:
        """Show the line, also while nothing is executed."""

        def current() -> Any:
            return self._text(ascii_text(line()), overflow="ellipsis", no_wrap=True)

        with self._live(
            get_renderable=current,
            console=self._console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield lambda: None

    def _assemble(self, pieces: tuple[Piece, ...]) -> Any:
        styled = [
            ascii_text(piece)
            if isinstance(piece, str)
            else (ascii_text(piece[0]), STYLES[piece[1]])
            for piece in pieces
        ]
        return self._text.assemble(*styled)
