"""Time the orders example over PostgreSQL against resetting by TRUNCATE and reload.

    python benchmarks/orders_postgres.py [--quick] [--seeds N] [--postgres DSN]

prints for each seed the wall time and the executions of finding and shrinking the bug of four
steps, with ``rollback=True`` and with the baseline: ``rollback=False``, where every test case
begins with TRUNCATE of all tables and a reload of their first rows. Then the medians of the ratios
(target: wall time at least 10). Every run gets a service of its own, with a pool of five
connections, on a database of its own; the server is started for the benchmark unless a DSN is
given.

``--quick`` takes one seed and no baseline, and exits with 1 where the path is not the shortest.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from hypothesis import Phase
from orders_http import Timed, run

from venomqa_hyp import Observation, World, venom_machine

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "orders_postgres"))

import postgres_actions as example

SEEDS = 20
TARGET = 10
SHORTEST = 4
TABLES = ("customers", "sessions", "orders", "payments", "refunds")


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


@contextmanager
def orders_machine(server: str, *, rollback: bool) -> Iterator[Any]:
    """Yield the machine of the example over a new service with a new database."""

    def open_world() -> World:
        world = example.open_world(service.url, dsn)
        if rollback:
            return world
        world.systems["db"].close()
        return World(world.api, {"db": TruncateAndReload(dsn)})

    rules = [rule for rule in example.INVARIANTS if rule.name == "refunds_within_payments"]
    with example.orders_database(server) as dsn, example.serve_orders(dsn) as service:
        yield venom_machine(open_world, example.ACTIONS, rules, name="Orders", rollback=rollback)


def find_and_shrink(server: str, number: int, *, rollback: bool) -> Timed:
    """Find and shrink the bug with a seed."""
    with orders_machine(server, rollback=rollback) as machine:
        phases = [Phase.generate, Phase.shrink]
        return run(machine, number, phases=phases, max_examples=200)


def print_comparison(server: str, seeds: int) -> None:
    """Time every seed both ways, and print what was seen."""
    seconds, executions, lengths = [], [], []
    for number in range(seeds):
        ours = find_and_shrink(server, number, rollback=True)
        print(f"seed {number}: {_told(ours)}", flush=True)
        lengths.append(len(ours.path))
        baseline = find_and_shrink(server, number, rollback=False)
        print(f"    baseline: {_told(baseline)}", flush=True)
        if ours.path and baseline.path:
            seconds.append(baseline.seconds / ours.seconds)
            executions.append(baseline.executed / ours.executed)
    print(f"shortest path found on {lengths.count(SHORTEST)} of {seeds} seeds")
    if seconds:
        ratio = statistics.median(seconds)
        met = "met" if ratio >= TARGET else "NOT met"
        print(f"{statistics.median(executions):.1f} times fewer executions")
        print(f"{ratio:.1f} times faster (target: at least {TARGET}): {met}", flush=True)


def _told(timed: Timed) -> str:
    found = f"found in {len(timed.path)} steps" if timed.path else "nothing found"
    return f"{timed.seconds:.1f} s, {timed.executed:,} executions, {found}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--postgres", metavar="DSN")
    given = parser.parse_args()
    server = nullcontext(given.postgres) if given.postgres else example.embedded_postgres()
    with server as dsn:
        if not given.quick:
            print_comparison(dsn, given.seeds)
            return
        ours = find_and_shrink(dsn, 0, rollback=True)
        print(f"seed 0: {_told(ours)}\n    {', '.join(ours.path)}")
        if len(ours.path) != SHORTEST:
            sys.exit(f"not the shortest path: {SHORTEST}")


if __name__ == "__main__":
    main()
