"""A machine that counts, and a function that opens Worlds for it: shared by the tests of runs."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tiny_systems import Snapshots

from venomqa_hyp import Action, Context, Invariant, World, venom_machine

both_ways = pytest.mark.parametrize("rollback", [True, False])
quick = settings(
    max_examples=30, stateful_step_count=6, suppress_health_check=list(HealthCheck), deadline=None
)


class Opener:
    """Makes Worlds of one system each and keeps the systems, to see what became of them."""

    def __init__(self, **errors: list[BaseException | None]) -> None:
        self.errors = errors
        self.opened: list[Snapshots] = []

    def __call__(self) -> World:
        self.opened.append(Snapshots(**self.errors))
        return World(self.opened[-1].data, {"store": self.opened[-1]})

    @property
    def closed(self) -> list[int]:
        return [system.closed for system in self.opened]


def add(api: Any, context: Context) -> None:
    api["n"] = api.get("n", 0) + 1


def look(api: Any, context: Context) -> None: ...


def machine(world: Any, limit: int = 100, **options: Any) -> Any:
    few = Invariant("few", lambda world: world.api.get("n", 0) < limit)
    return venom_machine(world, [Action("add", add), Action("look", look)], [few], **options)


def run(made: Any) -> None:
    run_state_machine_as_test(made, settings=quick)
