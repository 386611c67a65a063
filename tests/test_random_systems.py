"""On small systems made from a seed, a run says what brute force says.

``VENOMQA_RANDOM_SYSTEMS`` sets how many systems are tried.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Context, Invariant, Observation, Step, World, venom_machine
from venomqa_hyp.adapters.handles import Handle
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.errors import InvariantViolated, RollbackError
from venomqa_hyp.stateful import DivergenceWarning

SYSTEMS = int(os.environ.get("VENOMQA_RANDOM_SYSTEMS", "60"))
DEEPEST = 5
#: A violation this near is met by a random walk, if not in so many test cases, then in some more.
SURELY_FOUND = 3
EXAMPLES = 80
STEPS = 8

Values = tuple[int, ...]
Equalities = tuple[tuple[int, int], ...]


@attrs.frozen
class Move:
    """Where ``guard`` holds, each effect ``(variable, kind, operand)`` sets a variable.

    :ivar choices: how many values its argument has; 0 for no argument.
    """

    name: str
    guard: Equalities
    effects: tuple[tuple[int, str, int], ...]
    choices: int
    max_calls: int | None
    required: str | None

    def apply(self, sizes: Values, values: Values, chosen: int) -> Values:
        if any(values[at] != value for at, value in self.guard):
            return values
        after = list(values)
        for at, kind, operand in self.effects:
            to = {"set": operand, "add": values[at] + operand, "copy": values[operand % len(sizes)]}
            after[at] = to.get(kind, chosen) % sizes[at]
        return tuple(after)


@attrs.frozen
class System:
    """All variables begin at 0; no state may fulfil all of ``bad``.

    :ivar raises: whether a move asserts that, and not an invariant.
    :ivar forgotten: the variable that a rollback does not restore.
    :ivar hidden: the variable that is not observed.
    """

    sizes: Values
    moves: tuple[Move, ...]
    bad: Equalities
    raises: bool
    forgotten: int | None = None
    hidden: int | None = None

    def is_bad(self, values: Values) -> bool:
        return all(values[at] == value for at, value in self.bad)

    def permits(self, move: Move, called: tuple[str, ...]) -> bool:
        if move.max_calls is not None and called.count(move.name) >= move.max_calls:
            return False
        return move.required is None or move.required in called

    def steps(self, called: tuple[str, ...]) -> Iterator[tuple[Move, int]]:
        for move in self.moves:
            if self.permits(move, called):
                yield from ((move, chosen) for chosen in range(max(move.choices, 1)))

    def distance(self) -> int | None:
        """Return the length of the shortest path that breaks the rule, up to ``DEEPEST``."""
        start: tuple[Values, tuple[str, ...]] = ((0,) * len(self.sizes), ())
        layer, seen = {start}, {start}
        for depth in range(1, DEEPEST + 1):
            following = set()
            for values, called in layer:
                if self.raises and self.is_bad(values):
                    return depth
                for move, chosen in self.steps(called):
                    after = move.apply(self.sizes, values, chosen)
                    if not self.raises and self.is_bad(after):
                        return depth
                    following.add((after, self.noted(called, move)))
            layer = following - seen
            seen |= layer
        return None

    def noted(self, called: tuple[str, ...], move: Move) -> tuple[str, ...]:
        counted = move.max_calls is not None or any(
            item.required == move.name for item in self.moves
        )
        kept = counted and called.count(move.name) < (move.max_calls or 1)
        return tuple(sorted((*called, move.name))) if kept else called

    def fails_at_the_end_of(self, path: tuple[Step, ...]) -> bool:
        """Return whether the last step of a path breaks the rule, and none before it does."""
        values: Values = (0,) * len(self.sizes)
        called: tuple[str, ...] = ()
        for number, step in enumerate(path, start=1):
            if step.action == "look":
                return self.raises and self.is_bad(values) and number == len(path)
            move = next(item for item in self.moves if item.name == step.action)
            if not self.permits(move, called):
                return False
            values = move.apply(self.sizes, values, step.arguments.get("chosen", 0))
            called = (*called, move.name)
            if not self.raises and self.is_bad(values):
                return number == len(path)
        return False


def make_system(number: int, leak: str = "none") -> System:
    random = Random(number)
    sizes = tuple(random.choice([2, 2, 3, 4]) for _ in range(random.randint(2, 4)))
    variables = range(len(sizes))

    def equalities(count: int) -> Equalities:
        chosen = random.sample(variables, min(count, len(sizes)))
        return tuple((at, random.randrange(sizes[at])) for at in chosen)

    moves: list[Move] = []
    for index in range(random.randint(3, 6)):
        choices = random.choice([0, 0, 2, 3])
        kinds = ["set", "add", "copy", *(["chosen"] * 3 if choices else [])]
        touched = random.sample(variables, random.choice([1, 1, 2]))
        effects = tuple((at, random.choice(kinds), random.randint(1, 3)) for at in touched)
        moves.append(
            Move(
                f"move_{index}",
                equalities(random.choice([0, 1, 1, 2])),
                effects,
                choices,
                random.choice([None, None, None, 1, 2]),
                moves[-1].name if moves and random.random() < 0.15 else None,
            )
        )
    bad = equalities(random.choice([1, 2, 2, 3, 4]))
    if not any(value for _, value in bad):
        bad = ((bad[0][0], 1), *bad[1:])
    raises = random.random() < 0.3
    leaky = random.choice(variables)
    return System(
        sizes,
        tuple(moves),
        bad,
        raises,
        forgotten=leaky if leak in {"forgotten", "forgotten and hidden"} else None,
        hidden=leaky if leak in {"hidden", "forgotten and hidden"} else None,
    )


class Store(MemoryAdapter):
    """Holds variables, of which one may not roll back and one may not be observed."""

    def __init__(self, system: System) -> None:
        super().__init__(dict.fromkeys(range(len(system.sizes)), 0))
        self.system = system

    @property
    def values_now(self) -> Values:
        return tuple(self.data[at] for at in range(len(self.system.sizes)))

    def rollback(self, handle: Handle) -> None:
        kept = dict(self.data)
        super().rollback(handle)
        if self.system.forgotten is not None:
            self.data[self.system.forgotten] = kept[self.system.forgotten]

    def observe(self) -> Observation:
        shown = {f"v{at}": self.data[at] for at in self.data if at != self.system.hidden}
        return Observation.create("store", shown)


def make_world(system: System) -> World:
    store = Store(system)
    return World(store, {"store": store})


def as_action(system: System, move: Move) -> Action:
    def execute(api: Store, context: Context, chosen: int = 0) -> None:
        after = move.apply(system.sizes, api.values_now, chosen)
        api.data.update(enumerate(after))

    return Action(
        move.name,
        execute,
        arguments={"chosen": st.integers(0, move.choices - 1)} if move.choices else {},
        preconditions=[move.required] if move.required else [],
        max_calls=move.max_calls,
    )


@attrs.frozen
class Told:
    """What a run said: the path of the violation it found, or what ended it."""

    path: tuple[Step, ...] | None
    error: Exception | None
    record: Any
    seen_bad: int


def explore(system: System, number: int, *, own_world: bool, examples: int = EXAMPLES) -> Told:
    seen_bad = 0

    def holds(world: World) -> bool:
        nonlocal seen_bad
        is_bad = system.is_bad(world.api.values_now)
        seen_bad += is_bad
        return not is_bad

    def look(api: Store, context: Context) -> None:
        assert not system.is_bad(api.values_now)

    actions = [as_action(system, move) for move in system.moves]
    if system.raises:
        actions.append(Action("look", look))
    machine = venom_machine(
        (lambda: make_world(system)) if own_world else make_world(system),
        actions,
        [] if system.raises else [Invariant("rule", holds)],
        on_divergence="warn",
    )
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(machine), settings=chosen)
    except (InvariantViolated, AssertionError) as error:
        record = machine.last_run
        assert record is not None
        (violation,) = record.violations
        return Told(violation.reproduction_path, error, record, seen_bad)
    except RollbackError as error:
        return Told(None, error, machine.last_run, seen_bad)
    return Told(None, None, machine.last_run, seen_bad)


def shown(values: Values) -> Mapping[str, int]:
    return {f"v{at}": value for at, value in enumerate(values)}


def assert_real(system: System, told: Told) -> None:
    assert told.path is not None
    assert system.fails_at_the_end_of(told.path), f"false violation: {told.path} in {system}"
    # Without its record a run is shrunk by Hypothesis alone.
    if (distance := system.distance()) is not None and told.record.divergence is None:
        assert len(told.path) <= distance + 1, f"{told.path} in {system}"


def assert_recorded_as_it_is(system: System, told: Told) -> None:
    graph = told.record.graph
    moves = {move.name: move for move in system.moves}
    for transition in graph.transitions:
        before, after = (
            graph.states[at].observations["store"].data
            for at in (transition.from_id, transition.to_id)
        )
        expected = before
        if move := moves.get(transition.action):
            chosen = transition.step.arguments.get("chosen", 0)
            expected = shown(move.apply(system.sizes, tuple(before.values()), chosen))
        assert after == expected, f"{transition} in {system}"


@pytest.mark.parametrize("number", range(SYSTEMS))
def test_a_run_agrees_with_brute_force(number: int) -> None:
    """A violation is real, and none that was near or seen is lost."""
    system = make_system(number)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = explore(system, number, own_world=bool(number % 2))
    assert_recorded_as_it_is(system, told)
    if told.path is not None:
        assert_real(system, told)
        return
    distance = system.distance()
    assert told.error is None
    assert not told.seen_bad, f"lost: {system}"
    if distance is not None and distance <= SURELY_FOUND:
        # Not met by chance; it is with more test cases.
        told = explore(system, number, own_world=bool(number % 2), examples=20 * EXAMPLES)
        assert_real(system, told)


def test_violations_are_shown_as_short_as_can_be() -> None:
    """In all but a few, where no test case was left to explore with after the first failure."""
    longer = {}
    systems = range(10_000, 10_000 + SYSTEMS)
    for number in systems:
        system = make_system(number)
        told = explore(system, number, own_world=True)
        distance = system.distance()
        if told.path is not None and distance is not None and len(told.path) > distance:
            longer[number] = f"{told.path} for {distance}"
    assert len(longer) <= len(systems) // 30, longer


LEAKS = ["forgotten", "hidden", "forgotten and hidden"]


@pytest.mark.parametrize("number", range(SYSTEMS))
def test_a_leak_makes_no_false_violation(number: int) -> None:
    """What a rollback forgets, or nobody observes, is never told as a bug of the system."""
    system = make_system(number, LEAKS[number % len(LEAKS)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        told = explore(system, number, own_world=True)
    if told.path is not None:
        assert_real(system, told)
    elif isinstance(told.error, RollbackError):
        assert f"store.v{system.forgotten}: " in str(told.error)


def test_a_rule_over_what_nobody_observes_is_not_lost() -> None:
    """One step breaks the rule, in a variable that the World does not show."""
    flip = Move("flip", (), ((0, "set", 1),), 0, None, None)
    told = explore(System((2,), (flip,), ((0, 1),), False, hidden=0), 0, own_world=True)
    assert told.path is not None
