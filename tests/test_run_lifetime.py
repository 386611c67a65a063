"""A World made for a run is opened once and closed after it; errors of the World end the run."""

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from counter_machine import Opener, add, both_ways, machine, run
from tiny_systems import Snapshots

from venomqa_hyp import Action, Context, World, venom_machine
from venomqa_hyp.errors import (
    DefinitionError,
    InvariantViolated,
    WorldError,
)


@both_ways
def test_a_factory_is_called_once_per_run(rollback: bool) -> None:
    """However many test cases a run has, it has one World; a failure is told from a fresh one."""
    opener = Opener()
    made = machine(opener, rollback=rollback)
    assert opener.closed == []
    run(made)
    assert opener.closed == [1]
    with pytest.raises(InvariantViolated):
        run(machine(opener, limit=2, rollback=rollback))
    assert opener.closed in ([1, 1], [1, 1, 1])
    assert opener.opened[0].live == {}


@both_ways
def test_a_world_of_the_user_is_left_as_it_was_found(rollback: bool) -> None:
    """It is rolled back, all checkpoints are forgotten, and it stays open for the next run."""
    store = Snapshots()
    store.data["before"] = 1
    world = World(store.data, {"store": store}, context={"user": "u"})
    before = world.observe()
    run(machine(world, rollback=rollback))
    with pytest.raises(InvariantViolated):
        run(machine(world, limit=2, rollback=rollback))
    assert world.observe() == before
    assert (store.live, store.closed) == ({}, 0)


def test_a_test_case_in_a_module_and_in_a_class(pytester: pytest.Pytester) -> None:
    """Each collected test opens a World of its own and has closed it when the next one starts."""
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(
        """
        from hypothesis import settings
        from venomqa_hyp import Action, Observation, World, venom_machine
        from venomqa_hyp.adapters.memory import MemoryAdapter

        log = []

        class Logged(MemoryAdapter):
            def close(self):
                log.append("closed")

        def open_world():
            log.append("opened")
            store = Logged()
            return World(store.data, {"store": store})

        def add(api, context):
            api["n"] = api.get("n", 0) + 1

        Machine = venom_machine(open_world, [Action("add", add)])
        TestMachine = Machine.TestCase

        class TestGroup:
            TestInner = Machine.TestCase

            class TestNested(Machine.TestCase):
                settings = settings(max_examples=5)

        def test_log():
            assert log == ["opened", "closed"] * (len(log) // 2)
            assert len(log) >= 4
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly", "-v")
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes()["passed"] >= 3


@pytest.fixture
def connection() -> Iterator[list[str]]:
    """A resource that records its own end."""
    log = ["connected"]
    yield log
    assert log[:2] == ["connected", "world opened"]
    assert log.count("world opened") == log.count("world closed")


@pytest.mark.parametrize("limit", [2, 100])
def test_the_world_is_closed_before_a_fixture_is_torn_down(
    connection: list[str], limit: int
) -> None:
    """run_state_machine_as_test closes it on returning, found or not; the fixture checks it."""

    class Store(Snapshots):
        def close(self) -> None:
            connection.append("world closed")

    def open_world() -> World:
        connection.append("world opened")
        store = Store()
        return World(store.data, {"store": store})

    made = machine(open_world, limit)
    if limit == 2:
        with pytest.raises(InvariantViolated):
            run(made)
    else:
        run(made)


def test_threads_have_a_world_each() -> None:
    """Runs of one machine in several threads at once do not meet."""
    opener, started = Opener(), threading.Barrier(3)
    errors: list[BaseException] = []

    def wait(api: Any, context: Context) -> None:
        if not met.get(threading.get_ident()):
            met[threading.get_ident()] = True
            started.wait(10)
        add(api, context)

    met: dict[int, bool] = {}
    made = venom_machine(opener, [Action("wait", wait)])
    met[threading.get_ident()] = True
    run(made)  # warms the caches of Hypothesis: CPython 3.11 may fail to parse in several threads

    def work() -> None:
        try:
            run(made)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if any(isinstance(error, SystemError) for error in errors):
        pytest.skip("this CPython fails to parse source in several threads (gh-106905)")
    assert errors == []
    assert opener.closed == [1, 1, 1, 1]


def test_one_world_in_two_runs_at_once_is_refused() -> None:
    """The second run ends with what to write instead; the first is not disturbed."""
    store = Snapshots()
    world = World(store.data, {"store": store})
    refused: list[BaseException] = []

    def inner(api: Any, context: Context) -> None:
        if not refused:
            try:
                run(machine(world))
            except DefinitionError as error:
                refused.append(error)
        add(api, context)

    run(venom_machine(world, [Action("inner", inner)]))
    assert str(refused[0]) == (
        "this World is in use by another run that has not ended. Two runs cannot share one: give "
        "venom_machine a function that makes a World, and each run opens its own."
    )
    assert store.data == {}
    run(machine(world))


@both_ways
def test_an_error_in_init_leaks_no_world(rollback: bool) -> None:
    """A user's __init__ that fails after it used the World leaves none open."""
    opener = Opener()

    class Mine(machine(opener, rollback=rollback)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            assert self.world.api == {}
            raise LookupError("init")

    with pytest.raises(LookupError, match="init"):
        run(Mine)
    assert set(opener.closed) == {1}


def test_a_machine_driven_by_hand_frees_its_world() -> None:
    """By teardown(), or where that is never called, when the machine is gone."""
    opener = Opener()
    made = machine(opener)
    first = made()
    first.add()
    first.teardown()
    assert opener.closed == [1]
    second = made()
    second.add()
    del second
    gc.collect()
    assert opener.closed == [1, 1]

    class Mine(machine(opener)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.add()
            raise LookupError("init")

    with pytest.raises(LookupError):
        Mine()
    gc.collect()
    assert opener.closed == [1, 1, 1]


@both_ways
@pytest.mark.parametrize("method", ["close", "forget"])
def test_a_failure_at_the_end_never_hides_the_finding(rollback: bool, method: str) -> None:
    """It is a note on the finding; without a finding it is the error of the run."""
    made = machine(Opener(**{method: [OSError("gone")] * 500}), limit=2, rollback=rollback)
    with pytest.raises(InvariantViolated) as caught:
        run(made)
    assert any("OSError: gone" in note for note in caught.value.__notes__)
    clean = machine(Opener(**{method: [OSError("gone")] * 500}), rollback=rollback)
    with pytest.raises(WorldError, match=f"'store'.*failed to {method}: OSError: gone"):
        run(clean)


@both_ways
def test_a_failing_teardown_of_the_user_does_not_hide_the_finding(rollback: bool) -> None:
    """Hypothesis raises what teardown raised; the violation is its context, and in the record."""
    opener = Opener()

    class Mine(machine(opener, limit=2, rollback=rollback)):  # type: ignore[misc]
        def teardown(self) -> None:
            super().teardown()
            if self.world.api.get("n", 0) >= 2:
                raise LookupError("teardown")

    with pytest.raises(LookupError, match="teardown") as caught:
        run(Mine)
    assert isinstance(caught.value.__context__, InvariantViolated)
    assert [found.name for found in Mine.last_run.violations] == ["few"]
    assert set(opener.closed) == {1}
