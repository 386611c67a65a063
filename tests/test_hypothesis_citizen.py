"""A venom machine obeys Hypothesis's settings, seeds, blobs and database as any other machine."""

import re
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, reproduce_failure, seed, settings
from hypothesis import __version__ as hypothesis_version
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import DidNotReproduce
from hypothesis.reporting import with_reporter
from hypothesis.stateful import rule, run_state_machine_as_test

from venomqa_hyp import Action, Context, Invariant, Novelty, World, venom_machine
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.errors import InvariantViolated

both_ways = pytest.mark.parametrize("rollback", [True, False])


def pay(api: Any, context: Context, amount: int) -> None:
    api["paid"] = api.get("paid", 0) + amount


def refund(api: Any, context: Context) -> None:
    api["refunds"] = api.get("refunds", 0) + 1
    api["paid"] = api.get("paid", 0)


ACTIONS = [Action("pay", pay, arguments={"amount": st.integers(0, 99)}), Action("refund", refund)]


def orders(limit: int = 2, paid: int = 10, **options: Any) -> Any:
    """Return a machine with two bugs: one of refunds alone, one of a payment between."""
    store = MemoryAdapter()

    def few_refunds(world: World) -> bool:
        return bool(world.api.get("refunds", 0) <= limit)

    def enough_paid(world: World) -> str | None:
        if world.api.get("refunds") and world.api["paid"] > paid:
            return f"{world.api['paid']} paid"
        return None

    invariants = [Invariant("few_refunds", few_refunds), Invariant("enough_paid", enough_paid)]
    return venom_machine(World(store, {"store": store}), ACTIONS, invariants, **options)


def found_by(machine: Any, chosen: settings | None = None) -> dict[str, str]:
    """Run; return the text of each failure and the falsifying example that was told with it."""
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except ExceptionGroup as group:
        errors = list(group.exceptions)
    except InvariantViolated as error:
        errors = [error]
    else:
        return {}
    return {str(error): "\n".join(getattr(error, "__notes__", ())) for error in errors}


quick = settings(
    max_examples=60,
    stateful_step_count=6,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],  # explaining takes longer than the rest
    suppress_health_check=list(HealthCheck),
)


def test_test_case_is_a_unittest_with_settings_of_its_own() -> None:
    """The default keeps the backend that rolls back; plain settings keep it too."""
    machine = orders(100, 10**6)
    assert machine.TestCase.settings.backend == "venomqa"
    assert orders(rollback=False).TestCase.settings.backend == "hypothesis"
    machine.TestCase.settings = settings(max_examples=7, stateful_step_count=3)
    machine.TestCase("runTest").debug()
    assert 7 <= machine.last_run.test_cases < 30
    assert machine.last_run.steps_recalled > 0


@both_ways
def test_settings_are_obeyed(rollback: bool) -> None:
    """max_examples and stateful_step_count limit the run, also through the decorator."""
    decorated = settings(max_examples=5, stateful_step_count=4)(
        orders(100, 10**6, rollback=rollback)
    )
    run_state_machine_as_test(decorated)
    record = decorated.last_run
    assert 5 <= record.test_cases < 25
    steps = record.steps_executed - record.steps_repeated
    assert 5 <= steps <= 4 * record.test_cases + len(ACTIONS)


@both_ways
def test_profiles_are_obeyed(rollback: bool) -> None:
    """A profile loaded before the machine is made is its default."""
    before = settings.get_current_profile_name()
    settings.register_profile("venomqa-tiny", settings(), max_examples=3)
    settings.load_profile("venomqa-tiny")
    try:
        machine = orders(100, 10**6, rollback=rollback)
        run_state_machine_as_test(machine)
    finally:
        settings.load_profile(before)
    assert 3 <= machine.last_run.test_cases < 15


def test_phases_are_obeyed() -> None:
    """Without the phase that generates nothing runs, without shrinking nothing is minimised."""
    machine = orders()
    with pytest.raises(unittest.SkipTest, match=r"run no (test cases|examples)"):
        run_state_machine_as_test(machine, settings=settings(quick, phases=[Phase.explicit]))
    assert machine.last_run is None
    lengths = []
    for phases in ([Phase.generate], [Phase.generate, Phase.shrink]):
        walking = orders(10**6, strategy=Novelty(walks=1.0))
        found = found_by(seed(2)(walking), settings(quick, phases=phases))
        lengths.append(max(notes.count("state.") for notes in found.values()))
    assert lengths[0] > lengths[1]


