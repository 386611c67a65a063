"""What of a store can be rolled back, as a record; each store says it without changing anything."""

import enum

import attrs

from venomqa_hyp.core.redaction import Redaction


class Verdict(enum.Enum):
    """What becomes of a part of a store in a rollback."""

    ROLLED_BACK = "yes"
    #: A run works, and this part is not rolled back.
    LEFT_OUT = "no"
    #: A run does not begin.
    REFUSED = "refused"
    NOTE = "note"


@attrs.frozen
class Part:
    """One part of a store.

    :ivar what: such as ``14 tables``.
    :ivar why: how it is rolled back, or why not and what to do about it.
    """

    what: str
    verdict: Verdict
    why: str


@attrs.frozen
class Diagnosis:
    """What of a store can be rolled back.

    :ivar where: the store, without a password.
    :ivar mode: the mode that ``mode="auto"`` takes; empty where none works.
    """

    where: str
    mode: str
    parts: tuple[Part, ...]

    @property
    def is_usable(self) -> bool:
        """Whether a run would begin."""
        return not any(part.verdict is Verdict.REFUSED for part in self.parts)


def counted(number: int, noun: str) -> str:
    """Return ``1 table`` or ``2 tables``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown_location(source: object) -> str:
    """Return how to reach what an adapter was given, without a password."""
    if isinstance(source, str):
        return Redaction().text(source)
    return f"the {type(source).__name__} of the application"
