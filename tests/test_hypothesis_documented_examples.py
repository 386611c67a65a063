"""What Hypothesis documents of state machines works with the backend, and in machines of ours.

Machines of Hypothesis's own run with the backend; two are written again as venom machines.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, note, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from venomqa_hyp import Action, Context, Invariant, World, venom_machine
from venomqa_hyp.adapters.memory import MemoryAdapter

chosen = settings(
    max_examples=2000,  # a failure ends it sooner
    derandomize=True,
    backend="venomqa",
    phases=[Phase.generate, Phase.shrink],  # explaining takes longer than the rest
    suppress_health_check=list(HealthCheck),
)


def steps_to_failure(machine: Any) -> list[str]:
    """Run a machine that fails; return the calls of the example that is told."""
    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(machine, settings=chosen)
    lines = "\n".join(caught.value.__notes__).splitlines()
    calls = [line.partition("state.")[2] for line in lines if "state." in line]
    return [call for call in calls if call != "teardown()"]


class Jugs(RuleBasedStateMachine):
    """Measure two litres with jugs of three and of five: the rules only change a state."""

    small = big = 0

    @rule()
    def fill_small(self) -> None:
        self.small = 3

    @rule()
    def fill_big(self) -> None:
        self.big = 5

    @rule()
    def empty_small(self) -> None:
        self.small = 0

    @rule()
    def empty_big(self) -> None:
        self.big = 0

    @rule()
    def pour_into_big(self) -> None:
        self.small, self.big = max(0, self.small + self.big - 5), min(5, self.small + self.big)

    @rule()
    def pour_into_small(self) -> None:
        self.small, self.big = min(3, self.small + self.big), max(0, self.small + self.big - 3)

    @invariant()
    def not_two_litres(self) -> None:
        note(f"{self.small} and {self.big}")
        assert self.small != 2


JUGS = ["fill_big", "pour_into_small", "empty_small", "pour_into_small"]


class Boxes(RuleBasedStateMachine):
    """Compare a store with a model of it, over keys and values that were drawn before."""

    keys = Bundle("keys")
    values = Bundle("values")

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, list[int]] = {}
        self.model: dict[str, set[int]] = {}

    @rule(target=keys, key=st.text("ab", min_size=1))
    def name_a_box(self, key: str) -> str:
        return key

    @rule(target=values, value=st.integers())
    def make_a_thing(self, value: int) -> int:
        return value

    @rule(key=keys, value=values)
    def put(self, key: str, value: int) -> None:
        self.store.setdefault(key, []).append(value)
        self.model.setdefault(key, set()).add(value)

    @rule(key=keys, value=values)
    def take(self, key: str, value: int) -> None:
        if value in self.store.get(key, []):
            self.store[key].remove(value)  # the bug: it may be in there twice
        self.model.get(key, set()).discard(value)

    @rule(key=keys)
    def look(self, key: str) -> None:
        assert set(self.store.get(key, [])) == self.model.get(key, set())


class Desk(RuleBasedStateMachine):
    """All that decides which rules run, and on what: it fails at the third stamped letter."""

    letters = Bundle("letters")
    stamped = Bundle("stamped")

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False
        self.written: set[int] = set()
        self.waiting: list[int] = []
        self.sent: list[int] = []

    @initialize(target=letters, count=st.integers(1, 3))
    def deliver(self, count: int) -> MultipleResults[int]:
        self.waiting = list(range(count))
        return multiple(*self.waiting)

    @initialize()
    def open(self) -> None:
        self.is_open = True

    @rule(targets=(letters,), number=st.integers(10, 19))
    def write(self, number: int) -> Any:
        if number in self.written:
            return multiple()
        self.written.add(number)
        self.waiting.append(number)
        return number

    @precondition(lambda self: self.waiting)
    @rule(target=stamped, letter=consumes(letters))
    def stamp(self, letter: int) -> int:
        assert self.is_open
        self.waiting.remove(letter)  # a letter that was not consumed would not be there
        return letter

    @rule(letter=consumes(stamped).filter(lambda letter: letter != 1), data=st.data())
    def send(self, letter: int, data: st.DataObject) -> None:
        assume(data.draw(st.integers(0, 1)) == 0)
        self.sent.append(letter)

    def teardown(self) -> None:
        target(len(self.sent))

    @invariant()
    def no_letter_twice(self) -> None:
        assert self.is_open  # initialize rules run first
        assert len({*self.waiting, *self.sent}) == len(self.waiting) + len(self.sent)

    @invariant(check_during_init=True)
    def few_sent(self) -> None:
        assert len(self.sent) < 3


def test_rules_that_only_change_a_state() -> None:
    """The calls that are told solve the puzzle, with the last of them."""
    calls = [call for call in steps_to_failure(Jugs) if not call.startswith("not_two")]
    jugs = Jugs()
    measured = []
    for call in calls:
        getattr(jugs, call.removesuffix("()"))()
        measured.append(jugs.small)
    assert measured.index(2) == len(measured) - 1 < 8


def test_a_model_is_compared_over_bundles() -> None:
    """The comparison fails with a key and a value that were drawn before, put in twice."""
    calls = [call.rpartition("= state.")[2] for call in steps_to_failure(Boxes)]
    assert calls[-1] == "look(key=keys_0)"
    assert [call for call in calls if call.startswith("put")] == [
        "put(key=keys_0, value=values_0)"
    ] * 2


def test_everything_that_decides_which_rules_run() -> None:
    """initialize, targets, multiple, consumes, filter, preconditions, st.data(), assume, target."""
    calls = steps_to_failure(Desk)
    names = [call.partition("(")[0] for call in calls if "_sent" not in call]
    assert [names.count(name) for name in ("deliver", "open", "send")] == [1, 1, 3]
    assert {*names[:3]} >= {"deliver", "open"}


def test_a_machine_without_a_bug_passes() -> None:
    """The same rules pass where nothing is wrong, also as a TestCase."""

    class Careful(Boxes):
        @rule(key=Boxes.keys, value=Boxes.values)
        def take(self, key: str, value: int) -> None:
            self.store[key] = [item for item in self.store.get(key, []) if item != value]
            self.model.get(key, set()).discard(value)

    Careful.TestCase.settings = settings(chosen, max_examples=50)
    Careful.TestCase("runTest").debug()


def path_to_violation(actions: list[Action], invariants: list[Invariant], **data: Any) -> list[str]:
    store = MemoryAdapter(data)
    machine = venom_machine(World(store, {"store": store}), actions, invariants)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=chosen)
    (violation,) = machine.last_run.violations
    return [str(step) for step in violation.reproduction_path]


def test_the_jugs_as_a_venom_machine() -> None:
    """The same rules as actions on a store that rolls back, solved in the same four steps."""

    def poured(name: str) -> Action:
        def pour(api: Any, context: Context) -> None:
            jugs = Jugs()
            jugs.small, jugs.big = api["small"], api["big"]
            getattr(jugs, name)()
            api.update(small=jugs.small, big=jugs.big)

        return Action(name, pour)

    rules = ["fill_small", "fill_big", "empty_small", "empty_big", "pour_into_big"]
    rule_names = [*rules, "pour_into_small"]
    found = path_to_violation(
        [poured(name) for name in rule_names],
        [Invariant("not_two_litres", lambda world: world.api["small"] != 2)],
        small=0,
        big=0,
    )
    assert found == [f"{name}()" for name in JUGS]


def test_bundles_as_a_venom_machine() -> None:
    """Targets, multiple and consumes: a letter is stamped at most once, and the third fails."""
    letters, stamped = Bundle("letters"), Bundle("stamped")

    def deliver(api: Any, context: Context, count: int) -> Any:
        api["waiting"] = [*api["waiting"], *range(len(api["waiting"]), count)]
        return multiple(*range(len(api["waiting"]))) if count else multiple()

    def stamp(api: Any, context: Context, letter: int) -> int:
        assert letter in api["waiting"]
        api["waiting"] = [item for item in api["waiting"] if item != letter]
        return letter

    def send(api: Any, context: Context, letter: int) -> None:
        api["sent"] += 1

    found = path_to_violation(
        [
            Action(
                "deliver",
                deliver,
                arguments={"count": st.integers(0, 3)},
                target=letters,
                max_calls=1,
            ),
            Action("stamp", stamp, arguments={"letter": consumes(letters)}, target=stamped),
            Action("send", send, arguments={"letter": consumes(stamped)}, preconditions=["stamp"]),
        ],
        [Invariant("few_sent", lambda world: world.api["sent"] < 3)],
        waiting=[],
        sent=0,
    )
    assert found[0] == "deliver(count=3)"
    assert sorted(step.partition("(")[0] for step in found[1:]) == ["send"] * 3 + ["stamp"] * 3
