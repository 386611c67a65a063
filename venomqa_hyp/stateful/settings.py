"""The settings of Hypothesis that a machine runs with."""

from hypothesis import HealthCheck, Phase
from hypothesis import settings as Settings  # noqa: N812  # it is a class

from venomqa_hyp.stateful.definition import Definition

BACKEND = "venomqa"


def default_settings(definition: Definition) -> Settings:
    """Return the settings of a machine that brings none."""
    given = Settings(deadline=None, suppress_health_check=list(HealthCheck))
    if not definition.rollback:
        return given
    return _without_explaining(Settings(given, backend=BACKEND))


def adapted(definition: Definition, given: Settings) -> Settings:
    """Return settings as a machine needs them."""
    if not definition.rollback:
        return given
    backend = BACKEND if given.backend == Settings().backend else given.backend
    # A step is slow the first time and free when it is recalled: a deadline would call that flaky.
    return _without_explaining(Settings(given, backend=backend, deadline=None))


def _without_explaining(given: Settings) -> Settings:
    """Explaining names lines that only failing test cases ran: ours, as the API is elsewhere."""
    phases = [phase for phase in given.phases if phase is not Phase.explain]
    return Settings(given, phases=phases)
