"""A run as Markdown, for job summaries, comments and chat."""

import re
from collections.abc import Iterable, Iterator

from venomqa_hyp.core import ExplorationResult, Violation
from venomqa_hyp.reporters.summary import (
    Note,
    counts_of_actions,
    counts_of_invariants,
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
    yield _table("run", {name: {"": value} for name, value in figures(result).items()})
    for violation in worst_first(result):
        yield from _of_violation(violation)
    for note in notes(result):
        yield from _of_note(note)
    for title, counts in (
        ("action", counts_of_actions(result)),
        ("invariant", counts_of_invariants(result)),
    ):
        if counts:
            yield f"### What came of each {title}\n"
            yield _table(title, {_code(name): cells for name, cells in counts.items()})


def _of_violation(violation: Violation) -> Iterator[str]:
    yield f"### {violation.severity.name}: {_code(violation.name)}\n"
    first_line = seen(violation).partition("\n")[0]
    if first_line.strip():
        yield f"{_code(first_line)}\n"
    yield _fenced(violation_text(violation))


def _of_note(note: Note) -> Iterator[str]:
    yield f"### {note.title}\n"
    yield _fenced(note.text)


def _table(title: str, rows: dict[str, dict[str, str]]) -> str:
    """Return a table.

    :param rows: name of a row -> name of a column -> text; each row has the same columns.
    """
    columns = [title, *next(iter(rows.values()))]
    lines = [[name, *cells.values()] for name, cells in rows.items()]
    table = [_row(columns), "|---" * len(columns) + "|", *map(_row, lines), ""]
    return "\n".join(table)


def _row(cells: Iterable[str]) -> str:
    return f"|{'|'.join(f' {_cell(cell)} ' if cell else ' ' for cell in cells)}|"


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
