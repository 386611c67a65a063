"""What a run says is true: failures were executed as told, and nothing else is a failure."""

import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from tiny_systems import Stack

from venomqa_hyp import (
    Action,
    Context,
    Invariant,
    Novelty,
    Observation,
    World,
    venom_machine,
)
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.errors import DivergenceError, InvariantViolated, RollbackError
from venomqa_hyp.explore import Draft, Position, Recorder
from venomqa_hyp.stateful import DivergenceWarning


def run(machine: Any, examples: int = 100, steps: int = 8) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)


def run_on_seeds(make: Callable[[], Any]) -> None:
    for number in range(8):
        run(seed(number)(make()), examples=20)


class HidesAColumn(MemoryAdapter):
    """Shows everything but what is under the keys that start with an underscore."""

    def observe(self) -> Observation:
        shown = {key: value for key, value in self.data.items() if not key.startswith("_")}
        return Observation.create("store", shown)


class Sequence(Stack):
    """A stack of savepoints whose counter `next()` is not rolled back, as those of databases."""

    def __init__(self) -> None:
        super().__init__()
        self.next = itertools.count(1).__next__


@contextmanager
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def take(recorder: Recorder, at: Position, name: str) -> Position:
    reached = recorder.take(at, Draft(recorder.executor.rules.actions[name], {}))
    assert reached is not None
    return reached


def increase(api: Any, context: Context) -> None:
    api["n"] = min(api.get("n", 0) + 1, 5)


def look(api: Any, context: Context) -> None:
    api.get("n")


def test_the_same_path_is_executed_once() -> None:
    """Asked twice, a step is answered from the record, with its result and its verdicts."""
    asked: Counter[str] = Counter()
    rule = Invariant("rule", lambda world: asked.update([str(world.api.get("n", 0))]))
    store = MemoryAdapter()
    recorder = Recorder(World(store, {"store": store}), [Action("increase", increase)], [rule])
    for _ in range(3):
        at = recorder.executor.start
        for _ in range(4):
            recorder.checker.verdicts(at)
            at = take(recorder, at, "increase")
    (counts,) = recorder.executor.tally.actions.values()
    assert counts.executed == 4 + 1  # the first one is done twice, as a check
    assert counts.recalled == 8
    assert asked == dict.fromkeys("0123", 1)


def test_paths_that_meet_share_what_follows() -> None:
    """After a step that changes nothing, everything that follows is known already."""
    store = MemoryAdapter()
    actions = [Action("increase", increase), Action("look", look)]
    recorder = Recorder(World(store, {"store": store}), actions)
    for names in itertools.product(["increase", "look"], repeat=6):
        at = recorder.executor.start
        for name in names:
            at = take(recorder, at, name)
    assert len(recorder.graph) == 6
    executed, repeated = recorder.executor.executed, recorder.travel.repeated
    assert executed - repeated == recorder.graph.transition_count
    assert recorder.graph.transition_count <= 12


def test_a_run_executes_each_step_of_the_graph_once() -> None:
    """In 100 test cases of 20 steps, only 12 different steps exist, and they are executed once."""
    executed: Counter[tuple[str, int]] = Counter()

    def counted(name: str, change: Any) -> Action:
        def execute(api: Any, context: Context) -> None:
            executed[name, api.get("n", 0)] += 1
            change(api, context)

        return Action(name, execute)

    store = MemoryAdapter()
    actions = [counted("increase", increase), counted("look", look)]
    walks = Novelty(walks=1.0)
    machine = venom_machine(World(store, {"store": store}), actions, strategy=walks)
    run(machine, steps=20)
    record = machine.last_run
    assert record is not None
    assert record.steps_executed == executed.total()
    assert record.steps_executed - record.steps_repeated == record.transitions_taken
    assert record.transitions_taken == 12
    assert record.steps_recalled > 1000
    assert record.states_visited == 6


