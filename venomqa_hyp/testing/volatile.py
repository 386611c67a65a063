"""What two executions of the same thing leave, and what of that is made anew each time."""

from collections.abc import Mapping
from time import time
from typing import Any

from venomqa_hyp.values import Knowledge, Made, canonical_text


def volatile_places(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the places that explain all differences between two runs of the same thing.

    For the author of an adapter: whether what it shows repeats itself, but for random ids, tokens
    and clocks.

    :param first: what ``Observation.data`` was after one run.
    :param second: what it was after the other, from the same state.
    :return: the places with dots between, such as ``orders.*.id``; ``None`` where a difference
        cannot be explained so.
    """
    knowledge = Knowledge()
    made = [
        Made("run", "run", {}, frozenset(), {"": (canonical_text(data), data)}, time(), time())
        for data in (dict(first), dict(second))
    ]
    if knowledge.compare(*made):
        return None
    return tuple(place.removeprefix(".") for place in knowledge.volatile)
