"""Remembers what came of each step, so that no step is executed twice."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from venomqa_hyp.core import Action, ActionResult, Graph, Invariant, Step, Transition
from venomqa_hyp.explore import proofs
from venomqa_hyp.explore.checker import Checker
from venomqa_hyp.explore.executor import DETAILED_STATES, Execution, Executor
from venomqa_hyp.explore.position import Chain, Draft, Position, Rules, Taken, source_of
from venomqa_hyp.explore.travel import Traveller
from venomqa_hyp.values import Shown
from venomqa_hyp.world import World


class Unrecordable(Exception):
    """An argument of a step has no digest, so the step cannot be told from others."""


@attrs.frozen(eq=False)
class Record:
    """A step that was executed: the positions before and after it."""

    before: Position
    after: Position


class Recorder:
    """The execution memo: a graph of what was executed, and the World that executes the rest.

    A step is identified by the state it leaves, its action and its arguments, so two paths that
    end in the same state share everything that follows.

    :param sources: ``(argument) -> the pool it is picked from``, or ``None``.
    :ivar distrusted: the actions whose steps are not recorded, as they did not repeat themselves.
    """

    def __init__(
        self,
        world: World,
        actions: Iterable[Action],
        invariants: Iterable[Invariant] = (),
        *,
        sources: Any = source_of,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        self.executor = Executor(world, Rules(actions, sources), on_step)
        self.travel = Traveller(self.executor)
        self.checker = Checker(self.executor, self.travel, invariants)
        self.distrusted: frozenset[str] = frozenset()
        self._proven: set[str] = set()
        self._recall_proven: set[str] = set()
        self._merge_proven: set[tuple[str, str]] = set()
        self._begin()

    def exchange(self, world: World) -> None:
        """Go on in another World; where it begins in another state, with a new graph."""
        self.executor.exchange(world)
        if self.executor.start.state.id != self.graph.initial.id:
            self._begin()

    def begin_as(self, other: Shown) -> None:
        """Give states the ids that they have where another World's initial state came first."""
        if self.executor.begin_as(other):
            self._begin()

    def distrust(self, actions: Iterable[str]) -> None:
        """Record no step of some actions any more, and begin a new graph without them."""
        self.distrusted |= frozenset(actions)
        self.executor.forget_checkpoints()
        self._begin()

    def trusts(self, drafts: Iterable[Draft]) -> bool:
        """Return whether every step may be recorded."""
        return self.distrusted.isdisjoint(draft.action.name for draft in drafts)

    def _begin(self) -> None:
        start = self.executor.start.state
        self.graph = Graph(self.executor.with_data(start))
        self._records: dict[tuple[str, str], Record] = {}
        self.checker.forget()
        self._detailed: OrderedDict[str, Position] = OrderedDict({start.id: self.executor.start})
        self._version = self.executor.knowledge.version
        self._merged_at: Chain | None = None

    def take(self, at: Position, draft: Draft) -> Position | None:
        """Return the position after a step, executing it if nobody did so yet.

        ``None`` where it cannot run.

        :raises Unrecordable: it cannot be told from other steps.
        :raises Diverged: the World did not repeat itself.
        :raises RollbackError: rolling back does not bring a state back.
        """
        if not self.trusts([draft]):
            raise Unrecordable
        self._refresh()
        at = self.executor.renumbered(at) or self.travel.go(at)
        resolved = self.executor.rules.resolve(at, draft)
        if resolved is None:
            return None
        key = self.executor.key_of(at, resolved[0])
        if key is None:
            raise Unrecordable
        record = self._records.get((at.state.id, key))
        if record is not None:
            found = self._recall(at, draft, record, key)
            if found is not None:
                self._prove_recall(at, found)
                return self._counted(found, recalled=True)
        execution = self._execute(at, draft)
        return None if execution is None else self._counted(self._add(execution))

    def _counted(self, found: Position, *, recalled: bool = False) -> Position:
        """Count the step that led to a position."""
        taken = found.taken
        assert taken is not None
        name, changed = taken.step.action, found.moved
        self.executor.tally.stepped(name, taken.result, changed=changed, recalled=recalled)
        return found

    def knows(self, at: Position, step: Step) -> bool:
        """Return whether a step was executed already."""
        now = self.executor.renumbered(at)
        key = None if now is None else self.executor.key_of(now, step)
        return now is not None and key is not None and (now.state.id, key) in self._records

    def states_along(self, drafts: Iterable[Draft]) -> tuple[str, ...]:
        """Return the id of the state after each step, up to the first step that is not recorded."""
        at: Position | None = self.executor.start
        found: list[str] = []
        for draft in drafts:
            at = None if at is None else self._recalled(at, draft)
            if at is None:
                break
            found.append(at.state.id)
        return tuple(found)

    def _recalled(self, at: Position, draft: Draft) -> Position | None:
        """Return the position after a step; ``None`` where it is not recorded."""
        now = self.executor.renumbered(at)
        resolved = None if now is None else self.executor.rules.resolve(now, draft)
        if now is None or resolved is None:
            return None
        key = self.executor.key_of(now, resolved[0])
        record = None if key is None else self._records.get((now.state.id, key))
        return None if key is None or record is None else self._recall(now, draft, record, key)

    def cost(self, at: Position, action: str) -> int:
        """Return how many executions it takes at most to execute an action at a position."""
        return self.travel.distance(at) + (1 if action in self._proven else 2)

    def lend(self, at: Position) -> World:
        """Return the World at a position; whoever asks for it is not to change it."""
        self.travel.go(at)
        return self.executor.world

    def _recall(self, at: Position, draft: Draft, record: Record, key: str) -> Position | None:
        """Return the position after a recorded step; ``None`` where values cannot be exchanged."""
        executor, known = self.executor, record.after.taken
        if at.state.names != record.before.state.names:
            other = executor.translated(at, record.before)
            if other is None:
                return None
            at = other
        assert known is not None
        if executor.would_revive(at, record.after):
            return None
        resolved = executor.rules.resolve(at, draft)
        assert resolved is not None, "the same values are held, by other names"
        step, picks, left = resolved
        taken = Taken(draft, step, picks, known.result, known.when)
        return executor.rules.after(at, left, taken, record.after.state, key)

    def _execute(self, at: Position, draft: Draft) -> Execution | None:
        executor, name = self.executor, draft.action.name
        before = executor.executed
        if name not in self._proven or executor.reads.wants(name, at.state):
            try:
                return proofs.twice(executor, self.travel.go, at, draft)
            finally:
                if executor.executed > before:
                    self._proven.add(name)
                    self.travel.repeated += 1
        base = self.travel.go(at)
        executor.mover.leave()
        first = executor.execute(base, draft)
        if first is None or not executor.knowledge.note(first.made):
            return first
        # It left atoms of which nobody knows yet whether they are made anew.
        self.travel.repeated += 1
        second = executor.execute(self.travel.go(at), draft)
        assert second is not None, "it could run from the same position"
        try:
            return proofs.same(executor, first.step, (first.result, first.made), second)
        except proofs.Diverged:
            # It may have been observed before it had written all: that is looked for there.
            return proofs.twice(executor, self.travel.go, at, draft)

    def _add(self, execution: Execution) -> Position:
        """Add a step that was executed to the graph, and look at where it led."""
        self._refresh()
        base = execution.base
        before = self.executor.renumbered(base) or self.executor.relabelled(base)
        key = self.executor.key_of(before, execution.step)
        assert key is not None, "it was told from others"
        self._note_path(before)
        position = self.executor.arrive(attrs.evolve(execution, base=before), key)
        taken = position.taken
        assert taken is not None
        arrived, result = position.state, self._trimmed(taken)
        kept = attrs.evolve(position, taken=attrs.evolve(taken, result=result), parent=None)
        before = attrs.evolve(before, parent=None, taken=None)
        self._records[before.state.id, key] = Record(before, kept)
        is_new = arrived.id not in self.graph.states
        shown = self.executor.with_data(arrived) if is_new else arrived
        self.graph.add(Transition(before.state.id, taken.step, arrived.id, result), key, shown)
        if is_new:
            self._detailed[arrived.id] = attrs.evolve(kept, taken=None)
            if len(self._detailed) > DETAILED_STATES:
                oldest, _ = self._detailed.popitem(last=False)
                self.graph.replace(self.graph.states[oldest].without_data())
        else:
            self._merged_at = self.executor.mover.chain
        if result.exception is not None:
            self.checker.failed.add(self.executor.mover.chain)
        else:
            self.checker.check_again(position)
        return position

    def _note_path(self, at: Position) -> None:
        """Add the states of a path that were not known, since it was taken for another."""
        known = self.graph.states
        for there in at.path if at.state.id not in known else ():
            before, taken = there.parent, there.taken
            assert before is not None
            assert taken is not None
            if there.state.id not in known and before.state.id in known:
                transition = Transition(before.state.id, taken.step, there.state.id, taken.result)
                key = self.executor.key_of(before, taken.step) or str(taken.step)
                self.graph.add(transition, key, self.executor.with_data(there.state))

    def _prove_recall(self, at: Position, found: Position) -> None:
        """Execute a recorded step where it was not executed before, once for each action.

        That is where another path led to the state it leaves, and the World is there.
        """
        mover, taken = self.executor.mover, found.taken
        assert taken is not None
        if self._merged_at is None or mover.chain != self._merged_at:
            return
        here = mover.here
        if here is None or here.state.id != at.state.id or taken.step.action in self._recall_proven:
            return
        base = self.executor.stand(at)
        if base is not None:
            self._recall_proven.add(taken.step.action)
            mover.leave()
            self.travel.repeat(base, found)

    def prove_merge(self, reached: Position, until: float) -> None:
        """Execute the recorded steps that leave a known state, each action once, on another path.

        :param reached: that state, as the other path reached it.
        :param until: how many executions there may be by the end.
        :raises Diverged: one of them does something else there.
        """
        assert reached.parent is not None
        assert reached.taken is not None
        leaving: dict[str, tuple[str, Record]] = {}
        for (state_id, key), record in self._records.items():
            if state_id == reached.state.id and record.after.taken is not None:
                leaving.setdefault(record.after.taken.step.action, (key, record))
        steps = self.travel.distance(reached.parent) + 2
        for action, (key, record) in leaving.items():
            pair = reached.taken.step.action, action
            if pair in self._merge_proven or self.executor.executed + steps > until:
                continue
            self._merge_proven.add(pair)
            base = self.travel.go(reached.parent)
            self.executor.mover.leave()
            there = self.travel.repeat(base, reached)
            assert record.after.taken is not None
            draft = record.after.taken.draft
            resolved = self.executor.rules.resolve(there, draft)
            if resolved is None or self.executor.key_of(there, resolved[0]) != key:
                continue  # the pools of this path hold other values in that place
            found = self._recall(there, draft, record, key)
            if found is not None:
                self.travel.repeat(there, found)

    def _refresh(self) -> None:
        """Number known states by what was learned, and forget the steps that leave others."""
        executor = self.executor
        if self._version == executor.knowledge.version:
            return
        self._version = executor.knowledge.version
        executor.renumbered(executor.start)
        kept: set[str] = set()
        into: dict[str, str] = {}
        for state_id, position in self._detailed.items():
            now = executor.renumbered(position)
            if now is not None:
                self._detailed[state_id] = now
                if now.state.names == position.state.names:
                    kept.add(state_id)
                if now.state.id != state_id:
                    into[state_id] = now.state.id
        self._records = {key: item for key, item in self._records.items() if key[0] in kept}
        if into:
            self._merge({one: into.get(other, other) for one, other in into.items()})

    def _merge(self, into: Mapping[str, str]) -> None:
        """Take states for others, which they are by what was learned."""
        self.executor.merge(into)
        self.graph = self.graph.merged(into)
        for state_id in into:
            del self._detailed[state_id]
        relabelled = self.executor.relabelled
        records: dict[tuple[str, str], Record] = {}
        for (state_id, key), item in self._records.items():
            record = Record(relabelled(item.before), relabelled(item.after))
            records.setdefault((into.get(state_id, state_id), key), record)
        self._records = records

    def _trimmed(self, taken: Taken) -> ActionResult:
        """Keep of a result what is needed later: there is one for each step of the run."""
        result = taken.result
        if result.exception is not None:
            return result
        if taken.draft.action.target is not None and result.success:
            return result
        return ActionResult(result.success, status=result.status, error=result.error)
