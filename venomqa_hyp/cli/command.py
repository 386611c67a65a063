"""The command line: what can be asked for, and the exit codes."""

import argparse
import random
import sys
from collections.abc import Sequence
from importlib.metadata import version

from venomqa_hyp.adapters import mysql, postgres, sqlite
from venomqa_hyp.cli import interrupts
from venomqa_hyp.cli.demo import EMBEDDED, DemoOptions, run_demo
from venomqa_hyp.cli.screen import open_screen
from venomqa_hyp.errors import VenomError

LARGEST_RANDOM_SEED = 9999
INTERRUPTED = 130

DEMO = """\
Start an order service on a free port of this machine, with a database of its own, and look for
a sequence of requests that breaks one of its rules about money:

  refunds_within_payments   broken by a sequence of four requests
  shipped_orders_are_paid   broken by one of six requests, which takes longer to find

With --fixed the service keeps both. It is stopped and its database removed at the end, also on
Ctrl-C.
"""

CLEAN = """\
Roll back what a run that was killed had changed, and remove what it left behind. In PostgreSQL: the
schema venomqa_journal with its triggers in the database of DSN, and on its server the databases
venomqa_copy_* that no living run uses. In MySQL and MariaDB: the triggers, and the database
<name>_venomqa_journal. In a SQLite file: the triggers, and the folder beside it. A run does the
same when it starts. Nothing else is touched.
"""

EXIT_CODES = """\
exit codes:
  0    the run ended as it should: something was found in the service with the bugs, or nothing
       was found in the fixed one
  1    it did not, or the demo could not run
  2    the arguments are wrong
  130  interrupted by Ctrl-C or SIGTERM

What is printed does not depend on what should be found.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ``venomqa`` command and return its exit code."""
    options = _parser().parse_args(arguments)
    interrupts.install()
    try:
        code: int = options.run(options)
        return code
    except VenomError as error:
        print(f"venomqa: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(note, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("venomqa: interrupted, the service was stopped", file=sys.stderr)
        return INTERRUPTED


def _demo(options: argparse.Namespace) -> int:
    chosen = DemoOptions(
        rule=options.rule,
        fixed=options.fixed,
        seed=random.randint(0, LARGEST_RANDOM_SEED) if options.seed is None else options.seed,
        max_examples=options.max_examples,
        rollback=options.rollback,
        postgres=options.postgres,
    )
    broken = run_demo(chosen, open_screen())
    return 0 if broken is not options.fixed else 1


def _clean(options: argparse.Namespace) -> int:
    if path := _sqlite_path(options.dsn):
        done = [sqlite.clean(path)]
    elif options.dsn.startswith(("mysql:", "mariadb:")):
        done = [mysql.remove_journal(options.dsn)]
    else:
        done = [postgres.remove_journal(options.dsn)]
        done += [f"removed database {name}" for name in postgres.remove_copies(options.dsn)]
    print("\n".join(filter(None, done)) or "nothing was left behind")
    return 0


def _sqlite_path(dsn: str) -> str:
    """Return the path that is meant; empty where a server is."""
    if dsn.startswith("sqlite:///"):
        return dsn.removeprefix("sqlite:///")
    return "" if "://" in dsn or "=" in dsn else dsn


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="venomqa", description="Find bugs in sequences of requests to stateful HTTP APIs."
    )
    parser.add_argument("--version", action="version", version=version("venomqa-hyp"))
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="find the bugs of an example service",
        description=DEMO,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "--rule",
        default="refunds_within_payments",
        metavar="NAME",
        help='the rule to check, or "all" (default: %(default)s)',
    )
    demo.add_argument("--fixed", action="store_true", help="test the service without the bugs")
    demo.add_argument("--seed", type=int, metavar="N", help="repeat the run with this seed")
    demo.add_argument(
        "--max-examples",
        type=_positive,
        default=100,
        metavar="N",
        help="stop after so many test cases without a failure (default: %(default)s)",
    )
    demo.add_argument(
        "--no-rollback",
        dest="rollback",
        action="store_false",
        help="re-run every step from a reset World, as plain Hypothesis would, to compare",
    )
    demo.add_argument(
        "--postgres",
        nargs="?",
        const=EMBEDDED,
        metavar="DSN",
        help="run over PostgreSQL: a server started for the demo, or a new database on that of DSN",
    )
    demo.set_defaults(run=_demo)
    clean = commands.add_parser(
        "clean",
        help="remove what a killed run left in a PostgreSQL, MySQL or SQLite database",
        description=CLEAN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    clean.add_argument(
        "dsn",
        metavar="DSN",
        help="postgresql:// or mysql://user:password@host:port/database, or sqlite:///path",
    )
    clean.set_defaults(run=_clean)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
