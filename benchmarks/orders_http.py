"""Time the orders example: a service of its own process, over HTTP, on a SQLite file.

    python benchmarks/orders_http.py [--quick] [--seeds N]

prints for each seed the wall time and the executions of finding and shrinking a bug, with
``rollback=True`` and with the baseline ``rollback=False``, and then the median of the ratios of
wall time (target: at least 10). Then the wall time of 500 steps on the fixed service, and of 500
steps in memory, beside what the documents of VenomQA report for them. Every run gets a service and
a database of its own.

``--quick`` takes one seed and no baseline, which needs thousands of requests; it exits with 1 where
the bug is not found or the path to it is not the shortest, and asserts no time.
Not named ``http.py``: a script's folder comes first on the import path, and would hide Python's.
"""

import argparse
import io
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.stateful import run_state_machine_as_test
from overhead import COUNTERS, STEPS, recorded, taken

from venomqa_hyp import venom_machine
from venomqa_hyp.errors import InvariantViolated

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "orders"))

import actions

SEEDS = 3
TARGET = 10
#: Create, pay, refund, refund; and create, pay, cancel, reopen, pack, ship.
SHORTEST = {"refunds_within_payments": 4, "shipped_orders_are_paid": 6}
TIMED_STEPS = 500
SEED_DOCUMENTS = {"in memory": 1.8, "over HTTP on SQLite": 38.0}


@attrs.frozen
class Timed:
    """One run.

    :ivar seconds: wall time.
    :ivar rule: the invariant that is broken; empty where nothing was found.
    """

    seconds: float
    executed: int
    rule: str
    path: tuple[str, ...]


@contextmanager
def orders_machine(*, rollback: bool, fixed: bool = False) -> Iterator[Any]:
    """Yield the machine of the example over a new service with an empty database."""
    with TemporaryDirectory(prefix="venomqa-bench-") as directory:
        database = Path(directory, "orders.sqlite")
        with actions.serve_orders(database, fixed=fixed) as server:
            yield venom_machine(
                lambda: actions.open_world(server.url, database),
                actions.ACTIONS,
                actions.INVARIANTS,
                name="Orders",
                rollback=rollback,
            )


def run(machine: Any, number: int, **options: Any) -> Timed:
    """Run a machine with a seed.

    :param number: the seed.
    """
    settings = Settings(
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        stateful_step_count=STEPS,
        **options,
    )
    start = time.perf_counter()
    try:
        with redirect_stdout(io.StringIO()):
            run_state_machine_as_test(seed(number)(machine), settings=settings)
    except (InvariantViolated, AssertionError):
        pass  # its path is in the record
    seconds = time.perf_counter() - start
    executed = machine.last_run.steps_executed
    if not machine.last_run.violations:
        return Timed(seconds, executed, "", ())
    found = machine.last_run.violations[0]
    return Timed(seconds, executed, found.name, tuple(map(str, found.reproduction_path)))


def find_and_shrink(number: int, *, rollback: bool) -> Timed:
    """Find and shrink a bug of the example with a seed."""
    with orders_machine(rollback=rollback) as machine:
        return run(machine, number, phases=[Phase.generate, Phase.shrink])


def time_steps(machine: Any) -> tuple[float, int]:
    """Return wall time and number of steps of a run of about 500 steps."""
    timed = run(machine, 1, max_examples=TIMED_STEPS // STEPS, phases=[Phase.generate])
    return timed.seconds, taken(machine)


def print_comparison(seeds: int) -> None:
    """Time every seed both ways, and print what was seen."""
    ratios = []
    for number in range(seeds):
        ours = find_and_shrink(number, rollback=True)
        print(f"seed {number}: {_told(ours)}", flush=True)
        print(f"    {', '.join(ours.path)}", flush=True)
        baseline = find_and_shrink(number, rollback=False)
        print(f"    baseline: {_told(baseline)}", flush=True)
        if ours.path and baseline.path:
            ratios.append(baseline.seconds / ours.seconds)
    if ratios:
        ratio = statistics.median(ratios)
        met = "met" if ratio >= TARGET else "NOT met"
        print(f"{ratio:.1f} times faster (target: at least {TARGET}): {met}", flush=True)


def _told(timed: Timed) -> str:
    found = f"{timed.rule} in {len(timed.path)} steps" if timed.path else "nothing found"
    return f"{timed.seconds:.1f} s, {timed.executed:,} executions, {found}"


def print_step_times() -> None:
    """Print how long 500 steps take."""
    times = {"in memory": time_steps(recorded(COUNTERS))}
    with orders_machine(rollback=True, fixed=True) as machine:
        times["over HTTP on SQLite"] = time_steps(machine)
    for where, (seconds, steps) in times.items():
        told = SEED_DOCUMENTS[where]
        print(f"{steps} steps {where}: {seconds:.2f} s (documents of VenomQA: {told:g} s for 500)")


def check_one() -> None:
    """Exit with 1 unless one seed finds the shortest path."""
    ours = find_and_shrink(0, rollback=True)
    print(f"seed 0: {_told(ours)}\n    {', '.join(ours.path)}")
    if len(ours.path) != SHORTEST.get(ours.rule):
        sys.exit(f"not the shortest path: {SHORTEST}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int)
    parser.set_defaults(seeds=SEEDS)
    given = parser.parse_args()
    if given.quick:
        check_one()
    else:
        print_comparison(given.seeds)
        print_step_times()


if __name__ == "__main__":
    main()
