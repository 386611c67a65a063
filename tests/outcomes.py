"""Run a machine or an Agent on a store in memory, and look at what it raised and recorded."""

import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import attrs
from hypothesis import HealthCheck, seed, settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Agent, ExplorationResult, Violation, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter

CONFLICT = SimpleNamespace(status_code=409)


def store_of(**data: Any) -> Callable[[], World]:
    """Return what opens a World with one store that begins like this."""

    def open_world() -> World:
        store = MemoryAdapter(dict(data))
        return World(store, {"store": store})

    return open_world


@attrs.frozen
class Outcome:
    """What came of one run.

    :ivar raised: what ended it.
    :ivar record: its summary; ``None`` where the run left none.
    :ivar warnings: the text of each.
    """

    raised: BaseException | None
    record: ExplorationResult | None
    warnings: tuple[str, ...] = ()

    @property
    def violations(self) -> tuple[Violation, ...]:
        return () if self.record is None else self.record.violations

    @property
    def paths(self) -> dict[str, list[str]]:
        """Return name -> steps."""
        return {item.name: list(map(str, item.reproduction_path)) for item in self.violations}

    @property
    def errors(self) -> list[BaseException]:
        """Return what was raised, one by one."""
        return [] if self.raised is None else list(leaves(self.raised))

    @property
    def text(self) -> str:
        """Return everything that was raised, recorded as refuted or warned of."""
        refuted = () if self.record is None else self.record.refuted
        return "\n".join([text_of(self.raised), *refuted, *self.warnings])


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group; a complaint of Hypothesis's own is one, whatever it holds."""
    if isinstance(error, BaseExceptionGroup) and not isinstance(error, HypothesisException):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def text_of(error: BaseException | None) -> str:
    """Return an error with its notes, and those it groups with theirs."""
    if error is None:
        return ""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    notes = getattr(error, "__notes__", [])
    return "\n".join([f"{type(error).__name__}: {error}", *notes, *map(text_of, inner)])


def by_machine(
    world: Any,
    actions: Any,
    invariants: Any = (),
    *,
    number: int = 0,
    examples: int = 60,
    steps: int = 8,
    **options: Any,
) -> Outcome:
    """Run a machine."""
    machine = seed(number)(venom_machine(world, actions, invariants, **options))
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    raised: BaseException | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run_state_machine_as_test(machine, settings=chosen)
        except BaseException as error:
            raised = error
    return Outcome(raised, machine.last_run, tuple(str(item.message) for item in caught))


def by_agent(
    world: Any, actions: Any, invariants: Any = (), *, number: int = 0, **options: Any
) -> Outcome:
    """Run an Agent."""
    raised: BaseException | None = None
    record: ExplorationResult | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            record = Agent(world, actions, invariants, seed=number, **options).explore()
        except BaseException as error:
            raised = error
    return Outcome(raised, record, tuple(str(item.message) for item in caught))
