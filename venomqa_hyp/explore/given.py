"""How an argument comes about, so that it stays valid when steps before it go."""

from typing import Any

import attrs

Choice = bool | int | float | str | bytes
Choices = tuple[Choice, ...]
#: The step that made a value, and which of the values it made.
Owner = tuple[int, int]


@attrs.frozen
class Drawn:
    """A value that a strategy made from choices."""

    value: Any
    choices: Choices = ()


@attrs.frozen
class Chosen:
    """A value picked from a pool: a Bundle or what is held under a context key."""

    pool: str
    owner: Owner


@attrs.frozen
class Picked:
    """A value picked from a pool by its age.

    :ivar newer: how many newer values there are.
    """

    pool: str
    newer: int


@attrs.frozen
class Literal:
    """A value from a pool, where nobody knows how it was made of what is there."""

    value: Any


Given = Drawn | Chosen | Picked | Literal
