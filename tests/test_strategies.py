"""What the exploration strategies pick, and that each of them works everywhere."""

from collections import Counter
from collections.abc import Callable
from random import Random as Chance
from typing import Any

import pytest
from explored_services import lock, memory_world, ring, workflow
from hypothesis import strategies as st
from hypothesis.stateful import Bundle
from tiny_systems import Stack

from venomqa_hyp import (
    BFS,
    DFS,
    MCTS,
    Action,
    Agent,
    Context,
    CoverageGuided,
    ExplorationResult,
    Invariant,
    Novelty,
    Random,
    Weighted,
    World,
    from_context,
)
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore import Atlas, Choice

STRATEGIES: list[Callable[[], Any]] = [BFS, DFS, Random, CoverageGuided, Weighted, MCTS, Novelty]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def explored(parts: Any, strategy: Any, steps: int = 2000, **options: Any) -> ExplorationResult:
    return Agent(*parts, strategy=strategy, max_steps=steps, **{"seed": 1, **options}).explore()


def trace(result: ExplorationResult) -> list[tuple[str, str, str]]:
    """Return the beginning: how far a budget gets depends on what is executed again, by time."""
    every = [(item.from_id, str(item.step), item.to_id) for item in result.graph.transitions]
    assert len(every) >= 50
    return every[:50]


@every_strategy
def test_every_state_is_found_where_there_is_an_end(strategy: Any) -> None:
    """Each explores all there is, executes each option once, and says so."""
    result = explored(ring(7), strategy())
    assert result.ended_by == "exhausted"
    assert result.exhausted == "all 7 states explored"
    assert result.states_visited == 7
    assert result.transitions_taken == 14
    assert result.steps_executed - result.steps_repeated == 14


@every_strategy
def test_a_deep_lock_is_opened(strategy: Any) -> None:
    """Returning to states makes depth linear, where random sequences need six to the power."""
    result = explored(lock(12), strategy(), 600)
    (violation,) = result.violations
    assert violation.name == "stays_closed"
    assert len(violation.reproduction_path) == 12


