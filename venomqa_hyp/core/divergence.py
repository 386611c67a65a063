"""What the World did not repeat."""

from typing import Self

import attrs

from venomqa_hyp.values import Difference

#: So many differences are told in full.
_TOLD = 5


@attrs.frozen
class Differing:
    """One place with two values.

    :ivar system: the name of the system, ``context`` or ``result``.
    :ivar place: the place within it, as it can be given to ``World(volatile=[...])``.
    :ivar text: the place and both values in full, in words.
    """

    system: str
    place: str
    text: str

    @classmethod
    def of(cls, difference: Difference) -> Self:
        """Return what identifies a difference, in words."""
        return cls(difference.where[0], difference.place, str(difference))


@attrs.frozen
class Divergence:
    """A step that had another outcome, or led to another state, when it was executed again.

    :ivar step: the step in words; empty where no step is to blame.
    :ivar what: what happened, in one sentence.
    :ivar places: where the states differ, without what random ids and clocks explain.
    :ivar advice: what to write.
    :ivar actions: the names of those that showed it; empty where none is to blame.
    """

    step: str
    what: str
    places: tuple[Differing, ...] = ()
    advice: str = ""
    actions: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.what, *(f"  {item.text}" for item in self.places[:_TOLD])]
        if len(self.places) > _TOLD:
            lines.append(f"  and {len(self.places) - _TOLD} more places")
        return "\n".join([*lines, self.advice] if self.advice else lines)
