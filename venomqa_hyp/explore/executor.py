"""Executes steps in the World, and takes it to the positions that steps are executed from."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter, time

import attrs
from hypothesis.errors import UnsatisfiedAssumption

from venomqa_hyp.core import Action, ActionResult, State, Step
from venomqa_hyp.errors import DigestError
from venomqa_hyp.explore.given import Drawn
from venomqa_hyp.explore.late import Latecomers
from venomqa_hyp.explore.position import (
    Draft,
    Pools,
    Position,
    Rules,
    Taken,
    held_text,
    results,
    translated,
)
from venomqa_hyp.explore.reads import Reads
from venomqa_hyp.explore.shape import kind_of
from venomqa_hyp.explore.tally import Tally
from venomqa_hyp.values import (
    Knowledge,
    Made,
    Name,
    Shown,
    canonical_text,
    hash_text,
    snapshot,
    text_of,
)
from venomqa_hyp.world import Mover, World

#: States that keep what was observed; of the others only digests are left.
DETAILED_STATES = 1_000
#: So many makers of one action are told apart by what was drawn.
MAKERS_PER_ACTION = 16


@attrs.frozen(eq=False)
class Execution:
    """What came of one execution of a step.

    :ivar base: the position before.
    :ivar left: the pools without what the step consumed.
    :ivar arrived: the state it led to.
    :ivar made: what it left behind.
    :ivar chain: the steps executed before it.
    """

    base: Position
    left: Pools
    draft: Draft
    step: Step
    picks: Mapping[str, int]
    result: ActionResult
    arrived: State
    made: Made
    seconds: float
    chain: int


class Executor:
    """The World of one run, with everything that is counted of it.

    :param on_step: called after each execution.
    :ivar start: where every path begins.
    :ivar tally: what came of the actions and invariants.
    """

    def __init__(
        self, world: World, rules: Rules, on_step: Callable[[], None] | None = None
    ) -> None:
        self.rules = rules
        self.knowledge = Knowledge(world.volatile)
        self._aliases: dict[str, str] = {}
        self._aliased: set[str] = set()
        self._merged: dict[str, str] = {}
        self.tally = Tally(rules.actions)
        self.latecomers = Latecomers(world)
        self.reads = Reads()
        self._on_step = on_step
        self._renumbered: dict[str, tuple[int, str]] = {}
        self._makers: dict[str, set[str]] = {}
        self._initial: State | None = None
        self._details: OrderedDict[str, State] = OrderedDict()
        self.exchange(world)

    def exchange(self, world: World) -> None:
        """Go on in a World, from where it is."""
        world.check_ready()
        self.world = world
        self.latecomers.world = world
        seen = world.observe()
        if self._initial is None:
            self.knowledge.begin(world.shown(seen))
        else:
            self.knowledge.begin_again(world.shown(self._initial), world.shown(seen))
        self._initial = seen
        self.start = self.rules.start(self.identified(seen, ()))
        self.mover: Mover[Position] = Mover(world, self.start)

    @property
    def initial(self) -> Shown:
        """What the World showed when it was opened."""
        assert self._initial is not None
        return self.world.shown(self._initial)

    def begin_as(self, other: Shown) -> bool:
        """Number what is another atom in another World's initial state; return whether that is all.

        Before anything is executed.
        """
        if not self.knowledge.begin_again(other, self.initial):
            return False
        assert self._initial is not None
        self.start = self.rules.start(self.identified(self._initial, ()))
        self.forget_checkpoints()
        return True

    def forget_checkpoints(self) -> None:
        """Take the World back to the start, and keep no other checkpoint."""
        self.mover.close()
        self.mover = Mover(self.world, self.start)

    @property
    def executed(self) -> int:
        """How many times an action was called."""
        return self.tally.executed

    def enables(self, at: Position, action: Action, find_world: Callable[[], World]) -> bool:
        """Return whether an action may be executed at a position, and count it.

        :param find_world: returns the World at that position, for guards that ask for it.
        """
        enabled = self.rules.enables(at, action, find_world)
        return self.tally.tried(action.name, enabled=enabled)

    def act(self, step: Step) -> ActionResult:
        """Execute a step in the World as it is, and count it."""
        self.tally.called(step.action)
        try:
            # What has no digest, as st.data(), is not to be copied either.
            given = step.arguments if step.key is None else snapshot(dict(step.arguments))
            return self.world.act(self.rules.actions[step.action], given)
        except UnsatisfiedAssumption:
            self.tally.rejected(step.action)
            raise
        finally:
            if self._on_step is not None:
                self._on_step()

    def execute(self, base: Position, draft: Draft, *, look: bool = False) -> Execution | None:
        """Execute a step from where the World is; ``None`` where it cannot run.

        :param base: that place, in the values that the World has.
        :param look: whether to look for writes that come after the reply.
        """
        resolved = self.rules.resolve(base, draft)
        if resolved is None:
            return None
        step, picks, left = resolved
        before, since, chain = base.state, time(), self.mover.chain
        self.mover.lose()  # until the step is through
        shown = self.world.observe() if look else self.latecomers.before()
        start, asked = perf_counter(), self.reads.begin(self.world)
        result = self.act(step)
        arrived = self.latecomers.observe(step.action, result, shown, look=look)
        seconds = perf_counter() - start
        if arrived.exact == before.exact:
            self.reads.note(step.action, self.world, arrived, asked)
        after = self.shown_after(arrived, draft.action, result)
        drawn = [given.value for given in draft.given.values() if isinstance(given, Drawn)]
        made = Made(
            self._maker(step.action, drawn, result),
            self._label(step),
            {part: digest for part, (digest, _) in self.world.shown(before).items()},
            before.atoms | self.knowledge.atoms_in(drawn),
            after,
            since,
            time(),
        )
        return Execution(base, left, draft, step, picks, result, arrived, made, seconds, chain)

    def seen_later(self, execution: Execution) -> Execution:
        """Look once more at where an execution led: something may still have been written."""
        seen = self.latecomers.look_again(execution.arrived)
        if seen.exact == execution.arrived.exact:
            return execution
        after = self.shown_after(seen, execution.draft.action, execution.result)
        made = attrs.evolve(execution.made, after=after, until=time())
        return attrs.evolve(execution, arrived=seen, made=made)

    def arrive(self, execution: Execution, key: object) -> Position:
        """Note where an execution took the World, and return the position there.

        :param key: tells the step from others in the same state.
        """
        when = (execution.made.since, execution.made.until)
        taken = Taken(execution.draft, execution.step, execution.picks, execution.result, when)
        position = self.rules.after(execution.base, execution.left, taken, execution.arrived, key)
        state = self.identified(execution.arrived, self.rules.bundled(position))
        position = attrs.evolve(position, state=state)
        self.mover.arrive(position, hash((execution.chain, key)), execution.seconds)
        return position

    def identified(self, seen: State, held: Iterable[object]) -> State:
        """Return a state with the id that it has but for fresh atoms, and with these.

        Without what was observed: states are kept for long. :meth:`with_data` has it for a while.
        """
        shown = self.world.shown(seen)
        named = self.knowledge.identify(shown, held)
        known = self._known_id(self._aliases.get(named.identity, named.identity))
        if seen.exact not in self._details:
            self._details[seen.exact] = seen
            if len(self._details) > DETAILED_STATES:
                self._details.popitem(last=False)
        return attrs.evolve(
            seen.without_data(),
            id=known,
            names=named.names,
            atoms=self.knowledge.atoms(shown),
            version=self.knowledge.version,
        )

    def renumbered(self, at: Position) -> Position | None:
        """Return a position with its fresh atoms numbered by what is known now.

        ``None`` where what was observed there is not at hand any more, or is another state now.
        """
        state, version = at.state, self.knowledge.version
        if state.version == version:
            return at
        if not self.has_data(state):
            return None
        now = self.identified(self.with_data(state), self.rules.bundled(at))
        state_id = self._known_id(state.id)
        if now.id != state_id:
            since, known = self._renumbered.get(state_id, (-1, ""))
            if since == version and known != now.id:
                return None  # what was learned tells it from others that it was taken for
            self._renumbered[state_id] = version, now.id
            if now.id not in self._aliased or state_id == self.start.state.id:
                # Else it is that state, by what was learned.
                self._alias(now.id, state_id)
                now = attrs.evolve(now, id=state_id)
        return attrs.evolve(at, state=now)

    def relabelled(self, at: Position) -> Position:
        """Return a position by the id of the state that its own turned out to be, if it did."""
        return attrs.evolve(at, state=attrs.evolve(at.state, id=self._known_id(at.state.id)))

    def translated(self, at: Position, to: Position) -> Position | None:
        """Return a position with the values that another path holds in the same state.

        ``None`` where one of the values cannot be exchanged.
        """
        if at.state.exact == to.state.exact:
            return attrs.evolve(at, state=to.state)
        one, other = self.renumbered(at), self.renumbered(to)
        if one is None or other is None:
            return None
        return translated(one, other, self.rules, self.knowledge)

    def names_between(self, at: Position, to: Position) -> dict[Name, Name]:
        """Return what the fresh atoms of a state are called where another path holds it."""
        one, other = self.renumbered(at), self.renumbered(to)
        if at.state.exact == to.state.exact or one is None or other is None:
            return {}
        pairs = zip(one.state.names, other.state.names, strict=False)
        return {old: new for old, new in pairs if old != new}

    def would_revive(self, at: Position, after: Position) -> bool:
        """Return whether a recorded step made what a path holds already, and that names nothing."""
        if not self.knowledge.fresh or after.taken is None:
            return False
        values = self.rules.bundled(at)
        dead = {name for value in values for name in self.knowledge.atoms_in(value)}
        dead -= at.state.numbers.keys()
        made = self.knowledge.atoms_in(results(after.taken.result.value))
        return bool(dead) and not dead.isdisjoint(made | after.state.numbers.keys())

    def known_as(self, there: Position, execution: Execution, state_id: str) -> Position:
        """Note that an execution led to a known state after all, and return the position there."""
        found = self.identified(execution.arrived, self.rules.bundled(there))
        if found.id != state_id:
            self._alias(found.id, state_id)
        there = attrs.evolve(there, state=attrs.evolve(found, id=state_id))
        self.mover.arrive(there, self.mover.chain)
        return there

    def _known_id(self, state_id: str) -> str:
        return self._merged.get(state_id, state_id)

    def _alias(self, identity: str, state_id: str) -> None:
        """Know a state that is identified anew by the id it had."""
        self._aliases[identity] = state_id
        self._aliased.add(state_id)

    def merge(self, into: Mapping[str, str]) -> None:
        """Know states from now on by the ids of others, which they are."""
        for known in (self._aliases, self._merged):
            known.update(
                {key: into[state_id] for key, state_id in known.items() if state_id in into}
            )
        self._merged |= into
        self._aliased = set(self._aliases.values())

    def with_data(self, state: State) -> State:
        """Return a state with what was observed, if it was seen lately."""
        seen = self._details.get(state.exact)
        return state if seen is None else attrs.evolve(state, observations=seen.observations)

    def has_data(self, state: State) -> bool:
        """Return whether what was observed is still at hand."""
        return state.exact in self._details

    def key_of(self, at: Position, step: Step) -> str | None:
        """Return the text that tells a step from others in a state; ``None`` where none does."""
        if step.key is None or not self.knowledge.fresh or not step.arguments:
            return step.key
        return step.action + held_text(dict(step.arguments), at.state, self.knowledge)

    def shown_after(self, arrived: State, action: Action, result: ActionResult) -> Shown:
        """Return what a step left: the state, and what it adds to a Bundle as one more part."""
        shown = self.world.shown(arrived)
        if action.target is None or not result.success:
            return shown
        values = results(result.value)
        try:
            return {**shown, "result": (canonical_text(values), values)}
        except DigestError:
            return shown

    def stand(self, at: Position) -> Position | None:
        """Take the World to a state by a checkpoint, where one will do.

        :return: the position, in the values that the World has then.
        """
        here = self.mover.here
        if here is not None and here.state.id == at.state.id:
            found = self.translated(at, here)
            if found is not None:
                return found
        saved = self.mover.saved(at.state.id)
        found = None if saved is None else self.translated(at, saved)
        if found is not None:
            self.mover.go_back(at.state.id)
        return found

    def _maker(self, action: str, drawn: Iterable[object], result: ActionResult) -> str:
        """Return what a step was, as far as it decides what is made anew."""
        kinds = repr([_exactly_or_kind(value) for value in drawn])
        maker = f"{action} {result.status} {result.success} {kinds}"
        known = self._makers.setdefault(action, set())
        if maker not in known and len(known) >= MAKERS_PER_ACTION:
            return action
        known.add(maker)
        return maker

    def _label(self, step: Step) -> str:
        fresh = self.knowledge.fresh
        try:
            arguments = text_of(self.knowledge.unit(dict(step.arguments)), fresh, {})
        except DigestError:
            arguments = ""
        return hash_text(f"{step.action}({arguments})")


def _exactly_or_kind(value: object) -> object:
    if isinstance(value, str) and len(value) <= 20:
        return value
    if isinstance(value, int) and abs(value) < 10:
        return value
    return kind_of(value)
