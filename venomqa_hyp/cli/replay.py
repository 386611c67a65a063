"""Execute a path once more, step by step, and note what each step did."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from venomqa_hyp.adapters.http import RequestRecord
from venomqa_hyp.core import Action, ActionResult, Invariant, State, Step, Verdict
from venomqa_hyp.core.difference import TableChanges, changes
from venomqa_hyp.world import World


@attrs.frozen(eq=False)
class ReplayedStep:
    """One step, and everything that was seen of it.

    :ivar requests: what the step sent, with the answers; none where the client keeps no history.
    :ivar changed: system -> tables with different rows, for each system that is not as it was
        before the step; no tables for a system that shows none.
    :ivar broken: the verdicts of the invariants that do not hold after the step.
    """

    step: Step
    result: ActionResult
    requests: tuple[RequestRecord, ...]
    changed: Mapping[str, tuple[TableChanges, ...]]
    broken: tuple[Verdict, ...]


def replay(
    world: World,
    actions: Iterable[Action],
    invariants: Iterable[Invariant],
    path: Iterable[Step],
) -> tuple[ReplayedStep, ...]:
    """Execute a path from the present state of the World, and roll back to that state.

    :raises WorldError: the World could not be observed or rolled back.
    """
    by_name = {action.name: action for action in actions}
    rules = tuple(invariants)
    start = world.checkpoint("before the replay")
    try:
        return tuple([_take(world, by_name[step.action], rules, step) for step in path])
    finally:
        world.rollback(start)
        world.forget(start)


def _take(
    world: World, action: Action, invariants: tuple[Invariant, ...], step: Step
) -> ReplayedStep:
    before, sent_before = world.observe(), len(_history(world.api))
    result = world.act(action, step.arguments)
    requests = _history(world.api)[sent_before:]
    after = world.observe()
    verdicts = [world.check(item) for item in invariants]
    broken = tuple(verdict for verdict in verdicts if not verdict.holds)
    return ReplayedStep(step, result, requests, _changed(world, before, after), broken)


def _history(api: Any) -> tuple[RequestRecord, ...]:
    return tuple(getattr(api, "history", ()))


def _changed(world: World, before: State, after: State) -> dict[str, tuple[TableChanges, ...]]:
    pairs = {name: (before.observations[name], after.observations[name]) for name in world.systems}
    return {name: changes(was, is_) for name, (was, is_) in pairs.items() if was != is_}
