"""Counts what the actions and invariants of one run do, while they do it."""

from collections import Counter
from collections.abc import Iterable, Mapping

from venomqa_hyp.core import ActionCounts, ActionResult, Invariant, InvariantCounts, Verdict
from venomqa_hyp.core.counts import REJECTED, outcome_of


class Tally:
    """The counts of one run.

    :ivar executed: calls of actions.
    :ivar recalled: steps that were answered from the record.
    """

    def __init__(self, actions: Iterable[str]) -> None:
        self.executed = 0
        self.recalled = 0
        self._actions: dict[str, Counter[str]] = {name: Counter() for name in actions}
        self._outcomes: dict[str, Counter[str]] = {name: Counter() for name in actions}
        self._rules: dict[str, Invariant] = {}
        self._checks: dict[str, Counter[str]] = {}
        self._last: dict[str, str] = {}

    def add_invariants(self, invariants: Iterable[Invariant]) -> None:
        """Count some invariants, from 0 on."""
        self._rules = {item.name: item for item in invariants}
        self._checks = {name: Counter() for name in self._rules}

    def tried(self, action: str, *, enabled: bool) -> bool:
        """Count that the run looked whether an action can run, and return whether it can."""
        counts = self._actions[action]
        counts["tried"] += 1
        counts["enabled"] += enabled
        return enabled

    def called(self, action: str) -> None:
        """Count an execution."""
        self.executed += 1
        self._actions[action]["executed"] += 1

    def rejected(self, action: str) -> None:
        """Count a step that ``assume`` rejected."""
        self._outcomes[action][REJECTED] += 1

    def stepped(
        self, action: str, result: ActionResult, *, changed: bool, recalled: bool = False
    ) -> None:
        """Count a step that was taken, by what came of it."""
        self.recalled += recalled
        self._outcomes[action][outcome_of(result)] += 1
        counts = self._actions[action]
        counts["recalled"] += recalled
        counts["succeeded"] += result.success
        counts["changed"] += changed

    def checked(self, verdict: Verdict) -> None:
        """Count that an invariant was checked."""
        name, message = verdict.invariant.name, verdict.message
        counts = self._checks[name]
        counts["checked"] += 1
        if verdict.vacuous:
            counts["vacuous"] += 1
        elif message is None:
            counts["held"] += 1
        else:
            counts["violated"] += 1
            self._last[name] = message

    def executions(self, action: str) -> int:
        """Return how often an action was called."""
        return self._actions[action]["executed"]

    @property
    def actions(self) -> Mapping[str, ActionCounts]:
        """Action -> its counts."""
        return {
            name: ActionCounts(**counts, outcomes=dict(self._outcomes[name]))
            for name, counts in self._actions.items()
        }

    @property
    def invariants(self) -> Mapping[str, InvariantCounts]:
        """Invariant -> its counts."""
        return {
            name: InvariantCounts(
                **self._checks[name],
                sometimes=rule.sometimes,
                at_end=rule.at_end,
                last=self._last.get(name, ""),
            )
            for name, rule in self._rules.items()
        }
