"""Checks the invariants, once in each state."""

from collections.abc import Iterable, Sequence

from venomqa_hyp.core import Invariant, State, Verdict
from venomqa_hyp.explore import proofs
from venomqa_hyp.explore.executor import Executor
from venomqa_hyp.explore.failure import Failure, failures_at, failures_of
from venomqa_hyp.explore.position import Chain, Position
from venomqa_hyp.explore.travel import Traveller

Verdicts = tuple[Verdict, ...]


class Checker:
    """The invariants of one run, and what they say of each state.

    An invariant that writes (by logging in, say) is noticed; from then on each check is undone.

    :ivar invariants: those that are checked in every state.
    :ivar at_end: those that are checked where a path ends.
    :ivar failed: what failed after exactly these steps were executed, none of them inferred.
    """

    def __init__(
        self, executor: Executor, travel: Traveller, invariants: Iterable[Invariant]
    ) -> None:
        listed = tuple(invariants)
        self.invariants = tuple(item for item in listed if not item.at_end)
        self.at_end = tuple(item for item in listed if item.at_end)
        executor.tally.add_invariants(listed)
        self.failed: set[Chain] = set()
        self._executor = executor
        self._travel = travel
        self._known: dict[str, Verdicts] = {}
        self._known_at_end: dict[str, Verdicts] = {}
        self._holding: dict[object, Verdicts] = {}
        self._writes = False

    def forget(self) -> None:
        """Note that the states are others from now on."""
        self._known.clear()
        self._known_at_end.clear()

    def check(self, invariant: Invariant) -> Verdict:
        """Check one invariant in the World as it is, count it, and undo what it changes."""
        verdict = self._check(invariant)
        self._executor.tally.checked(verdict)
        # What holds sometimes is not violated where it does not.
        return Verdict(invariant, vacuous=verdict.vacuous) if invariant.sometimes else verdict

    def _check(self, invariant: Invariant) -> Verdict:
        world = self._executor.world
        if not self._writes:
            return world.check(invariant)
        before = world.checkpoint(invariant.name)
        try:
            return world.check(invariant)
        finally:
            world.rollback(before)
            world.forget(before)

    def verdicts(self, at: Position) -> Verdicts:
        """Return what every invariant says of a state, checking them if nobody did so yet."""
        return self._verdicts(at, self.invariants, self._known)

    def failures(self, at: Position, *, ends: bool = False) -> tuple[Failure, ...]:
        """Return what is wrong at a position: what the step raised, or each broken invariant.

        :param ends: whether the path ends here, so that what must hold at its end is checked, too.
        """
        found = failures_at(at.taken, lambda: self.verdicts(at))
        if found or not ends or not self.at_end:
            return found
        return failures_of(self._verdicts(at, self.at_end, self._known_at_end))

    def _verdicts(
        self, at: Position, invariants: Sequence[Invariant], all_known: dict[str, Verdicts]
    ) -> Verdicts:
        known = all_known.get(at.state.id)
        if known is None:
            while known is None:
                known = self._check_all(self._travel.go(at).state, invariants)
            all_known[at.state.id] = known
        return known

    def check_again(self, at: Position) -> None:
        """Check the invariants in a known state that a new step led to: they must say the same.

        :raises Diverged: they do not.
        """
        known = self._known.get(at.state.id)
        now = None if known is None else self._check_all(at.state, self.invariants)
        if known is not None and now is not None:
            proofs.same_verdicts(self._executor, at, known, now)

    def _check_all(self, seen: State, invariants: Sequence[Invariant]) -> Verdicts | None:
        """Check some invariants in the World as it is.

        :param seen: what the World shows.
        :return: ``None`` where one of them turned out to write: the World has to be taken back.
        """
        executor = self._executor
        asked = executor.reads.begin(executor.world)
        verdicts = tuple([self.check(item) for item in invariants])
        if verdicts and not self._writes and executor.world.observe().exact != seen.exact:
            self._writes = True
            executor.mover.lose()
            return None
        if not self._writes:
            executor.reads.note("", executor.world, seen, asked)
        if all(item.holds for item in verdicts):
            # There is one for each state of a run.
            same = invariants, tuple(item.vacuous for item in verdicts)
            return self._holding.setdefault(same, verdicts)
        self.failed.add(self._executor.mover.chain)
        return verdicts