def test_a_hidden_column_causes_no_false_violation() -> None:
    """Two states merge that differ in a column nobody observes: a correct service stays clean."""
    store = HidesAColumn()

    def ship(api: Any, context: Context) -> None:
        api["_shipped"] = not api.get("cancelled", False)

    def cancel(api: Any, context: Context) -> None:
        api["cancelled"] = not api.get("_shipped", False)

    def reset(api: Any, context: Context) -> None:
        api["_shipped"] = api["cancelled"] = False

    def never_both(world: World) -> bool:
        return not (world.api.get("_shipped") and world.api.get("cancelled"))

    actions = [Action("ship", ship), Action("cancel", cancel), Action("reset", reset)]
    machine = venom_machine(
        World(store, {"store": store}),
        actions,
        [Invariant("never_both", never_both)],
        on_divergence="warn",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        run(machine)


def test_an_action_that_fails_only_on_another_path_is_no_finding_there() -> None:
    """The failure is told for the path that was executed, never for one that merely merged."""
    store = HidesAColumn()

    def arm(api: Any, context: Context) -> None:
        api["_armed"] = True

    def fire(api: Any, context: Context) -> None:
        assert not api.get("_armed")

    world = World(store, {"store": store})
    actions = [Action("arm", arm), Action("fire", fire)]
    machine = venom_machine(world, actions, on_divergence="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        with pytest.raises(AssertionError) as caught:
            run(machine)
    assert "state.arm()\nstate.fire()\n" in "\n".join(caught.value.__notes__)


def test_a_result_is_not_taken_over_from_a_state_that_only_looks_alike() -> None:
    """Where a new step leads to a known state, the first recall of an action is executed, too."""
    store = HidesAColumn()

    def arm(api: Any, context: Context) -> None:
        api["_armed"] = True

    def fire(api: Any, context: Context) -> None:
        api["fired"] = api.get("_armed", False)

    actions = [Action("arm", arm), Action("fire", fire)]
    recorder = Recorder(World(store, {"store": store}), actions)
    start = recorder.executor.start
    take(recorder, start, "fire")
    armed = take(recorder, start, "arm")
    assert armed.state == start.state
    with pytest.raises(DivergenceError) as caught:
        take(recorder, armed, "fire")
    assert "store.fired: False the first time, True the second time" in str(caught.value)


@pytest.mark.parametrize("own_world", [True, False])
def test_a_verdict_is_asked_again_where_a_new_step_leads_to_a_known_state(own_world: bool) -> None:
    """A rule over what nobody observes is told as broken, and the run says why it diverged."""

    def make() -> World:
        store = HidesAColumn()
        return World(store, {"store": store})

    def arm(api: Any, context: Context) -> None:
        api["_armed"] = True

    machine = venom_machine(
        make if own_world else make(),
        [Action("arm", arm), Action("look", look)],
        [Invariant("unarmed", lambda world: not world.api.get("_armed"))],
        on_divergence="warn",
    )
    with (
        pytest.warns(DivergenceWarning, match=r"where unarmed holds, but now it is broken"),
        pytest.raises(InvariantViolated) as caught,
    ):
        run(machine)
    assert machine.last_run is not None
    (violation,) = machine.last_run.violations
    assert [step.action for step in violation.reproduction_path][-1] == "arm"
    assert "state.arm()" in "\n".join(caught.value.__notes__)


def test_a_rare_violation_of_what_nobody_observes_is_raised_at_the_end() -> None:
    """It is not lost where no later test case happens to meet it again."""
    store = HidesAColumn()
    calls = itertools.count()

    def arm(api: Any, context: Context, number: int) -> None:
        if number == 7 and next(calls) < 5:  # once, once more live, and to make sure
            api["_armed"] = True

    machine = venom_machine(
        World(store, {"store": store}),
        [Action("arm", arm, arguments={"number": st.integers(0, 9)})],
        [Invariant("unarmed", lambda world: not world.api.get("_armed"))],
        on_divergence="warn",
    )
    with (
        pytest.warns(DivergenceWarning),
        pytest.raises(InvariantViolated, match="unarmed") as caught,
    ):
        run(seed(1)(machine))
    assert "arm(number=7)\n\n[HIGH] unarmed" in "\n".join(caught.value.__notes__)
    assert machine.last_run is not None
    assert [item.name for item in machine.last_run.violations] == ["unarmed"]


def test_an_observation_that_is_never_the_same_is_no_leak() -> None:
    """What changes while nothing acts is named, and not called a rollback that failed."""
    reads = itertools.count()

    class Counting(MemoryAdapter):
        def observe(self) -> Observation:
            return Observation.create("store", {**self.data, "reads": next(reads)})

    store = Counting()
    machine = venom_machine(World(store, {"store": store}), [Action("increase", increase)])
    told = r"the observation is not stable, .*store\.reads: \d+ the first time, \d+ .*settle="
    with pytest.raises(RollbackError, match=told):
        run(machine)


def test_a_run_counts_the_states_of_all_its_worlds() -> None:
    """Where each World begins in another state, what was seen in the ones before counts, too."""
    begins = itertools.count()

    def make() -> World:
        store = MemoryAdapter({"n": 0, "world": f"number {'x' * next(begins)}"})
        return World(store, {"store": store})

    machine = venom_machine(
        make,
        [Action("increase", increase)],
        [Invariant("small", lambda world: world.api["n"] < 3)],
    )
    with pytest.raises(InvariantViolated):
        run(machine)
    record = machine.last_run
    assert record is not None
    worlds = {state.observations["store"].data["world"] for state in record.graph.states.values()}
    assert len(worlds) >= 2
    assert record.states_visited >= 5


def sequence_machine(limit: int, *others: Action) -> Any:
    """Return a machine that does more than it should, once a counter no rollback reaches is 7."""
    store = Sequence()

    def create(api: Any, context: Context) -> None:
        api["ids"] = (*api.get("ids", ()), 1)
        if store.next() > 6:
            api["ids"] += (2,)

    def few(world: World) -> bool:
        return world.api.get("ids", ()).count(1) < limit

    return venom_machine(
        World(store.data, {"db": store}),
        [Action("create", create), Action("increase", increase), *others],
        [Invariant("few", few)],
        on_divergence="warn",
    )


def test_a_divergence_is_told_once_and_the_run_goes_on() -> None:
    """A correct but unrepeatable service passes, with one warning that says what differs."""
    machine = sequence_machine(limit=100)
    with pytest.warns(DivergenceWarning) as told:
        run(machine)
    (warning,) = [item for item in told if item.category is DivergenceWarning]
    text = str(warning.message)
    assert "create() was executed twice from the same state" in text
    assert "db" in text
    assert "The run executed create each time, and recorded the other actions." in text
    record = machine.last_run
    assert record is not None
    assert record.test_cases >= 100
    assert record.steps_executed > record.transitions_taken + record.steps_repeated


def test_a_bug_of_an_unrepeatable_service_is_told_as_itself() -> None:
    """A real bug behind a counter that is not rolled back is found, and not called flaky."""
    machine = sequence_machine(3, Action("look", look))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        with pytest.raises(InvariantViolated) as caught:
            run(machine)
    assert "\n".join(caught.value.__notes__).count("state.create()") == 3


def test_the_warning_as_an_error_is_itself_and_not_a_finding() -> None:
    """Under `filterwarnings = error` the run ends with the warning, which is never called flaky."""
    with no_warnings(), pytest.raises(DivergenceWarning) as caught:
        run(sequence_machine(limit=100))
    assert "Failing test case" not in "\n".join(getattr(caught.value, "__notes__", []))


def test_a_users_rule_may_meet_a_divergence() -> None:
    """Also where the World is moved for `self.world`, the run goes on, with the warning."""

    def reading() -> Any:
        class Mine(sequence_machine(100)):  # type: ignore[misc]
            @rule()
            def read(self) -> None:
                assert len(self.world.api.get("ids", ())) < 100

        return Mine

    with pytest.warns(DivergenceWarning):
        run_on_seeds(reading)


def test_a_step_that_is_not_recorded_may_meet_a_divergence() -> None:
    """Also where the World is moved for a step that cannot be recalled, the run goes on."""

    def draw(api: Any, context: Context, it: object) -> None: ...

    opaque = Action("draw", draw, arguments={"it": st.builds(object)})
    with pytest.warns(DivergenceWarning):
        run_on_seeds(lambda: sequence_machine(100, opaque))


@pytest.mark.parametrize("only_when", [0, 2])
def test_invariants_that_write_do_not_disturb(only_when: int) -> None:
    """A check that logs in through the API leaves traces, but in no recorded state."""
    store = MemoryAdapter({"n": 0, "log": 0})

    def check(world: World) -> None:
        if world.api["n"] >= only_when:
            world.api["log"] += 1

    def step(api: Any, context: Context) -> None:
        increase(api, context)

    machine = venom_machine(
        World(store, {"store": store}),
        [Action("step", step), Action("look", look)],
        [Invariant("logged", check), Invariant("again", check)],
    )
    with no_warnings():
        run(machine)
    record = machine.last_run
    assert record is not None
    logs = {state.observations["store"].data["log"] for state in record.graph.states.values()}
    assert logs == {0}
    assert store == {"n": 0, "log": 0}


def test_a_bug_is_found_beside_invariants_that_write() -> None:
    """The final replay sees what the record saw, so nothing is called flaky."""
    store = MemoryAdapter({"n": 0, "log": 0})

    def check(world: World) -> bool:
        world.api["log"] += 1
        return bool(world.api["n"] < 3)

    machine = venom_machine(
        World(store, {"store": store}),
        [Action("increase", increase), Action("look", look)],
        [Invariant("small", check)],
    )
    with no_warnings(), pytest.raises(InvariantViolated) as caught:
        run(machine)
    assert "\n".join(caught.value.__notes__).count("state.increase()") == 3


def test_guards_cannot_change_the_record() -> None:
    """A precondition that changes a value in the context changes a copy."""
    seen = []

    def create(api: Any, context: Context) -> None:
        context["ids"] = [*context.get("ids", []), 1]

    def greedy(context: Context) -> bool:
        context.get("ids", []).append(99)
        return True

    def use(api: Any, context: Context) -> None:
        seen.extend(context.get("ids", []))

    actions = [Action("create", create), Action("use", use, preconditions=[greedy])]
    machine = venom_machine(World(None), actions)
    run(machine)
    assert 99 not in seen
    assert machine.last_run is not None
    assert all(99 not in s.context.get("ids", []) for s in machine.last_run.graph.states.values())


def test_arguments_are_part_of_what_is_recorded() -> None:
    """1, True and "1" are three different steps from the same state."""
    store = MemoryAdapter()

    def put(api: Any, context: Context, value: Any) -> None:
        api["value"] = repr(value)

    arguments = {"value": st.sampled_from([1, True, 1.0, "1", None])}
    machine = venom_machine(
        World(store, {"store": store}), [Action("put", put, arguments=arguments)]
    )
    run(machine)
    assert machine.last_run is not None
    assert machine.last_run.states_visited == 6
