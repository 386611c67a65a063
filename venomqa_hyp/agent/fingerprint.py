"""A digest of all that an exploration depends on, to tell whether a new one could find anything.

It covers the actions, the invariants, the World, the settings, *their code* (see
:mod:`venomqa_hyp.agent.description`), the initial state, and the files that are watched. The
service under test is another process, whose code nothing here refers to: it must be watched.

Not covered: environment variables, and what a service takes from elsewhere, such as its
configuration, its libraries and other services. Watch the files that decide about them.
"""

import inspect
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from venomqa_hyp.agent.description import Describer, NoFingerprint, digest_of_file, is_own_module
from venomqa_hyp.core import Action, Invariant, hash_text
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.world import World

Watched = Iterable[str | os.PathLike[str]]

_PORT = re.compile(r"(?<=127\.0\.0\.1:|localhost:)\d{5}|(?<=\[::1\]:)\d{5}")
_FIRST_EPHEMERAL_PORT = 32768


def fingerprint(
    world: object,
    actions: Iterable[Action],
    invariants: Iterable[Invariant],
    settings: Mapping[str, Any],
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
    watched = watched_files(watch)
    try:
        told = _told(world, list(actions), list(invariants), settings)
    except NoFingerprint:
        raise
    except Exception as error:  # whatever an object of the user's does when it is looked at
        raise NoFingerprint(f"{type(error).__name__} while the test was read: {error}") from error
    files = {name: digest_of_file(path) for name, path in watched.items()}
    return hash_text(repr((told, initial, files)))


def _told(
    world: object,
    actions: list[Action],
    invariants: list[Invariant],
    settings: Mapping[str, Any],
) -> tuple[Any, ...]:
    describer = Describer()
    parts = [describer.describe(actions, "actions"), describer.describe(invariants, "invariants")]
    parts += [_configured(describer, value, name) for name, value in sorted(settings.items())]
    parts += [platform.python_implementation(), platform.python_version()]
    parts += [f"{name} {metadata.version(name)}" for name in ("venomqa-hyp", "hypothesis")]
    describer.shown = _without_what_differs_by_run
    return parts, _world(describer, world), sorted(describer.facts)


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


def _world(describer: Describer, world: object) -> str:
    if not isinstance(world, World):
        return describer.describe(world, "world")
    parts = {"api": world.api, **world.systems}
    told = {name: _configured(describer, part, name) for name, part in parts.items()}
    own = ("_context_keys", "_settle", "_settle_timeout")
    rest = {name: getattr(world, name, None) for name in own}
    return repr((told, describer.describe([dict(world.context), rest], "world")))


def _configured(describer: Describer, value: Any, where: str) -> str:
    """Describe an adapter or a strategy: its type, and the arguments that it still knows.

    Everything else that it holds came to be while it ran.
    """
    kind = type(value)
    if is_own_module(kind.__module__) or kind.__module__ == "builtins" or callable(value):
        return describer.describe(value, where)
    describer.search(value, where)
    held = {name: _argument(value, name) for name in inspect.signature(kind).parameters}
    told = {name: item for name, item in held.items() if isinstance(item, _CONFIGURATION)}
    return describer.describe([kind, told], where)


_CONFIGURATION = (str, bytes, int, float, os.PathLike, list, tuple, set, frozenset, dict)


def _argument(value: Any, name: str) -> Any:
    for attribute in (name, f"_{name}"):
        try:
            return getattr(value, attribute)
        except Exception:  # whatever a property raises: the argument is not to be had
            continue
    return None


def _without_what_differs_by_run(text: str) -> str:
    """Leave out what a system chose: a free port of this computer, a temporary directory."""
    temporary = re.escape(tempfile.gettempdir()) + r"[/\\](?:.*[/\\])?"
    text = re.sub(temporary, "<temporary>/", text)
    return _PORT.sub(
        lambda found: "*" if int(found[0]) >= _FIRST_EPHEMERAL_PORT else found[0], text
    )
