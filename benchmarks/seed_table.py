"""Time explorations of the sizes that the documents of VenomQA give figures for.

    python benchmarks/seed_table.py [--quick] [--repeats N]

For APIs of 5, 15 and 30 actions, explored for 50, 200 and 500 steps, prints for every strategy the
states, the seconds and the peak memory of the process, beside the documents' figures, and how many
times faster that is (target: at least 10 in every cell). Strategies that the documents do not time
stand beside their fastest. Each size is explored

- in memory;
- on SQLite: a WSGI application called in this process, with its database in a file;
- over HTTP: the same application behind ``http.server``, in a process of its own.

Then the documents' other table: 100 and 500 steps in memory and on SQLite.

Every cell runs in a process of its own. Seconds are the least of the repeats, as other work on the
machine only ever adds to them: of CPU time, the server's included, and of wall time. Client and
server take turns, so on a machine that does nothing else both are nearly the same. Opening the
World and rolling it back at the end is included, creating the database and starting the server is
not.

``--quick`` takes the smallest size, on SQLite and over HTTP with ``Novelty`` only, and asserts no
time; it exits with 1 where an exploration
executes another number of steps than it was given, or does not repeat itself under its seed.
"""

import argparse
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
from _exploring import STRATEGIES, memory_world
from hypothesis import strategies as st

from venomqa_hyp import Action, Agent, Invariant, World
from venomqa_hyp.adapters import HttpClient, SQLiteAdapter, WsgiClient
from venomqa_hyp.testing.process import serve

REPEATS = 5
TARGET = 10
WAYS = ("memory", "SQLite", "HTTP")
OPERATIONS = ("add", "raise", "archive", "remove", "list")
TABLES = ("customers", "products", "orders", "payments", "refunds", "notes")
MOST_ROWS = 3
PRICES = st.sampled_from([1, 2, 5])
SIZES = ((5, 50), (15, 200), (30, 500))
#: (actions, steps) -> strategy -> states, seconds, MB; from the documents.
TOLD: dict[tuple[int, int], dict[str, tuple[int, float, int]]] = {
    (5, 50): {
        "DFS": (12, 0.8, 45),
        "BFS": (12, 0.9, 48),
        "CoverageGuided": (14, 1.1, 42),
        "Random": (18, 0.7, 40),
    },
    (15, 200): {
        "DFS": (45, 4.2, 120),
        "BFS": (43, 4.8, 180),
        "CoverageGuided": (52, 5.1, 95),
        "Random": (67, 3.9, 88),
    },
    (30, 500): {
        "DFS": (89, 18, 340),
        "BFS": (85, 24, 520),
        "CoverageGuided": (112, 22, 280),
        "Random": (156, 15, 210),
    },
}
#: (way, steps) -> seconds; the documents do not say of how many actions.
STORES_TOLD = {
    ("memory", 100): 0.3,
    ("memory", 500): 1.8,
    ("SQLite", 100): 4.8,
    ("SQLite", 500): 38.0,
}
STORES_ACTIONS = 15


@attrs.frozen
class Cell:
    """What to explore, and how."""

    way: str
    actions: int
    steps: int
    strategy: str


@attrs.frozen
class Measured:
    """What exploring a cell took.

    :ivar cpu: seconds of CPU time, the server's included: the least of the repeats.
    :ivar wall: seconds of wall time, the least of the repeats.
    :ivar is_repeated: whether all repeats discovered the same states in the same order.
    :ivar megabytes: the peak of the process, the interpreter and all libraries included.
    :ivar growth: megabytes of it that exploring added.
    """

    executed: int
    states: int
    cpu: float
    wall: float
    is_repeated: bool
    megabytes: float
    growth: float


