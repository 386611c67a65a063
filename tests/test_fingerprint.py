"""An exploration has the same fingerprint for as long as nothing that it depends on has changed."""

import functools
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from venomqa_hyp import Action, Novelty, World, from_context
from venomqa_hyp.agent.fingerprint import NoFingerprint, fingerprint
from venomqa_hyp.errors import DefinitionError

SHOP = """
from hypothesis import strategies as st
from venomqa_hyp import Action, Invariant, World
import shop_helper
from shops.rules import LIMIT

def pay(api, context, amount):
    import shop_lazy
    return shop_helper.charge(amount) + shop_lazy.late()

ACTIONS = [Action("pay", pay, arguments={"amount": st.integers(0, 9)})]
INVARIANTS = [Invariant("few", lambda world: len(world.api) < LIMIT)]

def make_world(size=3):
    return World({})
"""
FILES = {
    "shop.py": SHOP,
    "shop_helper.py": "import shop_deep\n\ndef charge(amount):\n    return amount\n",
    "shop_deep.py": "depth = 1\n",
    "shop_lazy.py": "def late():\n    return 1\n",
    "shops/__init__.py": "",
    "shops/rules.py": "from . import bounds\nfrom .bounds import LIMIT\n",
    "shops/bounds.py": "LIMIT = 10\n",
    "unused.py": "x = 1\n",
    "service.py": "service\n",
}
CODE = textwrap.dedent("""
    import shop
    from venomqa_hyp.agent.fingerprint import fingerprint
    settings = {"a": {"x", "y"}}
    print(fingerprint(shop.make_world, shop.ACTIONS, shop.INVARIANTS, settings, ["service.py"]))
""")


def printed(folder: Path, changed: str = "", seed: str = "1") -> str:
    """Return the fingerprint that a process of its own finds, with one file changed."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text + ("# changed\n" if name == changed else ""))
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": seed},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def test_another_process_finds_the_same(tmp_path: Path) -> None:
    """Whatever the seed of its hashes."""
    assert printed(tmp_path) == printed(tmp_path, seed="2")


@pytest.mark.parametrize("name", [name for name in FILES if name != "unused.py"])
def test_a_change_of_a_file_is_noticed(tmp_path: Path, name: str) -> None:
    """In the test itself, and in each module it imports: at the top, in a function, relatively."""
    assert printed(tmp_path) != printed(tmp_path, name)


def test_a_change_of_another_file_is_not(tmp_path: Path) -> None:
    """A module that nothing imports cannot change what is found."""
    assert printed(tmp_path) == printed(tmp_path, "unused.py")


ACTIONS = [Action("go", lambda api, context: None)]


def of(
    actions: Any = ACTIONS, settings: Any = None, watch: Any = (__file__,), **options: Any
) -> str:
    return fingerprint(World({}), actions, (), settings or {}, watch, **options)


def test_settings_and_the_initial_state_count() -> None:
    """Another seed, another strategy or other rows at the start may find something."""
    variants: list[dict[str, Any]] = [
        {},
        {"seed": 2},
        {"strategy": Novelty(walks=0.1)},
        {"strategy": Novelty(walks=0.2)},
    ]
    assert len({of(settings=item) for item in variants}) == len(variants)
    assert of(settings={"strategy": Novelty(walks=0.1)}) == of(settings=variants[2])
    assert of() != of(initial="f00d")


def test_how_actions_are_defined_counts() -> None:
    """Also what is not written in a file: arguments, limits, what a function closes over."""

    def action(argument: Any = None, bound: int = 0, **options: Any) -> Action:
        def go(api: Any, context: Any, x: Any = None) -> int:
            return bound

        return Action("go", go, arguments={} if argument is None else {"x": argument}, **options)

    made = [
        action(),
        action(max_calls=2),
        action(bound=1),
        action(st.integers(0, 8)),
        action(st.integers(0, 9)),
        action(from_context("a")),
        action(from_context("b")),
        Action("go", functools.partial(lambda size, api, context: None, 3)),
        Action("go", functools.partial(lambda size, api, context: None, 4)),
    ]
    assert len({of([item]) for item in made}) == len(made)
    assert of([action(bound=1)]) == of([action(bound=1)])


def test_watched_files_count_by_name_and_content(tmp_path: Path) -> None:
    """A directory counts with everything below, but for hidden and compiled files."""
    (tmp_path / "src" / "deep").mkdir(parents=True)
    source = tmp_path / "src" / "deep" / "a.py"
    source.write_text("1")

    def tell() -> str:
        return of(watch=[tmp_path / "src"])

    first = tell()
    (tmp_path / "src" / ".git").write_text("x")
    (tmp_path / "src" / "__pycache__").mkdir()
    (tmp_path / "src" / "__pycache__" / "a.pyc").write_text("x")
    assert tell() == first
    source.write_text("2")
    second = tell()
    assert second != first
    source.rename(source.with_name("b.py"))
    assert tell() not in (first, second)


def test_nothing_watched_means_no_fingerprint() -> None:
    """The service is another process: unwatched, its changes would go unnoticed."""
    with pytest.raises(NoFingerprint, match=r"watch names no files.*watch=\[\"src/\"\]"):
        of(watch=[])
    with pytest.raises(DefinitionError, match=r"'nowhere', which does not exist"):
        of(watch=["nowhere"])
    with pytest.raises(DefinitionError, match=r"Write watch=\['src'\]"):
        of(watch="src")


def test_code_without_a_file_has_no_fingerprint() -> None:
    """What was typed in cannot be read again."""
    code = (
        "from venomqa_hyp import Action, World\n"
        "from venomqa_hyp.agent.fingerprint import fingerprint\n"
        "action = Action('go', lambda api, context: None)\n"
        f"fingerprint(World({{}}), [action], (), {{}}, [{__file__!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert "NoFingerprint: the module __main__ has no file" in done.stderr
    assert NoFingerprint.__name__ in done.stderr
