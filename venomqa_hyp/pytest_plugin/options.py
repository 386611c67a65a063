"""What the options say: checked, with errors that name what to write instead."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.pytest_plugin.files import KINDS
from venomqa_hyp.stateful import Replay, read_failure

_Number = TypeVar("_Number", int, float)


class SharedTime:
    """The time for all machines of a session: each gets an equal part of what is left.

    :param seconds: ``None`` sets no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._machines = 1

    def share(self, machines: int, workers: int) -> None:
        """Note how many machines there are, and how many workers take them."""
        self._machines = math.ceil(machines / workers)

    def take(self, is_machine: bool) -> float:
        """Return the seconds for the next test."""
        if not is_machine:
            return self._seconds
        share = self._seconds / max(1, self._machines)
        self._machines -= 1
        return share

    def spend(self, seconds: float) -> None:
        """Note what a run took."""
        self._seconds = max(0.0, self._seconds - seconds)


def number(option: str, text: str | None, kind: type[_Number]) -> _Number | None:
    """Return the number that an option gives, if it is given."""
    if text is None:
        return None
    try:
        found = kind(text)
    except ValueError:
        found = kind(0)
    if not 0 < found < math.inf:
        noun = "whole number" if kind is int else "number of seconds"
        raise DefinitionError(f"{option}={text}: this is no {noun} above 0. Write {option}=60.")
    return found


def checked_time(seconds: float | None) -> float:
    """Return the seconds of ``max_time``."""
    if seconds is None:
        return math.inf
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise DefinitionError(
            f"max_time is {seconds!r:.60}, but it is a number of seconds above 0. "
            "Write max_time=60."
        )
    return seconds


def report_paths(given: str | None) -> Iterator[Path]:
    """Yield the files to write; their kinds are checked."""
    for text in (given or "").split(",") if given is not None else ():
        path = Path(text.strip()).absolute()
        if path.suffix not in KINDS:
            raise DefinitionError(
                f"--venomqa-report={given}: {text!r} has the suffix {path.suffix!r}, which says no "
                f"kind of report. Write a path that ends in {', '.join(KINDS)}."
            )
        if path.suffix == ".html" and find_spec("jinja2") is None:
            raise DefinitionError(
                f"--venomqa-report={given}: HTML needs Jinja2, which is not installed: "
                "pip install 'venomqa-hyp[html]'"
            )
        yield path


def replay_of(given: str | None) -> Replay | None:
    """Return the failure to replay, and where to stop."""
    if given is None:
        return None
    path, _, step = given.rpartition(":")
    if not (path and step.isdecimal()):
        path, step = given, ""
    try:
        read_failure(Path(path))
    except (OSError, ValueError) as error:
        raise DefinitionError(
            f"--venomqa-replay={given}: {path} is no failure file: {error}. Write one of "
            ".venomqa/failures, and :STEP after it to stop before that step."
        ) from None
    return Replay(Path(path).absolute(), int(step) if step else None)
