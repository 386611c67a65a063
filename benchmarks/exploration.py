"""Count the executions until exploring finds bugs that lie deep, and bugs that do not.

    python benchmarks/exploration.py [--quick] [--seeds N]

prints, each beside its target, executions before the first failure:

- a combination lock: 6 actions, one of which takes it a step further and the others back to the
  start. ``Novelty`` and ``BFS`` open one of depth 20 within 600 executions with each seed, by
  ``Agent`` and by ``venom_machine``; ``Novelty`` opens one of depth 100 within 5,000. Plain
  Hypothesis (``rollback=False``) does not open one of depth 12 within 50,000.
- a shop: ids grow, states are without end, and an order must take 11 steps one after the other,
  each of an action of its own, before the bug shows 14 steps deep. ``Novelty`` finds it with 18 of
  20 seeds within 5,000 executions; the other strategies for comparison.
- the shallow bugs of ``services/``: the median of ours is at most 1.2 times that of plain
  Hypothesis.

Executions are counted, not timed; those of making a path short are not counted. On another machine
they differ by a few: how many steps lead back to a state depends on what checkpoints cost.
``--quick`` leaves out the comparisons and the shallow bugs, gives plain Hypothesis a tenth, and
exits with 1 where a target is missed.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from typing import Any

import attrs
from _exploring import STRATEGIES, memory_world
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from services import CASES
from shrinking import MAX_EXAMPLES

from venomqa_hyp import Action, Agent, Invariant, World, from_context, venom_machine

SEEDS = 20
WORKERS = 2
STEPS = 50
#: Hypothesis ends some test cases early; with this many steps on average the limit is reached.
SHORT_TEST_CASE = 45
LOCK_ACTIONS = 6
LOCK_DEPTH, LOCK_LIMIT = 20, 600
DEEP_LOCK_DEPTH, DEEP_LOCK_LIMIT = 100, 5_000
PLAIN_LOCK_DEPTH, PLAIN_LIMIT, QUICK_PLAIN_LIMIT = 12, 50_000, 5_000
SHOP_DEPTH, SHOP_LIMIT, SHOP_SHARE = 14, 5_000, 0.9
SHALLOW_RATIO = 1.2
#: What an order goes through, in this order only.
WORKFLOW = (
    "new", "confirmed", "paid", "packed", "labelled", "shipped", "delivered",
    "return_asked", "return_approved", "returned", "inspected", "refunded",
)  # fmt: skip


@attrs.frozen(eq=False)
class Deep:
    """A service whose only bug lies deep."""

    open_world: Callable[[], World]
    actions: tuple[Action, ...]
    invariant: Invariant


@attrs.frozen
class Search:
    """One exploration; it can be sent to another process.

    :ivar service: ``"lock"`` or ``"shop"``.
    :ivar depth: of the lock.
    :ivar strategy: a name out of ``STRATEGIES``.
    :ivar way: ``"Agent"``, ``"venom_machine"``, or ``"plain"`` for ``rollback=False``.
    :ivar limit: executions.
    """

    service: str
    depth: int
    strategy: str
    way: str
    seed: int
    limit: int


@attrs.frozen
class Found:
    """What came of it.

    :ivar before: executions before the failure; ``None`` where there was none.
    :ivar length: of the path.
    """

    before: int | None
    executed: int
    length: int


def lock(depth: int) -> Deep:
    """Return a lock that opens after ``depth`` right actions in a row."""

    def press(number: int) -> Action:
        def turn(api: Any, context: Any) -> None:
            at = api.get("at", 0)
            api["at"] = at + 1 if (at * 7 + 3) % LOCK_ACTIONS == number else 0

        return Action(f"press_{number}", turn)

    def is_closed(world: World) -> bool:
        return bool(world.api.get("at", 0) < depth)

    return Deep(
        memory_world,
        tuple(press(number) for number in range(LOCK_ACTIONS)),
        Invariant("is_closed", is_closed),
    )


def insert(api: Any, table: str, row: Mapping[str, Any]) -> int:
    """Insert a row under a new id, and return the id."""
    rows = api.setdefault(table, {})
    rows[len(rows) + 1] = dict(row)
    return len(rows)


def add_customer(api: Any, context: Any) -> None:
    insert(api, "customers", {"name": "somebody"})


def add_product(api: Any, context: Any, price: int) -> None:
    insert(api, "products", {"price": price})


def create_order(api: Any, context: Any, product: int) -> None:
    found = api.get("products", {}).get(product)
    if found is None or "customers" not in api:
        return
    order = insert(api, "orders", {"status": WORKFLOW[0], "total": found["price"]})
    context["orders"] = [*context.get("orders", []), order]


def add_note(api: Any, context: Any, order: int) -> None:
    insert(api, "notes", {"order": order})


def advance(status: str) -> Action:
    """Return the action that takes an order to a status, if it has the one before."""
    before = WORKFLOW[WORKFLOW.index(status) - 1]

    def move(api: Any, context: Any, order: int) -> None:
        if api["orders"][order]["status"] == before:
            api["orders"][order]["status"] = status

    return Action(f"to_{status}", move, arguments={"order": from_context("orders")})


def nothing_refunded(world: World) -> bool:
    orders = world.api.get("orders", {})
    return not any(order["status"] == WORKFLOW[-1] for order in orders.values())


def shop() -> Deep:
    """Return a shop with a bug 14 steps deep: customer, product, order, and 11 of the workflow."""
    actions = (
        Action("add_customer", add_customer),
        Action("add_product", add_product, arguments={"price": st.integers(1, 1000)}),
        Action("create_order", create_order, arguments={"product": st.integers(1, 5)}),
        Action("add_note", add_note, arguments={"order": from_context("orders")}),
        *map(advance, WORKFLOW[1:]),
    )
    return Deep(memory_world, actions, Invariant("nothing_refunded", nothing_refunded))


def search(given: Search) -> Found:
    """Explore until the first failure or the limit."""
    deep = lock(given.depth) if given.service == "lock" else shop()
    strategy = STRATEGIES[given.strategy]()
    if given.way == "Agent":
        agent = Agent(
            deep.open_world,
            deep.actions,
            [deep.invariant],
            strategy=strategy,
            max_steps=given.limit,
            max_depth=2 * max(STEPS, given.depth),
            fail_fast=True,
            seed=given.seed,
        )
        result = agent.explore()
    else:
        rollback = given.way == "venom_machine"
        machine = venom_machine(
            deep.open_world, deep.actions, [deep.invariant], strategy=strategy, rollback=rollback
        )
        steps = STEPS if rollback else SHORT_TEST_CASE
        result = run_machine(machine, given.seed, given.limit // steps)
    paths = [len(violation.reproduction_path) for violation in result.violations]
    return Found(result.executed_before_failure, result.steps_executed, max(paths, default=0))


def run_machine(machine: Any, number: int, max_examples: int) -> Any:
    """Run a machine with a seed until the first failure, and return its record."""
    settings = Settings(
        database=None,
        max_examples=max_examples,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.generate],
        print_blob=False,
    )
    with suppress(AssertionError):  # the record holds it
        run_state_machine_as_test(seed(number)(machine), settings=settings)
    return machine.last_run


def search_all(
    pool: ProcessPoolExecutor,
    service: str,
    depth: int,
    strategy: str,
    way: str,
    limit: int,
    seeds: int,
) -> list[Found]:
    """Search with each seed; print a line about all of them."""
    searches = [Search(service, depth, strategy, way, number, limit) for number in range(seeds)]
    found = list(pool.map(search, searches))
    within = [one.before for one in found if one.before is not None and one.before <= limit]
    told = f"  {strategy}, {way}: {len(within)} of {seeds} seeds within {limit:,}"
    if within:
        told += f"; median {statistics.median(within):,.0f}, most {max(within):,}"
    if way == "plain":
        told += f"; executed {min(one.executed for one in found):,} at least"
    print(told, flush=True)
    return found


def told(target: str, met: bool) -> bool:
    """Print whether a target is met, and return it."""
    print(f"  target: {target}: {'met' if met else 'NOT met'}", flush=True)
    return met


def count_within(found: Iterable[Found], limit: int) -> int:
    """Return how many searches found the bug within a limit."""
    return sum(one.before is not None and one.before <= limit for one in found)


def measure_lock(pool: ProcessPoolExecutor, seeds: int, *, quick: bool) -> bool:
    """Print the figures of the lock; return whether its targets are met."""
    print(f"lock of depth {LOCK_DEPTH}, {LOCK_ACTIONS} actions")
    met = []
    for name in ("Novelty", "BFS"):
        for way in ("Agent", "venom_machine"):
            found = search_all(pool, "lock", LOCK_DEPTH, name, way, LOCK_LIMIT, seeds)
            met.append(count_within(found, LOCK_LIMIT) == seeds)
    ok = told("with each seed", all(met))
    if not quick:
        for name in STRATEGIES:
            if name not in ("Novelty", "BFS"):
                search_all(pool, "lock", LOCK_DEPTH, name, "Agent", LOCK_LIMIT, seeds)
    print(f"lock of depth {DEEP_LOCK_DEPTH}")
    deep = 1 if quick else seeds
    found = search_all(pool, "lock", DEEP_LOCK_DEPTH, "Novelty", "Agent", DEEP_LOCK_LIMIT, deep)
    ok &= told("with each seed", count_within(found, DEEP_LOCK_LIMIT) == deep)
    print(f"lock of depth {PLAIN_LOCK_DEPTH}, plain Hypothesis")
    plain, limit = (1, QUICK_PLAIN_LIMIT) if quick else (3, PLAIN_LIMIT)
    found = search_all(pool, "lock", PLAIN_LOCK_DEPTH, "Novelty", "plain", limit, plain)
    return ok & told("with no seed", count_within(found, limit) == 0)


def measure_shop(pool: ProcessPoolExecutor, seeds: int, *, quick: bool) -> bool:
    """Print the figures of the shop; return whether its target is met."""
    print(f"shop, bug {SHOP_DEPTH} steps deep")
    found = search_all(pool, "shop", 0, "Novelty", "Agent", SHOP_LIMIT, seeds)
    share = count_within(found, SHOP_LIMIT) / seeds
    ok = told(f"with {SHOP_SHARE:.0%} of the seeds", share >= SHOP_SHARE)
    if not quick:
        search_all(pool, "shop", 0, "Novelty", "venom_machine", SHOP_LIMIT, seeds)
        for name in STRATEGIES:
            if name != "Novelty":
                search_all(pool, "shop", 0, name, "Agent", SHOP_LIMIT, seeds)
        search_all(pool, "shop", 0, "Novelty", "plain", SHOP_LIMIT, seeds)
    return ok


def before_failure(service: str, number: int, rollback: bool) -> float:
    """Return the executions before the bug of a service was seen with a seed."""
    record = run_machine(CASES[service].machine(rollback=rollback), number, MAX_EXAMPLES)
    before = record.executed_before_failure
    return math.inf if before is None else before


def measure_shallow(pool: ProcessPoolExecutor, seeds: int) -> None:
    """Print for each service of ``services/`` the medians of ours and of plain Hypothesis."""
    print("shallow bugs, ours / plain Hypothesis, medians")
    ratios = []
    for name in sorted(CASES):
        ours = [pool.submit(before_failure, name, number, True) for number in range(seeds)]
        plain = [pool.submit(before_failure, name, number, False) for number in range(seeds)]
        mine = statistics.median(one.result() for one in ours)
        theirs = statistics.median(one.result() for one in plain)
        print(f"  {name:24}{mine:8,.0f} / {theirs:,.0f}", flush=True)
        if mine < math.inf or theirs < math.inf:  # else neither finds it with half of the seeds
            ratios.append(mine / theirs)
    ratio = statistics.median(ratios)
    told(f"median of the ratios {ratio:.2f}, at most {SHALLOW_RATIO}", ratio <= SHALLOW_RATIO)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    with ProcessPoolExecutor(WORKERS) as pool:
        ok = measure_lock(pool, given.seeds, quick=given.quick)
        ok &= measure_shop(pool, given.seeds, quick=given.quick)
        if not given.quick:
            measure_shallow(pool, given.seeds)
    if given.quick and not ok:
        sys.exit("a target is missed")


if __name__ == "__main__":
    main()
