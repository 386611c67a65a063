"""What a whole run found and what it cost."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Never, Self, get_origin

import attrs

from venomqa_hyp.core import documents
from venomqa_hyp.core.counts import ActionCounts, InvariantCounts
from venomqa_hyp.core.divergence import Divergence
from venomqa_hyp.core.graph import Graph
from venomqa_hyp.core.invariant import Severity, Violation
from venomqa_hyp.values.encoding import FORMAT, Json, Undecodable

_NONE: Mapping[str, Never] = MappingProxyType({})


@attrs.frozen(eq=False)
class ExplorationResult:
    """The record of one run.

    :ivar duration: seconds.
    :ivar actions: name -> what came of it, of all actions, whether they were executed or not.
    :ivar invariants: name -> what came of it, of all invariants.
    :ivar unmet: what ``require`` and ``sometimes`` ask for and the run did not reach, in words.
    :ivar steps_repeated: executions of a step that had been executed before, to check that it
        repeats or to bring the World back to a state.
    :ivar test_cases: test cases that Hypothesis ran.
    :ivar executed_before_failure: how many of the executions came before the first failure was
        seen; ``None`` where there was none.
    :ivar divergence: what the World did not repeat.
    :ivar ended_by: what ended the exploration of an Agent: ``"max_steps"``, ``"exhausted"``,
        ``"coverage_target"``, ``"fail_fast"``, ``"time_limit"``, ``"interrupted"``,
        ``"divergence"``, ``"strategy"`` (it picked nothing), ``"nothing new"`` (it picked what was
        recalled, again and again), ``"stuck"`` (no action can run) or ``"the initial state"`` (it
        breaks a rule).
    :ivar loops: actions that lead nowhere, in words.
    :ivar exhausted: how much was explored, where the exploration had nothing left to execute.
    :ivar volatile: the places (system, table, column) whose values are made anew each time, and
        were left out when states were compared.
    :ivar skipped: why nothing was executed: this is the record of an earlier run.
    :ivar refuted: failures that were seen, but not when the same steps were executed again.
    :ivar late_writes: what the API still wrote after its replies, and the run waited for, in words.
    :ivar distrusted: the actions that did not repeat themselves, and were executed each time.
    :ivar fixed: failures of earlier runs that do not show any more.
    :ivar worker_failures: what became of the workers of a parallel run that did not end well.
    """

    graph: Graph
    violations: tuple[Violation, ...]
    duration: float
    actions: Mapping[str, ActionCounts] = _NONE
    invariants: Mapping[str, InvariantCounts] = _NONE
    steps_repeated: int = 0
    test_cases: int = 0
    executed_before_failure: int | None = None
    divergence: Divergence | None = None
    exhausted: str | None = None
    ended_by: str = ""
    loops: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    skipped: str | None = None
    worker_failures: tuple[str, ...] = ()
    refuted: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    late_writes: tuple[str, ...] = ()
    distrusted: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()

    @property
    def states_visited(self) -> int:
        """How many different states were seen."""
        return len(self.graph)

    @property
    def initial(self) -> Mapping[str, str]:
        """System -> digest of what it showed at the beginning: equal where runs began alike."""
        observations = self.graph.initial.observations
        return {name: observation.digest for name, observation in observations.items()}

    @property
    def transitions_taken(self) -> int:
        """How many different (state, action, arguments) were executed."""
        return self.graph.transition_count

    @property
    def executions(self) -> Mapping[str, int]:
        """Action -> how often it was called, of those that were."""
        called = {name: counts.executed for name, counts in self.actions.items()}
        return {name: count for name, count in called.items() if count}

    @property
    def action_coverage(self) -> float:
        """The share of the actions that were executed at least once, 0.0 to 1.0."""
        return len(self.executions) / len(self.actions) if self.actions else 0.0

    @property
    def steps_executed(self) -> int:
        """How many times an action was called."""
        return sum(self.executions.values())

    @property
    def steps_recalled(self) -> int:
        """How many steps were answered from the record, without an execution."""
        return sum(counts.recalled for counts in self.actions.values())

    @property
    def critical_violations(self) -> tuple[Violation, ...]:
        """The violations of severity ``CRITICAL``."""
        return tuple(item for item in self.violations if item.severity is Severity.CRITICAL)

    def to_dict(self) -> dict[str, Json]:
        """Return the record as JSON: without what was observed, and without exceptions.

        The graph is in the form of :meth:`Graph.to_dict`; every other key is an attribute.
        """
        plain = {name: getattr(self, name) for name in _plain_fields()}
        record = documents.to_json(
            {
                **plain,
                "divergence": documents.divergence_document(self.divergence),
                "actions": documents.counts_document(self.actions),
                "invariants": documents.counts_document(self.invariants),
                "violations": [documents.violation_document(item) for item in self.violations],
            }
        )
        return {"format": FORMAT, "graph": self.graph.to_dict(), **record}

    @classmethod
    def from_dict(cls, encoded: Any) -> Self:
        """Return the record that :meth:`to_dict` described.

        :raises Undecodable: says what is no record of a run, or is one of another version.
        """
        if documents.field(encoded, "format", int) != FORMAT:
            raise Undecodable(
                f"it has format {encoded['format']}, but this version reads format {FORMAT}"
            )
        record = documents.from_json(
            {key: item for key, item in encoded.items() if key not in ("format", "graph")}
        )
        return cls(
            graph=Graph.from_dict(documents.field(encoded, "graph", dict)),
            violations=tuple(documents.listed(record, "violations", documents.violation_from)),
            divergence=documents.divergence_from(record.get("divergence")),
            actions=documents.counts_from(record, "actions", ActionCounts),
            invariants=documents.counts_from(record, "invariants", InvariantCounts),
            **{name: documents.field(record, name, kind) for name, kind in _plain_fields().items()},
        )

    def portable(self) -> Self:
        """Return a copy that can be pickled: what :meth:`from_dict` makes of :meth:`to_dict`."""
        return self.from_dict(self.to_dict())


def _plain_fields() -> dict[str, Any]:
    """Return name -> type of what can be written as it is."""
    kinds = {field.name: field.type for field in attrs.fields(ExplorationResult)}
    apart = ("graph", "violations", "actions", "invariants", "divergence")
    return {
        name: tuple if get_origin(kind) is tuple else kind
        for name, kind in kinds.items()
        if name not in apart
    }
