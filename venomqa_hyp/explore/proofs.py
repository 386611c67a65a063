"""What the record rests on, proven by doing it twice.

Assumed is that the same step from the same state does the same. Each proof executes something that
is known and compares: the outcome first, the state second.
"""

from collections.abc import Callable, Iterable, Sequence

from venomqa_hyp.core import ActionResult, Divergence, State, Step, Verdict
from venomqa_hyp.core.divergence import Differing
from venomqa_hyp.errors import DivergenceError, RollbackError
from venomqa_hyp.explore.executor import Execution, Executor
from venomqa_hyp.explore.failure import Failure, failure_of_result, failures_of
from venomqa_hyp.explore.position import Draft, Position
from venomqa_hyp.explore.reads import Read, answers, stale
from venomqa_hyp.values import ABSENT, Difference, Made

Go = Callable[[Position], Position]
_MORE_LOOKS = 3
_SAMPLES = 6


class Diverged(DivergenceError):
    """The World did not repeat itself.

    :ivar divergence: what differs.
    :ivar at: the position after the step, as it was executed; ``None`` where no step is to blame.
    :ivar failures: what was seen to fail there.
    """

    def __init__(
        self, divergence: Divergence, at: Position | None = None, failures: Iterable[Failure] = ()
    ) -> None:
        super().__init__(str(divergence))
        self.divergence = divergence
        self.at = at
        self.failures = tuple(failures)


class Stale(Diverged):
    """The server answers from a cache that a rollback does not reach."""


def twice(executor: Executor, go: Go, at: Position, draft: Draft) -> Execution | None:
    """Execute a step, undo it, look whether that worked, and execute it again.

    :return: the second execution; ``None`` where the step cannot run.
    :raises Diverged: when both differ in more than random ids and clocks.
    :raises RollbackError: when rolling back does not bring the state back.
    """
    late = executor.latecomers
    known = late.known
    try:
        return _twice(executor, go, at, draft)
    except Stale:
        raise
    except Diverged as diverged:
        executor.execute(go(at), draft, look=True)
        executor.mover.lose()
        if late.known != known:
            # It wrote after its reply, and was observed too early.
            try:
                return _twice(executor, go, at, draft)
            except Diverged:
                late.restore(known)  # waiting does not help
                raise
        if diverged.divergence.places and _is_made_at_random(executor, go, at, draft):
            return _twice(executor, go, at, draft)
        raise


def _is_made_at_random(executor: Executor, go: Go, at: Position, draft: Draft) -> bool:
    """Execute a step some more times: a small number or a word may be made at random, too."""
    made: list[Made] = []
    for _ in range(_SAMPLES):
        execution = executor.execute(go(at), draft)
        assert execution is not None, "it could run from the same position"
        made.append(execution.made)
    executor.mover.lose()
    return executor.knowledge.explains(made)


def _twice(executor: Executor, go: Go, at: Position, draft: Draft) -> Execution | None:
    base = go(at)
    executor.mover.save()
    first = executor.execute(base, draft)
    if first is None:
        return None
    reads: tuple[Read, ...] = ()
    if first.arrived.exact != base.state.exact:
        reads = executor.reads.to_ask(draft.action.name, base.state)
    undone = answers(executor.world, reads)
    base = go(at)
    restored(executor, go, base, first)
    if reads:
        base = _read_again(executor, go, base, first, reads, undone)
    second = executor.execute(base, draft)
    if second is not None and _answered(first.result) != _answered(second.result):
        # A request that was lost says nothing about the service, unless it is lost again.
        if _answered(second.result):
            first, second = second, executor.execute(go(at), draft)
        else:
            second = executor.execute(go(at), draft)
    assert second is not None, "it could run from the same position"
    return same(executor, first.step, (first.result, first.made), second)


def restored(executor: Executor, go: Go, base: Position, undone: Execution) -> None:
    """Look whether the World shows what it showed at a position before a step was undone.

    :raises RollbackError: when it does not, also after a second try.
    """
    seen = executor.world.observe()
    if seen.exact == base.state.exact:
        return
    _stable(executor, seen)
    executor.mover.lose()
    go(base)
    again = executor.world.observe()
    if again.exact != base.state.exact:
        executor.mover.lose()
        raise RollbackError(
            f"rolling back did not undo {undone.step}: {_told(executor, base.state, again)}. A "
            "system of the World does not reach what the API writes (another database, a "
            "connection of its own that never sees the commit), or cannot restore it; or the API "
            "still wrote after it answered: wait for that with World(..., settle=...)."
        )
    # It was restored, and then something wrote: what the step began had not ended.
    executor.mover.lose()
    raise Diverged(
        Divergence(
            str(undone.step),
            f"something changed the World after {undone.step} was rolled back:",
            _places(executor, base.state, seen),
            "Wait for work in the background with World(..., settle=...).",
        )
    )


