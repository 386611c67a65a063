"""Public names are true, parts know only those below, an installation registers the backend."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import _venomqa_hyp_hypothesis

PACKAGE = "venomqa_hyp"
ROOT = Path(__file__).parent.parent / PACKAGE
FILES = sorted(ROOT.rglob("*.py"))

# Ground floor first: each room may import the rooms named for it, and itself.
STACK = ["errors", "values", "core", "world", "explore", "stateful", "agent"]
MAY_IMPORT = {room: STACK[:floor] for floor, room in enumerate(STACK)} | {
    "adapters": ["errors", "values", "core", "world"],
    "dsl": ["errors", "values", "core", "world"],
    "reporters": ["errors", "values", "core"],
    "testing": ["errors", "values", "core", "world", "adapters"],
    "config": ["errors", "values", "core"],
    "exports": [*STACK, "reporters"],
    "cli": [*STACK, "adapters", "dsl", "reporters", "exports", "config"],
    "pytest_plugin": [*STACK, "adapters", "dsl", "reporters"],
    "__main__": ["cli"],
    # The package itself re-exports what users define and run a test with.
    "": STACK,
}

# Installed with the package, so any file may import them. Everything else from outside the
# standard library is optional, and belongs to one file that names the `pip install` line.
REQUIRED = {"anyio", "attrs", "httpx", "hypothesis"}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): ast.parse(file.read_text(), file) for file in FILES}
PACKAGES = [module_name(file) for file in FILES if file.name == "__init__.py"]


def is_ours(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE


def room(module: str) -> str:
    return module.removeprefix(PACKAGE).strip(".").partition(".")[0]


def imported(module: str, tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a module imports, wherever in it the import stands."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                # `from package import module` imports the module, not a name of the package.
                name = f"{base}.{alias.name}"
                yield name if name in MODULES else base


def without_type_checking(tree: ast.Module) -> ast.Module:
    """Leave out `if TYPE_CHECKING:` blocks at the top of a module: they never run."""
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return ast.Module(kept, [])


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted_and_true(package: str) -> None:
    """`__all__` holds what the package re-exports, no more and no less."""
    names = importlib.import_module(package).__all__
    reexported = {
        alias.asname or alias.name
        for node in MODULES[package].body
        if isinstance(node, ast.ImportFrom) and (node.level or is_ours(node.module or ""))
        for alias in node.names
    }
    assert list(names) == sorted(names)
    assert [name for name in names if not hasattr(sys.modules[package], name)] == []
    assert {name for name in reexported if not name.startswith("_")} - set(names) == set()


@pytest.mark.parametrize("module", MODULES)
def test_rooms_import_only_lower_rooms(module: str) -> None:
    """An import that goes up, or into a neighbour, is refused; a new room needs its own line."""
    here = room(module)
    assert here in MAY_IMPORT, f"add the room {here!r} to MAY_IMPORT"
    ours = {name for name in imported(module, MODULES[module]) if is_ours(name)}
    assert {room(name) for name in ours} <= {here, *MAY_IMPORT[here]}, ours


def test_no_import_cycle() -> None:
    """Modules can be put in an order in which each imports only earlier ones."""
    graph = {
        module: {name for name in imported(module, tree) if is_ours(name)} - {module}
        for module, tree in MODULES.items()
    }
    TopologicalSorter(graph).prepare()


def test_optional_packages_belong_to_one_file() -> None:
    """What may be missing is imported by one file only; imports for type checkers do not count."""
    users = defaultdict(set)
    for module, tree in MODULES.items():
        for name in imported(module, without_type_checking(tree)):
            users[name.partition(".")[0]].add(module)
    known = sys.stdlib_module_names | REQUIRED | {PACKAGE}
    assert {name: by for name, by in users.items() if name not in known and len(by) > 1} == {}


def test_importing_hypothesis_does_not_load_the_package(tmp_path: Path) -> None:
    """An installation registers the backend by name only, and does so without a warning."""
    code = f"""
import sys, hypothesis
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS
print(AVAILABLE_PROVIDERS["venomqa"], {PACKAGE!r} in sys.modules)
"""
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shown.stdout == "venomqa_hyp.stateful.internals.VenomProvider False\n"


def test_registering_never_breaks_the_import_of_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Hypothesis keeps its backends elsewhere, or not yet, nothing is raised."""
    monkeypatch.setitem(sys.modules, "hypothesis.internal.conjecture.providers", None)
    _venomqa_hyp_hypothesis.register()


def test_decorated_functions_keep_their_types(tmp_path: Path) -> None:
    """A user's module passes mypy in strict mode; what is misspelled does not."""
    api = pytest.importorskip("mypy.api")
    good = Path(__file__).with_name("typed_definitions.py")
    bad = tmp_path / "bad.py"
    bad.write_text(good.read_text().replace("max_calls=3", "most_calls=3"))
    cache = str(tmp_path / "cache")
    for path, status in ((good, 0), (bad, 1)):
        printed, _, found = api.run(
            ["--strict", "--follow-imports=silent", "--cache-dir", cache, str(path)]
        )
        assert found == status, printed
    assert "most_calls" in printed
