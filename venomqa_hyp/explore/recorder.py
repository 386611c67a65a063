"""Executes steps in the World, each of them once, and remembers what came of them."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Any

import attrs

from venomqa_hyp.core import (
    Action,
    ActionResult,
    Graph,
    Invariant,
    Place,
    State,
    Step,
    Transition,
    Verdict,
    snapshot,
    volatile_places,
)
from venomqa_hyp.errors import DivergenceError, RollbackError
from venomqa_hyp.explore.differences import describe
from venomqa_hyp.explore.renames import Renames
from venomqa_hyp.world import Chain, Mover, World

#: States that keep their observations; of the others only digests are left.
DETAILED_STATES = 1_000

_Data = Mapping[str, Any]


class Recorder:
    """The execution memo: a graph of what was executed, and the World that executes the rest.

    A step is identified by the state it leaves, its action and its arguments, so two paths that
    end in the same state share everything that follows.

    What this rests on is checked: the first execution of each action is undone and done again, and
    every later execution of a recorded step is compared with its record. Values that differ by
    nature (clocks, random ids) are left out when states are compared from then on; any other
    difference is a divergence.

    :param on_step: called after each execution.
    :ivar volatile: for each system, and for ``"context"``, the places that are left out.
    """

    def __init__(
        self,
        world: World,
        actions: Iterable[Action],
        invariants: Iterable[Invariant] = (),
        *,
        on_step: Callable[["Recorder"], None] | None = None,
    ) -> None:
        world.check_ready()
        self.world = world
        self.actions: Mapping[str, Action] = MappingProxyType({item.name: item for item in actions})
        self.invariants = tuple(invariants)
        self.graph = Graph(world.observe())
        self.mover = Mover(world, self.graph, self._repeat)
        self.volatile: dict[str, frozenset[Place]] = {}
        self.executions: Counter[str] = Counter()
        self.recalled = 0
        self.repeated = 0
        self._proven: set[str] = set()
        self._renames = Renames(self.actions)
        self._all_hold = tuple([Verdict(item) for item in self.invariants])
        self._plain_results: dict[tuple[bool, int | None, str | None], ActionResult] = {}
        self._detailed: OrderedDict[str, None] = OrderedDict()
        self._verdicts: dict[str, tuple[Verdict, ...]] = {}
        self._failed: set[Chain] = set()
        self._invariants_write = False
        self._on_step = on_step

    def exchange(self, world: World) -> None:
        """Go on in another World; where it begins in another state, with a new graph."""
        world.check_ready()
        self.world = world
        arrived, expected = self.observe(), self.graph.initial
        if arrived.id == self._identified(expected).id:
            self.graph.replace(attrs.evolve(arrived, id=expected.id))
            self._renames.note_contexts(expected.context, arrived.context)
        else:
            self.graph = Graph(arrived)
            self._renames = Renames(self.actions)
            self._verdicts.clear()
            self._detailed.clear()
        self.mover = Mover(world, self.graph, self._repeat)

    def take(self, state_id: str, step: Step, key: str) -> Transition:
        """Return the transition for a step in a state, executing it if nobody did so yet.

        :param key: ``step.key``, which the caller has at hand.
        :raises DivergenceError: when the World did not repeat itself.
        :raises RollbackError: when rolling back does not bring a state back.
        """
        known = self.graph.find(state_id, key)
        if known is not None:
            self.recalled += 1
            return known
        self.mover.go(state_id)
        if step.action in self._proven:
            self.mover.leave()
            result, arrived = self._execute(step, key)
        else:
            result, arrived = self._execute_twice(state_id, step, key)
        transition = Transition(state_id, step, arrived.id, self._trim(step, result))
        self._add(transition, key, arrived)
        if result.exception is not None:
            self.saw_failure(self.mover.chain)
        return transition

    def cost(self, state_id: str, action: str) -> int:
        """Return how many calls of actions it takes at most to execute one in a state."""
        return self.mover.distance(state_id) + (1 if action in self._proven else 2)

    def verdicts(self, state_id: str) -> tuple[Verdict, ...]:
        """Return what every invariant says of a state, asking them if nobody did so yet."""
        known = self._verdicts.get(state_id)
        if known is None:
            known = self._judge_all(state_id)
            if all(verdict.holds for verdict in known):
                known = self._all_hold
            else:
                self.saw_failure(self.mover.chain)
            self._verdicts[state_id] = known
        return known

    def judge(self, invariant: Invariant) -> Verdict:
        """Ask an invariant about the World as it is, and undo what it changes."""
        if not self._invariants_write:
            return self.world.judge(invariant)
        before = self.world.checkpoint(invariant.name)
        try:
            return self.world.judge(invariant)
        finally:
            self.world.rollback(before)
            self.world.forget(before)

    def lend(self, state_id: str) -> World:
        """Return the World in a state; whoever asks for it is not to change it."""
        self.mover.go(state_id)
        return self.world

    def saw_failure(self, chain: Chain) -> None:
        """Note that a failure was seen after exactly these steps were executed."""
        self._failed.add(chain)

    def has_seen_failure(self, chain: Chain) -> bool:
        """Return whether a failure was seen after exactly these steps, none of them inferred."""
        return chain in self._failed

    @property
    def executed(self) -> int:
        """How many times an action was called."""
        return self.executions.total()

    def act(self, step: Step) -> ActionResult:
        """Execute a step in the World as it is, and count it."""
        self.executions[step.action] += 1
        try:
            # What has no digest, as st.data(), is not to be copied either.
            given = step.arguments if step.key is None else snapshot(dict(step.arguments))
            return self.world.act(self.actions[step.action], given)
        finally:
            if self._on_step is not None:
                self._on_step(self)

    def observe(self) -> State:
        """Observe the World, leaving out of the id what is volatile."""
        return self._identified(self.world.observe())

    def _identified(self, seen: State) -> State:
        if not self.volatile:
            return seen
        identified = self.world.identify(seen.observations, seen.context, self.volatile)
        return attrs.evolve(seen, id=identified)

    def _execute(self, step: Step, key: str) -> tuple[ActionResult, State]:
        start = perf_counter()
        here, self.mover.here = self.mover.here, None  # until the step is through
        result = self.act(self._renames.apply(step, self.world.context))
        arrived = self.observe()
        self.mover.here = here
        self.mover.arrive(arrived, key, perf_counter() - start)
        return result, arrived

    def _execute_twice(self, state_id: str, step: Step, key: str) -> tuple[ActionResult, State]:
        """Execute an action the first time, undo it, look whether that worked, and do it again."""
        self.mover.save()
        first = self._execute(step, key)
        self._proven.add(step.action)
        self.mover.go(state_id)
        self._check_restored(self.graph.states[state_id], step)
        self.repeated += 1
        result, arrived = self._execute(step, key)
        self._compare(step, first, (result, arrived))
        arrived = self._identified(arrived)
        self.mover.find_again(arrived, self.mover.chain)
        return result, arrived

    def _check_restored(self, before: State, step: Step) -> None:
        restored = self.world.observe()
        if restored.exact == before.exact:
            return
        self.mover.lose()
        self.mover.go(before.id)
        again = self.world.observe()
        self.mover.lose()
        if again.exact != before.exact:
            raise RollbackError(
                f"rolling back did not undo {step}: {describe(before, again)}. A system of the "
                "World does not reach what the API writes (another database, a connection of its "
                "own that never sees the commit), or cannot restore it."
            )
        raise DivergenceError(
            f"something changed the World after {step} was rolled back: "
            f"{describe(before, restored)}. Wait for work in the background with "
            "World(..., settle=...)."
        )

    def _repeat(self, transition: Transition) -> None:
        key = transition.step.key
        assert key is not None, "only steps with a key are recorded"
        self.repeated += 1
        result, arrived = self._execute(transition.step, key)
        expected = self.graph.states[transition.to_id]
        if arrived.exact == expected.exact:
            return
        self._compare_outcomes(transition.step, transition.result, result)
        if arrived.id != expected.id:
            self._compare(transition.step, (transition.result, expected), (result, arrived))
        self._renames.note_contexts(expected.context, arrived.context)
        if self.actions[transition.action].target is not None:
            self._renames.note_values(transition.result.value, result.value)
        known = attrs.evolve(arrived, id=expected.id)
        self.graph.replace(known if known.id in self._detailed else known.without_data())
        self.mover.find_again(known, self.mover.chain)

    def _compare_outcomes(self, step: Step, first: ActionResult, second: ActionResult) -> None:
        if _outcome(first) != _outcome(second):
            self.mover.lose()
            raise DivergenceError(
                f"{step} was executed twice from the same state: first it {_outcome(first)}, then "
                f"it {_outcome(second)}."
            )

    def _compare(
        self, step: Step, first: tuple[ActionResult, State], second: tuple[ActionResult, State]
    ) -> None:
        """Find what is volatile by two executions of a step, or say that they diverge."""
        (result, expected), (repeated, arrived) = first, second
        self._compare_outcomes(step, result, repeated)
        if expected.exact == arrived.exact:
            return
        for part, old, new in self._differing(expected, arrived):
            places = volatile_places(old, new)
            if places is None:
                self.mover.lose()
                raise DivergenceError(
                    f"{step} was executed twice from the same state and led to different ones: "
                    f"{describe(expected, arrived)}."
                )
            if places:
                self.volatile[part] = self.volatile.get(part, frozenset()) | places

    def _differing(self, one: State, other: State) -> list[tuple[str, _Data, _Data]]:
        parts = [
            (part, seen.data, other.observations[part].data)
            for part, seen in one.observations.items()
            if seen != other.observations[part]
        ]
        telling = self.world.telling
        return [*parts, ("context", telling(one.context), telling(other.context))]

    def _trim(self, step: Step, result: ActionResult) -> ActionResult:
        """Keep of a result what is needed later: there is one for each step of the run."""
        if result.exception is not None:
            return result
        if self.actions[step.action].target is not None and result.success:
            return result
        told = (result.success, result.status, result.error)
        known = self._plain_results.get(told)
        if known is None:
            known = ActionResult(result.success, status=result.status, error=result.error)
            self._plain_results[told] = known
        return known

    def _add(self, transition: Transition, key: str, arrived: State) -> None:
        """Add to the graph, where only the newest states keep what was observed."""
        known = len(self.graph)
        self.graph.add(transition, key, arrived)
        if len(self.graph) == known:
            return
        self._detailed[arrived.id] = None
        if len(self._detailed) > DETAILED_STATES:
            oldest, _ = self._detailed.popitem(last=False)
            self.graph.replace(self.graph.states[oldest].without_data())

    def _judge_all(self, state_id: str) -> tuple[Verdict, ...]:
        self.mover.go(state_id)
        verdicts = tuple([self.judge(item) for item in self.invariants])
        if self._invariants_write or not verdicts:
            return verdicts
        if self.world.observe().exact == self.graph.states[state_id].exact:
            return verdicts
        # One of them changes the World: ask again, each of them in the state itself.
        self._invariants_write = True
        self.mover.lose()
        return self._judge_all(state_id)


def _outcome(result: ActionResult) -> str:
    if result.exception is not None:
        return f"raised {type(result.exception).__name__}"
    return "succeeded" if result.success else f"failed ({result.status or 'no answer'})"