@both_ways
def test_a_seed_gives_the_same_run(rollback: bool) -> None:
    """Two runs with one seed take the same steps; other seeds take others."""

    def told(number: int) -> list[str]:
        machine = seed(number)(orders(100, 10**6, rollback=rollback))
        chosen = settings(quick, max_examples=10, verbosity=Verbosity.debug)
        lines = reporting(lambda: run_state_machine_as_test(machine, settings=chosen)).splitlines()
        return [line for line in lines if line.startswith("state")]

    first, second, third = (told(number) for number in (1, 1, 2))
    assert len(first) > 50
    assert first == second
    assert first != third


@both_ways
def test_derandomized_runs_are_the_same(rollback: bool) -> None:
    """derandomize=True repeats itself without a seed."""
    chosen = settings(quick, derandomize=True, database=None)
    first, second = (found_by(orders(rollback=rollback), chosen) for _ in range(2))
    assert first == second != {}


@pytest.mark.parametrize("rollback_then", [True, False])
@both_ways
def test_a_printed_blob_reproduces_the_failure(rollback: bool, rollback_then: bool) -> None:
    """The line that Hypothesis prints works as a decorator, with rollback and without."""
    first = found_by(orders(100, rollback=rollback), settings(quick, print_blob=True))
    ((message, notes),) = first.items()
    printed = re.search(r"@reproduce_failure\('(.+?)', (b'.+?')\)", notes)
    assert printed is not None, notes
    assert printed[1] == hypothesis_version
    blob = eval(printed[2])
    again = reproduce_failure(hypothesis_version, blob)(orders(100, rollback=rollback_then))
    assert list(found_by(again, quick)) == [message]
    correct = reproduce_failure(hypothesis_version, blob)(orders(100, 10**6))
    with pytest.raises(DidNotReproduce):
        run_state_machine_as_test(correct, settings=quick)


def test_no_blob_is_printed_unless_asked_for() -> None:
    """print_blob=False is obeyed."""
    (notes,) = found_by(orders(100), settings(quick, print_blob=False)).values()
    assert "reproduce_failure" not in notes


@pytest.mark.parametrize("number", range(20))
def test_the_same_bugs_are_found_with_and_without_rollback(number: int) -> None:
    """Rolling back changes the cost of a run, never its verdict.

    One bug a machine: how long Hypothesis looks for another one differs between its versions.
    """
    chosen = settings(quick, max_examples=300)
    bugs = {
        (2, 10**6): "[HIGH] few_refunds: the check returned False",
        (100, 10): "[HIGH] enough_paid: 11 paid",
    }
    for (limit, paid), bug in bugs.items():
        for rollback in (True, False):
            machine = seed(number)(orders(limit, paid, rollback=rollback))
            assert set(found_by(machine, chosen)) == {bug}


@pytest.mark.parametrize("number", range(5))
def test_a_correct_service_passes_with_and_without_rollback(number: int) -> None:
    """No violation is made up."""
    for rollback in (True, False):
        assert found_by(seed(number)(orders(100, 10**6, rollback=rollback)), quick) == {}


def test_shrunk_examples_are_as_short_with_and_without_rollback() -> None:
    """What is told is the shortest sequence either way; of equally short ones it may be any."""
    chosen = settings(quick, max_examples=200)
    with_rollback, without = (
        found_by(seed(1)(orders(100, rollback=rollback)), chosen) for rollback in (True, False)
    )
    for found in (with_rollback, without):
        steps = re.findall(r"state\.(pay\(.*\)|refund\(\))", *found.values())
        assert sorted(steps) == ["pay(amount=11)", "refund()"]


def saved_keys(machine: Any) -> set[bytes]:
    database = InMemoryExampleDatabase()
    assert found_by(machine, settings(quick, database=database))
    return {key for key in database.data if b"." not in key}  # .secondary comes and goes


def in_another_function() -> Any:
    return orders_here()


def orders_here(name: str = "Orders", actions: Any = ACTIONS) -> Any:
    store = MemoryAdapter()
    few = Invariant("few", lambda world: not world.api.get("refunds"))
    return venom_machine(World(store, {"store": store}), actions, [few], name=name)


