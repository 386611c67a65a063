"""The command line: what can be asked for, and the exit codes. The one file that knows click."""

from importlib.metadata import version
from pathlib import Path
from random import SystemRandom
from typing import Any

import click

from venomqa_hyp import config
from venomqa_hyp.cli import interrupts, outputs, replaying, running, starter, stores
from venomqa_hyp.cli.demo import EMBEDDED, DemoOptions, run_demo
from venomqa_hyp.cli.targets import discover
from venomqa_hyp.core import Redaction
from venomqa_hyp.core.redaction import also_hide
from venomqa_hyp.errors import DefinitionError, VenomError
from venomqa_hyp.reporters.console import Console
from venomqa_hyp.reporters.terminal import open_terminal

LARGEST_RANDOM_SEED = 9999
#: Any error of these is 1, as it always was.
_ALWAYS_ONE = ("demo", "clean")

#: The commands that take what is not given from the configuration.
_CONFIGURED = ("run", "explore")
#: Key of the configuration -> name of the parameter, where that is another.
_PARAMETERS = {"time": "seconds"}

EXIT_CODES = """\
\b
Exit codes:
  0    nothing was found, or the command did what it was asked for
  1    something was found; or demo or clean could not do their work
  2    the arguments, a file or a test definition are wrong
  3    the World, a server or a store could not be used
  130  interrupted by Ctrl-C or SIGTERM
"""


