"""Try values that are made anew each time, in every kind of place, and content that is not.

    python benchmarks/values.py [--quick] [--seeds N] [--kind TEXT] [--container TEXT]

prints two tables. In each cell a small service is explored by ``Agent`` until nothing is left, with
each seed, and compared with a model of it that is searched by brute force:

- kinds of values that a service makes anew: random ids, tokens, clocks, hashes. Either they
  identify items (``id``), and requests name the items by them, or they are stored with an item and
  are others after each request (``beside``). Items go from new to paid to done, and can be deleted;
  the bug is that two are done. The kind ``counter`` does not vary: it checks the containers.
- kinds of content: two choices leave states that differ only there, beside a random id made anew.
  The bug hangs on one of them, two steps later.

A cell is ``ok``, or says what is wrong with how many seeds: ``diverged``, ``states 12 for 10`` with
the number of the model behind, ``lost`` (the bug, or a transition between states, was not found),
``wrong id`` (a request named no item, though its path has one). In the column ``machine`` a
container is explored by ``venom_machine``, until the bug is found. It exits with 1 where anything
is wrong.

PostgreSQL is that of VENOMQA_TEST_POSTGRES, or the one on this machine; a database is created there
and dropped. A Redis server is started. Where there is none the columns are left out. ``--quick``
takes one seed and few kinds.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import attrs
import psycopg
from _kinds import BESIDE, CONTENTS, ID, KINDS
from _redis_stores import Place
from _service import Plan, Service
from _stores import CONTAINERS
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.stateful import run_state_machine_as_test
from redis_rollback import own_server

from venomqa_hyp import BFS, Agent, ExplorationResult, venom_machine
from venomqa_hyp.errors import DivergenceError, InvariantViolated

#: Explorations wait most of the time, for servers and for late writes.
SEEDS, WORKERS = 5, 6
MOST_STEPS = 1_500
LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"
MACHINE = "machine"
CONTENT = "content"
COUNTER = "counter"
#: Containers of content, and the kinds of the quick pass.
CONTENT_CONTAINERS = ("PG jsonb", "SQLite JSON", "R JSON", "list", "context")
QUICK_KINDS = (
    COUNTER,
    "uuid4",
    "ord_...",
    "snowflake",
    "epoch s",
    "duration",
    "HTTP date",
    "bcrypt",
)
QUICK_CONTENTS = ("amount", "constant uuid", "role in JWT", "segment of URI", "EAN-13, number")


@attrs.frozen
class Cell:
    """One cell of a table: a plan, and what came of it with each seed."""

    plan: Plan
    by_machine: bool
    seeds: int


@attrs.frozen
class Wrong:
    """What is wrong with a seed.

    :ivar text: as the cell shows it.
    :ivar told: more of it.
    """

    seed: int
    text: str
    told: str = ""


_place = Place()


def take_place(places: Any) -> None:
    """Take one of the places, for this process alone."""
    global _place
    _place = places.get()


def run_cell(cell: Cell) -> list[Wrong]:
    """Explore with each seed; return what is wrong."""
    found = []
    for number in range(cell.seeds):
        wrong = run(cell.plan, number, by_machine=cell.by_machine)
        if wrong is not None:
            found.append(Wrong(number, *wrong))
    return found


def run(plan: Plan, number: int, *, by_machine: bool) -> tuple[str, str] | None:
    """Explore with a seed; return what is wrong, and more of it."""
    service = Service(plan, _place, number)
    with service.opened() as world, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if number % 2 and service.in_seconds:
            time.sleep((0.9 - 0.1 * number - time.time()) % 1)  # the second ends meanwhile
        try:
            explore = explore_by_machine if by_machine else explore_by_agent
            result = explore(service, world, number)
        except DivergenceError as error:
            return "diverged", str(error)
        except Exception as error:
            return type(error).__name__, traceback.format_exc()
    if result.divergence is not None:
        return "diverged", str(result.divergence)
    return judged(service, result, complete=not by_machine)


def explore_by_agent(service: Service, world: Any, number: int) -> ExplorationResult:
    agent = Agent(
        world,
        service.actions,
        [service.invariant],
        strategy=BFS(),
        max_steps=MOST_STEPS,
        seed=number,
        on_progress=lambda progress: None,
    )
    return agent.explore()


def explore_by_machine(service: Service, world: Any, number: int) -> ExplorationResult:
    machine: Any = venom_machine(world, service.actions, [service.invariant], strategy=BFS())
    settings = Settings(
        database=None,
        max_examples=200,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        print_blob=False,
    )
    with contextlib.suppress(InvariantViolated):  # the record holds it
        run_state_machine_as_test(seed(number)(machine), settings=settings)
    result: ExplorationResult = machine.last_run
    return result


def judged(
    service: Service, result: ExplorationResult, *, complete: bool
) -> tuple[str, str] | None:
    model = service.model
    states = result.states_visited
    complete &= service.is_exact
    if states > len(model.states) or (complete and states < len(model.states)):
        return f"states {states} for {len(model.states)}", f"ended by {result.ended_by}"
    if service.wrong_ids:
        return "wrong id", f"{service.wrong_ids} requests"
    if not result.violations:
        return "lost", "; ".join(result.refuted) or f"the bug; ended by {result.ended_by}"
    raised = [item for item in result.violations if item.name != service.invariant.name]
    if raised:
        return "raised", str(raised[0].message)
    if complete and (missing := model.edges - service.edges):
        return "lost", f"{len(missing)} of {len(model.edges)} transitions"
    if surplus := service.edges - model.edges:
        return "lost", f"{len(surplus)} transitions that the model has not: {min(surplus)}"
    return None


def run_cells(pool: ProcessPoolExecutor, cells: list[Cell]) -> dict[Cell, list[Wrong]]:
    """Run all cells; report on standard error what is wrong as soon as it is known."""
    done: dict[Cell, list[Wrong]] = {}
    for cell, wrong in zip(cells, pool.map(run_cell, cells), strict=True):
        done[cell] = wrong
        if wrong:
            text = f"{row_of(cell)}, {column_of(cell)}: {cell_text(cell, wrong)}"
            print(f"{len(done)} of {len(cells)}: {text}", file=sys.stderr, flush=True)
    return done


@contextlib.contextmanager
def databases(url: str) -> Iterator[list[str]]:
    """Create a database for each process."""
    names = [f"venomqa_values_test_{os.getpid()}_{number}" for number in range(WORKERS)]
    with psycopg.connect(url, autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE DATABASE {name}")
            admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        try:
            yield [urlsplit(url)._replace(path=f"/{name}").geturl() for name in names]
        finally:
            for name in names:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def find_places(stack: ExitStack, servers: set[str]) -> list[Place]:
    """Return a place for each process, with the servers there are."""
    urls, redis_url = [""] * WORKERS, ""
    if "postgres" in servers:
        try:
            given = os.environ.get("VENOMQA_TEST_POSTGRES") or LOCAL
            urls = stack.enter_context(databases(given))
        except psycopg.OperationalError as error:
            print(f"left out: PostgreSQL ({str(error).splitlines()[0]})")
    if "redis" in servers:
        beside = os.path.dirname(sys.executable)
        if shutil.which("redis-server") or shutil.which("redis-server", path=beside):
            redis_url = stack.enter_context(own_server())
        else:
            print("left out: Redis (there is no redis-server on the PATH)")
    return [Place(url, redis_url, f"values{at}:") for at, url in enumerate(urls)]


def chosen(names: Any, wanted: str | None, few: tuple[str, ...] | None = None) -> list[str]:
    """Return the names that have a text in them."""
    found = [name for name in names if wanted is None or wanted.lower() in name.lower()]
    return [name for name in found if few is None or name in few]


def varying_cells(kinds: list[str], containers: list[str], given: Any) -> list[Cell]:
    cells: list[Cell] = []
    for kind in kinds:
        for role in (ID, BESIDE) if kind == COUNTER else KINDS[kind].roles:
            plans = [Plan(kind, role, name) for name in containers]
            plans = [plan for plan in plans if plan.is_possible]
            cells += [Cell(plan, False, given.seeds) for plan in plans]
            if plans:
                plan = plans[len(cells) % len(plans)]
                cells.append(Cell(plan, True, min(given.seeds, 2)))
    return cells


def content_cells(kinds: list[str], containers: list[str], given: Any) -> list[Cell]:
    within = [name for name in containers if name in CONTENT_CONTAINERS]
    return [
        Cell(Plan(kind, CONTENT, name), False, given.seeds) for kind in kinds for name in within
    ]


def show(title: str, columns: list[str], cells: dict[Cell, list[Wrong]]) -> None:
    """Print a table, and below it what is wrong."""
    rows: dict[str, dict[str, str]] = {}
    for cell, wrong in cells.items():
        rows.setdefault(row_of(cell), {})[column_of(cell)] = cell_text(cell, wrong)
    if not rows:
        return
    columns = [name for name in columns if any(name in row for row in rows.values())]
    widths = {
        name: max(len(name), *(len(row.get(name, "")) for row in rows.values())) for name in columns
    }
    first = max(map(len, [title, *rows]))
    print(f"\n{title:{first}}  " + "  ".join(f"{name:{widths[name]}}" for name in columns))
    for name, row in rows.items():
        line = "  ".join(f"{row.get(column, '-'):{widths[column]}}" for column in columns)
        print(f"{name:{first}}  {line}".rstrip())


def row_of(cell: Cell) -> str:
    plan = cell.plan
    return plan.kind if plan.role == CONTENT else f"{plan.kind} ({plan.role})"


def column_of(cell: Cell) -> str:
    return MACHINE if cell.by_machine else cell.plan.container


def cell_text(cell: Cell, wrong: list[Wrong]) -> str:
    if not wrong:
        return "ok"
    text, _ = Counter(item.text for item in wrong).most_common(1)[0]
    return text if cell.seeds == 1 else f"{text} ({len(wrong)}/{cell.seeds})"


def explain(cells: dict[Cell, list[Wrong]]) -> None:
    for cell, wrong in cells.items():
        if wrong:
            plan, one = cell.plan, wrong[0]
            where = plan.container + (f" by {MACHINE}" if cell.by_machine else "")
            print(f"\n{plan.kind} ({plan.role}), {where}, seed {one.seed}: {one.text}: {one.told}")


def total(cells: dict[Cell, list[Wrong]]) -> int:
    """Print how many cells are wrong, and why; return how many of them make a run wrong.

    More states than are needed cost executions, and no more; fewer were merged.
    """
    texts = {cell: {item.text for item in wrong} for cell, wrong in cells.items()}

    def count(matches: Callable[[str], bool]) -> int:
        return sum(any(map(matches, found)) for found in texts.values())

    known = ("diverged", "lost", "wrong id")
    other = count(lambda text: text not in known and not text.startswith("states "))
    print(
        f"\n{len(cells)} cells, {sum(cell.seeds for cell in cells)} explorations: "
        f"{count(lambda text: text == 'diverged')} diverged, "
        f"{count(lambda text: text.startswith('states '))} with another number of states, "
        f"{count(lambda text: text == 'lost')} lost something, "
        f"{count(lambda text: text == 'wrong id')} with wrong ids, {other} with other errors"
    )
    return sum(any(map(is_grave, found)) for found in texts.values())


def is_grave(text: str) -> bool:
    if not text.startswith("states "):
        return True
    _, found, _, expected = text.split()
    return int(found) < int(expected)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed and few kinds")
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--kind", help="only kinds with this text in their name")
    parser.add_argument("--container", help="only containers with this text in their name")
    given = parser.parse_args()
    given.seeds = given.seeds or (1 if given.quick else SEEDS)
    kinds = chosen([COUNTER, *KINDS], given.kind, QUICK_KINDS if given.quick else None)
    contents = chosen(CONTENTS, given.kind, QUICK_CONTENTS if given.quick else None)
    names = chosen(CONTAINERS, given.container)
    with ExitStack() as stack:
        places = find_places(stack, {CONTAINERS[name].server for name in names})
        names = [name for name in names if places[0].has(CONTAINERS[name].server)]
        tables = varying_cells(kinds, names, given), content_cells(contents, names, given)
        queue: Any = multiprocessing.Queue()
        for place in places:
            queue.put(place)
        with ProcessPoolExecutor(WORKERS, initializer=take_place, initargs=(queue,)) as pool:
            done = [run_cells(pool, table) for table in tables]
    show("varying", [*names, MACHINE], done[0])
    show("content", names, done[1])
    every = {**done[0], **done[1]}
    explain(every)
    return 1 if total(every) else 0


if __name__ == "__main__":
    sys.exit(main())
