"""Where two executions of one path went apart, to tell why a failure did not show again."""

from collections.abc import Sequence

import attrs

from venomqa_hyp.core import Differing
from venomqa_hyp.explore.counterexample import Transcript
from venomqa_hyp.explore.executor import Executor
from venomqa_hyp.explore.position import Position
from venomqa_hyp.explore.proofs import outcome_text


@attrs.frozen
class Parting:
    """The first step after which two executions differ.

    :ivar what: the step, and what it did the first time and the second, in one sentence.
    :ivar places: where the states after it differ, if the outcomes do not.
    """

    what: str
    places: tuple[Differing, ...] = ()


def parting(executor: Executor, first: Sequence[Position], again: Transcript) -> Parting | None:
    """Return where a path was left; ``None`` where each step did what it had done before.

    :param first: the positions of the path, with what was observed where that is still at hand.
    """
    for number, (known, entered) in enumerate(zip(first, again.entered, strict=False), 1):
        assert known.taken is not None
        assert entered.at.taken is not None
        name = f"Step {number}, {known.taken.step},"
        one, other = map(outcome_text, (known.taken.result, entered.at.taken.result))
        if one != other:
            return Parting(f"{name} is the first that differs: first it {one}, then it {other}.")
        if known.state.observations and entered.after is not None:
            shown = [executor.world.shown(state) for state in (known.state, entered.after)]
            places = tuple(map(Differing.of, executor.knowledge.differing(*shown)))
            if places:
                return Parting(f"{name} is the first that led to another state:", places)
    return None
