"""Gives each run of a machine its World, its settings and its failure files, inside Hypothesis."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import Phase
from hypothesis import settings as Settings  # noqa: N812  # it is a class

from venomqa_hyp.stateful import internals
from venomqa_hyp.stateful.machine import VenomStateMachine
from venomqa_hyp.stateful.overrides import overrides
from venomqa_hyp.stateful.run import StopRun
from venomqa_hyp.stateful.saved import replay
from venomqa_hyp.stateful.scope import find_run, run_scope
from venomqa_hyp.stateful.settings import adapted, is_kept


def install() -> None:
    """Let Hypothesis run our machines in a scope; once in a process."""
    internals.install(
        _is_ours,
        lambda machine, given: adapted(machine.venom_definition, given),
        _scope,
        _starts_over,
        lambda: (overrides().seed, overrides().part),
        StopRun,
    )


@contextmanager
def _scope(machine: Any, given: Settings | None) -> Iterator[bool]:
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
        if _is_ours(machine):
            run, _ = find_run(machine, machine.venom_definition)
            replay(run, problems, is_kept=is_kept(given))
        yield overrides().replay is None or not _is_ours(machine)
    for problem in problems:
        raise problem


def _starts_over(machine: Any) -> bool:
    return _is_ours(machine) and find_run(machine, machine.venom_definition)[0].starts_over()


def _is_ours(machine: object) -> bool:
    return isinstance(machine, type) and issubclass(machine, VenomStateMachine)
