"""Checks the invariants, once in each state."""

from collections.abc import Iterable

from venomqa_hyp.core import Invariant, State, Verdict
from venomqa_hyp.explore import proofs
from venomqa_hyp.explore.executor import Executor
from venomqa_hyp.explore.failure import Failure, failures_at
from venomqa_hyp.explore.position import Chain, Position
from venomqa_hyp.explore.travel import Traveller


class Checker:
    """The invariants of one run, and what they say of each state.

    An invariant that writes (by logging in, say) is noticed; from then on each check is undone.

    :ivar failed: what failed after exactly these steps were executed, none of them inferred.
    """

    def __init__(
        self, executor: Executor, travel: Traveller, invariants: Iterable[Invariant]
    ) -> None:
        self.invariants = tuple(invariants)
        self.failed: set[Chain] = set()
        self._executor = executor
        self._travel = travel
        self._all_hold = tuple([Verdict(item) for item in self.invariants])
        self._known: dict[str, tuple[Verdict, ...]] = {}
        self._writes = False

    def forget(self) -> None:
        """Note that the states are others from now on."""
        self._known.clear()

    def check(self, invariant: Invariant) -> Verdict:
        """Check one invariant in the World as it is, and undo what it changes."""
        world = self._executor.world
        if not self._writes:
            return world.check(invariant)
        before = world.checkpoint(invariant.name)
        try:
            return world.check(invariant)
        finally:
            world.rollback(before)
            world.forget(before)

    def verdicts(self, at: Position) -> tuple[Verdict, ...]:
        """Return what every invariant says of a state, checking them if nobody did so yet."""
        known = self._known.get(at.state.id)
        if known is None:
            while known is None:
                known = self._check_all(self._travel.go(at).state)
            self._known[at.state.id] = known
        return known

    def failures(self, at: Position) -> tuple[Failure, ...]:
        """Return what is wrong at a position: what the step raised, or each broken invariant."""
        return failures_at(at.taken, lambda: self.verdicts(at))

    def check_again(self, at: Position) -> None:
        """Check the invariants in a known state that a new step led to: they must say the same.

        :raises Diverged: they do not.
        """
        known = self._known.get(at.state.id)
        now = None if known is None else self._check_all(at.state)
        if known is not None and now is not None:
            proofs.same_verdicts(self._executor, at, known, now)

    def _check_all(self, seen: State) -> tuple[Verdict, ...] | None:
        """Check all of them in the World as it is.

        :param seen: what the World shows.
        :return: ``None`` where one of them turned out to write: the World has to be taken back.
        """
        executor = self._executor
        asked = executor.reads.begin(executor.world)
        verdicts = tuple([self.check(item) for item in self.invariants])
        if verdicts and not self._writes and executor.world.observe().exact != seen.exact:
            self._writes = True
            executor.mover.lose()
            return None
        if not self._writes:
            executor.reads.note("", executor.world, seen, asked)
        if all(item.holds for item in verdicts):
            return self._all_hold
        self.failed.add(self._executor.mover.chain)
        return verdicts
