"""One result out of the results of several workers."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import attrs

from venomqa_hyp.agent.exploration import COMPLETE
from venomqa_hyp.core import (
    ActionCounts,
    Divergence,
    ExplorationResult,
    Graph,
    InvariantCounts,
    State,
    Transition,
    Violation,
)
from venomqa_hyp.core.vacuity import Require, unmet
from venomqa_hyp.values.encoding import Unsaved

_Counts = TypeVar("_Counts", ActionCounts, InvariantCounts)


@attrs.frozen(eq=False)
class Found:
    """What one worker found.

    :ivar result: portable.
    :ivar require: what its Agent requires of a run.
    """

    result: ExplorationResult
    require: Require


def merge(
    found: Mapping[int, Found], worker_failures: Iterable[str], duration: float
) -> ExplorationResult:
    """Return one result.

    :param found: worker -> what it found; at least one.
    :param duration: seconds of the whole.
    """
    first, *_ = numbers = sorted(found)
    results = {number: found[number].result for number in numbers}
    initial = results[first].graph.initial
    apart = {
        number: _apart(number, first, result.graph.initial, initial)
        for number, result in results.items()
        if result.graph.initial.id != initial.id
    }
    union = _Union(initial)
    for number, result in results.items():
        if number not in apart:
            union.take(number, result.graph)
    all_ = list(results.values())
    failures = (
        *worker_failures,
        *_each_once(item.worker_failures for item in all_),
        *apart.values(),
    )
    actions = _added(item.actions for item in all_)
    invariants = _added(item.invariants for item in all_)
    require = {name: least for item in found.values() for name, least in item.require.items()}
    before_failure = [item.executed_before_failure for item in all_]
    return attrs.evolve(
        results[first],
        graph=union.graph(),
        violations=_shortest(all_),
        duration=duration,
        steps_repeated=sum(item.steps_repeated for item in all_),
        test_cases=sum(item.test_cases for item in all_),
        executed_before_failure=min((at for at in before_failure if at is not None), default=None),
        divergence=next((item.divergence for item in all_ if item.divergence), union.conflict),
        exhausted=next((item.exhausted for item in all_ if item.exhausted), None),
        ended_by=", ".join(sorted({item.ended_by for item in all_})),
        loops=tuple(sorted({loop for item in all_ for loop in item.loops})),
        late_writes=tuple(sorted({text for item in all_ for text in item.late_writes})),
        volatile=tuple(sorted({place for item in all_ for place in item.volatile})),
        refuted=_each_once(item.refuted for item in all_),
        fixed=_each_once(item.fixed for item in all_),
        distrusted=_each_once(item.distrusted for item in all_),
        skipped="; ".join(item.skipped or "" for item in all_) if _all_skipped(all_) else None,
        worker_failures=failures,
        actions=actions,
        invariants=invariants,
        unmet=unmet(actions, invariants, require) if _is_judged(all_, failures) else (),
    )


class _Union:
    """The transitions of several graphs that begin in the same state.

    :ivar conflict: a step that led two workers from the same state to different ones, in words.
    """

    def __init__(self, initial: State) -> None:
        self.conflict: Divergence | None = None
        self._initial = initial
        self._states: dict[str, State] = {}
        self._leaving: dict[str, dict[str, tuple[int, Transition]]] = {}

    def take(self, worker: int, graph: Graph) -> None:
        """Add what one worker saw."""
        self._states = {**graph.states, **self._states}
        for transition in graph.transitions:
            known = self._leaving.setdefault(transition.from_id, {})
            key = transition.step.key or str(transition.step)
            other, held = known.setdefault(key, (worker, transition))
            if held.to_id != transition.to_id:
                known[f"{key} of worker {worker}"] = worker, transition  # no state is lost
                self._note_conflict(other, held, worker, transition)

    def graph(self) -> Graph:
        """Return the graph."""
        leaving = {
            state_id: {key: transition for key, (_, transition) in known.items()}
            for state_id, known in self._leaving.items()
        }
        return Graph.of(self._initial, self._states, leaving)

    def _note_conflict(self, one: int, first: Transition, other: int, second: Transition) -> None:
        if any(isinstance(value, Unsaved) for value in first.step.arguments.values()):
            return  # they only look the same
        if self.conflict is None:
            before, after = self._states[first.to_id], self._states[second.to_id]
            self.conflict = Divergence(
                str(first.step),
                f"{first.step} from the same state led workers {one} and {other} to different "
                f"states: {_difference(before, after)}.",
            )


def _shortest(results: Iterable[ExplorationResult]) -> tuple[Violation, ...]:
    kept: dict[tuple[str, str], Violation] = {}
    for result in results:
        for violation in result.violations:
            key = violation.name, violation.origin
            known = kept.get(key)
            if known is None or len(violation.reproduction_path) < len(known.reproduction_path):
                kept[key] = violation
    return tuple(kept.values())


def _added(counts: Iterable[Mapping[str, _Counts]]) -> dict[str, _Counts]:
    added: dict[str, _Counts] = {}
    for name, item in chain.from_iterable(one.items() for one in counts):
        added[name] = added[name] + item if name in added else item
    return added


def _each_once(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(names)))


def _is_judged(results: Sequence[ExplorationResult], failures: Sequence[str]) -> bool:
    """Return whether all workers reached what they could within their limits, and found nothing."""
    return not failures and not any(
        item.violations or item.divergence or item.skipped or item.ended_by not in COMPLETE
        for item in results
    )


def _all_skipped(results: Sequence[ExplorationResult]) -> bool:
    return all(item.skipped for item in results)


def _apart(number: int, first: int, own: State, initial: State) -> str:
    return (
        f"worker {number} began in another state than worker {first}: "
        f"{_difference(initial, own)}. Its violations are kept, its states are not. Let make_agent "
        "prepare the same content for each worker."
    )


def _difference(one: State, other: State) -> str:
    """Say in words what two states without data show differently."""
    told = []
    for system in sorted({*one.observations, *other.observations}):
        first, second = (state.observations.get(system) for state in (one, other))
        if first != second:
            shows = [seen.summary if seen else "nothing" for seen in (first, second)]
            same = f"{shows[0]} in both, with other values"
            told.append(f"{system} shows {same if shows[0] == shows[1] else ', and '.join(shows)}")
    for key in sorted({*one.context, *other.context}):
        held = [repr(state.context.get(key, "nothing")) for state in (one, other)]
        if held[0] != held[1]:
            told.append(f"context[{key!r}] is {held[0]:.60}, and {held[1]:.60}")
    return "; ".join(told) or "they differ in what is not shown"
