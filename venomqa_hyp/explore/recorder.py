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
    names_in,
    rename,
    snapshot,
    volatile_places,
)
from venomqa_hyp.errors import DivergenceError, RollbackError
from venomqa_hyp.explore.cursor import Cursor, key_of
from venomqa_hyp.explore.differences import describe
from venomqa_hyp.explore.renames import Renames, results
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
    :ivar succeeded: the names of the actions that did so at least once.
    :ivar refusals: action name -> what its last failure said.
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
        self._known_as: dict[str, str] = {}
        self.executions: Counter[str] = Counter()
        self.succeeded: set[str] = set()
        self.refusals: dict[str, str] = {}
        self.recalled = 0
        self.repeated = 0
        self._proven: set[str] = set()
        self._recall_proven: set[str] = set()
        self._merged_at: Chain | None = None
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
            self._known_as.clear()
            self._renames = Renames(self.actions)
            self._verdicts.clear()
            self._detailed.clear()
        self.mover = Mover(world, self.graph, self._repeat)

    def take(self, state_id: str, step: Step, key: str) -> Transition:
        """Return the transition for a step in a state, executing it if nobody did so yet.

        :param key: ``key_of(step, ...)``, which the caller has at hand.
        :raises DivergenceError: when the World did not repeat itself.
        :raises RollbackError: when rolling back does not bring a state back.
        """
        known = self.graph.find(state_id, key)
        if known is not None:
            self._check_recalled(known)
            self.recalled += 1
            return known
        named = Cursor(self.graph.states[state_id])
        self.mover.go(state_id)  # which may make random ids anew
        step = named.renamed(step, self.actions[step.action], self.graph.states[state_id])
        if step.action in self._proven:
            self.mover.leave()
            result, arrived = self._execute(step, key)
        else:
            result, arrived = self._execute_twice(state_id, step, key)
        transition = self._transition(self.graph.states[state_id], step, result, arrived)
        if arrived.id in self.graph.states:
            self._merged_at = self.mover.chain
        self._add(transition, key, arrived)
        if result.exception is not None:
            self.saw_failure(self.mover.chain)
        elif arrived.id in self._verdicts:
            self._ask_again(step, arrived)
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
            result = self.world.act(self.actions[step.action], given)
            if result.success:
                self.succeeded.add(step.action)
            else:
                self.refusals[step.action] = result.error or "failed"
            return result
        finally:
            if self._on_step is not None:
                self._on_step(self)

    def observe(self) -> State:
        """Observe the World, leaving out of the id what is volatile."""
        return self._identified(self.world.observe())

    def _identified(self, seen: State) -> State:
        if not self.volatile:
            return seen
        identified = self.world.identify(seen, self.volatile)
        known_as = self._known_as.get(identified.id, identified.id)
        return attrs.evolve(identified, id=known_as)

    def _leave_out(self, part: str, places: frozenset[Place]) -> None:
        """Leave out volatile places from now on, and find known states by what is left."""
        if places <= self.volatile.get(part, frozenset()):
            return
        self.volatile[part] = self.volatile.get(part, frozenset()) | places
        for known in [self.graph.initial, *(self.graph.states[at] for at in self._detailed)]:
            identified = self.world.identify(known, self.volatile)
            self._known_as.setdefault(identified.id, known.id)
            self.graph.replace(attrs.evolve(known, names=identified.names))

    def _transition(
        self, before: State, step: Step, result: ActionResult, arrived: State
    ) -> Transition:
        kept_result = self._trim(step, result)
        if not before.names and not arrived.names:
            return Transition(before.id, step, arrived.id, kept_result)
        old, new = before.numbers, arrived.numbers
        kept = tuple([new.get(name) for name in before.names])
        made = [name for value in results(kept_result.value) for name in names_in(value)]
        return Transition(
            before.id,
            step,
            arrived.id,
            kept_result,
            given={name: old[name] for name in names_in(step.arguments) if name in old},
            made={name: new[name] for name in made if name in new},
            kept=None if kept == tuple(range(len(kept))) else kept,
        )

    def _execute(self, step: Step, key: str) -> tuple[ActionResult, State]:
        start = perf_counter()
        here, self.mover.here = self.mover.here, None  # until the step is through
        names = () if here is None else self.graph.states[here].names
        result = self.act(self._renames.apply(step, self.world.context, names))
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
        self._check_stable(restored)
        self.mover.lose()
        self.mover.go(before.id)
        again = self.world.observe()
        self.mover.lose()
        if again.exact != before.exact:
            raise RollbackError(
                f"rolling back did not undo {step}: {describe(before, again)}. A system of the "
                "World does not reach what the API writes (another database, a connection of its "
                "own that never sees the commit), or cannot restore it; or the API still wrote "
                "after it answered: wait for that with World(..., settle=...)."
            )
        raise DivergenceError(
            f"something changed the World after {step} was rolled back: "
            f"{describe(before, restored)}. Wait for work in the background with "
            "World(..., settle=...)."
        )

    def _check_stable(self, seen: State) -> None:
        """Look again: what changes while nobody acts is no leak."""
        again = self.world.observe()
        if again.exact != seen.exact and self.world.observe().exact != again.exact:
            raise RollbackError(
                f"the observation is not stable, it changes while nothing acts: "
                f"{describe(seen, again)}. Leave out of what is observed what is made anew each "
                "time it is read, or wait for work in the background with World(..., settle=...)."
            )

    def _repeat(self, transition: Transition) -> None:
        key = key_of(transition.step, transition.given)
        assert key is not None, "only steps with a key are recorded"
        self.repeated += 1
        names = self.graph.states[transition.from_id].names
        renames = {old: names[at] for old, at in transition.given.items() if at < len(names)}
        arguments = rename(dict(transition.step.arguments), renames)
        step = attrs.evolve(transition.step, arguments=arguments) if renames else transition.step
        result, arrived = self._execute(step, key)
        expected = self.graph.states[transition.to_id]
        if arrived.exact == expected.exact:
            return
        self._compare_outcomes(transition.step, transition.result, result)
        if arrived.id != expected.id:
            self._compare(transition.step, (transition.result, expected), (result, arrived))
            arrived = self._identified(arrived)
        self._renames.note_contexts(expected.context, arrived.context)
        self._renames.note_results(transition.action, transition.result.value, result.value)
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
                self._leave_out(part, places)

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

    def _ask_again(self, step: Step, arrived: State) -> None:
        """Ask the invariants in a known state that a new step led to: they must say the same."""
        verdicts = [self.judge(item) for item in self.invariants]
        if not verdicts:
            return
        if not self._invariants_write and self.world.observe().exact != arrived.exact:
            self._invariants_write = True
            self.mover.lose()
            return
        for known, now in zip(self._verdicts[arrived.id], verdicts, strict=True):
            if known.holds != now.holds:
                if not now.holds:
                    self.saw_failure(self.mover.chain)
                self.mover.lose()
                first, then = ("holds" if item.holds else "is broken" for item in (known, now))
                raise DivergenceError(
                    f"{step} led to a state that another path had led to, where "
                    f"{known.invariant.name} {first}, but now it {then}: "
                    f"{known.message or now.message}."
                )

    def _check_recalled(self, known: Transition) -> None:
        """Execute a recorded step where it was not executed before, once for each action.

        That is where another path led to the state it leaves, and the World is there.
        """
        is_elsewhere = self._merged_at is None or self.mover.chain != self._merged_at
        if is_elsewhere or known.action in self._recall_proven:
            return
        if self.mover.is_at(known.from_id):
            self._recall_proven.add(known.action)
            self.mover.leave()
            self._repeat(known)

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
