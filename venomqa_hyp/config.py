"""The configuration file: ``venomqa.yaml``, or ``[tool.venomqa]`` in ``pyproject.toml``.

::

    [tool.venomqa]
    targets = ["tests"]
    max_examples = 50
    reports = ["reports/venomqa.xml"]
    redact = ["iban"]

    [tool.venomqa.profiles.nightly]
    time = "2h"

A profile has the same keys, and beats those beside it. ``${NAME}`` in a text is the environment
variable of that name.
"""

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from venomqa_hyp.errors import DefinitionError

YAML, TOML = "venomqa.yaml", "pyproject.toml"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_UNITS = {"s": 1, "m": 60, "h": 3600}
#: Keys that lead to a line: ``("profiles", "ci", "time")``.
Place = tuple[str, ...]


class _Wrong(Exception):
    """Says what a value must be."""


@attrs.frozen
class Config:
    """What a file says, with that of the chosen profile.

    :ivar values: key -> value; only what is written.
    """

    values: Mapping[str, Any]
    redact: tuple[str, ...] = ()


@attrs.frozen
class _File:
    """A file that was read.

    :ivar lines: place of a key -> its line, from 1.
    """

    path: Path
    values: Any
    lines: Mapping[Place, int]

    def problem(self, place: Place, text: str) -> str:
        line = next((self.lines[key] for key in _upwards(place) if key in self.lines), 1)
        return f"{self.path}:{line}: {'.'.join(place)} {text}"


def load(path: Path | None = None, profile: str | None = None) -> Config:
    """Read the configuration of the current folder.

    :param path: the file, where it is another one.
    :param profile: the name of the profile; by default what the key ``profile`` says.
    :raises DefinitionError: names file, line and key of everything that is wrong.
    """
    file = _found() if path is None else _read(path)
    if file is None:
        if profile is not None:
            raise DefinitionError(
                f"the profile {profile!r} was asked for, but there is no {YAML} and no "
                f"[tool.venomqa] in {TOML} here. Write one, or leave the profile out."
            )
        return Config({})
    problems: list[str] = []
    values = _checked(file, file.values, (), problems)
    chosen = profile or values.get("profile")
    profiles = values.pop("profiles", {})
    if chosen is not None and chosen not in profiles and not problems:
        known = f"It has {', '.join(profiles)}." if profiles else "It has none."
        problems.append(file.problem(("profile",), f"{chosen!r} is no profile of it. {known}"))
    if problems:
        raise DefinitionError("\n".join(problems))
    merged = {**values, **profiles.get(chosen, {})}
    merged.pop("profile", None)
    return Config(merged, tuple(merged.pop("redact", ())))


def seconds_of(text: str) -> float:
    """Return a time in seconds: ``90``, ``90s``, ``5m`` or ``2h``.

    :raises ValueError: it is none.
    """
    unit = _UNITS.get(text[-1:])
    seconds = float(text) if unit is None else float(text[:-1]) * unit
    if not 0 < seconds < math.inf:
        raise ValueError(text)
    return seconds


def _found() -> _File | None:
    yaml, toml = Path(YAML), Path(TOML)
    in_toml = _read(toml) if toml.exists() and "tool.venomqa" in _text(toml) else None
    if not yaml.exists():
        return in_toml
    if in_toml is not None:
        raise DefinitionError(
            f"{YAML} and [tool.venomqa] of {TOML} are both here, so it is not plain which counts. "
            "Keep one of them."
        )
    return _read(yaml)


def _read(path: Path) -> _File:
    text = _text(path)
    return _read_toml(path, text) if path.suffix == ".toml" else _read_yaml(path, text)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DefinitionError(f"{path} cannot be read: {reason}. Name another --config.") from None


def _read_toml(path: Path, text: str) -> _File:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{path} is no TOML: {error}.") from None
    tool = values.get("tool", {})
    if not isinstance(tool, dict):
        raise DefinitionError(
            f"{path}: tool is {tool!r:.60}, but it is a table. Write [tool.venomqa]."
        )
    own = tool.get("venomqa", {})
    return _File(path, own, dict(_toml_lines(text)))


