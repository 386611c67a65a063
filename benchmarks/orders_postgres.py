"""Run the orders example over PostgreSQL with each strategy, and time it against resets.

    python benchmarks/orders_postgres.py [--quick] [--seeds N] [--baselines N] [--postgres DSN]
        [--strategy NAME ...]

finds and shrinks the bug of four steps with each seed and each of BFS, DFS and Novelty (the
default), and prints wall time, executions and the length of the sequence shown. The first seeds,
as many as ``--baselines``, are run with ``rollback=False`` as well, where every test case begins
with TRUNCATE of all tables and a reload of their first rows; for each strategy the ratios of wall
time (target: at least 10) are printed with their median and the least. The baseline uses no
strategy, so it is run once for a seed.

Every run gets a service of its own, with a pool of five connections that take turns, on a database
of its own. After it the same five sessions must be there, as the server lists them; the server
must have ended none, and the service must have written no traceback. What is wrong is printed with
the run, and the benchmark exits with 1. The server is started for the benchmark unless a DSN is
given; it must be PostgreSQL 14 or later.

``--quick`` takes one seed and no baseline, and also exits with 1 where a sequence is not the
shortest.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import psycopg
from hypothesis import Phase
from orders_http import Timed, run

from venomqa_hyp import BFS, DFS, Novelty, Observation, World, venom_machine
from venomqa_hyp.adapters import HttpClient

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "orders_postgres"))

import postgres_actions as example

SEEDS, BASELINES = 20, 5
TARGET = 10
SHORTEST = 4
POOL = 5
RULE = "refunds_within_payments"
STRATEGIES: dict[str, Callable[[], Any]] = {kind.__name__: kind for kind in (BFS, DFS, Novelty)}
TABLES = ("customers", "sessions", "orders", "payments", "refunds")
SESSIONS = "SELECT pid, backend_start FROM pg_stat_activity WHERE datname = %s"
ENDED = "SELECT sessions_killed + sessions_fatal FROM pg_stat_database WHERE datname = %s"


@attrs.frozen
class Outcome:
    """One run over a service of its own.

    :ivar wrong: what must not happen to a service under test; empty where nothing did.
    """

    timed: Timed
    wrong: tuple[str, ...]

    @property
    def is_shortest(self) -> bool:
        return self.timed.rule == RULE and len(self.timed.path) == SHORTEST

    def __str__(self) -> str:
        found = f"found in {len(self.timed.path)} steps" if self.timed.path else "nothing found"
        told = f"{self.timed.seconds:.2f} s, {self.timed.executed:,} executions, {found}"
        return "; ".join((told, *(f"WRONG: {item}" for item in self.wrong)))


class TruncateAndReload:
    """A system that can only go back to one state, as test suites do it.

    It observes nothing but the answer of the invariant's query.
    """

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)

    def checkpoint(self, name: str) -> dict[str, bytes]:
        return {table: self._copy_out(table) for table in TABLES}

    def rollback(self, handle: dict[str, bytes]) -> None:
        with self._connection.transaction():
            self._connection.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY CASCADE")
            for table, rows in handle.items():
                with self._connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write(rows)
                self._connection.execute(
                    f"SELECT setval('{table}_id_seq', max(id)) FROM {table} HAVING max(id) > 0"
                )

    def observe(self) -> Observation:
        rows = self._connection.execute(example.MONEY).fetchall()
        return Observation.create("db", {"queries": {"money": {"rows": rows}}})

    def close(self) -> None:
        self._connection.close()

    def _copy_out(self, table: str) -> bytes:
        with self._connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
            return b"".join(copy)


def world_that_resets(url: str, database: str) -> World:
    """Return the World of the example, with resets in place of rollback."""
    api = HttpClient(url)
    example.login(api, {})
    return World(api, {"db": TruncateAndReload(database)})


class PoolWatch:
    """What the server and the service tell of the pool's connections.

    :param database: its name; so far only the service is connected to it.
    """

    def __init__(self, admin: psycopg.Connection, database: str) -> None:
        self._admin = admin
        self._database = database
        self._sessions = self._ask(SESSIONS)

    def wrong(self, service: Any) -> Iterator[str]:
        """Yield what happened to the pool since."""
        if len(self._sessions) != POOL:
            yield f"the pool had {len(self._sessions)} connections, not {POOL}"
        lost = self._sessions - self._ask(SESSIONS)
        if lost:
            yield f"{len(lost)} connections of the pool were ended"
        ((ended,),) = self._ask(ENDED)
        if ended:
            yield f"the server ended {ended} sessions"
        if "Traceback" in service.output():
            yield f"the service wrote:\n{service.output()}"

    def _ask(self, query: str) -> set[tuple[Any, ...]]:
        return set(self._admin.execute(query, [self._database]).fetchall())


def find_and_shrink(server: str, number: int, strategy: Any, *, rollback: bool) -> Outcome:
    """Find and shrink the bug with a seed, over a new service with a new database."""
    rules = [rule for rule in example.INVARIANTS if rule.name == RULE]
    make_world = example.open_world if rollback else world_that_resets
    with (
        psycopg.connect(server, autocommit=True) as admin,
        example.orders_database(server) as dsn,
        example.serve_orders(dsn) as service,
    ):
        pool = PoolWatch(admin, psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
        machine = venom_machine(
            lambda: make_world(service.url, dsn),
            example.ACTIONS,
            rules,
            name="Orders",
            strategy=strategy,
            rollback=rollback,
        )
        try:
            timed = run(machine, number, phases=[Phase.generate, Phase.shrink], max_examples=200)
        except Exception as error:  # the other seeds go on
            return Outcome(Timed(0.0, 0, "", ()), (f"{type(error).__name__}: {error}",))
        return Outcome(timed, (*_divergence(machine), *pool.wrong(service)))


def _divergence(machine: Any) -> tuple[str, ...]:
    return (machine.last_run.divergence,) if machine.last_run.divergence else ()


def compare(server: str, names: Sequence[str], seeds: int, baselines: int) -> bool:
    """Run every seed with each strategy, print what was seen, and return whether all went well."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    resets: list[Outcome] = []
    for number in range(seeds):
        for name in names:
            ours = find_and_shrink(server, number, STRATEGIES[name](), rollback=True)
            outcomes[name].append(ours)
            print(f"seed {number}, {name}: {ours}", flush=True)
        if number < baselines:
            resets.append(find_and_shrink(server, number, None, rollback=False))
            print(f"seed {number}, rollback=False: {resets[-1]}", flush=True)
    for name in names:
        print_summary(name, outcomes[name], resets)
    return not any(outcome.wrong for run in (*outcomes.values(), resets) for outcome in run)