def test_two_machines_never_share_a_key_in_the_database() -> None:
    """Module, calling function, name and actions each make another key; nothing else does."""
    store = MemoryAdapter()
    few = Invariant("few", lambda world: not world.api.get("refunds"))
    world = World(store, {"store": store})
    plain = orders_here()

    class Mine(orders_here()):  # type: ignore[misc]
        @rule()
        def more(self) -> None: ...

    elsewhere: dict[str, Any] = {"__name__": "elsewhere", "venom_machine": venom_machine}
    exec("def orders_here(*a, **k): return venom_machine(*a, **k)", elsewhere)
    machines = [
        plain,
        orders_here("Others"),
        orders_here(actions=[*ACTIONS, Action("more", refund)]),
        orders_here(actions=[*ACTIONS[1:], Action("pay", lambda api, context: None)]),
        venom_machine(world, ACTIONS, [few], name="Orders"),
        elsewhere["orders_here"](world, ACTIONS, [few], name="Orders"),
        Mine,
    ]
    keys = [saved_keys(machine) for machine in machines]
    for index, mine in enumerate(keys):
        for others in keys[:index]:
            assert not mine & others
    assert saved_keys(orders_here()) == keys[0]
    assert saved_keys(in_another_function()) == keys[0]


def test_a_machine_made_by_a_helper_is_told_from_another_of_the_same_helper() -> None:
    """Two suites that make their machines by one shared function do not share failures."""

    class First(orders_here()):  # type: ignore[misc]
        pass

    class Second(orders_here()):  # type: ignore[misc]
        pass

    assert not saved_keys(First) & saved_keys(Second)


MODULE = """
from hypothesis import settings, strategies as st
from hypothesis.database import InMemoryExampleDatabase, DirectoryBasedExampleDatabase
from hypothesis.stateful import run_state_machine_as_test
from venomqa_hyp import Action, Invariant, World, venom_machine
from venomqa_hyp.adapters.memory import MemoryAdapter

def pay(api, context, amount):
    api["paid"] = api.get("paid", 0) + amount
    with open("executed", "a") as log:
        print(amount, file=log)

store = MemoryAdapter()
Orders = venom_machine(
    World(store, {"store": store}),
    [Action("pay", pay, arguments={"amount": st.integers(0, 999)})],
    [Invariant("small", lambda world: world.api.get("paid", 0) < 1500)],
)
"""


def test_the_key_survives_a_restart(tmp_path: Path) -> None:
    """Two processes with different hash seeds save under the same key."""
    code = f"""{MODULE}
database = InMemoryExampleDatabase()
try:
    run_state_machine_as_test(Orders, settings=settings(database=database))
except AssertionError:
    # How many larger examples are kept beside the smallest is a matter of chance.
    print(sorted(key.hex() for key in database.data if not key.endswith(b".secondary")))
"""
    shown = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": number},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for number in ("1", "2")
    ]
    assert shown[0] == shown[1]
    assert shown[0].startswith("['")


def test_a_second_pytest_run_replays_the_failure_first(pytester: pytest.Pytester) -> None:
    """It is reproduced from the database, with the same text, before anything is generated."""
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(
        test_orders=MODULE
        + "TestOrders = Orders.TestCase\n"
        + "TestOrders.settings = settings(database=DirectoryBasedExampleDatabase('examples'))\n"
    )
    texts, counts = [], []
    for _ in range(2):
        Path(pytester.path, "executed").unlink(missing_ok=True)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
        result.assert_outcomes(failed=1)
        text = result.stdout.str()
        texts.append(text[text.index("= FAILURES") : text.index("= venomqa =")])
        counts.append(len(Path(pytester.path, "executed").read_text().split()))
    assert "[HIGH] small: the check returned False" in texts[0]
    assert "state.pay(amount=" in texts[0]
    assert texts[0] == texts[1]
    assert counts[1] < counts[0] / 2
    only_reuse = Path(pytester.path, "test_orders.py")
    only_reuse.write_text(
        only_reuse.read_text() + "\nfrom hypothesis import Phase\n"
        "TestOrders.settings = settings(TestOrders.settings, phases=[Phase.reuse])\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(failed=1)


def reporting(run: Callable[[], Any]) -> str:
    lines: list[str] = []
    with with_reporter(lambda line: lines.append(str(line))):
        run()
    return "\n".join(lines)


def test_nothing_is_printed_by_a_run_that_passes() -> None:
    """A quiet run stays quiet."""
    machine = orders(100, 10**6)
    assert reporting(lambda: run_state_machine_as_test(machine, settings=quick)) == ""
