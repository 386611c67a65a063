r"""Failure files: each shortest failure as a small JSON file that people can read and diff.

A file is UTF-8 JSON with one line per step where it fits::

    {
      "format": 1,
      "machine": "TestOrders",
      "name": "refunds_within_payment",
      "severity": "critical",
      "message": "order 1: refunded 200 of 100",
      "steps": [
        {"action": "create_order", "arguments": {"amount": 100}, "choices": {"amount": [100]}},
        {"action": "refund", "arguments": {"order": 1}, "picks": {"order": 0}}
      ]
    }

============== =======================================================================
format         1; files of another format are left alone
machine        the machine whose failure this is
name           the broken invariant, or the action that raised
severity       critical, high, medium or low
message        what was seen
steps          in order from the initial state; the last one shows the failure
counterexample for people: what each step sent and changed, see
               :class:`~venomqa_hyp.core.Counterexample`; it is not needed to replay the failure
action         the name of an action
arguments      argument -> its value; left out where empty
choices        argument -> the Hypothesis choices that make its value, where JSON cannot hold it:
               a list of integers, booleans, floats, strings and bytes; left out where empty
picks          argument -> how many newer values there were than the one picked from a Bundle
               or from the context; left out where empty
============== =======================================================================

Other keys are ignored. The *file* is what counts: its name is only for people, so it may be
renamed, reformatted, edited and committed.

Values that JSON cannot hold are encoded as :mod:`venomqa_hyp.values.encoding` describes.
"""

import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from venomqa_hyp.core import Counterexample
from venomqa_hyp.core.documents import counterexample_document, counterexample_from
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore import Choices
from venomqa_hyp.values.digest import hash_text
from venomqa_hyp.values.encoding import (
    FORMAT,
    MAX_NESTING,
    Json,
    Undecodable,
    Unencodable,
    Unsaved,
    decode,
    encode,
    encode_within,
    expect,
    shown,
)

#: Where failure files are, relative to the current directory.
DEFAULT_FOLDER = Path(".venomqa", "failures")
#: Larger files are not read, and not written.
MAX_BYTES = 1_000_000
_NESTING_OF_FILE = 8  # the levels around an argument, at least
_LINE_LENGTH = 100


@attrs.frozen
class SavedStep:
    """One step of a saved failure, by the name of its action.

    :ivar arguments: the values; :class:`Unsaved` where one could not be saved.
    :ivar choices: argument -> the Hypothesis choices that made it, where it was drawn.
    :ivar picks: argument -> how many newer values there were than the one picked from a Bundle or
        from the context.
    """

    action: str
    arguments: Mapping[str, object]
    choices: Mapping[str, Choices]
    picks: Mapping[str, int]


@attrs.frozen
class SavedFailure:
    """A failure and the shortest steps that show it.

    :ivar name: the invariant's name, or the action's where the action itself raised.
    :ivar counterexample: for people; left out of a file that would be too large with it.
    """

    machine: str
    name: str
    severity: str
    message: str
    steps: tuple[SavedStep, ...]
    format: int = FORMAT
    counterexample: Counterexample | None = None


