"""An exploration has the same fingerprint for as long as nothing that it depends on has changed."""

import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

from venomqa_hyp import Action, World, from_context
from venomqa_hyp.adapters import SQLiteAdapter, WsgiClient
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.agent.description import NoFingerprint
from venomqa_hyp.agent.fingerprint import fingerprint
from venomqa_hyp.errors import DefinitionError

SHOP = '''
import dataclasses, enum, functools, re
from hypothesis import strategies as st
from hypothesis.stateful import Bundle
from venomqa_hyp import Action, Invariant, World, from_context
from venomqa_hyp.adapters.memory import MemoryAdapter
import shop_helper
from shop_helper import charge

LIMIT = 10
PATTERN = re.compile("a+")

class Status(enum.Enum):
    NEW = "new"

@dataclasses.dataclass
class Order:
    total: int = 1
    def due(self):
        return self.total - 1  # due

class Client:
    retries = 3
    def __init__(self):
        self.timeout = 5
        self.store = {}
    def send(self, order):
        return order.due()

CLIENT = Client()

def logged(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*arguments, **keywords):
            for _ in range(times):
                made = function(*arguments, **keywords)
            return made
        return wrapper
    return decorate

@functools.lru_cache
def fee(amount):
    return amount + 1

def pay(api, context, amount, kind="card", *, note="x"):
    """Pay."""
    def inner():
        return [amount for _ in range(2)]
    if PATTERN.match(kind):
        return Status.NEW
    return CLIENT.send(Order(amount)) + LIMIT + inner()[0] + even(3) + fee(amount)

@logged(2)
def refund(api, context, amount):
    import shop_lazy
    return shop_helper.charge(amount) + charge(amount) + shop_lazy.late()

def even(n):
    return odd(n - 1) if n else 0

def odd(n):
    return even(n - 1) if n else 1

def ready(context):
    return "ready" in context

ORDERS = Bundle("orders")
ACTIONS = [
    Action("pay", pay, arguments={"amount": st.integers(0, 9).map(lambda x: x * 2)}, target=ORDERS),
    Action("refund", refund, arguments={"amount": st.sampled_from([1, 2])}, preconditions=[ready]),
    Action("look", lambda api, context, order: None, arguments={"order": from_context("order")}),
    Action("drop", shop_helper.drop, arguments={"order": ORDERS}, max_calls=2),
]
INVARIANTS = [Invariant("few", lambda world: len(world.api) < 5)]

def settle(world):
    return False

def make_world(size=3):
    store = MemoryAdapter({"size": size})
    return World(store, {"store": store}, context={"user": "ada"}, settle=settle)
'''
HELPER = """
import shop_deep

def charge(amount):
    return amount

def drop(api, context, order):
    return shop_deep.depth
"""
DEEP = "depth = 1\n"
LAZY = "def late():\n    return 1\n"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Return a function that fingerprints the shop with texts in it replaced."""
    watched = tmp_path / "service.py"
    watched.write_text("service")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {"shop_deep": DEEP, "shop_helper": HELPER, "shop_lazy": LAZY, "shop": SHOP}

    def tell(old: str = "", new: str = "", world: Any = None, **settings: Any) -> str:
        if old:
            assert sum(old in text for text in names.values()) == 1, old
        for name, text in names.items():
            (tmp_path / f"{name}.py").write_text(text.replace(old, new) if old else text)
        modules = {}
        for name in names:
            if name != "shop_lazy":
                modules[name] = sys.modules[name] = load(name, tmp_path / f"{name}.py")
        shop = modules["shop"]
        chosen = {"seed": 1, "max_steps": 100} | settings
        return fingerprint(
            world or shop.make_world, shop.ACTIONS, shop.INVARIANTS, chosen, [watched]
        )

    yield tell
    for name in names:
        sys.modules.pop(name, None)


def load(name: str, path: Path) -> ModuleType:
    spec = util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(path.read_text(), str(path), "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # due", "  # what is to be paid\n\n"),
        ("import dataclasses, enum", "# A shop.\n\nimport dataclasses, enum"),
        ("ACTIONS = [\n", "ACTIONS = [\n\n\n"),
        ("ORDERS = Bundle", "UNUSED = 3\nORDERS = Bundle"),
    ],
)
def test_comments_places_and_unused_names_are_no_change(told: Any, old: str, new: str) -> None:
    """The code does the same, so nothing new could be found."""
    assert told() == told() == told(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 10", "LIMIT = 11"),
        ('re.compile("a+")', 're.compile("b+")'),
        ('NEW = "new"', 'NEW = "fresh"'),
        ("total: int = 1", "total: int = 2"),
        ("return self.total - 1", "return self.total - 2"),
        ("retries = 3", "retries = 4"),
        ("self.timeout = 5", "self.timeout = 6"),
        ("return order.due()", "return order.due() or 1"),
        ("function(*arguments, **keywords)\n", "function(*arguments, **keywords) or 1\n"),
        ("@logged(2)", "@logged(3)"),
        ("return amount + 1", "return amount + 2"),
        ('kind="card"', 'kind="cash"'),
        ('note="x"', 'note="y"'),
        ("for _ in range(2)]", "for _ in range(3)]"),
        ("odd(n - 1) if n else 0", "odd(n - 1) if n else 2"),
        ("even(n - 1) if n else 1", "even(n - 1) if n else 3"),
        ('"ready" in context', '"able" in context'),
        ('Bundle("orders")', 'Bundle("order")'),
        ("x * 2", "x * 3"),
        ("st.integers(0, 9)", "st.integers(0, 8)"),
        ("st.sampled_from([1, 2])", "st.sampled_from([1, 3])"),
        ('from_context("order")', 'from_context("orders")'),
        ("max_calls=2", "max_calls=3"),
        ("len(world.api) < 5", "len(world.api) < 6"),
        ('Invariant("few"', 'Invariant("some"'),
        ("def settle(world):\n    return False", "def settle(world):\n    return None"),
        ("size=3", "size=4"),
        ('{"user": "ada"}', '{"user": "eve"}'),
        ("def charge(amount):\n    return amount", "def charge(amount):\n    return -amount"),
        ("depth = 1", "depth = 2"),
        ("def late():\n    return 1", "def late():\n    return 2"),
    ],
)
def test_a_change_of_what_the_test_does_is_noticed(told: Any, old: str, new: str) -> None:
    """In the code itself, or in anything that it refers to, however far away."""
    assert told() != told(old, new)


def test_settings_and_the_initial_state_count(told: Any) -> None:
    """Another seed, another number of steps or another strategy may find something."""

    class Mine:
        def __init__(self, share: float) -> None:
            self.share = share

    first = told()
    assert first == told(seed=1)
    assert len({first, told(seed=2), told(max_steps=5), told(strategy=Mine(0.1))}) == 4
    assert told(strategy=Mine(0.1)) != told(strategy=Mine(0.2))


def test_running_the_code_is_no_change(told: Any) -> None:
    """Bytecode that Python has specialised, and strategies that were drawn from, are the same."""
    told()
    shop = sys.modules["shop"]
    watch = [Path(shop.__file__ or "")]

    def tell() -> str:
        return fingerprint(shop.make_world, shop.ACTIONS, shop.INVARIANTS, {}, watch)

    before = tell()
    for _ in range(50):
        shop.even(8)
        shop.fee(1)
    for action in shop.ACTIONS[:2]:
        action.arguments["amount"].example  # noqa: B018
        action.arguments["amount"].validate()
    assert tell() == before


def test_another_process_finds_the_same(tmp_path: Path) -> None:
    """Whatever the seed of its hashes."""
    for name, text in (("shop", SHOP), ("shop_helper", HELPER), ("shop_deep", DEEP)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "shop_lazy.py").write_text(LAZY)
    code = textwrap.dedent("""
        import shop
        from venomqa_hyp.agent.fingerprint import fingerprint
        print(fingerprint(shop.make_world, shop.ACTIONS, shop.INVARIANTS, {"a": {"x", "y"}},
                          ["shop.py"]))
    """)
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONHASHSEED": str(number)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for number in (1, 2)
    }
    assert len(printed) == 1


ACTIONS = [Action("go", lambda api, context: None)]


def of(world: Any, watch: Any = (__file__,), **options: Any) -> str:
    return fingerprint(world, ACTIONS, (), {}, watch, **options)


def test_a_world_is_told_by_its_adapters_and_its_initial_state(tmp_path: Path) -> None:
    """Type and arguments of each, not what came to be while it ran."""

    def world(store: Any, **options: Any) -> World:
        return World(store, {"store": store}, **options)

    one = of(world(MemoryAdapter({"a": 1})))
    assert one == of(world(MemoryAdapter({"a": 1})))
    assert one != of(world(MemoryAdapter({"a": 2})))
    assert one != of(world(MemoryAdapter({"a": 1}), context={"user": 1}))
    assert one != of(world(MemoryAdapter({"a": 1})), initial="f00d")
    for at in (1, 2):
        sqlite3.connect(tmp_path / f"{at}.sqlite").close()
    first, second = (SQLiteAdapter(tmp_path / f"{at}.sqlite") for at in (1, 2))
    assert len({one, of(World(None, {"db": first})), of(World(None, {"cache": first}))}) == 3
    second.close()
    first.close()


def test_the_code_of_an_application_in_this_process_is_found() -> None:
    """An application that is called directly is reached through its client."""

    def application(answer: str) -> Any:
        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [answer.encode()]

        return app

    def tell(answer: str) -> str:
        return of(World(WsgiClient(application(answer))))

    assert tell("a") == tell("a") != tell("b")


def test_a_flask_application_is_searched_for_views() -> None:
    """Also one that holds its functions in objects of a library."""
    flask = pytest.importorskip("flask")

    def application(answer: int) -> Any:
        app = flask.Flask("shop")

        def view() -> str:
            return str(answer)

        app.add_url_rule("/", view_func=view)
        return app

    def tell(answer: int) -> str:
        return of(World(WsgiClient(application(answer))))

    assert tell(1) == tell(1) != tell(2)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("http://127.0.0.1:40001", "http://127.0.0.1:50002", True),
        ("http://localhost:40001/a", "http://localhost:40001/b", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001", False),
        ("http://shop:40001", "http://shop:50002", False),
        ("{tmp}/pytest-1/shop0/a.sqlite", "{tmp}/pytest-2/shop0/a.sqlite", True),
        ("{tmp}/pytest-1/shop0/a.sqlite", "{tmp}/pytest-1/shop0/b.sqlite", False),
    ],
)
def test_what_the_system_chose_for_a_run_is_no_change(one: str, other: str, equal: bool) -> None:
    """A free port of this computer and a temporary directory differ each time."""

    def tell(text: str) -> str:
        url = text.format(tmp=tempfile.gettempdir())
        return of(lambda: World(url))

    assert (tell(one) == tell(other)) is equal


def test_watched_files_count_by_name_and_content(tmp_path: Path) -> None:
    """A directory counts with everything below, but for hidden and compiled files."""
    (tmp_path / "src" / "deep").mkdir(parents=True)
    source = tmp_path / "src" / "deep" / "a.py"
    source.write_text("1")
    world = World({})

    def tell() -> str:
        return of(world, [tmp_path / "src"])

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
        of(World({}), [])
    with pytest.raises(DefinitionError, match=r"'nowhere', which does not exist"):
        of(World({}), ["nowhere"])
    with pytest.raises(DefinitionError, match=r"Write watch=\['src'\]"):
        of(World({}), "src")


def test_what_cannot_be_known_is_named() -> None:
    """A generator may give anything: there is no fingerprint, and the error says where it is."""
    numbers = iter([1, 2])

    def go(api: Any, context: Any) -> int:
        return next(numbers)

    with pytest.raises(NoFingerprint, match=r"numbers of .*go is a builtins.list_iterator"):
        fingerprint(World({}), [Action("go", go)], (), {}, [__file__])


def test_a_value_that_cannot_be_read_means_no_fingerprint() -> None:
    """Whatever an object raises when it is looked at, the exploration itself goes on."""

    class Shy:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("do not look")

    shy = Shy()

    def go(api: Any, context: Any) -> Any:
        return shy

    with pytest.raises(NoFingerprint, match="RuntimeError while the test was read: do not look"):
        fingerprint(World({}), [Action("go", go)], (), {}, [__file__])


def test_chance_is_no_change() -> None:
    """The state of a random number generator differs in each run."""
    choose = random.Random(1).choice

    def tell() -> str:
        def go(api: Any, context: Any) -> Any:
            return choose([1, 2]), random.random()

        return fingerprint(World({}), [Action("go", go)], (), {}, [__file__])

    before = tell()
    choose([1, 2])
    assert tell() == before


@pytest.mark.parametrize(
    "make",
    [
        lambda f: st.builds(f),
        lambda f: st.lists(st.integers().map(f)),
        lambda f: st.integers().filter(f) | st.none(),
        lambda f: st.integers().flatmap(f),
        lambda f: st.fixed_dictionaries({"a": st.tuples(st.integers().map(f))}),
        lambda f: st.composite(lambda draw: f(draw(st.integers())))(),
        lambda f: st.deferred(lambda: st.just(f)),
        lambda f: st.recursive(st.none().map(f), st.lists),
        lambda f: st.sampled_from([1]).map(f),
    ],
)
def test_code_within_strategies_is_found(make: Any) -> None:
    """Functions given to a strategy are code of the test, wherever in the strategy they are."""

    def tell(limit: int) -> str:
        def function(value: Any = 0) -> Any:
            return value < limit

        action = Action("go", lambda api, context, x: None, arguments={"x": make(function)})
        return fingerprint(World({}), [action], (), {}, [__file__])

    assert tell(1) == tell(1)
    assert tell(1) != tell(2)


def test_arguments_from_the_context_count() -> None:
    """Which key an argument comes from is part of the action."""

    def tell(key: str) -> str:
        action = Action("go", lambda api, context, x: None, arguments={"x": from_context(key)})
        return fingerprint(World({}), [action], (), {}, [__file__])

    assert tell("a") == tell("a") != tell("b")
