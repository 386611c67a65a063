"""What is checked only where a path ends is found, made short and replayed as any failure."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase
from hypothesis.stateful import run_state_machine_as_test
from outcomes import by_agent, by_machine, store_of

from venomqa_hyp import BFS, Action, Invariant, World, invariant, venom_machine
from venomqa_hyp.errors import DefinitionError, InvariantViolated

both_ways = pytest.mark.parametrize("rollback", [True, False])


def place(api: Any, context: Any) -> None:
    api["placed"] = api.get("placed", 0) + 1


def ship(api: Any, context: Any) -> None:
    api["shipped"] = api.get("placed", 0)


def look(api: Any, context: Any) -> None:
    pass


@invariant(at_end=True)
def all_shipped(world: World) -> str | None:
    left = world.api.get("placed", 0) - world.api.get("shipped", 0)
    return f"{left} not shipped" if left > 1 else None


ACTIONS = [
    Action("place", place, max_calls=3),
    Action("ship", ship, max_calls=2),
    Action("look", look),
]


@both_ways
def test_a_failure_at_the_end_is_made_short(rollback: bool) -> None:
    """Its path ends where the check fails, after the fewest steps."""
    outcome = by_machine(store_of(), ACTIONS, [all_shipped], rollback=rollback, examples=200)
    assert outcome.paths == {"all_shipped": ["place()", "place()"]}
    (error,) = outcome.errors
    assert isinstance(error, InvariantViolated)
    assert "[HIGH] all_shipped: 2 not shipped" in outcome.text
    assert " 2. place()\n     store: ~ placed: 1 -> 2" in outcome.text


def test_an_agent_checks_each_state_and_goes_on() -> None:
    """Any path may end there; that is no reason not to look at what comes after."""
    outcome = by_agent(store_of(), ACTIONS, [all_shipped])
    assert outcome.paths == {"all_shipped": ["place()", "place()"]}
    assert outcome.record is not None
    assert outcome.record.ended_by == "exhausted"
    counts = outcome.record.invariants["all_shipped"]
    assert counts.at_end
    shown = {
        str(item.observations["store"].digest) for item in outcome.record.graph.states.values()
    }
    assert counts.checked >= len(shown) - 1  # no path ends before its first step


def test_it_is_checked_once_in_a_test_case() -> None:
    """And not after each step, which may cost more than the step."""
    checked: list[int] = []
    rule = Invariant("end", lambda world: checked.append(1), at_end=True)
    outcome = by_machine(store_of(), ACTIONS, [rule], rollback=False, examples=10, steps=5)
    assert outcome.raised is None
    assert outcome.record is not None
    assert len(checked) == outcome.record.invariants["end"].checked <= outcome.record.test_cases


def test_no_state_is_left_out_where_all_were_explored() -> None:
    """Test cases end in few of them, but every path could be one."""
    seen: set[int] = set()
    rule = Invariant("end", lambda world: seen.add(world.api.get("placed", 0)), at_end=True)
    outcome = by_machine(store_of(), [ACTIONS[0]], [rule], strategy=BFS())
    assert outcome.record is not None
    assert outcome.record.exhausted == "all 4 states explored"
    assert seen == {1, 2, 3}


def test_a_failing_step_is_reported_and_not_what_follows_from_it() -> None:
    """Where a test case failed already, its end is not checked."""

    def broken(api: Any, context: Any) -> None:
        raise ValueError("broken")

    rule = Invariant("end", lambda world: False, at_end=True)
    outcome = by_machine(store_of(), [Action("broken", broken)], [rule])
    assert [type(error) for error in outcome.errors] == [ValueError]


def test_hypothesis_replays_it_from_its_database() -> None:
    """The second run begins with the failure that the first one saved."""
    database = InMemoryExampleDatabase()
    machine = venom_machine(store_of(), ACTIONS, [all_shipped], name="Ends")
    for examples in (200, 1):
        chosen = settings(max_examples=examples, stateful_step_count=8, database=database)
        with pytest.raises(InvariantViolated, match="2 not shipped"):
            run_state_machine_as_test(machine, settings=chosen)


def test_a_failure_file_replays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Hypothesis's own database is lost."""
    monkeypatch.chdir(tmp_path)
    machine = venom_machine(store_of(), ACTIONS, [all_shipped], name="Ends")
    for examples in (200, 1):
        database = DirectoryBasedExampleDatabase(tmp_path / str(examples))
        chosen = settings(max_examples=examples, stateful_step_count=8, database=database)
        with pytest.raises(InvariantViolated, match="2 not shipped") as caught:
            run_state_machine_as_test(machine, settings=chosen)
    (saved,) = Path(".venomqa", "failures").glob("*.json")
    assert f"Replayed from {saved.absolute()}" in "\n".join(caught.value.__notes__)


@both_ways
def test_it_is_checked_at_the_end_of_a_machine_driven_by_hand(rollback: bool) -> None:
    machine = venom_machine(store_of(), ACTIONS, [all_shipped], rollback=rollback)()
    machine.place()
    machine.place()
    with pytest.raises(InvariantViolated, match="2 not shipped"):
        machine.teardown()


def test_a_check_cannot_be_at_the_end_and_sometimes() -> None:
    with pytest.raises(DefinitionError, match="at_end and sometimes are both true"):
        Invariant("x", lambda world: True, at_end=True, sometimes=True)