@attrs.frozen
class Unreadable:
    """A file, or the folder, that could not be used, and why; it is left as it is."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@attrs.frozen
class Loaded:
    """What a folder holds of one machine.

    :ivar failures: with their files, in the order of file names.
    :ivar unreadable: files of any machine, since theirs cannot be told.
    """

    failures: tuple[tuple[Path, SavedFailure], ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(path).absolute()  # a test may change the current directory


@attrs.frozen
class FailureFolder:
    """Failure files in one folder, which is made when the first failure is saved."""

    path: Path = attrs.field(default=DEFAULT_FOLDER, converter=_absolute)

    def save(self, failure: SavedFailure) -> Path:
        """Write a failure, in place of the one of the same machine and name, and return its file.

        Readers see the old or the new content, never a part of it. A file that has the same steps
        and message already is not touched, however it is formatted: clocks in what the steps did
        differ each time. A file that cannot be read, or that another failure has, is not replaced.

        :raises Unencodable: when the file would be too large to be read again.
        :raises OSError: when the file cannot be written.
        """
        text = _text_of_file(failure)
        if len(text.encode()) > MAX_BYTES:
            text = _text_of_file(attrs.evolve(failure, counterexample=None))
        if (size := len(text.encode())) > MAX_BYTES:
            raise Unencodable(
                f"failure {failure.name!r} of {failure.machine!r} takes {size} bytes, but a "
                f"failure file has at most {MAX_BYTES}. Draw smaller values, such as bodies."
            )
        for path, saved in self.load(failure.machine).failures:
            if saved.name == failure.name:
                if not _says_the_same(saved, failure):
                    _write(path, text)
                return path
        for stem in _file_stems(failure.machine, failure.name):
            path = self.path / f"{stem}.json"
            # Another process may have saved the same failure since the folder was read.
            if not os.path.lexists(path) or _holds(path, failure):
                _write(path, text)
                return path
        raise FileExistsError(
            f"failure {failure.name!r} of {failure.machine!r} cannot be saved: {path} and those "
            "with shorter names are something else. Repair or delete them."
        )

    def load(self, machine: str) -> Loaded:
        """Read the failures of a machine; whatever else is in the folder is never an error."""
        try:
            paths = sorted(path for path in self.path.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            return Loaded()
        except OSError as error:
            return Loaded(unreadable=(Unreadable(self.path, _reason(error)),))
        failures: list[tuple[Path, SavedFailure]] = []
        unreadable: list[Unreadable] = []
        for path in paths:
            try:
                failure = read_failure(path)
            except FileNotFoundError:
                if path.is_symlink():
                    unreadable.append(Unreadable(path, "it is a link to nothing"))
                # Otherwise another process has just removed it.
            except (OSError, ValueError) as error:
                unreadable.append(Unreadable(path, _reason(error)))
            else:
                if failure.machine == machine:
                    failures.append((path, failure))
        return Loaded(tuple(failures), tuple(unreadable))

    def remove(self, path: Path) -> None:
        """Delete a file of this folder; it may be gone already.

        :raises OSError: when the file cannot be deleted.
        """
        if _absolute(path).parent != self.path:
            raise DefinitionError(
                f"{path} is not in {self.path}, so it is not deleted. Pass a path that load() or "
                "save() of this folder returned."
            )
        Path(path).unlink(missing_ok=True)


def _says_the_same(saved: SavedFailure, failure: SavedFailure) -> bool:
    """Return whether nothing but the values in the counterexample may differ."""
    if saved.counterexample is None and failure.counterexample is not None:
        return False
    one, other = (attrs.evolve(item, counterexample=None) for item in (saved, failure))
    return _text_of_file(one) == _text_of_file(other)


def _holds(path: Path, failure: SavedFailure) -> bool:
    try:
        saved = read_failure(path)
    except (OSError, ValueError):
        return False
    return (saved.machine, saved.name) == (failure.machine, failure.name)


def _text_of_file(failure: SavedFailure) -> str:
    document: dict[str, Any] = {
        "format": failure.format,
        "machine": failure.machine,
        "name": failure.name,
        "severity": failure.severity,
        "message": failure.message,
        "steps": [_step_document(step) for step in failure.steps],
    }
    if failure.counterexample is not None:
        document["counterexample"] = counterexample_document(failure.counterexample)
    return _layout(encode_within(document, "the failure", MAX_NESTING + _NESTING_OF_FILE)) + "\n"


def _step_document(step: SavedStep) -> dict[str, Any]:
    arguments = {
        name: value if is_savable(value) else Unsaved(shown(value))
        for name, value in sorted(step.arguments.items())
    }
    choices = {name: list(made) for name, made in sorted(step.choices.items())}
    document: dict[str, Any] = {
        "action": step.action,
        "arguments": arguments,
        "choices": choices,
        "picks": dict(sorted(step.picks.items())),
    }
    return {key: item for key, item in document.items() if item or key == "action"}


def is_savable(value: object) -> bool:
    """Return whether a failure file can hold a value."""
    try:
        encode(value)
    except Unencodable:
        return False
    return True


def _layout(value: Json, indent: str = "", before: str = "") -> str:
    """Return JSON text: one line for what fits there, but never for the file or all its steps.

    :param before: what stands in front of the value on its line.
    """
    flat = before + _on_one_line(value)
    fits = len(indent) >= 4 and len(indent) + len(flat) < _LINE_LENGTH
    if fits or not value or not isinstance(value, (dict, list)):
        return indent + flat
    deeper = indent + "  "
    if isinstance(value, list):
        lines = [_layout(item, deeper) for item in value]
    else:
        lines = [_layout(item, deeper, f"{_on_one_line(key)}: ") for key, item in value.items()]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return f"{indent}{before}{opening}\n" + ",\n".join(lines) + f"\n{indent}{closing}"


def _on_one_line(value: Json) -> str:
    """Return JSON text, readable in any language, but what cannot be seen is spelt out."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", r"\u007f")
    return text if text.isprintable() else re.sub("[^\x00-\x7f]", _spelt_out, text)