def tables(actions: int) -> tuple[str, ...]:
    """Return the tables of an API of so many actions."""
    return TABLES[: actions // len(OPERATIONS)]


# In memory.


def change_store(store: Any, table: str, operation: str, price: int = 0) -> None:
    """Do what the application does, to a dictionary."""
    rows = store.setdefault(table, {})
    newest = max(rows, default=None)
    if operation == "add" and len(rows) < MOST_ROWS:
        rows[(newest or 0) + 1] = {"price": price, "status": "new"}
    elif operation == "raise" and newest is not None:
        rows[newest]["price"] = rows[newest]["price"] % 7 + 1
    elif operation == "archive" and newest is not None:
        rows[newest]["status"] = "archived"
    elif operation == "remove" and newest is not None:
        del rows[newest]


def memory_action(table: str, operation: str) -> Action:
    def execute(api: Any, context: Any, **arguments: Any) -> None:
        change_store(api, table, operation, **arguments)

    return action(table, operation, execute)


# On SQLite.

NEWEST = "id = (SELECT max(id) FROM {table})"
CHANGES = {
    "add": "INSERT INTO {table} (price, status) SELECT ?, 'new' "
    f"WHERE (SELECT count(*) FROM {{table}}) < {MOST_ROWS}",
    "raise": f"UPDATE {{table}} SET price = price % 7 + 1 WHERE {NEWEST}",
    "archive": f"UPDATE {{table}} SET status = 'archived' WHERE {NEWEST}",
    "remove": f"DELETE FROM {{table}} WHERE {NEWEST}",
}


class Shop:
    """A WSGI application over a SQLite file: ``POST /orders/add/5``."""

    def __init__(self, database: str) -> None:
        # No application that is tested waits for its disk: nothing is to survive a power cut.
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        data = self.answer(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", str(len(data)))])
        return [data]

    def answer(self, path: str) -> bytes:
        _, table, operation, *given = path.split("/")
        body: Any = {}
        if operation == "list":
            body = self._db.execute(f"SELECT * FROM {table}").fetchall()
        elif operation == "cpu":
            body = time.process_time()
        else:
            self._db.execute(CHANGES[operation].format(table=table), given)
        return json.dumps(body).encode()

    def close(self) -> None:
        self._db.close()


def serve_shop(database: str, port: int) -> None:
    """Answer requests until the process is ended."""
    shop = Shop(database)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open

        def do_POST(self) -> None:  # the base class calls it
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            data = shop.answer(self.path)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data)

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def api_action(table: str, operation: str) -> Action:
    def execute(api: Any, context: Any, **arguments: Any) -> Any:
        return api.post("/".join(["", table, operation, *map(str, arguments.values())]))

    return action(table, operation, execute)


def action(table: str, operation: str, execute: Callable[..., Any]) -> Action:
    """Return an action; adding a row takes a price."""
    arguments = {"price": PRICES} if operation == "add" else {}
    return Action(f"{operation}_{table}", execute, arguments=arguments)


def create_database(path: Path, actions: int) -> None:
    """Create the tables of an API."""
    db = sqlite3.connect(path)
    for table in tables(actions):
        db.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, price INTEGER, status TEXT)")
    db.commit()
    db.close()


@contextmanager
def opened(way: str, actions: int) -> Iterator[tuple[Callable[[], World], Callable[[], float]]]:
    """Yield what opens the World of a cell, and what tells the CPU time used so far."""
    if way == "memory":
        yield memory_world, time.process_time
        return
    with TemporaryDirectory(prefix="venomqa-bench-") as directory:
        path = Path(directory, "shop.sqlite")
        create_database(path, actions)
        if way == "SQLite":
            shop = Shop(str(path))
            yield lambda: World(WsgiClient(shop), {"db": SQLiteAdapter(path)}), time.process_time
            shop.close()
        else:
            command = [sys.executable, __file__, "--serve", str(path), "--port", "{port}"]
            with serve(command) as server, closing(HttpClient(server.url)) as client:
                yield (
                    lambda: World(HttpClient(server.url), {"db": SQLiteAdapter(path)}),
                    lambda: time.process_time() + client.post("/server/cpu").json(),
                )


def explore(cell: Cell, open_world: Callable[[], World]) -> Any:
    """Explore a cell once, and return the record."""
    make = memory_action if cell.way == "memory" else api_action
    actions = [make(table, name) for table in tables(cell.actions) for name in OPERATIONS]
    agent = Agent(
        open_world,
        actions,
        [Invariant("holds", lambda world: True)],
        strategy=STRATEGIES[cell.strategy](),
        max_steps=cell.steps,
        seed=1,
    )
    return agent.explore()


def measure(cell: Cell, repeats: int) -> Measured:
    """Explore a cell in this process."""
    with opened(cell.way, cell.actions) as (open_world, cpu_time):
        before = peak()
        timed = [time_one(cell, open_world, cpu_time)]
        after = peak()
        timed += [time_one(cell, open_world, cpu_time) for _ in range(repeats - 1)]
    orders = [list(result.graph.states) for _, _, result in timed]
    # How many steps it takes to reach a state again depends on what checkpoints cost, so one
    # exploration may get a little further than the other.
    is_repeated = all(
        one == other for order in orders for one, other in zip(order, orders[0], strict=False)
    )
    result = timed[0][2]
    return Measured(
        result.steps_executed,
        result.states_visited,
        min(cpu for cpu, _, _ in timed),
        min(wall for _, wall, _ in timed),
        is_repeated,
        after,
        after - before,
    )


