"""Find the machines and Agents that a command is to run, in files, folders and modules.

Files are imported as pytest imports them: the folder above the topmost package comes first in
``sys.path``, and the name of the module is relative to it. So a machine has the same identity here
and there, and the same failure files.
"""

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
from hypothesis import settings as Settings  # noqa: N812  # it is a class

from venomqa_hyp.agent import Agent
from venomqa_hyp.errors import DefinitionError, VenomError
from venomqa_hyp.stateful import VenomStateMachine, state_machine_of
from venomqa_hyp.stateful.definition import Definition

_PATTERNS = ("test_*.py", "*_test.py")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_][\w.]*)?")
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "build", "dist", "venv"})
_KINDS = (
    "Write a file or folder (tests/test_shop.py), a machine or Agent in it "
    "(tests/test_shop.py::TestShop), or a module (shop.machines:Shop)."
)


@attrs.frozen
class Target:
    """A machine or an Agent.

    :ivar name: leads to it again, such as ``tests/test_shop.py::TestShop``.
    :ivar agent: ``None`` where this is a machine, and the machine else.
    :ivar settings: those that its ``TestCase`` has.
    """

    name: str
    agent: Agent | None
    machine: type[VenomStateMachine] | None
    settings: Settings | None = None

    @property
    def title(self) -> str:
        """Its name without the file."""
        return re.split("::|:", self.name)[-1]

    @property
    def definition(self) -> Definition:
        """The World, the actions and the invariants."""
        if self.agent is not None:
            return self.agent.definition
        assert self.machine is not None
        return self.machine.venom_definition


def discover(given: Sequence[str]) -> list[Target]:
    """Return the machines and Agents that arguments name.

    :raises DefinitionError: one names nothing, or what it names cannot be imported.
    """
    found = {target.name: target for text in given for target in _named(text)}
    if not found:
        raise DefinitionError(
            f"there is no machine of venom_machine(...) and no Agent in {', '.join(given)}. Write "
            "TestShop = venom_machine(world, actions, invariants).TestCase at the top level of "
            "test_shop.py; venomqa init writes a first test."
        )
    return list(found.values())


def with_identity(identity: str, given: Sequence[str]) -> Target:
    """Return the machine that wrote a failure file.

    :param identity: module, calling function and name, as the file has it.
    :param given: where to look; by default in the files that the identity may mean.
    :raises DefinitionError: there is none.
    """
    where = list(given) or [str(path) for path in _files_of(identity)]
    known = [target for text in where for target in _named(text)]
    for target in known:
        if target.definition.identity == identity:
            return target
    if given and len(known) == 1:
        return known[0]
    looked = ", ".join(where) or f"the files below {Path.cwd()}"
    raise DefinitionError(
        f"the failure is of the machine {identity!r}, which is not in {looked}. Name it: "
        "--target tests/test_shop.py::TestShop"
    )


def _files_of(identity: str) -> list[Path]:
    """Return the files below this folder that may hold the module of an identity."""
    parts = identity.split(".")
    for length in range(len(parts) - 1, 0, -1):
        found = sorted(Path().rglob("/".join(parts[:length]) + ".py"))
        if kept := [path for path in found if not _is_skipped(path)]:
            return kept
    return []


def _named(text: str) -> Iterator[Target]:
    path, _, name = text.partition("::")
    if "::" in text or text.endswith(".py") or Path(text).exists():
        yield from _in_path(Path(path), name)
    elif _MODULE.fullmatch(text):
        module, _, name = text.partition(":")
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        yield from _in_module(_imported(module, text), module, ":", name)
    else:
        raise DefinitionError(f"{text!r} is no file, folder or module. {_KINDS}")


def _in_path(path: Path, name: str) -> Iterator[Target]:
    if path.is_dir() and not name:
        for file in sorted({file for pattern in _PATTERNS for file in path.rglob(pattern)}):
            if not _is_skipped(file.relative_to(path)):
                yield from _in_path(file, "")
    elif path.is_file() and path.suffix == ".py":
        module = _imported_file(path)
        if module is not None:
            yield from _in_module(module, str(path), "::", name)
    else:
        what = "a folder" if path.is_dir() else "no Python file" if path.exists() else "not there"
        raise DefinitionError(f"{str(path)!r} is {what}. {_KINDS}")


def _is_skipped(path: Path) -> bool:
    return any(part in _SKIPPED_FOLDERS or part.startswith(".") for part in path.parts[:-1])


def _in_module(module: ModuleType, where: str, mark: str, name: str) -> Iterator[Target]:
    found = {
        key: target
        for key, value in vars(module).items()
        if (target := _target(f"{where}{mark}{key}", value)) is not None
    }
    wanted = name.removesuffix(".TestCase")
    if not name:
        yield from _once(found.values())
    elif wanted in found:
        yield found[wanted]
    else:
        known = f"It has {', '.join(found)}." if found else "It has none."
        raise DefinitionError(f"{where} has no machine or Agent named {name!r}. {known}")


def _target(name: str, value: Any) -> Target | None:
    if isinstance(value, Agent):
        return Target(name, value, None)
    if not isinstance(value, type):
        return None
    machine = value if issubclass(value, VenomStateMachine) else state_machine_of(value)
    if machine is None or not issubclass(machine, VenomStateMachine):
        return None
    if getattr(machine, "venom_definition", None) is None:
        return None  # the base of all machines, imported
    chosen: Any = machine.TestCase if value is machine else value
    return Target(name, None, machine, chosen.settings)


def _once(targets: Iterable[Target]) -> list[Target]:
    """Leave out a machine whose ``TestCase`` has a name of its own."""
    listed = list(targets)
    kept: dict[Any, Target] = {}
    for target in listed:
        kept[target.machine or target.agent] = target  # the TestCase is made after the machine
    return list(kept.values())


def _imported_file(path: Path) -> ModuleType | None:
    """Import a file; ``None`` where it skips itself, as pytest lets it."""
    file = path.resolve()
    folder, name = file.parent, file.stem
    while (folder / "__init__.py").exists():
        folder, name = folder.parent, f"{folder.name}.{name}"
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = _imported(name, str(path))
    except BaseException as error:
        if type(error).__module__ == "_pytest.outcomes" and type(error).__name__ == "Skipped":
            return None
        raise
    known = Path(module.__file__ or "").resolve()
    if known != file:
        raise DefinitionError(
            f"{path} cannot be imported as {name!r}: that is {known}. Give the files different "
            "names, or each folder an __init__.py."
        )
    return module


def _imported(name: str, shown: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except VenomError as error:
        error.add_note(f"That was raised while {shown} was imported.")
        raise
    except Exception as error:
        raise DefinitionError(
            f"{shown} cannot be imported: {type(error).__name__}: {error}{_place(error)}"
        ) from error


def _place(error: Exception) -> str:
    """Return the innermost line of the user's own code."""
    traceback, found = error.__traceback__, ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith("<") and "importlib" not in file and file != __file__:
            found = f" ({file}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return found
