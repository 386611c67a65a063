"""What pytest loads: options, the header, and fixtures by name.

A top-level module, because the entry point would otherwise import the package in every test run of
an environment. What the hooks do is in ``venomqa_hyp.pytest_plugin``, which is loaded once a test
uses the package, or an option asks for it.
"""

import os
import random
import sys
from importlib import import_module
from typing import Any

import pytest

LARGEST_SEED = 2**32 - 1
_OPTIONS = ("report", "time", "max_examples", "replay", "no_rollback")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; all are for the machines of ``venom_machine``."""
    group = parser.getgroup("venomqa", "venomqa: state machines whose databases roll back")
    group.addoption(
        "--venomqa-report",
        metavar="PATH[,PATH]",
        help="write reports; the kind by the suffix: .md, .xml (JUnit), .json, .html, .dot, .mmd",
    )
    group.addoption(
        "--venomqa-time",
        metavar="SECONDS",
        help="time for all machines of the session together; then nothing more is generated",
    )
    group.addoption(
        "--venomqa-max-examples",
        metavar="N",
        help="the most test cases of each machine, whatever its settings say",
    )
    group.addoption(
        "--venomqa-replay",
        metavar="FILE[:STEP]",
        help="execute a failure file and nothing else; with STEP stop before that step, so that "
        "the stores can be looked at",
    )
    group.addoption(
        "--venomqa-no-rollback",
        action="store_true",
        help="execute every step from a reset World, as plain Hypothesis does",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed; xdist's workers take that of the controller."""
    seed = getattr(config, "workerinput", {}).get("venomqa_seed", _seed(config))
    hooks = _Hooks(config, seed)
    config.pluginmanager.register(hooks, "venomqa-hooks")
    if any(config.getoption(f"venomqa_{name}") for name in _OPTIONS):
        hooks.load()


def _seed(config: pytest.Config) -> int | str:
    """Return the seed that was given, as Hypothesis reads it, or one chosen now."""
    given = config.getoption("--hypothesis-seed", None)
    if given is None:
        return random.randint(0, LARGEST_SEED)
    try:
        return int(given)
    except ValueError:
        return str(given)


class _Hooks:
    """The hooks of one session, as long as no test uses the package."""

    def __init__(self, config: pytest.Config, seed: int | str) -> None:
        self.config = config
        self.seed = seed

    def load(self) -> Any:
        """Return the plugin that does the work."""
        manager = self.config.pluginmanager
        if not manager.has_plugin("venomqa-session"):
            module = import_module("venomqa_hyp.pytest_plugin")
            manager.register(module.Plugin(self.config, self.seed), "venomqa-session")
        return manager.get_plugin("venomqa-session")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["venomqa_seed"] = self.seed

    def pytest_report_header(self) -> str | None:
        hypothesis: Any = sys.modules.get("hypothesis")
        # In a CI, Hypothesis's default profile has no chance in it.
        is_same = hypothesis.settings.default.derandomize if hypothesis else "CI" in os.environ
        return None if is_same else f"venomqa: repeat with --hypothesis-seed={self.seed}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class, name: str, obj: object
    ) -> pytest.Collector | None:
        if isinstance(obj, type) and "venomqa_hyp.stateful" in sys.modules:
            made: pytest.Collector | None = self.load().collector_of(collector, name, obj)
            return made
        return None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if "venomqa_hyp.stateful" in sys.modules or "venom" in getattr(item, "fixturenames", ()):
            self.load()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if records := getattr(report, "venomqa_runs", None):  # of a worker, too
            self.load().note(records)


@pytest.fixture
def venom(request: pytest.FixtureRequest) -> Any:
    """Run a machine in a test: ``venom(world, actions, invariants, max_time=60)``."""
    hooks: Any = request.config.pluginmanager.get_plugin("venomqa-hooks")
    return hooks.load().runner(request)
