"""How far a run is."""

from collections.abc import Callable

import attrs


@attrs.frozen
class Progress:
    """One moment of a run.

    :ivar step: executions of actions so far; of an Agent the calls of actions for exploring.
    :ivar max_steps: how many there may be; ``None`` where nothing limits them.
    :ivar states: different states seen.
    :ivar coverage: share of the actions that were executed at least once, 0.0 to 1.0.
    :ivar violations: failures that were seen and not refuted.
    :ivar recalled: steps answered from the record, without an execution.
    :ivar seconds: since the run began.
    :ivar best: the names of the actions of the shortest path that fails; empty while there is none.
    """

    step: int
    max_steps: int | None
    states: int
    coverage: float
    violations: int
    recalled: int = 0
    seconds: float = 0.0
    best: tuple[str, ...] = ()

    def __str__(self) -> str:
        limit = "" if self.max_steps is None else f"/{self.max_steps}"
        return (
            f"step {self.step}{limit} | states {self.states} | "
            f"coverage {self.coverage:.0%} | violations {self.violations}"
        )


OnProgress = Callable[[Progress], None]
