"""Takes the World to any position: nearest live checkpoint, then the missing steps."""

import attrs

from venomqa_hyp.explore import proofs
from venomqa_hyp.explore.executor import Executor
from venomqa_hyp.explore.given import Literal
from venomqa_hyp.explore.position import Draft, Position, renamed


class Traveller:
    """Moves the World of an executor.

    :ivar repeated: executions of steps that had been executed before.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.repeated = 0

    def go(self, at: Position) -> Position:
        """Take the World to a position, and return it in the values that the World has there.

        :raises Diverged: a step that had to be executed again did something else.
        :raises RollbackError: a system cannot be rolled back.
        """
        missing: list[Position] = []
        base = self._executor.stand(at)
        while base is None:
            missing.append(at)
            assert at.parent is not None, "the start always has a checkpoint"
            at = at.parent
            base = self._executor.stand(at)
        for position in reversed(missing):
            self._executor.mover.leave()
            base = self.repeat(base, position)
        if missing:
            self._executor.mover.save()  # who comes back to a state once does so again
        return base

    def distance(self, at: Position) -> int:
        """Return how many steps have to be executed again to get to a position."""
        mover, steps = self._executor.mover, 0
        while at.parent is not None and mover.saved(at.state.id) is None:
            if mover.here is not None and mover.here.state.id == at.state.id:
                break
            steps, at = steps + 1, at.parent
        return steps

    def repeat(self, base: Position, expected: Position) -> Position:
        """Execute a step again, and compare it with what it did before.

        :param base: where the World is.
        :param expected: the position after the step.
        """
        executor, known = self._executor, expected.taken
        assert known is not None
        self.repeated += 1
        draft = self._renamed(known.draft, base, expected)
        execution = executor.execute(base, draft)
        assert execution is not None, f"{known.step} could run, and now cannot"
        proofs.outcome(executor, known.step, known.result, execution)
        executor.knowledge.note(execution.made)
        there = executor.arrive(execution, executor.key_of(base, execution.step))
        if there.state.id == expected.state.id:
            return there
        if not executor.has_data(expected.state):
            return there  # it cannot be compared, so it counts as another state
        after = executor.shown_after(executor.with_data(expected.state), draft.action, known.result)
        since, until = known.when
        before = attrs.evolve(execution.made, after=after, since=since, until=until)
        compared = proofs.same(executor, known.step, (known.result, before), execution)
        if compared is not execution:
            execution = compared
            there = executor.arrive(execution, executor.key_of(base, execution.step))
        if len(there.state.names) != len(expected.state.names):
            return there  # two clocks that a path holds were read at once, or were not
        return executor.known_as(there, execution, expected.state.id)

    def _renamed(self, draft: Draft, base: Position, expected: Position) -> Draft:
        """Return a draft whose literal values have the names that the World has."""
        before = expected.parent
        has_literal = any(isinstance(item, Literal) for item in draft.given.values())
        if before is None or not has_literal:
            return draft
        return renamed(draft, self._executor.names_between(before, base))