def print_summary(name: str, ours: Sequence[Outcome], resets: Sequence[Outcome]) -> None:
    """Print a paragraph about one strategy."""
    found = sum(outcome.timed.rule == RULE for outcome in ours)
    shortest = sum(outcome.is_shortest for outcome in ours)
    well = sum(not outcome.wrong for outcome in ours)
    print(f"{name}: found on {found} of {len(ours)} seeds, in {SHORTEST} steps on {shortest}")
    print(f"    no error, and all {POOL} connections kept: {well} of {len(ours)}")
    _print_spread("s", [outcome.timed.seconds for outcome in ours], ".2f")
    _print_spread("executions", [outcome.timed.executed for outcome in ours], ",.0f")
    pairs = [
        (baseline.timed, outcome.timed)
        for baseline, outcome in zip(resets, ours, strict=False)
        if baseline.timed.path and outcome.timed.path
    ]
    if not pairs:
        return
    _print_spread("times fewer executions", [one.executed / two.executed for one, two in pairs])
    ratios = [one.seconds / two.seconds for one, two in pairs]
    _print_spread("times faster", ratios)
    met = "met" if min(ratios) >= TARGET else "NOT met"
    print(f"    at least {TARGET} times faster with every seed: {met}", flush=True)


def _print_spread(unit: str, values: Sequence[float], form: str = ".1f") -> None:
    least, median, most = min(values), statistics.median(values), max(values)
    print(f"    {median:{form}} {unit} (median; {least:{form}} to {most:{form}})")


def check_one(server: str, names: Sequence[str]) -> None:
    """Exit with 1 unless each strategy finds the shortest path with one seed, and nothing else."""
    for name in names:
        ours = find_and_shrink(server, 0, STRATEGIES[name](), rollback=True)
        print(f"seed 0, {name}: {ours}\n    {', '.join(ours.timed.path)}", flush=True)
        if ours.wrong or not ours.is_shortest:
            sys.exit(f"expected: {RULE} in {SHORTEST} steps, and nothing wrong")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--baselines", type=int, default=BASELINES)
    parser.add_argument("--strategy", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--postgres", metavar="DSN")
    given = parser.parse_args()
    server = nullcontext(given.postgres) if given.postgres else example.embedded_postgres()
    with server as dsn:
        if given.quick:
            check_one(dsn, given.strategy)
        elif not compare(dsn, given.strategy, given.seeds, given.baselines):
            sys.exit("something is wrong, see above")


if __name__ == "__main__":
    main()
