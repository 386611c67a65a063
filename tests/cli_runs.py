"""Run the command line in this process, in a folder with a small shop."""

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from venomqa_hyp.cli.command import venomqa
from venomqa_hyp.reporters import terminal

#: A shop in memory, whose refunds may exceed what was paid; CHECKS replaces its rule.
SHOP = """
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

from venomqa_hyp import Agent, World, action, invariant, venom_machine
from venomqa_hyp.adapters import MemoryAdapter


@action
def pay(api, context):
    api["paid"] = api.get("paid", 0) + 5


@action(preconditions=["pay"])
def refund(api, context):
    if LIMIT is None or api.get("refunded", 0) < LIMIT:
        api["refunded"] = api.get("refunded", 0) + 5


@action(max_calls=2)
def look(api, context):
    return api.get("paid", 0)


@invariant(description="No more is refunded than was paid.")
def within_payment(world):
    paid, refunded = world.api.get("paid", 0), world.api.get("refunded", 0)
    return refunded <= paid or f"refunded {refunded} of {paid} paid"


LIMIT = None


def open_shop():
    shop = MemoryAdapter(name="shop")
    return World(shop, {"shop": shop})


Shop = venom_machine(open_shop, [pay, refund, look], [within_payment], name="Shop")
TestShop = Shop.TestCase
TestShop.settings = settings(
    max_examples=20, database=DirectoryBasedExampleDatabase(".hypothesis/examples")
)
"""
FIXED = SHOP.replace("LIMIT = None", "LIMIT = 5")


def run(*arguments: str, input: str = "") -> Result:  # noqa: A002  # of click
    """Run a command in a process of its own, as it were: files are imported anew.

    An exception that is no exit is a defect of the command.
    """
    forget()
    result = CliRunner().invoke(venomqa, arguments, input=input, prog_name="venomqa")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def forget() -> None:
    """Forget what was imported from the current directory."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(Path.cwd())):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty current directory; what is imported from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(terminal, "FIRST_PAUSE", math.inf)  # no lines of progress on a slow machine
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    forget()
