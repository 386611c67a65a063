"""The console reporter: the live line, and terminals with and without colours."""

import io

import attrs
import pytest

from venomqa_hyp.core import Progress
from venomqa_hyp.reporters.console import Console, LiveLine
from venomqa_hyp.reporters.terminal import PlainTerminal, RichTerminal

NOW = Progress(
    step=1234,
    max_steps=None,
    states=56,
    coverage=0.5,
    violations=1,
    recalled=7890,
    seconds=3.0,
    best=("pay", "refund", "refund"),
)


class Clock:
    """Seconds, as the test sets them."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_the_live_line_says_how_far_a_run_is() -> None:
    clock = Clock()
    line = LiveLine(clock)
    assert str(line) == "opening the World, 0 s"
    line.update(NOW)
    clock.now += 4
    assert str(line) == (
        "1,234 executed, 7,890 recalled, 56 states, 1 finding, 4 s; shortest: pay > refund > refund"
    )
    line.update(attrs.evolve(NOW, max_steps=2000, violations=0, best=()))
    assert str(line).startswith("1,234 of 2,000 executed, 7,890 recalled, 56 states, 0 findings")


def test_the_live_line_says_since_when_nothing_is_new() -> None:
    """Executions alone are no news; a state or a finding is."""
    clock = Clock()
    line = LiveLine(clock)
    line.update(NOW)
    clock.now += 48
    line.update(attrs.evolve(NOW, step=2000, recalled=9000))
    assert "nothing new for 48 s" in str(line)
    line.update(attrs.evolve(NOW, states=57))
    assert "nothing new" not in str(line)


def test_a_terminal_gets_a_line_that_is_replaced_and_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Screen()
    console = Console(RichTerminal(stream))
    with console.watching() as update:
        update(NOW)
    console.terminal.show(("gef\u00fcgt", "broken"), " rule")
    assert "1,234 executed" in stream.getvalue()
    assert "gef\\xfcgt" in stream.getvalue().splitlines()[-1]


def test_a_file_gets_ascii_without_colours() -> None:
    stream = io.StringIO()
    PlainTerminal(stream).show(("gef\u00fcgt", "broken"), " rule  ")
    assert stream.getvalue() == "gef\\xfcgt rule\n"
