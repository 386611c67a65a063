"""A run as Markdown, for job summaries, comments and chat."""

import re
from collections.abc import Iterator

from venomqa_hyp.core import ExplorationResult, Violation
from venomqa_hyp.reporters.summary import (
    Note,
    figures,
    notes,
    printable,
    seen,
    verdict,
    violation_text,
    worst_first,
)


def to_markdown(result: ExplorationResult, *, name: str = "") -> str:
    """Return a run as Markdown (GitHub's flavour, for the table).

    :param name: of the machine, for the heading; without one there is no heading.
    """
    return "\n".join(blocks(result, name))


def blocks(result: ExplorationResult, name: str) -> Iterator[str]:
    """Yield the blocks of the report; each is whole, so any of them may be left out."""
    if name:
        yield f"## {_code(name)}\n"
    yield f"**{verdict(result)}**\n"
    yield _table(figures(result))
    for violation in worst_first(result):
        yield from _of_violation(violation)
    for note in notes(result):
        yield from _of_note(note)


def _of_violation(violation: Violation) -> Iterator[str]:
    yield f"### {violation.severity.name}: {_code(violation.name)}\n"
    first_line = seen(violation).partition("\n")[0]
    if first_line.strip():
        yield f"{_code(first_line)}\n"
    yield _fenced(violation_text(violation))


def _of_note(note: Note) -> Iterator[str]:
    yield f"### {note.title}\n"
    yield _fenced(note.text)


def _table(rows: dict[str, str]) -> str:
    cells = (f"| {name} | {_cell(value)} |" for name, value in rows.items())
    return "\n".join(["| run | |", "|---|---|", *cells, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _fenced(text: str) -> str:
    """Return a fenced block; the fence is longer than any run of backticks in the text.

    A text is never read as markup there (CommonMark 0.31, section 4.5).
    """
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}\n"


def _code(text: str) -> str:
    """Return a text on one line, as code (CommonMark 0.31, section 6.1)."""
    line = " ".join(printable(text).split())
    marks = "`" * (_longest_run(line) + 1)
    # One space on each side is taken off again; without it a backtick would join the marks.
    return f"{marks} {line} {marks}" if "`" in line else f"{marks}{line}{marks}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