def _read_again(
    executor: Executor,
    go: Go,
    base: Position,
    undone: Execution,
    reads: Sequence[Read],
    before: Sequence[Read | None],
) -> Position:
    """Ask reads again after a rollback, and return where the World is then.

    :param before: what they were answered before the rollback.
    :raises Stale: one is still answered as before.
    """
    found = stale(executor.world, reads, before, answers(executor.world, reads))
    executor.mover.lose()  # a read may write, a session's last use for one
    if found is None:
        return go(base)
    read, places = found
    raise Stale(
        Divergence(
            str(undone.step),
            f"after {undone.step} was rolled back a request is answered as if it was not:",
            places,
            "The server answers from what it keeps in its process. Empty that with "
            "World(..., after_rollback=...), or give a function that starts the server with each "
            "World.",
            # What an invariant reads decides about every state.
            tuple(dict.fromkeys([undone.step.action, read.action])) if read.action else (),
        )
    )


def _stable(executor: Executor, seen: State) -> None:
    """Look again: what changes while nobody acts is no leak."""
    again = executor.world.observe()
    if again.exact != seen.exact and executor.world.observe().exact != again.exact:
        raise RollbackError(
            "the observation is not stable, it changes while nothing acts: "
            f"{_told(executor, seen, again)}. Leave out of what is observed what is made anew each "
            "time it is read, or wait for work in the background with World(..., settle=...)."
        )


def same(
    executor: Executor, step: Step, first: tuple[ActionResult, Made], second: Execution
) -> Execution:
    """Compare an execution with an earlier one of the same step, and learn what is made anew.

    :param first: result of the earlier one, and what it left.
    :return: the later one, looked at again where that was needed.
    :raises Diverged: when they differ in more than that.
    """
    result, made = first
    outcome(executor, step, result, second)
    found = executor.knowledge.compare(made, second.made)
    if found and (later := executor.seen_later(second)) is not second:
        second, found = later, executor.knowledge.compare(made, later.made)
    places = tuple(map(Differing.of, found))
    if places:
        raise _diverged(
            executor,
            Divergence(
                str(step),
                f"{step} was executed twice from the same state and led to different ones:",
                places,
                _advice(found),
                (step.action,),
            ),
            second,
            result,
        )
    return second


def outcome(executor: Executor, step: Step, first: ActionResult, second: Execution) -> None:
    """Compare the outcomes of two executions of one step.

    :raises Diverged: when one raised and the other did not, or their statuses differ.
    """
    one, other = outcome_text(first), outcome_text(second.result)
    if one != other:
        what = f"{step} was executed twice from the same state: first it {one}, then it {other}."
        divergence = Divergence(str(step), what, (), ADVICE, (step.action,))
        raise _diverged(executor, divergence, second, first)


def same_verdicts(
    executor: Executor, at: Position, known: Iterable[Verdict], now: Iterable[Verdict]
) -> None:
    """Compare what the invariants say in a state with what they said there on another path.

    :raises Diverged: when one holds only once.
    """
    for one, other in zip(known, now, strict=True):
        if one.holds == other.holds:
            continue
        executor.mover.lose()
        assert at.taken is not None
        first, then = ("holds" if item.holds else "is broken" for item in (one, other))
        what = (
            f"{at.taken.step} led to a state that another path had led to, where "
            f"{one.invariant.name} {first}, but now it {then}: {one.message or other.message}."
        )
        raise Diverged(Divergence(str(at.taken.step), what, (), ADVICE), at, failures_of(now))


def _diverged(
    executor: Executor, divergence: Divergence, execution: Execution, first: ActionResult
) -> Diverged:
    at = executor.arrive(execution, None)
    executor.mover.lose()
    seen = (failure_of_result(execution.step.action, item) for item in (first, execution.result))
    return Diverged(divergence, at, (failure for failure in seen if failure is not None))


ADVICE = (
    "Something outside the World keeps state. Put what keeps it into the World, or empty it with "
    "World(..., after_rollback=...). Where the API writes after it has answered, wait for that "
    "with World(..., settle=...)."
)


def _advice(found: Sequence[Difference]) -> str:
    # What is there only once is no value that varies: naming it would hide a whole table.
    values = [item.place for item in found if ABSENT not in (item.first, item.second)]
    if not values:
        return ADVICE
    named = ", ".join(f'"{place}"' for place in dict.fromkeys(values[:3]))
    return (
        f"Where such a value means nothing to the service, write World(..., volatile=[{named}]). "
        f"{ADVICE}"
    )


def outcome_text(result: ActionResult) -> str:
    """Return what came of a step, for a sentence about it."""
    if result.exception is not None:
        return f"raised {type(result.exception).__name__}"
    if result.success:
        return f"succeeded ({result.status})" if result.status else "succeeded"
    return f"failed ({result.status or 'no answer'})"


def _answered(result: ActionResult) -> bool:
    return result.success or result.status is not None or result.exception is not None


def _places(executor: Executor, one: State, other: State) -> tuple[Differing, ...]:
    world = executor.world
    shown = [world.shown(executor.with_data(state)) for state in (one, other)]
    found = executor.knowledge.differing(*shown)
    return tuple(map(Differing.of, found))


def _told(executor: Executor, one: State, other: State) -> str:
    return "; ".join(item.text for item in _places(executor, one, other)[:_MORE_LOOKS]) or (
        "in a random id or a clock"
    )