def _spelt_out(sign: re.Match[str]) -> str:
    return sign[0] if sign[0].isprintable() else json.dumps(sign[0])[1:-1]


def _file_stems(machine: str, name: str) -> list[str]:
    """Return file names to try: the readable one, only where it is unambiguous, then digests."""
    # No "-" and no "." here: the first "-" parts the two, and Windows reserves "nul.".
    first = re.sub(r"[^A-Za-z0-9_]+", "_", machine)[:48] or "_"
    second = re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:64] or "_"
    stem = f"{first}-{second}"
    digest = hash_text(json.dumps([machine, name]))
    exact = [stem] if (first, second) == (machine, name) else []
    return [*exact, f"{stem}-{digest[:8]}", f"{stem}-{digest}"]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not of `tempfile`, which hides files from other users.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is not a file")  # opening a pipe would wait for a writer
    with open(path, "rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return content


def read_failure(path: Path) -> SavedFailure:
    """Return the failure that a file holds; ValueError and OSError say why there is none."""
    return _failure_from(_read(path))


def _failure_from(content: bytes) -> SavedFailure:
    try:
        raw = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(raw, dict) or "format" not in raw:
        raise ValueError("it is not a failure file: it has no 'format'")
    # Before anything else: another format may hold other encodings.
    if type(raw["format"]) is not int or raw["format"] != FORMAT:
        raise ValueError(
            f"it has format {raw['format']!r:.40}, but this version reads format {FORMAT}"
        )
    document = expect(dict, decode(raw), "the file")
    steps = [_step_from(step) for step in _field(document, "steps", list)]
    return SavedFailure(
        machine=_field(document, "machine", str),
        name=_field(document, "name", str),
        severity=_field(document, "severity", str),
        message=_field(document, "message", str),
        steps=tuple(steps),
        counterexample=_counterexample(document.get("counterexample")),
    )


def _counterexample(record: Any) -> Counterexample | None:
    try:
        return counterexample_from(record)
    except Undecodable:
        return None  # somebody edited it: the steps are what counts


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _step_from(step: Any) -> SavedStep:
    step = expect(dict, step, "a step")
    arguments, choices, picks = (
        _field(step, key, dict) if key in step else {} for key in ("arguments", "choices", "picks")
    )
    for name in (*arguments, *choices, *picks):
        expect(str, name, "the name of an argument")
    for name, newer in picks.items():
        if type(newer) is not int or newer < 0:
            raise ValueError(f"the pick of {name!r:.40} is {newer!r:.40}, but it must be a count")
    made = {name: _choices_from(name, listed) for name, listed in choices.items()}
    return SavedStep(_field(step, "action", str), arguments, made, picks)


def _choices_from(name: str, listed: object) -> Choices:
    made = expect(list, listed, f"the choices of {name!r:.40}")
    for choice in made:
        if type(choice) not in (bool, int, float, str, bytes):
            raise ValueError(f"a choice of {name!r:.40} is {choice!r:.40}, which no strategy makes")
    return tuple(made)


def _field(record: dict[str, Any], key: str, kind: type[Any]) -> Any:
    if key not in record:
        raise ValueError(f"it has no {key!r}")
    return expect(kind, record[key], repr(key))


def _reason(error: Exception) -> str:
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
