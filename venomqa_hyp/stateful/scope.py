"""When runs begin and end: a scope holds the runs of the machines used within it."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import attrs
from hypothesis.errors import Flaky, HypothesisException

from venomqa_hyp.core import OnProgress
from venomqa_hyp.errors import DivergenceError, InvariantViolated, VacuousRun, VenomError
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.failures import Status
from venomqa_hyp.stateful.overrides import overridden, overrides
from venomqa_hyp.stateful.run import Run, StartOver, StopRun
from venomqa_hyp.stateful.settler import steps_of
from venomqa_hyp.world import acknowledge, ending_in_order

_watching: ContextVar[OnProgress | None] = ContextVar("venomqa_watching", default=None)


@attrs.frozen(eq=False)
class _Scope:
    shrinks: bool
    step_count: int
    multiple: bool
    generates: bool
    runs: dict[type, Run] = attrs.field(factory=dict)


_scope: ContextVar[_Scope | None] = ContextVar("venomqa_scope", default=None)


@contextmanager
def watching(on_progress: OnProgress) -> Iterator[None]:
    """Watch all runs that begin within.

    :param on_progress: called after each execution.
    """
    token = _watching.set(on_progress)
    try:
        yield
    finally:
        _watching.reset(token)


@contextmanager
def run_scope(
    *, shrinks: bool = True, step_count: int = 50, multiple: bool = True, generates: bool = True
) -> Iterator[None]:
    """Keep one run per machine within, and end them all on leaving.

    :param shrinks: whether failures are to be made short.
    :param step_count: the most steps of a test case.
    :param multiple: whether several failures are raised together.
    :param generates: whether test cases are generated, and not only replayed.
    """
    __tracebackhide__ = True
    scope = _Scope(shrinks, step_count, multiple, generates)
    token = _scope.set(scope)
    try:
        with ending_in_order(), ExitStack() as ending:
            ending.callback(_end_all, scope)
            yield
    except StopRun:
        pass  # what ended it was raised by end_run
    finally:
        _scope.reset(token)


def find_run(machine: type, definition: Definition) -> tuple[Run, bool]:
    """Return the run of a machine, and whether it belongs to the machine's instance alone."""
    scope = _scope.get()
    if scope is None:
        return Run(overridden(definition), on_progress=_watching.get()), True
    if machine not in scope.runs:
        scope.runs[machine] = Run(
            overridden(definition),
            shrinks=scope.shrinks,
            step_count=scope.step_count,
            multiple=scope.multiple,
            seconds=overrides().seconds,
            on_progress=_watching.get(),
            is_whole=True,
            generates=scope.generates,
        )
    return scope.runs[machine], False


def end_run(machine: object, run: Run) -> None:
    """End a run, and raise what was found: nothing that goes wrong while ending hides it."""
    __tracebackhide__ = True
    coming = sys.exception()
    acknowledge()
    if isinstance(coming, StopRun | StartOver):
        coming = None
    if isinstance(run.stopped, KeyboardInterrupt):
        coming = run.stopped  # Hypothesis may have taken it for a failure
    problem: BaseException | None = None
    try:
        run.settle_open()
    except (StopRun, StartOver):
        pass  # what was said of that is in the run
    except KeyboardInterrupt as again:
        acknowledge()
        coming = again
    except Exception as error:
        problem = error
    found = _found(run, coming)
    vacuous: VacuousRun | None = None
    try:
        nothing = run.is_whole and run.test_cases and not (found or coming or run.stopped)
        nothing = nothing and (run.budget.has_time() or run.has_executed)
        vacuous, warning = _close(machine, run, found_nothing=bool(nothing))
        problem = warning or problem
    except VenomError as error:
        problem = error
    if isinstance(coming, Flaky) and not found and (reason := run.not_repeated):
        # Hypothesis saw no more of it than that something differed.
        coming = DivergenceError(f"The World does not repeat itself: {reason}")
    others = [item for item in (run.stopped, coming, vacuous, problem) if item is not None]
    for item in others:
        if isinstance(item, DivergenceError | VacuousRun):
            run.note_refuted(item)
    _raise(coming, found, others, together=run.multiple)


def _found(run: Run, coming: BaseException | None) -> list[BaseException]:
    """Return the failures to raise: what is coming, if it is one, and what nobody was told of."""
    if coming is None:
        return [item.error for item in run.ledger.open]
    if isinstance(coming, HypothesisException):
        # Hypothesis complains that something differed; these were executed step by step.
        return [item.error for item in [*run.ledger.of(Status.REPORTED), *run.ledger.open]]
    if isinstance(coming, KeyboardInterrupt):
        # Nothing was printed yet, and what was not confirmed has no steps.
        for item in run.ledger.of(Status.REPORTED, Status.SEEN, Status.MINIMISED):
            if item.counterexample is None:
                item.error.add_note(steps_of("Seen after", item.path))
        return [coming, *(item.error for item in run.ledger.failing)]
    is_failure = isinstance(coming, InvariantViolated) or not isinstance(coming, VenomError)
    left = [item.error for item in run.ledger.open]
    return [coming, *left] if is_failure else left


def _raise(
    coming: BaseException | None,
    found: list[BaseException],
    others: list[BaseException],
    *,
    together: bool,
) -> None:
    """Raise the failures together, or else the first of the others; the rest becomes notes."""
    __tracebackhide__ = True
    if isinstance(coming, KeyboardInterrupt):
        others, found = [*found[1:], *others], [coming]
    if not together:
        others, found = [*found[1:], *others], found[:1]
    first = _joined(found) or next(iter(others), None)
    if first is None:
        return
    for other in others:
        if other is not first and other not in found:
            steps = "".join(f"\n{note}" for note in getattr(other, "__notes__", ()))
            first.add_note(f"And {type(other).__name__}: {other}{steps}")
    if first is not sys.exception():
        raise first from first.__cause__


def _end_all(scope: _Scope) -> None:
    __tracebackhide__ = True
    with ExitStack() as ending:
        for machine, run in scope.runs.items():
            ending.callback(end_run, machine, run)


def _close(
    machine: Any, run: Run, *, found_nothing: bool
) -> tuple[VacuousRun | None, Exception | None]:
    """Close a run and return what it did not reach, and what went wrong with its warnings."""
    problem: Exception | None = None
    try:
        run.warn(machine.__name__, found_nothing=found_nothing)
    except Warning as warning:  # where warnings are errors
        problem = warning
    summary = run.close(is_judged=found_nothing and run.generates)
    if summary is None:
        return None, problem
    machine.last_run = summary
    overrides().on_end(machine.__name__, run, summary)
    return VacuousRun(summary.unmet, summary) if summary.unmet else None, problem


def _joined(failures: list[BaseException]) -> BaseException | None:
    if len(failures) < 2:
        return failures[0] if failures else None
    each = [
        one
        for item in failures
        for one in (item.exceptions if isinstance(item, BaseExceptionGroup) else [item])
    ]
    return BaseExceptionGroup(f"{len(each)} distinct failures", each)