class _Commands(click.Group):
    """Turns what commands return and raise into exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        with interrupts.ending_on_signals():
            try:
                code = super().invoke(ctx)
            except VenomError as error:
                notes = [str(note) for note in getattr(error, "__notes__", ())]
                _say(Redaction().text("\n".join([str(error), *notes])))
                is_one = ctx.invoked_subcommand in _ALWAYS_ONE
                code = running.FOUND if is_one else running.code_of(error)
            except KeyboardInterrupt:
                is_demo = ctx.invoked_subcommand == "demo"
                _say("interrupted, the service was stopped" if is_demo else "interrupted")
                code = running.INTERRUPTED
        ctx.exit(code or running.OK)


def _say(text: str) -> None:
    click.echo(f"venomqa: {text}", err=True)


def _whole(ctx: click.Context, option: click.Parameter, value: str | None) -> int | None:
    if value is not None and (not value.isdecimal() or int(value) == 0):
        raise click.BadParameter(f"{value!r} is no whole number above 0")
    return None if value is None else int(value)


def _seconds(ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Read a number of seconds above 0, also as ``5m`` or ``2h``."""
    if value is None:
        return None
    try:
        return config.seconds_of(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time above 0; write 90, 90s, 5m or 2h") from None


def _reports(
    ctx: click.Context, option: click.Parameter, value: tuple[str, ...]
) -> tuple[Path, ...]:
    """Read paths with commas between."""
    texts = [text for each in value for text in each.split(",") if text]
    try:
        return outputs.checked(map(Path, texts))
    except DefinitionError as error:
        raise click.BadParameter(str(error)) from None


_FILE = click.Path(path_type=Path)
_seed = click.option(
    "--seed", type=int, metavar="N", envvar="VENOMQA_SEED", help="Repeat a run with this seed."
)
_time = click.option(
    "--time",
    "seconds",
    metavar="TIME",
    envvar="VENOMQA_TIME",
    callback=_seconds,
    help="End each target after this time: 90, 5m or 2h.",
)
_report = click.option(
    "--report",
    "reports",
    envvar="VENOMQA_REPORTS",
    metavar="PATH[,PATH]",
    callback=_reports,
    multiple=True,
    help="Also write reports; the suffix says which: .json .xml (JUnit) .md .html .dot .mmd.",
)
_verbose = click.option("-v", "--verbose", is_flag=True, help="Also show Hypothesis's own lines.")
_targets = click.argument("targets", nargs=-1, metavar="[TARGETS]...", envvar="VENOMQA_TARGETS")


@click.group(
    cls=_Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(version("venomqa-hyp"), message="%(version)s")
@click.option("--config", "file", type=_FILE, help="The configuration file, where it is another.")
@click.option("--profile", envvar="VENOMQA_PROFILE", help="A profile of the configuration file.")
@click.pass_context
def venomqa(ctx: click.Context, file: Path | None, profile: str | None) -> None:
    """Find bugs in sequences of requests to stateful HTTP APIs.

    Also installed as venomqa-hyp, and there as python -m venomqa_hyp. run and explore take what is
    not given from the environment (VENOMQA_TIME), then from venomqa.yaml or [tool.venomqa] in
    pyproject.toml.
    """
    if ctx.invoked_subcommand in _CONFIGURED or file is not None:
        known = config.load(file, profile)
        also_hide(known.redact)
        chosen = {_PARAMETERS.get(key, key): value for key, value in known.values.items()}
        ctx.default_map = dict.fromkeys(_CONFIGURED, chosen)


@venomqa.command()
@_targets
@_seed
@click.option(
    "--max-examples",
    metavar="N",
    callback=_whole,
    envvar="VENOMQA_MAX_EXAMPLES",
    help="Test cases of each machine.",
)
@_time
@_report
@_verbose
def run(
    targets: tuple[str, ...],
    seed: int | None,
    max_examples: int | None,
    seconds: float | None,
    reports: tuple[Path, ...],
    verbose: bool,
) -> int:
    """Run machines and Agents.

    TARGETS are files, folders (their test_*.py and *_test.py), tests/test_shop.py::TestShop, or
    package.module:Shop; this folder by default. Failures are kept in .venomqa/failures, and
    replayed first by the next run.
    """
    limits = running.Limits(seed=seed, seconds=seconds, max_examples=max_examples, verbose=verbose)
    return _run("run", targets, limits, reports)


@venomqa.command()
@_targets
@_seed
@click.option(
    "--max-steps",
    metavar="N",
    callback=_whole,
    envvar="VENOMQA_MAX_STEPS",
    help="Calls of actions for exploring.",
)
@click.option(
    "--strategy",
    type=click.Choice(list(running.STRATEGIES)),
    envvar="VENOMQA_STRATEGY",
    help="What decides where to go on; novelty by default.",
)
@_time
@_report
@_verbose
def explore(
    targets: tuple[str, ...],
    seed: int | None,
    max_steps: int | None,
    strategy: str | None,
    seconds: float | None,
    reports: tuple[Path, ...],
    verbose: bool,
) -> int:
    """Explore with an Agent, and collect every violation.

    TARGETS are those of run: of a machine, the World, the actions and the invariants are taken.
    """
    limits = running.Limits(
        seed=seed, seconds=seconds, max_steps=max_steps, strategy=strategy, verbose=verbose
    )
    return _run("explore", targets, limits, reports)


@venomqa.command()
@click.argument("file", type=_FILE)
@click.option(
    "--until",
    metavar="N",
    callback=_whole,
    help="Stop before this step, and say where the stores are.",
)
@click.option("--shell", is_flag=True, help="Open a Python prompt with the World after the steps.")
@click.option("--target", "targets", multiple=True, help="Where the machine is, as of run.")
def replay(file: Path, until: int | None, shell: bool, targets: tuple[str, ...]) -> int:
    """Execute the steps of a failure file of .venomqa/failures.

    Exits with 1 if it still fails.
    """
    fails = replaying.replay(file, Console(), until=until, shell=shell, where=targets)
    return running.FOUND if fails else running.OK


@venomqa.command()
@click.argument("result", type=_FILE)
@click.option("--to", "forms", required=True, metavar="FORM[,FORM]", help=", ".join(outputs.FORMS))
@click.option("--output", type=_FILE, default=Path(), help="The folder; this one by default.")
@click.option("--name", help="Of the machine, for headings; the name of the file by default.")
def report(result: Path, forms: str, output: Path, name: str | None) -> None:
    """Write reports of a result that was saved as JSON."""
    chosen = [outputs.FORMS[form] for form in outputs.parsed(forms)]
    results = {name or result.stem: outputs.read(result)}
    for form in chosen:
        for path in outputs.write(output / f"{result.stem}{form.suffix}", form, results):
            click.echo(f"written: {path}")


@venomqa.command()
@click.argument("source", metavar="RESULT.json|TARGET")
@click.option("--to", "form", type=click.Choice(outputs.GRAPHS), default="dot", show_default=True)
@click.option(
    "--max-steps",
    metavar="N",
    callback=_whole,
    default="200",
    show_default=True,
    help="Of a TARGET.",
)
@click.option("--output", type=_FILE, help="Write a file instead of printing.")
def graph(source: str, form: str, max_steps: int, output: Path | None) -> None:
    """Draw the states that were seen, for Graphviz or Mermaid.

    A TARGET is explored first, and that is reported to standard error.
    """
    results = running.results_for(source, max_steps)
    if output is None:
        click.echo(outputs.FORMS[form].render(results), nl=False)
        return
    for path in outputs.write(output, outputs.FORMS[form], results):
        click.echo(f"written: {path}")


@venomqa.command()
@click.argument("dsns", nargs=-1, required=True, metavar="DSN...")
def doctor(dsns: tuple[str, ...]) -> int:
    """Say what of a store can be rolled back and what not, without changing it.

    DSN is postgresql://..., mysql://..., redis://... or the path of a SQLite file. Exits with 3 if
    a run could not use one of them.
    """
    terminal, code = open_terminal(), running.OK
    for number, dsn in enumerate(dsns):
        if number:
            terminal.show()
        diagnosis = stores.diagnose(dsn)
        stores.show(diagnosis, terminal)
        if not diagnosis.is_usable:
            code = running.UNUSABLE
    return code


@venomqa.command(
    epilog="Exits with 0 if the bug was found, or with --fixed, if nothing was found; else with 1."
)
@click.option(
    "--rule",
    default="refunds_within_payments",
    show_default=True,
    metavar="NAME",
    help='The rule to check, or "all".',
)
@click.option("--fixed", is_flag=True, help="Test the service without the bugs.")
@_seed
@click.option(
    "--max-examples",
    metavar="N",
    callback=_whole,
    default="100",
    show_default=True,
    help="Stop after so many test cases without a failure.",
)
@click.option(
    "--no-rollback",
    is_flag=True,
    help="Re-run every step from a reset World, as plain Hypothesis would, to compare.",
)
@click.option(
    "--postgres",
    is_flag=False,
    flag_value=EMBEDDED,
    metavar="[DSN]",
    help="Run over PostgreSQL: a server started for the demo, or a new database on that of DSN.",
)
def demo(
    rule: str,
    fixed: bool,
    seed: int | None,
    max_examples: int,
    no_rollback: bool,
    postgres: str | None,
) -> int:
    """Find the bugs of an example service.

    Starts an order service on a free port of this machine, with a database of its own, and looks
    for a sequence of requests that breaks one of its rules about money:

    \b
      refunds_within_payments   broken by a sequence of four requests
      shipped_orders_are_paid   broken by one of six requests, which takes longer to find

    With --fixed the service keeps both. It is stopped and its database removed at the end, also on
    Ctrl-C.
    """
    chosen = DemoOptions(
        rule=rule,
        fixed=fixed,
        seed=SystemRandom().randint(0, LARGEST_RANDOM_SEED) if seed is None else seed,
        max_examples=max_examples,
        rollback=not no_rollback,
        postgres=postgres,
    )
    return running.OK if run_demo(chosen, Console()) is not fixed else running.FOUND


@venomqa.command()
@click.option("--dsn", required=True, help="postgresql://..., mysql://..., redis://... or a file.")
@click.option("--url", required=True, help="Of the API: http://127.0.0.1:8000.")
@click.option(
    "--output", type=_FILE, default=Path("test_api.py"), show_default=True, help="The file."
)
def init(dsn: str, url: str, output: Path) -> None:
    """Write a first test for an API and its store."""
    click.echo(starter.write_first_test(output, dsn, url))


@venomqa.command()
@click.argument("dsn", metavar="DSN")
def clean(dsn: str) -> None:
    """Remove what a killed run left in a PostgreSQL, MySQL or SQLite database.

    Rolls back what the run had changed. In PostgreSQL the schema venomqa_journal with its triggers
    goes from the database of DSN, and from its server the databases venomqa_copy_* that no living
    run uses. In MySQL and MariaDB: the triggers, and the database <name>_venomqa_journal. In a
    SQLite file: the triggers, and the folder beside it. A run does the same when it starts. Nothing
    else is touched.
    """
    click.echo(stores.clean(dsn))


@venomqa.command(name="merge")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="RESULT.json...")
@click.option("--output", type=_FILE, default=Path("merged.json"), show_default=True)
def merge_(files: tuple[Path, ...], output: Path) -> int:
    """Make one result of several, as of the parts of a CI matrix.

    Exits with 1 if there is a violation in it.
    """
    whole = outputs.merged(files)
    outputs.write(output, outputs.FORMS["json"], {output.stem: whole})
    for number, path in enumerate(files, 1):
        click.echo(f"worker {number} is {path}")
    Console().report(whole)
    click.echo(f"written: {output}")
    return running.FOUND if whole.violations else running.OK


def _run(
    command: str, given: tuple[str, ...], limits: running.Limits, reports: tuple[Path, ...]
) -> int:
    return running.run_all(command, discover(given or ["."]), limits, Console(), reports=reports)
