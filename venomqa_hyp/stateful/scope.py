"""When runs begin and end: a scope holds the runs of the machines used within it."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from venomqa_hyp.errors import VenomError
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.run import OnStep, Run

_runs: ContextVar[dict[type, Run] | None] = ContextVar("venomqa_runs", default=None)
_shrinks: ContextVar[bool] = ContextVar("venomqa_shrinks", default=True)
_step_count: ContextVar[int] = ContextVar("venomqa_step_count", default=50)
_on_step: ContextVar[OnStep | None] = ContextVar("venomqa_on_step", default=None)


class StopRun(BaseException):
    """Ends all test cases: Hypothesis would take an ``Exception`` for a finding.

    What ended them is kept in :attr:`Run.stopped`; nothing where there is nothing left to do.
    """


@contextmanager
def watching(on_step: OnStep) -> Iterator[None]:
    """Call ``on_step`` with the run after each execution, in all runs begun within."""
    token = _on_step.set(on_step)
    try:
        yield
    finally:
        _on_step.reset(token)


@contextmanager
def run_scope(*, shrinks: bool = True, step_count: int = 50) -> Iterator[None]:
    """Keep one run per machine within, and end them all on leaving.

    :param shrinks: whether failures are to be made short.
    :param step_count: the most steps of a test case.
    """
    __tracebackhide__ = True
    token, shrinks_token = _runs.set({}), _shrinks.set(shrinks)
    count_token = _step_count.set(step_count)
    try:
        yield
    except StopRun:
        pass  # why is told below
    finally:
        runs = _runs.get() or {}
        _runs.reset(token)
        _shrinks.reset(shrinks_token)
        _step_count.reset(count_token)
        with ExitStack() as ending:
            for machine, run in runs.items():
                ending.callback(end_run, machine, run, whole=True)
        for run in runs.values():
            if run.stopped is not None:
                # Whatever is on its way instead is what Hypothesis made of it.
                raise run.stopped from run.stopped.__cause__


def find_run(machine: type, definition: Definition) -> tuple[Run, bool]:
    """Return the run of a machine, and whether it belongs to the machine's instance alone."""
    runs = _runs.get()
    if runs is None:
        return Run(definition, on_step=_on_step.get()), True
    if machine not in runs:
        runs[machine] = Run(
            definition,
            shrinks=_shrinks.get(),
            step_count=_step_count.get(),
            on_step=_on_step.get(),
        )
        runs[machine].can_start_over = True
    return runs[machine], False


def end_run(machine: Any, run: Run, *, whole: bool = False) -> None:
    """End a run; a failure to do so never hides the error that is on its way.

    :param whole: whether these were all test cases of a run, and not one driven by hand.
    """
    __tracebackhide__ = True
    first = run.stopped or sys.exception()
    if isinstance(first, StopRun):
        first = None  # nothing was left to do
    problem: Exception | None = None
    try:
        summary = run.close()
        if summary is not None:
            machine.last_run = summary
        run.warn()
        if not run.reduction.unreported:
            run.warn_of_idle(machine.__name__, whole=whole and first is None)
    except (VenomError, Warning) as error:
        problem = error
    left = run.reduction.unreported
    told = first or _joined(left) or problem
    if problem is not None and told is not None and told is not problem:
        told.add_note(f"While ending the run: {problem}")
    if first is None and told is not None:
        raise told
    for found in left:
        if first is not None and found is not first:
            first.add_note(f"Found as well, and not met again before the run ended: {found!r}")


def _joined(failures: list[BaseException]) -> BaseException | None:
    if len(failures) > 1:
        return BaseExceptionGroup("failures not met again before the run ended", failures)
    return failures[0] if failures else None
