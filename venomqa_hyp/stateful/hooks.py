"""Gives each run of a machine its World, its settings and its failure files, inside Hypothesis."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import Phase
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.database import InMemoryExampleDatabase

from venomqa_hyp.errors import DefinitionError, WorldError
from venomqa_hyp.stateful import internals
from venomqa_hyp.stateful.failure_files import FailureFolder
from venomqa_hyp.stateful.machine import VenomStateMachine
from venomqa_hyp.stateful.run import Run, StopRun
from venomqa_hyp.stateful.saved import replay_saved, save_confirmed
from venomqa_hyp.stateful.scope import find_run, run_scope
from venomqa_hyp.stateful.settings import adapted


def install() -> None:
    """Let Hypothesis run our machines in a scope; once in a process."""
    internals.install(
        _is_ours,
        lambda machine, given: adapted(machine.venom_definition, given),
        _scope,
        _starts_over,
        StopRun,
    )


@contextmanager
def _scope(machine: Any, given: Settings | None) -> Iterator[None]:
    __tracebackhide__ = True
    shrinks = given is None or Phase.shrink in given.phases
    chosen = given or Settings()
    problems: list[Warning] = []
    with run_scope(
        shrinks=shrinks,
        step_count=chosen.stateful_step_count,
        multiple=chosen.report_multiple_bugs,
        generates=Phase.generate in chosen.phases,
    ):
        if _is_ours(machine) and machine.venom_definition.rollback and _is_kept(given):
            run, _ = find_run(machine, machine.venom_definition)
            folder = FailureFolder()
            save_confirmed(run, folder, problems)
            _until_stopped(run, lambda: replay_saved(run, folder))
        yield
    for problem in problems:
        raise problem


def _until_stopped(run: Run, replay: Callable[[], None]) -> None:
    __tracebackhide__ = True
    try:
        replay()
    except (WorldError, DefinitionError) as error:
        run.stopped = error
        raise StopRun from error


def _starts_over(machine: Any) -> bool:
    return _is_ours(machine) and find_run(machine, machine.venom_definition)[0].starts_over()


def _is_kept(given: Settings | None) -> bool:
    """Return whether Hypothesis keeps failures: who does not want that wants no files either."""
    database = None if given is None else given.database
    return database is not None and not isinstance(database, InMemoryExampleDatabase)


def _is_ours(machine: object) -> bool:
    return isinstance(machine, type) and issubclass(machine, VenomStateMachine)
