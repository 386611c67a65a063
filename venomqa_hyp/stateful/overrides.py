"""What a test runner sets for the machines that it runs, such as pytest by its options."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import attrs

from venomqa_hyp.core import ExplorationResult
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.stateful.definition import Definition, WorldSource
from venomqa_hyp.stateful.run import Run
from venomqa_hyp.world import World


@attrs.frozen
class Replay:
    """One failure to execute, instead of looking for failures.

    :ivar path: the failure file.
    :ivar stop: the number of the step, from 1, before which to stop; ``None`` executes them all.
    :ivar on_stop: called there with the World.
    """

    path: Path
    stop: int | None = None
    on_stop: Callable[[World], None] = lambda world: None


@attrs.frozen(eq=False)
class Overrides:
    """What holds for all runs that begin within :func:`overriding`.

    :ivar seconds: time for each run; then it generates nothing more.
    :ivar max_examples: the most test cases; ``None`` leaves the settings as they are.
    :ivar rollback: false re-runs every step from a reset World, whatever the machine says.
    :ivar seed: for machines that have none; ``None`` leaves chance to Hypothesis.
    :ivar part: tells runs of one machine with different Worlds apart.
    :ivar fixture: name -> value of a fixture.
    :ivar on_end: called with the name of the machine, the run and its record when a run has ended.
    """

    seconds: float = math.inf
    max_examples: int | None = None
    rollback: bool = True
    seed: int | str | None = None
    part: str = ""
    fixture: Callable[[str], object] | None = None
    replay: Replay | None = None
    on_end: Callable[[str, Run, ExplorationResult], None] = lambda name, run, result: None


_current: ContextVar[Overrides] = ContextVar("venomqa_overrides", default=Overrides())  # noqa: B039


def overrides() -> Overrides:
    """Return what holds now."""
    return _current.get()


@contextmanager
def overriding(chosen: Overrides) -> Iterator[None]:
    """Let something hold for all runs that begin within."""
    token = _current.set(chosen)
    try:
        yield
    finally:
        _current.reset(token)


@attrs.frozen
class FixtureWorld:
    """Stands for the World that a pytest fixture gives.

    :ivar name: of the fixture.
    """

    name: str

    def __call__(self) -> World:
        """Refuse: only the TestCase of a machine can ask pytest for a fixture."""
        raise DefinitionError(
            f"the World of this machine is the pytest fixture {self.name!r}, and here is no pytest "
            "to ask for it: it is there while pytest runs the machine's TestCase. Write "
            "TestShop = venom_machine(...).TestCase in a test file, and run that with pytest. "
            f"In a test function write def test_shop(venom, {self.name}): "
            f"venom({self.name}, actions). Without pytest, give the machine a function that "
            "returns a World. Where plugins are not loaded by themselves "
            "(PYTEST_DISABLE_PLUGIN_AUTOLOAD), write pytest -p _venomqa_hyp_pytest."
        )

    def value(self) -> WorldSource:
        """Return the World, or the function that returns one, that the fixture gives."""
        fixture = overrides().fixture
        value = self() if fixture is None else fixture(self.name)
        if not isinstance(value, World) and not callable(value):
            raise DefinitionError(
                f"the fixture {self.name!r} gives {value!r:.60} of type {type(value).__name__}, "
                "but a machine needs a World, or a function that returns one. "
                "Write yield World(api, systems) in the fixture."
            )
        return value


def world_from_fixture(name: str) -> FixtureWorld:
    """Return what stands for a World in ``venom_machine``: the value of a pytest fixture.

    The fixture is requested when pytest runs the machine's TestCase. It gives a World, which its
    own code closes, or a function that returns one, which is then called for each run. A
    parametrised fixture makes one test of each of its parameters.

    :param name: of a fixture of any scope.
    :raises DefinitionError: this is no name of a fixture.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise DefinitionError(
            f"world_from_fixture({name!r:.60}) was refused: it takes the name of a pytest fixture. "
            'Write world_from_fixture("world").'
        )
    return FixtureWorld(name)


def overridden(definition: Definition) -> Definition:
    """Return a definition as it holds now."""
    chosen, world = overrides(), definition.world
    return attrs.evolve(
        definition,
        identity=definition.identity + chosen.part,
        world=world.value() if isinstance(world, FixtureWorld) else world,
        rollback=definition.rollback and chosen.rollback,
    )
