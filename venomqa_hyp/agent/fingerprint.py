"""A digest of all that an exploration depends on, to tell whether a new one could find anything.

It covers the files of the user's own modules: those that define the actions, the invariants and the
World, and what they import, from wherever they import it. Further the settings, the initial state,
the versions of Python and of the packages that are imported, and the files that are watched. The
service under test is another process, whose code nothing here refers to: it must be watched.

Not covered: environment variables, and what a service takes from elsewhere, such as its
configuration, its libraries and other services. Watch the files that decide about them.
"""

import ast
import functools
import hashlib
import importlib.util
import inspect
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from venomqa_hyp.core import Action, Invariant
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.values import hash_text

Watched = Iterable[str | os.PathLike[str]]

_INSTALLED = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_PLAIN = (str, bytes, int, float, bool, type(None))


class NoFingerprint(DefinitionError):
    """Something cannot be told from what it may be in the next run."""


def fingerprint(
    world: object,
    actions: Iterable[Action],
    invariants: Iterable[Invariant],
    settings: Mapping[str, object],
    watch: Watched,
    *,
    initial: str | None = None,
) -> str:
    """Return 32 hexadecimal digits that are the same while nothing has changed.

    :param world: the World, or the callable that opens one.
    :param settings: strategy, ``max_steps`` and whatever else decides what is executed.
    :param watch: files, and directories with everything below, of the service under test.
    :param initial: the id of the initial state, where it is known.
    :raises DefinitionError: a watched file does not exist.
    :raises NoFingerprint: says what cannot be told, so that nothing may be skipped.
    """
    watched = {name: _digest(path) for name, path in watched_files(watch).items()}
    actions, invariants = list(actions), list(invariants)
    functions = [item.execute for item in actions] + [g for item in actions for g in item.guards]
    functions += [item.check for item in invariants]
    functions += [item.when for item in invariants if item.when is not None]
    if callable(world):
        functions.append(world)
    code = [_function(item) for item in functions]
    modules, packages = _imported({_module_of(item) for item in functions})
    files = {name: _digest(path) for name, path in modules.items()}
    versions = sorted({*_versions(packages), *_versions(["hypothesis", "venomqa_hyp"])})
    machine = platform.python_implementation(), platform.python_version()
    parts = [*map(_definition, actions), *map(_definition, invariants), _described(settings), code]
    return hash_text(repr((parts, files, versions, machine, initial, watched)))


def watched_files(watch: Watched) -> dict[str, Path]:
    """Return name -> path of every file watched, without hidden ones and compiled Python.

    :raises DefinitionError: one does not exist, or ``watch`` is no list.
    :raises NoFingerprint: none is named.
    """
    if isinstance(watch, (str, os.PathLike)):
        raise DefinitionError(f"watch is {watch!r}, but it is a list. Write watch=[{watch!r}].")
    files = {}
    for number, given in enumerate(watch):
        path = Path(given)
        if not path.exists():
            raise DefinitionError(
                f"watch names {os.fspath(given)!r}, which does not exist (looked in {Path.cwd()}), "
                "so no change of it could be noticed. Name the source of the service under test."
            )
        found = [path] if path.is_file() else path.rglob("*")
        for item in found:
            below = item.relative_to(path)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in below.parts)
            if item.is_file() and not hidden:
                files[f"{number} {below.as_posix()}"] = item
    if not files:
        raise NoFingerprint(
            "watch names no files, so a change of the service under test would go unnoticed. Name "
            'its source: watch=["src/"].'
        )
    return dict(sorted(files.items()))


def _definition(item: Action | Invariant) -> str:
    if isinstance(item, Invariant):
        return repr((item.name, item.severity, item.at_end, item.sometimes))
    arguments = {name: _without_addresses(repr(given)) for name, given in item.arguments.items()}
    return repr((item.name, arguments, item.required, item.max_calls, item.weight, item.target))


def _described(value: object) -> str:
    """Return a value as text: of an object its type and attributes."""
    if isinstance(value, Mapping):
        return repr(sorted((str(key), _described(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return repr(sorted(map(_described, value)))
    if isinstance(value, _PLAIN) or callable(value):
        return _without_addresses(repr(value))
    slots = {name: getattr(value, name) for name in getattr(type(value), "__slots__", ())}
    held = {**slots, **getattr(value, "__dict__", {})}
    return f"{type(value).__qualname__}{_described(held)}"


def _function(function: Any) -> str:
    """Return which function it is, and the plain values that it was made with."""
    made_with: list[object] = []
    while isinstance(function, functools.partial):
        made_with += [*function.args, *sorted(function.keywords.items())]
        function = function.func
    try:
        closure = inspect.getclosurevars(inspect.unwrap(function)).nonlocals
    except TypeError:
        closure = {}
    plain = [item for item in [*made_with, *sorted(closure.items())] if _is_plain(item)]
    return repr((getattr(function, "__qualname__", type(function).__qualname__), plain))


def _is_plain(value: object) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _module_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(inspect.unwrap(function), "__module__", None) or type(function).__module__
    return str(name)


def _imported(begin: Iterable[str]) -> tuple[dict[str, Path], set[str]]:
    """Return name -> file of the user's own modules, and the packages that they import."""
    own: dict[str, Path] = {}
    others: set[str] = set()
    waiting = sorted(begin)
    while waiting:
        name = waiting.pop()
        if name in own or name in others:
            continue
        path = _own_file(name)
        if path is None:
            others.add(name)
        else:
            own[name] = path
            waiting += _imports(name, path)
    return dict(sorted(own.items())), {name.partition(".")[0] for name in others}


def _own_file(name: str) -> Path | None:
    """Return the file of a module of the user's; ``None`` for others, and for what is no module.

    :raises NoFingerprint: a module of the user's own has no file.
    """
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if module is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            spec = None
        path = None if spec is None else spec.origin
    elif name == "__main__" and path is None:
        raise NoFingerprint(
            "the module __main__ has no file, so its code cannot be read. Put the test into a file."
        )
    if (
        path is None
        or not path.endswith(".py")
        or name.partition(".")[0] in sys.stdlib_module_names
    ):
        return None
    is_own = not any(Path(path).is_relative_to(where) for where in _INSTALLED)
    return Path(path) if is_own and not name.startswith("venomqa_hyp.") else None


def _imports(name: str, path: Path) -> Iterator[str]:
    """Yield the modules that a module may import, also while a function of it runs."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
            base = f"{above}.{node.module or ''}".strip(".") if node.level else node.module or ""
            yield from _with_packages(base)
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise NoFingerprint(f"{path} cannot be read: {error}.") from error


def _digest(path: Path) -> str:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise NoFingerprint(f"{path} cannot be read: {error.strerror or error}.") from error


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _versions(packages: Iterable[str]) -> Iterator[str]:
    for package in packages:
        for name in _distributions().get(package, []):
            yield f"{name} {metadata.version(name)}"


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
