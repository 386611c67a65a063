"""One exploration of an Agent."""

from collections.abc import Callable
from random import Random

import attrs
from hypothesis.errors import UnsatisfiedAssumption

from venomqa_hyp.agent.loops import Loops
from venomqa_hyp.core import ExplorationResult, OnProgress
from venomqa_hyp.errors import DefinitionError, DivergenceError
from venomqa_hyp.explore import Diverged, Draft, Explorer, Live, Trial
from venomqa_hyp.stateful import ActionDraws, Run
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.failures import Status
from venomqa_hyp.values import Shown
from venomqa_hyp.world import acknowledge, ending_in_order

#: So many options in a row may be recalled before an exploration ends for want of anything new.
RECALLED_IN_A_ROW = 20_000
#: Why an exploration ends where steps are recorded; others may still be executed.
NOTHING_LEFT = ("exhausted", "strategy", "nothing new")
#: What ends an exploration that reached what it could within its limits.
COMPLETE = ("max_steps", "coverage_target", "time_limit", "stuck", *NOTHING_LEFT)
#: After so many executions for each action one that never ran is worth a warning.
ENOUGH = 10

#: ``(initial state) -> the initial state of another worker``, if there is one.
FindTwin = Callable[[Shown], Shown | None]


@attrs.frozen
class Limits:
    """When an exploration ends; see :class:`~venomqa_hyp.Agent`."""

    max_steps: int
    max_depth: int
    coverage_target: float | None
    seconds: float
    fail_fast: bool


