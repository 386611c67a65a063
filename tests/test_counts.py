"""What a run counts of actions and invariants, and what it is required to reach."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, assume, settings
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.stateful import run_state_machine_as_test
from outcomes import CONFLICT, Outcome, by_agent, by_machine, store_of

from venomqa_hyp import Action, ActionCounts, Agent, Invariant, sometimes, venom_machine
from venomqa_hyp.agent.merge import Found, merge
from venomqa_hyp.core.vacuity import unmet
from venomqa_hyp.errors import DefinitionError, InvariantViolated, VacuousRun
from venomqa_hyp.stateful import IdleActionWarning

both = pytest.mark.parametrize("run", [by_machine, by_agent])
both_ways = pytest.mark.parametrize("rollback", [True, False])


def reply(status: int) -> Any:
    return SimpleNamespace(status_code=status)


def pay(api: Any, context: Any) -> Any:
    if api.get("paid", 0) == 3:
        return CONFLICT
    api["paid"] = api.get("paid", 0) + 1
    return reply(201)


def refund(api: Any, context: Any) -> Any:
    """Answer as a service whose path is misspelt here."""
    return reply(404)


def look(api: Any, context: Any) -> None:
    return None


ACTIONS = [Action("pay", pay), Action("refund", refund, preconditions=["pay"]), Action("l", look)]


@both_ways
def test_every_step_is_counted_by_what_came_of_it(rollback: bool) -> None:
    """Executed or recalled: the outcomes add up to the steps, and no step has two."""
    record = by_machine(store_of(), ACTIONS, rollback=rollback).record
    assert record is not None
    counts = record.actions
    assert set(counts["pay"].outcomes) == {"201", "409"}
    assert set(counts["refund"].outcomes) == {"404"}
    assert set(counts["l"].outcomes) == {"returned"}
    for item in counts.values():
        assert item.steps == sum(item.outcomes.values())
        assert 0 < item.enabled <= item.tried
    assert counts["pay"].succeeded == counts["pay"].answered(2) == counts["pay"].outcomes["201"]
    assert (counts["refund"].succeeded, counts["refund"].answered(4)) == (
        0,
        counts["refund"].steps,
    )
    assert counts["refund"].enabled < counts["refund"].tried
    total = sum(item.executed + item.recalled for item in counts.values())
    assert total == sum(item.steps for item in counts.values()) + record.steps_repeated


def test_steps_that_led_to_another_state_are_counted() -> None:
    """A reply of 404 is none of them, nor is a read."""
    record = by_machine(store_of(), ACTIONS).record
    assert record is not None
    changed = {name: item.changed for name, item in record.actions.items()}
    assert changed == {"pay": record.actions["pay"].outcomes["201"], "refund": 0, "l": 0}


def test_what_raised_got_no_answer_or_was_rejected_is_an_outcome() -> None:
    """Each by a name that says which."""

    def broken(api: Any, context: Any) -> None:
        raise KeyError("order")

    def rejected(api: Any, context: Any) -> None:
        assume(False)

    record = by_agent(store_of(), [Action("broken", broken), Action("rejected", rejected)]).record
    assert record is not None
    assert set(record.actions["broken"].outcomes) == {"raised KeyError"}
    assert set(record.actions["rejected"].outcomes) == {"rejected by assume"}


@both
def test_checks_of_an_invariant_are_counted_with_the_vacuous_ones(run: Any) -> None:
    """`when` is false until something was paid."""
    rules = [
        Invariant(
            "few", lambda world: world.api["paid"] < 3, when=lambda world: "paid" in world.api
        )
    ]
    record = run(store_of(), ACTIONS, rules).record
    assert record is not None
    counts = record.invariants["few"]
    assert counts.checked == counts.vacuous + counts.held + counts.violated
    assert min(counts.vacuous, counts.held, counts.violated) > 0


@both
def test_a_run_below_its_threshold_fails_and_says_what_came_instead(run: Any) -> None:
    """The record with all counts is on the error, for reports."""
    outcome: Outcome = run(store_of(), ACTIONS, require={"refund": 0.01, "pay": 1})
    error = outcome.raised
    assert isinstance(error, VacuousRun)
    assert isinstance(error, AssertionError)
    steps = error.result.actions["refund"].steps  # type: ignore[attr-defined]
    assert error.unmet == (
        f"refund: 0 of {steps} steps succeeded (0.00%; required: at least 1%): {steps} x 404",
    )
    assert str(error).startswith("The run found nothing, but it did not reach what it must:\n  ref")


@both_ways
def test_a_run_that_reaches_its_thresholds_passes(rollback: bool) -> None:
    outcome = by_machine(store_of(), ACTIONS, require={"pay": 0.1, "l": 1.0}, rollback=rollback)
    assert outcome.raised is None
    assert outcome.record is not None
    assert outcome.record.unmet == ()


def test_an_action_that_never_ran_is_below_every_threshold() -> None:
    """Of no steps there is no share."""
    never = Action("never", look, preconditions=[lambda context: False])
    outcome = by_machine(store_of(), [*ACTIONS, never], require={"never": 0.01})
    assert isinstance(outcome.raised, VacuousRun)
    assert "never: 0 of 0 steps succeeded (required: at least 1%): it could run at 0 of " in str(
        outcome.raised
    )


@both
def test_a_finding_is_never_hidden_by_a_threshold(run: Any) -> None:
    rule = Invariant("few", lambda world: world.api.get("paid", 0) < 2)
    never = sometimes("refunded", lambda world: False)
    outcome = run(store_of(), ACTIONS, [rule, never], require={"refund": 0.5})
    assert [item.name for item in outcome.violations] == ["few"]
    assert not isinstance(outcome.raised, VacuousRun)
    assert "did not reach" not in outcome.text


def test_a_run_that_only_replays_need_reach_nothing() -> None:
    """It executes what failed earlier, and says nothing of the rest."""
    limit, database = [2], InMemoryExampleDatabase()
    rule = Invariant("few", lambda world: world.api.get("paid", 0) < limit[0])
    machine = venom_machine(store_of(), ACTIONS, [rule], require={"refund": 1}, name="Replayed")
    with pytest.raises(InvariantViolated):
        run_state_machine_as_test(machine, settings=settings(database=database))
    limit[0] = 5
    only = settings(phases=[Phase.reuse], database=database)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdleActionWarning)
        run_state_machine_as_test(machine, settings=only)
    assert machine.last_run is not None
    assert machine.last_run.steps_executed
    assert machine.last_run.unmet == ()


def test_where_warnings_are_errors_the_threshold_comes_first() -> None:
    """The other one is a note."""
    never = Action("never", look, preconditions=[lambda context: False])
    machine = venom_machine(store_of(), [*ACTIONS, never], require={"never": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(VacuousRun) as caught:
            run_state_machine_as_test(machine, settings=settings(max_examples=5, database=None))
    assert "IdleActionWarning" in caught.value.__notes__[0]


@both
def test_what_holds_sometimes_must_hold_once(run: Any) -> None:
    """In any state, and no state breaks it."""
    reached = sometimes("paid twice", lambda world: world.api.get("paid") == 2)
    outcome = run(store_of(), ACTIONS, [reached])
    assert outcome.raised is None
    counts = outcome.record.invariants["paid twice"]
    assert counts.sometimes
    assert counts.held >= 1
    assert counts.violated == counts.checked - counts.held > 0
    assert outcome.violations == ()


@both
def test_what_never_held_is_an_error_with_what_was_seen_last(run: Any) -> None:
    """A check with a mistake in it raises each time, so the message says how."""
    check = sometimes(
        "refunded", lambda world: world.api["refunded"], when=lambda w: "paid" in w.api
    )
    error = run(store_of(), ACTIONS, [check]).raised
    assert isinstance(error, VacuousRun)
    counts = error.result.invariants["refunded"]  # type: ignore[attr-defined]
    assert error.unmet == (
        f"refunded: never held, checked {counts.checked} times, in {counts.vacuous} of them "
        "`when` was false; the last time: KeyError: 'refunded'",
    )


REFUSED = {
    "no mapping": (["pay"], "require is ['pay'] of type list, but it maps names of actions to"),
    "no such action": ({"refnd": 1}, "require names 'refnd', but no action has that name"),
    "a share above 1": ({"pay": 1.5}, "require has 1.5 for 'pay', but it is a share of its steps"),
    "no successes": ({"pay": 0}, "require has 0 for 'pay', but it is a share of its steps"),
    "a truth value": ({"pay": True}, "require has True for 'pay', but it is a share"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_requirement_that_cannot_work_is_refused(name: str) -> None:
    given, message = REFUSED[name]
    for make in (venom_machine, Agent):
        with pytest.raises(DefinitionError) as caught:
            make(store_of(), ACTIONS, require=given)  # type: ignore[operator]
        assert message in str(caught.value)


@pytest.mark.filterwarnings("ignore::venomqa_hyp.stateful.IdleActionWarning")
def test_what_no_worker_reaches_alone_all_may_reach_together() -> None:
    """Their counts are added up, and only then compared."""
    found = {}
    for number, status in enumerate([201, 404]):
        agent = Agent(
            store_of(),
            [Action("pay", lambda api, context, s=status: reply(s))],
            require={"pay": 0.4},
        )
        agent.raises_unmet = False
        found[number] = Found(agent.explore().portable(), agent.definition.require)
    assert [bool(item.result.unmet) for item in found.values()] == [False, True]
    assert merge(found, (), 1.0).unmet == ()
    del found[0]
    assert merge(found, (), 1.0).unmet == found[1].result.unmet
    assert merge(found, ("worker 0 died",), 1.0).unmet == ()


@pytest.mark.parametrize(
    ("least", "is_met"), [(3, True), (4, False), (0.3, True), (0.31, False), (1.0, False)]
)
def test_a_threshold_is_a_number_of_successes_or_a_share_of_the_steps(
    least: float, is_met: bool
) -> None:
    counts = {"pay": ActionCounts(outcomes={"201": 3, "409": 7}, succeeded=3)}
    assert (unmet(counts, {}, {"pay": least}) == ()) == is_met


def test_what_a_run_did_not_reach_is_told_without_secrets() -> None:
    check = sometimes("logged in", lambda world: "Authorization: Bearer s3cret-s3cret")
    outcome = by_machine(store_of(), ACTIONS, [check])
    assert isinstance(outcome.raised, VacuousRun)
    assert "s3cret" not in str(outcome.raised)


def test_adding_counts_adds_outcomes() -> None:
    one = ActionCounts(1, 1, 2, 3, {"201": 2}, 2, 1)
    assert one + one == ActionCounts(2, 2, 4, 6, {"201": 4}, 4, 2)
