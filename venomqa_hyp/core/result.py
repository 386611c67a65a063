"""What a whole run found and what it cost."""

from collections.abc import Mapping

import attrs

from venomqa_hyp.core.graph import Graph
from venomqa_hyp.core.invariant import Severity, Violation


@attrs.frozen(eq=False)
class ExplorationResult:
    """The record of one run.

    :ivar action_coverage: share of the actions that were executed at least once, 0.0 to 1.0.
    :ivar duration: seconds.
    :ivar executions: calls of each action, by name.
    :ivar steps_recalled: steps answered from the record, without an execution.
    :ivar steps_repeated: executions of a step that had been executed before, to check that it
        repeats or to bring the World back to a state.
    :ivar test_cases: test cases that Hypothesis ran.
    :ivar executed_before_failure: how many of the executions came before the first failure was
        seen; ``None`` where there was none.
    :ivar divergence: what the World did not repeat, where the run went on without its record.
    :ivar ended_by: what ended the exploration of an Agent: ``"max_steps"``, ``"exhausted"``,
        ``"coverage_target"``, ``"fail_fast"``, ``"time_limit"``, ``"strategy"`` (it picked
        nothing), ``"stuck"`` (no action can run) or ``"the initial state"`` (it breaks a rule).
    :ivar loops: actions that lead nowhere, in words.
    :ivar exhausted: how much was explored, where the exploration had nothing left to execute.
    :ivar volatile: the places (system, table, column) whose values are made anew each time, and
        were left out when states were compared.
    """

    graph: Graph
    violations: tuple[Violation, ...]
    action_coverage: float
    duration: float
    executions: Mapping[str, int]
    steps_recalled: int = 0
    steps_repeated: int = 0
    test_cases: int = 0
    executed_before_failure: int | None = None
    divergence: str | None = None
    exhausted: str | None = None
    ended_by: str = ""
    loops: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()

    @property
    def states_visited(self) -> int:
        """How many different states were seen."""
        return len(self.graph)

    @property
    def transitions_taken(self) -> int:
        """How many different (state, action, arguments) were executed."""
        return self.graph.transition_count

    @property
    def steps_executed(self) -> int:
        """How many times an action was called."""
        return sum(self.executions.values())

    @property
    def critical_violations(self) -> tuple[Violation, ...]:
        """The violations of severity ``CRITICAL``."""
        return tuple(item for item in self.violations if item.severity is Severity.CRITICAL)