class Exploration:
    """One call of :meth:`Agent.explore`."""

    def __init__(
        self, definition: Definition, limits: Limits, seed: int, on_progress: OnProgress
    ) -> None:
        self.run = Run(definition, seconds=limits.seconds)
        self.ended_by = ""
        self._limits = limits
        self._on_progress = on_progress
        self._random = Random(seed)
        self._loops = Loops()
        self._executed = 0
        self._executed_live = 0
        self._recalled_in_a_row = 0
        self._explorer = self._new_explorer()
        self._check_drawable()

    def begin_as(self, find_twin: FindTwin) -> None:
        """Give states the ids that they have where another worker's initial state came first."""
        recorder = self.run.session.recorder
        twin = find_twin(recorder.executor.initial)
        if twin is not None:
            recorder.begin_as(twin)
            self._explorer = self._new_explorer()

    def go_on(self) -> None:
        """Explore until something ends it."""
        try:
            with ending_in_order():
                self._explore()
        except KeyboardInterrupt:
            self.ended_by = "interrupted"
            acknowledge()

    def close(self) -> ExplorationResult:
        """Confirm what was found, leave the World as it was found, and return the record."""
        self.run.settle_open()
        self.run.warn("Agent", found_nothing=self.found_nothing)
        is_judged = self.ended_by in COMPLETE and not self.run.ledger.failing
        result = self.run.close(is_judged=is_judged)
        assert result is not None
        exhausted = self._explorer.exhausted if self.ended_by == "exhausted" else None
        return attrs.evolve(
            result, exhausted=exhausted, ended_by=self.ended_by, loops=self._loops.found
        )

    @property
    def found_nothing(self) -> bool:
        """Whether it found nothing, though it had steps enough for each action."""
        enough = self._executed >= ENOUGH * len(self.run.definition.actions)
        ended = self.ended_by == "exhausted" or (enough and bool(self.ended_by))
        return ended and not self.run.ledger.failing

    def note_found(self, error: Exception) -> None:
        """Add to an error that ends the exploration what was found before."""
        for item in self.run.ledger.failing:
            steps = "".join(f"\n  {step}" for step in item.path.steps)
            error.add_note(f"Found before: {item.failure.name}: {item.failure.message}{steps}")

    def check(self) -> None:
        """Raise ``DivergenceError`` where a divergence ended it and nothing was found."""
        run = self.run
        if run.divergence is not None and self.ended_by == "divergence" and not run.ledger.real:
            error = DivergenceError(f"The World does not repeat itself: {run.divergence}")
            run.note_refuted(error)
            raise error

    def _explore(self) -> None:
        at_once = self._explorer.fails_at_once()
        if at_once is not None:
            self._meet(at_once)
            self.ended_by = "the initial state"
        while not self.ended_by and self.run.settler.is_recorded:
            try:
                self.ended_by = self._next() or self._reason_to_end()
            except Diverged as diverged:
                self.run.diverged(diverged)
            if self._is_due_live():
                self._walk()
        if self.run.divergence is None or self.ended_by not in ("", *NOTHING_LEFT):
            return
        self.ended_by = "divergence"
        if self.run.definition.on_divergence == "warn":
            self._explore_live()

    def _is_due_live(self) -> bool:
        """Return whether to walk without the record: what is not recorded is executed only so."""
        is_split = self.run.settler.is_recorded and self.run.session.recorder.distrusted
        return bool(is_split) and not self.ended_by and 2 * self._executed_live < self._executed

    def _next(self) -> str | None:
        """Execute one option; return why there is none, where the exploration ends."""
        recorder = self.run.session.recorder
        if self._explorer.atlas.graph is not recorder.graph:
            self._explorer = self._new_explorer()  # the fresh World began in another state
        choice = self._explorer.pick()
        if choice is None:
            if self._explorer.is_exhausted:
                self._explorer.prove_merges(self._limits.max_steps - self._executed)
            return "exhausted" if self._explorer.is_exhausted else "strategy"
        if self._executed + self._explorer.cost(choice) > self._limits.max_steps:
            return "max_steps"
        before = self._explorer.executed
        seen = self._explorer.execute(choice)
        executed = self._explorer.executed - before
        self._executed += executed
        self._recalled_in_a_row = 0 if executed else self._recalled_in_a_row + 1
        if self._recalled_in_a_row > RECALLED_IN_A_ROW:
            return "nothing new"
        if seen.reached is not None:
            self._loops.note(seen.reached)
        found = seen.found
        if found is None and seen.reached is not None:
            found = self._explorer.fails_at_end(seen.reached)
        if found is not None:
            self._meet(found)
        self._report_progress()
        return None

    def _explore_live(self) -> None:
        """Walk at random from the initial state, and execute every step."""
        self.ended_by = ""
        while not self.ended_by:
            before = self._executed
            self._walk()
            stuck = "stuck" if self._executed == before else ""
            self.ended_by = self._reason_to_end() or stuck

    def _walk(self) -> None:
        limit = self._limits.max_steps - self._executed
        self.run.session.renew()
        recorder = self.run.session.recorder
        live, executor = Live(recorder), recorder.executor
        failures, world = live.failures(), executor.world
        for _ in range(min(limit, self._limits.max_depth)):
            options = [
                (action, kind)
                for action in executor.rules.actions.values()
                if executor.enables(live.at, action, lambda: world)
                for kind in self._explorer.kinds.of(action, live.at.pools)
            ]
            if failures or not options or not self.run.budget.has_time():
                break
            action, kind = self._random.choice(options)
            given = self._explorer.kinds.arguments(action, kind, live.at.pools, self._random)
            self._executed += 1
            self._executed_live += 1
            try:
                live.take(Draft(action, given, live.at.depth))
            except UnsatisfiedAssumption:
                break
            failures = live.failures()
            self._report_progress()
        if live.at.depth:
            failures = live.failures(ends=True)
        for failure in failures:
            self.run.settler.meet(failure, Trial(live.at, failures))

    def _meet(self, found: Trial) -> None:
        for failure in found.failures:
            self.run.settler.meet(failure, found)

    def _reason_to_end(self) -> str:
        limits = self._limits
        if limits.fail_fast and self.run.ledger.of(Status.CONFIRMED):
            return "fail_fast"
        target = limits.coverage_target
        if target is not None and self.run.progress().coverage >= target:
            return "coverage_target"
        if self._executed >= limits.max_steps:
            return "max_steps"
        return "" if self.run.budget.has_time() else "time_limit"

    def _report_progress(self) -> None:
        now = self.run.progress()
        self._on_progress(attrs.evolve(now, step=self._executed, max_steps=self._limits.max_steps))

    def _new_explorer(self) -> Explorer:
        recorder, strategy = self.run.session.recorder, self.run.definition.strategy
        draws = ActionDraws(recorder)
        return Explorer(recorder, strategy, draws, self._random, self._limits.max_depth)

    def _check_drawable(self) -> None:
        for action in self.run.definition.actions.values():
            self._explorer.kinds.of(action, self._explorer.root.position.pools)
        for name, argument in self._explorer.kinds.undrawable.items():
            self.run.close()
            raise DefinitionError(
                f"action {name!r}: argument {argument!r} cannot be drawn outside of a Hypothesis "
                "test (st.data() and st.runner() cannot, nor can a Bundle with map or filter, nor "
                "what has no digest). Explore with venom_machine(...).TestCase, or use another "
                "strategy."
            )