def _toml_lines(text: str) -> Iterator[tuple[Place, int]]:
    """Yield the keys of our tables with their lines; the parser does not say them."""
    table: Place | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[tool\.venomqa\.?(.*?)\]", line):
            table = tuple(part.strip("\"' ") for part in head[1].split(".") if part)
            yield table, number
        elif line.lstrip().startswith("["):
            table = None if re.match(r"\s*\[[\w\"'.]", line) else table
        elif table is not None and (key := re.match(r"\s*([\w-]+|\"[^\"]+\")\s*=", line)):
            yield (*table, key[1].strip('"')), number


def _read_yaml(path: Path, text: str) -> _File:
    try:
        import yaml  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise DefinitionError(
            f"{path} needs PyYAML, which is not installed: pip install 'venomqa-hyp[cli]'. Or "
            f"write [tool.venomqa] in {TOML}."
        ) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DefinitionError(f"{path} is no YAML: {error}") from None
    return _File(path, {} if values is None else values, dict(_yaml_lines(node, ())))


def _yaml_lines(node: Any, place: Place) -> Iterator[tuple[Place, int]]:
    for key, value in node.value if node is not None and node.id == "mapping" else ():
        inner = (*place, str(key.value))
        yield inner, key.start_mark.line + 1
        yield from _yaml_lines(value, inner)


def _checked(file: _File, values: Any, place: Place, problems: list[str]) -> dict[str, Any]:
    """Return the values that are right, and add what is wrong with the others."""
    if not isinstance(values, Mapping):
        problems.append(file.problem(place or ("file",), f"is {values!r:.60}, but it has keys."))
        return {}
    known = _IN_PROFILES if place else _KEYS
    kept: dict[str, Any] = {}
    for key, value in values.items():
        here = (*place, str(key))
        check = known.get(str(key))
        if check is None:
            problems.append(file.problem(here, _unknown(str(key), known)))
        elif key == "profiles":
            kept[key] = _profiles(file, value, problems)
        else:
            try:
                kept[str(key)] = check(_expanded(value))
            except _Wrong as wrong:
                problems.append(file.problem(here, f"is {value!r:.60}, but {wrong}"))
    return kept


def _profiles(file: _File, values: Any, problems: list[str]) -> dict[str, dict[str, Any]]:
    if not isinstance(values, Mapping):
        problems.append(
            file.problem(("profiles",), f"is {values!r:.60}, but it has a key for each profile.")
        )
        return {}
    return {
        str(name): _checked(file, own, ("profiles", str(name)), problems)
        for name, own in values.items()
    }


def _unknown(key: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key, known, 1, 0.5)
    return (
        f"is no key. Write {near[0]}." if near else f"is no key. Write one of {', '.join(known)}."
    )


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return _VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(found: re.Match[str]) -> str:
    name = found[1]
    if name not in os.environ:
        raise _Wrong(f"the environment has no {name}. Set it, or write the value.")
    return os.environ[name]


def _upwards(place: Place) -> Iterator[Place]:
    for length in range(len(place), -1, -1):
        yield place[:length]


def _texts(value: Any) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) and item for item in listed):
        raise _Wrong('it is a list of texts, such as ["a", "b"].')
    return listed


def _text_of(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong("it is a name.")
    return value


def _whole(value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise _Wrong("it is a whole number above 0. Write 100.")
    return number


def _seed(value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool):
        raise _Wrong("it is a whole number. Write 1, or leave it out.")
    return number


def _time(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return seconds_of(str(value))
    except ValueError:
        raise _Wrong('it is a time above 0. Write 90, "90s", "5m" or "2h".') from None


_IN_PROFILES: Mapping[str, Callable[[Any], Any]] = {
    "targets": _texts,
    "max_examples": _whole,
    "max_steps": _whole,
    "time": _time,
    "seed": _seed,
    "strategy": _text_of,
    "reports": _texts,
    "redact": _texts,
}
_KEYS = {**_IN_PROFILES, "profile": _text_of, "profiles": dict}
