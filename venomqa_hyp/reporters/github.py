"""A run for GitHub Actions: annotations in the log, and the summary of a job.

Source: "Workflow commands for GitHub Actions" in GitHub's documentation, and ``command.ts`` of
actions/toolkit for what is escaped.
"""

from collections.abc import Iterator

from venomqa_hyp.core import ExplorationResult
from venomqa_hyp.reporters.markdown import blocks
from venomqa_hyp.reporters.summary import (
    Note,
    divergence_text,
    printable,
    seen,
    violation_text,
    violation_title,
    worst_first,
)

#: A step shows so many annotations of one kind, and drops the others.
MOST_ANNOTATIONS = 10
#: Bytes of one annotation. GitHub's API takes 64 KB; nobody reads half of that in a log.
_ANNOTATION_SIZE = 32 * 1024
#: Bytes of the summary of a step; a longer one is not uploaded at all.
SUMMARY_SIZE = 1024 * 1024


def to_github_annotations(result: ExplorationResult, *, file: str = "", line: int = 0) -> str:
    """Return workflow commands, one a line, to be printed in a job; empty where nothing was found.

    One for each violation, one for a divergence, and one for what was not reached. Of more than
    GitHub shows, the last one says how many there are besides.

    :param file: that the annotations stand beside, relative to the root of the repository.
    :param line: in that file, from 1; 0 for none.
    """
    found = list(_annotations(result))
    if len(found) > MOST_ANNOTATIONS:
        left = len(found) - MOST_ANNOTATIONS + 1
        found[MOST_ANNOTATIONS - 1 :] = [("More", f"{left:,} more: see the summary of the job.")]
    place = {"file": file, "line": str(line)} if file and line > 0 else {"file": file}
    return "\n".join(_command({**place, "title": title}, text) for title, text in found)


def to_step_summary(result: ExplorationResult, *, name: str = "") -> str:
    """Return a run as Markdown, to be appended to the file ``$GITHUB_STEP_SUMMARY``.

    It has at most 1 MiB in UTF-8. Of a longer report, whole parts are left out, those that do not
    fit, and the last line says how many.

    :param name: of the machine, for the heading.
    """
    kept: list[str] = []
    left_out = 0
    room = SUMMARY_SIZE - 200  # for the note
    for block in blocks(result, name):
        size = len(block.encode()) + 1
        if size > room:
            left_out += 1
            continue
        room -= size
        kept.append(block)
    if left_out:
        kept.append(f"**Cut at 1 MiB: {left_out:,} parts of the report are left out here.**\n")
    return "\n".join(kept)


def _annotations(result: ExplorationResult) -> Iterator[tuple[str, str]]:
    """Yield (title, text)."""
    for violation in worst_first(result):
        yield violation_title(violation), f"{seen(violation)}\n\n{violation_text(violation)}"
    if text := divergence_text(result):
        yield "The World does not repeat itself", text
    if result.unmet:
        yield "The run did not reach what it must", Note("", result.unmet).text


def _command(properties: dict[str, str], text: str) -> str:
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::error {given}::{_message(_cut(text))}"


def _cut(text: str) -> str:
    whole = text.encode()
    if len(whole) <= _ANNOTATION_SIZE:
        return text
    return whole[:_ANNOTATION_SIZE].decode(errors="ignore") + "\n(cut)"


def _message(text: str) -> str:
    """Escape the message of a command: a line break would end it and begin another."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape the value of a property, which a colon or a comma would end."""
    return _message(text).replace(":", "%3A").replace(",", "%2C")