@every_strategy
def test_a_seed_repeats_the_exploration(strategy: Any) -> None:
    """Two explorations with one seed execute the same; another seed something else."""
    first, second, other = (
        trace(explored(workflow(), strategy(), 150, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


@every_strategy
def test_one_strategy_serves_many_explorations(strategy: Any) -> None:
    """It remembers nothing that belongs to another graph."""
    shared = strategy()
    again = [trace(explored(workflow(), shared, 100)) for _ in range(2)]
    assert again[0] == again[1] == trace(explored(workflow(), strategy(), 100))


@every_strategy
def test_stacks_of_savepoints_do(strategy: Any) -> None:
    """A system that loses later checkpoints on a rollback is explored by each strategy."""
    _, actions, invariants = lock(8)

    def make() -> World:
        system = Stack()
        return World(system.data, {"store": system})

    result = explored((make, actions, invariants), strategy(), 4000)
    (violation,) = result.violations
    assert len(violation.reproduction_path) == 8
    assert result.divergence is None


def test_breadth_first_is_in_order_of_depth() -> None:
    """No state is left before all that are nearer were."""
    result = explored(workflow(), BFS(), 400)
    depths = {result.graph.initial.id: 0}
    left = []
    for item in result.graph.transitions:
        depths.setdefault(item.to_id, depths[item.from_id] + 1)
        left.append(depths[item.from_id])
    assert left == sorted(left)


def test_depth_first_goes_on_from_the_newest_state() -> None:
    """As long as every step leads to a new state it never goes back."""

    def count(api: Any, context: Context) -> None:
        api["n"] = api.get("n", 0) + 1

    actions = [Action("one", count), Action("two", count)]
    result = explored((memory_world, actions, []), DFS(), 40, max_depth=30)
    new = list(result.graph.transitions)[:25]
    assert [item.from_id for item in new[1:]] == [item.to_id for item in new[:-1]]


def test_weights_are_obeyed() -> None:
    """An action of nine times the weight is picked about nine times as often."""

    def grow(api: Any, context: Context, by: int) -> None:
        api["n"] = api.get("n", 0) + by

    many = {"by": st.integers(1, 10**9)}
    actions = [
        Action("rare", grow, arguments=many),
        Action("often", grow, arguments=many, weight=9),
    ]
    result = explored((memory_world, actions, []), Weighted(), 400)
    counts = Counter(item.action for item in result.graph.transitions)
    assert 4 < counts["often"] / counts["rare"] < 20


def test_coverage_guided_executes_all_actions_as_often() -> None:
    """No action is executed much more than another, where all can be."""
    _, actions, _ = lock(1000)
    result = explored((memory_world, actions, []), CoverageGuided(), 300)
    counts = Counter(item.action for item in result.graph.transitions)
    assert max(counts.values()) - min(counts.values()) <= 2


def test_novelty_gets_deep_into_a_workflow() -> None:
    """It follows the status of orders, and finds what breadth first does not."""
    result = explored(workflow(), Novelty(), 6000, fail_fast=True)
    assert [len(item.reproduction_path) for item in result.violations] == [8]
    assert explored(workflow(), BFS(), 1500).violations == ()


def test_novelty_takes_a_shape() -> None:
    """What tells kinds of states apart can be given, instead of being found."""
    seen = []

    def shape(state: Any) -> object:
        seen.append(state)
        return state.observations["store"].data.get("at", 0) % 2

    result = explored(ring(9), Novelty(walks=0.0, shape=shape))
    assert len({state.id for state in seen}) == result.states_visited == 9


def test_walks_alone_are_possible() -> None:
    """All of the budget may go into random walks, and none of it."""
    for walks in (0.0, 1.0):
        assert explored(ring(5), Novelty(walks=walks)).states_visited == 5


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Novelty(walks=2), "walks is 2, but it is the share"),
        (lambda: Novelty(shape="status"), "shape is 'status', but it is a callable"),
        (lambda: MCTS(exploration=-1), "exploration is -1, but it is a number from 0"),
    ],
)
def test_bad_options_are_refused(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        make()


class Newest:
    """A strategy of a user's own."""

    def pick(self, graph: Atlas, random: Chance) -> Choice | None:
        node = next(reversed(graph.open_nodes))
        return node, random.choice(node.options)


def test_a_strategy_of_ones_own_is_one_method() -> None:
    """Any object with ``pick`` will do; None ends the exploration."""
    assert explored(ring(6), Newest()).states_visited == 6

    class Never:
        def pick(self, graph: Atlas, random: Chance) -> None:
            return None

    result = explored(ring(6), Never())
    assert (result.ended_by, result.steps_executed, result.exhausted) == ("strategy", 0, None)


@pytest.mark.parametrize(
    "picked", [lambda graph: "step", lambda graph: (graph.nodes[0], None), lambda graph: (1, 2)]
)
def test_what_cannot_be_picked_is_refused(picked: Any) -> None:
    """A strategy that returns something else is told what to return."""

    class Wrong:
        def pick(self, graph: Atlas, random: Chance) -> Any:
            return picked(graph)

    with pytest.raises(DefinitionError, match=r"Wrong\.pick returned .*graph\.open_nodes"):
        explored(ring(6), Wrong())


def test_every_kind_of_argument_is_tried() -> None:
    """Of few values each, of many one of each magnitude, of picked ones the newest and oldest."""
    flags: set[bool] = set()
    sizes: set[int] = set()
    picked: set[tuple[int, int]] = set()

    def create(api: Any, context: Context, flag: bool, size: int) -> None:
        flags.add(flag)
        sizes.add(len(str(size)))
        context["ids"] = [*context.get("ids", []), len(context.get("ids", []))]

    def use(api: Any, context: Context, item: int) -> None:
        picked.add((item, len(context["ids"])))

    actions = [
        Action("create", create, arguments={"flag": st.booleans(), "size": st.integers(0, 10**5)}),
        Action("use", use, arguments={"item": from_context("ids")}),
    ]
    result = explored((memory_world, actions, []), BFS(), 5000, max_depth=3)
    assert result.exhausted is not None
    assert "within depth 3 explored, with arguments of each kind" in result.exhausted
    assert flags == {True, False}
    assert len(sizes) > 3
    assert picked >= {(0, 1), (0, 2), (1, 2)}


def test_bundles_and_preconditions_hold_on_every_path() -> None:
    """A node is a state with what its path made possible; values come from that path."""
    orders: Bundle[int] = Bundle("orders")
    calls: list[tuple[str, Any]] = []

    def create(api: Any, context: Context) -> int:
        api["n"] = api.get("n", 0) + 1
        return int(api["n"])

    def pay(api: Any, context: Context, order: int) -> None:
        calls.append(("pay", order <= api["n"]))
        api["paid"] = sorted({*api.get("paid", []), order})

    def refund(api: Any, context: Context) -> None:
        calls.append(("refund", bool(api.get("paid"))))
        api["refunds"] = api.get("refunds", 0) + 1

    actions = [
        Action("create", create, target=orders, max_calls=2),
        Action("pay", pay, arguments={"order": orders}),
        Action("refund", refund, preconditions=["pay"], max_calls=1),
    ]
    two = Invariant("not_both", lambda world: len(world.api.get("paid", [])) < 2)
    result = explored((memory_world, actions, [two]), BFS(), 500)
    assert {name for name, _ in calls} == {"pay", "refund"}
    assert all(allowed for _, allowed in calls)
    assert [len(item.reproduction_path) for item in result.violations] == [4]
    assert result.ended_by == "exhausted"
