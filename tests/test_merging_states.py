"""States that turn out to be the same, by what is learned later, become one."""

import itertools
from typing import Any

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import BFS, Action, Agent, Context, Invariant, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.core import Graph, State, Step, Transition
from venomqa_hyp.core.action import ActionResult

SEEDS = range(6)


def stamped(every: int) -> list[Action]:
    """Return a service whose values are the same for a while, as a signature over the second."""
    count = itertools.count()

    def token() -> str:
        return f"{(next(count) // every) * 7919 % 100_003:05}x{every}abc9f3e7d{every}b61"

    def create(api: dict[str, Any], context: Context) -> None:
        if len(api) < 2:
            api[f"item{len(api)}"] = {"status": "new", "token": token()}

    def advance(api: dict[str, Any], context: Context, item: str) -> None:
        if item in api and api[item]["status"] == "new":
            api[item] = {"status": "paid", "token": token()}

    def by_item(item: str) -> Action:
        return Action(f"advance_{item}", lambda api, context: advance(api, context, item))

    return [Action("create", create), by_item("item0"), by_item("item1")]


def make_world() -> World:
    store = MemoryAdapter({}, name="store")
    return World(store.data, {"store": store})


#: Two items at most, each new or paid.
STATES = 1 + 2 + 4


@pytest.mark.parametrize("every", [1, 3, 5, 8, 13])
@pytest.mark.parametrize("number", SEEDS)
def test_an_agent_sees_as_many_states_as_there_are(every: int, number: int) -> None:
    result = Agent(
        make_world, stamped(every), strategy=BFS(), max_steps=1_000, seed=number
    ).explore()
    assert result.divergence is None
    assert result.states_visited == STATES
    assert result.transitions_taken == 3 * STATES
    for state_id in result.graph.states:
        path = result.graph.path_to(state_id)
        assert len({item.to_id for item in path}) == len(path)


@pytest.mark.parametrize("number", SEEDS)
def test_a_machine_does_too(number: int) -> None:
    def both_paid(world: World) -> bool:
        return [item["status"] for item in world.api.values()] != ["paid", "paid"]

    machine: Any = venom_machine(make_world, stamped(5), [Invariant("both_paid", both_paid)])
    chosen = settings(max_examples=60, database=None, deadline=None)
    with pytest.raises(Exception, match="both_paid"):
        run_state_machine_as_test(seed(number)(machine), settings=chosen)
    record = machine.last_run
    assert record.divergence is None
    # It ends at its failure, when the last states may not have been compared.
    assert record.states_visited <= STATES + 2
    (violation,) = record.violations
    assert len(violation.reproduction_path) == 4


def test_a_merged_graph_keeps_every_other_state() -> None:
    """Also where the same step led from both to different states."""
    states = [State(name, {}, {}) for name in "abcde"]
    graph = Graph(states[0])
    for start, name, end in [(0, "x", 1), (0, "y", 2), (1, "z", 3), (2, "z", 4)]:
        transition = Transition("abcde"[start], Step(name, {}), "abcde"[end], ActionResult(True))
        graph.add(transition, name, states[end])
    merged = graph.merged({"c": "b"})
    assert set(merged.states) == set("abde")
    assert merged.transition_count == 4
    assert [item.step.action for item in merged.path_to("e")] == ["x", "z"]
