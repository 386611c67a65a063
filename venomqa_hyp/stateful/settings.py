"""The settings of Hypothesis that a machine runs with."""

from hypothesis import HealthCheck, Phase
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.database import InMemoryExampleDatabase

from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.overrides import overrides

BACKEND = "venomqa"


def default_settings(definition: Definition) -> Settings:
    """Return the settings of a machine that brings none."""
    given = Settings(deadline=None, suppress_health_check=list(HealthCheck))
    if not definition.rollback:
        return given
    return _without_explaining(Settings(given, backend=BACKEND))


def adapted(definition: Definition, given: Settings) -> Settings:
    """Return settings as a machine needs them."""
    chosen = overrides()
    if chosen.max_examples is not None:
        given = Settings(given, max_examples=chosen.max_examples)
    if not (definition.rollback and chosen.rollback):
        # Settings that were made for a machine which does roll back.
        return Settings(given, backend="hypothesis") if given.backend == BACKEND else given
    backend = BACKEND if given.backend == Settings().backend else given.backend
    # A step is slow the first time and free when it is recalled: a deadline would call that flaky.
    return _without_explaining(Settings(given, backend=backend, deadline=None))


def is_kept(given: Settings | None) -> bool:
    """Return whether Hypothesis keeps failures: who does not want that wants no files either."""
    database = None if given is None else given.database
    return database is not None and not isinstance(database, InMemoryExampleDatabase)


def _without_explaining(given: Settings) -> Settings:
    """Explaining names lines that only failing test cases ran: ours, as the API is elsewhere."""
    phases = [phase for phase in given.phases if phase is not Phase.explain]
    return Settings(given, phases=phases)
