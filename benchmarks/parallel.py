"""Executions per second with one worker and with two, on the orders example in this process.

    python benchmarks/parallel.py [--quick] [--steps N] [--repeats N]

Each worker is a process with the fixed service as a WSGI application, on a SQLite file of its own.
Prints for each repetition the executions per second of both, and the median of the ratios (target
with two idle cores: at least 1.7). The clock runs from when the first worker begins to explore
until the last one ends; starting the processes and merging is not counted, and printed too. Where
other programs use the cores, look at the CPU time per execution: it should not grow.
"""

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "orders"))

import actions
import attrs
import service

from venomqa_hyp import Agent, ExplorationResult, World
from venomqa_hyp.adapters import SQLiteAdapter, WsgiClient
from venomqa_hyp.agent import explore_parallel

TARGET = 1.7
SEED = 1


kept_open: list[sqlite3.Connection] = []


class Timed(Agent):
    """Writes down when it explored, and the CPU seconds."""

    def __init__(self, log: Path, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.log = log

    def explore(self) -> ExplorationResult:
        start, cpu = time.time(), time.process_time()
        result = super().explore()
        self.log.write_text(f"{start} {time.time()} {time.process_time() - cpu}")
        return result


def make_agent(worker_id: int, directory: str, steps: int) -> Agent:
    """Return an Agent over a service and a database of the worker's own."""
    database = Path(directory, f"orders-{worker_id}.sqlite")
    log = database.with_suffix(".log")

    def open_world() -> World:
        api = WsgiClient(service.create_app(database, fixed=True))
        # As the service does itself: the last connection to close would write to disk each time.
        kept_open.append(service.connect(str(database)))
        kept_open[-1].execute("SELECT id FROM customers").fetchall()
        db = SQLiteAdapter(database)
        db.add_observation_query("money", actions.MONEY)
        actions.login(api, {})
        return World(api, {"db": db})

    return Timed(log, open_world, actions.ACTIONS, actions.INVARIANTS, seed=SEED, max_steps=steps)


@attrs.frozen
class Measured:
    """One parallel run.

    :ivar speed: executions per second while exploring.
    :ivar cpu: CPU seconds per execution.
    :ivar whole: seconds with starting and merging.
    """

    speed: float
    cpu: float
    whole: float
    states: int


def measure(workers: int, steps: int) -> Measured:
    """Explore with so many workers."""
    with tempfile.TemporaryDirectory(prefix="venomqa-bench-") as directory:
        start = time.perf_counter()
        result = explore_parallel(partial(make_agent, directory=directory, steps=steps), workers)
        whole = time.perf_counter() - start
        times = [path.read_text().split() for path in Path(directory).glob("*.log")]
    began, ended, cpu = (list(map(float, column)) for column in zip(*times, strict=True))
    if result.worker_failures or result.violations or result.divergence:
        sys.exit(f"{result.worker_failures} {result.violations} {result.divergence}")
    executed = result.steps_executed
    speed = executed / (max(ended) - min(began))
    return Measured(speed, sum(cpu) / executed, whole, result.states_visited)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 steps, once")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    steps, repeats = (300, 1) if given.quick else (given.steps, given.repeats)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {steps} steps per worker")
    ratios = []
    for _ in range(repeats):
        one, two = measure(1, steps), measure(2, steps)
        ratios.append(two.speed / one.speed)
        print(
            f"1 worker {one.speed:.0f} executions/s, 2 workers {two.speed:.0f}: {ratios[-1]:.2f} "
            f"times; CPU per execution {one.cpu * 1000:.2f} ms and {two.cpu * 1000:.2f} ms "
            f"({two.states} states, {two.whole:.1f} s with starting and merging)"
        )
    ratio = statistics.median(ratios)
    print(
        f"{ratio:.2f} times (target: at least {TARGET}): {'met' if ratio >= TARGET else 'NOT met'}"
    )


if __name__ == "__main__":
    main()
