"""Users may extend a machine with rules of their own that use, and change, the World."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from venomqa_hyp import Action, Context, Invariant, World, from_context, venom_machine
from venomqa_hyp.adapters.memory import MemoryAdapter

both_ways = pytest.mark.parametrize("rollback", [True, False])


def run(machine: Any, examples: int = 60, steps: int = 8) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)


def store_world() -> tuple[World, MemoryAdapter]:
    store = MemoryAdapter({"n": 0})
    return World(store, {"store": store}, context={"added": 0}), store


def add(api: Any, context: Context) -> None:
    api["n"] += 1
    context["added"] += 1


def look(api: Any, context: Context) -> None: ...


ACTIONS = [Action("add", add), Action("look", look)]


@both_ways
@pytest.mark.parametrize("invariants", [(), (Invariant("holds", lambda world: True),)])
def test_rules_of_the_user_may_change_the_world(
    rollback: bool, invariants: tuple[Invariant, ...]
) -> None:
    """What a user's rule changes is there for the actions and checks that follow, and only them."""
    world, store = store_world()
    jumps = []

    class Mine(venom_machine(world, ACTIONS, invariants, rollback=rollback)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.expected = 0

        @rule(by=st.integers(5, 6))
        def jump(self, by: int) -> None:
            self.world.systems["store"]["n"] += by
            self.expected += by
            jumps.append(by)

        @rule()
        def read(self) -> None:
            assert self.world.api["n"] == self.expected + self.context["added"]

        @invariant()
        def agrees(self) -> None:
            assert self.world.api["n"] == self.expected + self.context["added"]

    run(Mine)
    assert jumps
    assert store == {"n": 0}


@both_ways
def test_failures_of_a_users_rule_are_minimised(rollback: bool) -> None:
    """A user's check of the World fails with the fewest steps of both kinds."""
    world, _ = store_world()

    class Mine(venom_machine(world, ACTIONS, rollback=rollback)):  # type: ignore[misc]
        @rule()
        def mark(self) -> None:
            self.world.api["marked"] = True

        @rule()
        def check(self) -> None:
            assert not (self.world.api.get("marked") and self.context["added"])

    with pytest.raises(AssertionError) as caught:
        run(Mine, examples=200)
    steps = [line for line in "\n".join(caught.value.__notes__).splitlines() if "state." in line]
    assert sorted(steps[:2]) == ["state.add()", "state.mark()"]
    assert steps[2:] == ["state.check()", "state.teardown()"]


@both_ways
def test_initialize_prepares_every_path(rollback: bool) -> None:
    """Rules marked @initialize run first on each path and see the initial World."""
    world, _ = store_world()

    class Mine(venom_machine(world, ACTIONS, rollback=rollback)):  # type: ignore[misc]
        @initialize(start=st.integers(10, 12))
        def prepare(self, start: int) -> None:
            assert self.world.api["n"] == 0
            self.world.api["n"] = start
            self.context["start"] = start

        @invariant()
        def started(self) -> None:
            assert self.world.api["n"] == self.context["start"] + self.context["added"]

    run(Mine)


@both_ways
def test_what_a_users_rule_stores_enables_actions(rollback: bool) -> None:
    """from_context and callable preconditions see a key that self.context was given."""
    ran = set()

    def order(api: Any, context: Context, token: str) -> None:
        ran.add(f"order {token}")

    def guarded(api: Any, context: Context) -> None:
        ran.add("guarded")

    world, _ = store_world()
    actions = [
        Action("order", order, arguments={"token": from_context("token")}),
        Action("guarded", guarded, preconditions=[lambda context: "token" in context]),
    ]

    class Mine(venom_machine(world, actions, rollback=rollback)):  # type: ignore[misc]
        @rule()
        def login(self) -> None:
            self.context["token"] = "t"

    run(Mine)
    assert ran == {"order t", "guarded"}


@both_ways
def test_preconditions_of_the_user_may_look_at_the_world(rollback: bool) -> None:
    """A precondition is asked many times and disturbs nothing."""
    world, _ = store_world()
    ran = []

    class Mine(venom_machine(world, ACTIONS, rollback=rollback)):  # type: ignore[misc]
        @precondition(lambda self: self.world.api["n"] >= 2)
        @rule()
        def late(self) -> None:
            ran.append(self.world.api["n"])

    run(Mine)
    assert min(ran) == 2


def test_looking_at_the_world_does_not_end_the_record() -> None:
    """A user's rule that only reads costs no repeated execution of what is known."""
    world, _ = store_world()

    class Mine(venom_machine(world, ACTIONS)):  # type: ignore[misc]
        @rule()
        def read(self) -> None:
            assert self.world.api["n"] >= 0

    run(Mine)
    record = Mine.last_run
    assert record is not None
    assert record.steps_executed - record.steps_repeated == record.transitions_taken