def time_one(
    cell: Cell, open_world: Callable[[], World], cpu_time: Callable[[], float]
) -> tuple[float, float, Any]:
    """Explore a cell; return the seconds of CPU and of wall time it took, and the record."""
    cpu, wall = cpu_time(), time.perf_counter()
    result = explore(cell, open_world)
    wall = time.perf_counter() - wall
    return cpu_time() - cpu, wall, result


def peak() -> float:
    """Return the peak memory of this process in MB."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident / (1024 * 1024 if sys.platform == "darwin" else 1024)


def measure_apart(cell: Cell, repeats: int) -> Measured:
    """Explore a cell in a process of its own."""
    command = [sys.executable, __file__, "--cell", json.dumps(attrs.astuple(cell))]
    command += ["--repeats", str(repeats)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Measured(*json.loads(output))


def check(cell: Cell, measured: Measured) -> None:
    """Exit with 1 unless an exploration used its steps, and repeated itself."""
    # The last option may take more calls than are left, with those that lead to its state.
    if not 0.9 * cell.steps <= measured.executed <= cell.steps:
        sys.exit(f"{cell}: executed {measured.executed}")
    if not measured.is_repeated:
        sys.exit(f"{cell}: the same seed explored something else")


def print_strategies(
    sizes: Iterable[tuple[int, int]], repeats: int, *, quick: bool = False
) -> list[float]:
    """Print the table of strategies, and return how many times faster each cell is."""
    print(
        f"{'':8}{'actions':>8}{'steps':>6}  {'strategy':15}{'states':>7}{'(told)':>8}"
        f"{'CPU s':>8}{'wall s':>8}{'(told)':>8}{'faster':>8}{'(wall)':>8}"
        f"{'MB':>6}{'added':>7}{'(told)':>8}"
    )
    ratios = []
    for way in WAYS:
        for actions, steps in sizes:
            for name in STRATEGIES if way == "memory" or not quick else ("Novelty",):
                cell = Cell(way, actions, steps, name)
                measured = measure_apart(cell, repeats)
                check(cell, measured)
                ratios.append(_print_cell(cell, measured))
    return ratios


def _print_cell(cell: Cell, measured: Measured) -> float:
    told = TOLD[cell.actions, cell.steps]
    states, seconds, megabytes = told.get(
        cell.strategy, ("", min(seconds for _, seconds, _ in told.values()), "")
    )
    print(
        _row(cell, measured, states, seconds)
        + f"{measured.megabytes:6.0f}{measured.growth:7.1f}{megabytes:8}",
        flush=True,
    )
    return seconds / measured.cpu


def _row(cell: Cell, measured: Measured, states: int | str, seconds: float) -> str:
    return (
        f"{cell.way:8}{cell.actions:8}{measured.executed:6}  {cell.strategy:15}"
        f"{measured.states:7}{states:8}{measured.cpu:8.3f}{measured.wall:8.3f}{seconds:8}"
        f"{seconds / measured.cpu:8.1f}{seconds / measured.wall:8.1f}"
    )


def print_stores(repeats: int) -> list[float]:
    """Print the table of stores, and return how many times faster each cell is."""
    ratios = []
    for (way, steps), told in STORES_TOLD.items():
        cell = Cell(way, STORES_ACTIONS, steps, "Novelty")
        measured = measure_apart(cell, repeats)
        ratios.append(told / measured.cpu)
        print(_row(cell, measured, "", told), flush=True)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve_shop(given.serve, given.port)
    elif given.cell:
        measured = measure(Cell(*json.loads(given.cell)), given.repeats)
        print(json.dumps(attrs.astuple(measured)))
    elif given.quick:
        print_strategies(SIZES[:1], 2, quick=True)
    else:
        repeats = given.repeats or REPEATS
        ratios = print_strategies(SIZES, repeats) + print_stores(repeats)
        met = sum(ratio >= TARGET for ratio in ratios)
        print(
            f"at least {TARGET} times faster (CPU time) in {met} of {len(ratios)} cells, ", end=""
        )
        print(f"median {statistics.median(ratios):.1f}, least {min(ratios):.1f}")


if __name__ == "__main__":
    main()
