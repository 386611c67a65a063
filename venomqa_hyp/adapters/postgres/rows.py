"""Rows as PostgreSQL writes them: composite literals, and Python values of what is in them.

https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

Load = Callable[[str], Any]

_FIELD = re.compile(r'(?:"((?:[^"\\]+|""|\\\\)*)"|([^,()"]*))[,)]')


def _is_true(text: str) -> bool:
    return text == "t"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


#: Number of a built-in type -> what makes a value of its text. Any other type stays text: of a
#: timestamp, for one, Python has no value where it is `infinity` or BC.
_LOADS: dict[int, Load] = {
    16: _is_true,
    17: _bytes,
    20: int,
    21: int,
    23: int,
    26: int,
    700: float,
    701: float,
    1700: Decimal,
    2950: UUID,
}


def load_of(kind: int) -> Load:
    """Return what makes a value of the text of a type."""
    return _LOADS.get(kind, str)


def fields(row: str) -> list[str | None]:
    """Return the texts of the columns of a composite literal; None for NULL."""
    return [
        _unquoted(found[1]) if found[2] is None else found[2] or None
        for found in _FIELD.finditer(row, 1)
    ]


def _unquoted(text: str) -> str:
    return text.replace('""', '"').replace("\\\\", "\\")


class Reader:
    """Makes values of the observed columns of a row."""

    __slots__ = ("_wanted",)

    def __init__(self, wanted: Sequence[tuple[int, Load]]) -> None:
        self._wanted = wanted

    def __call__(self, row: str) -> tuple[Any, ...]:
        """Return one value per observed column."""
        texts = fields(row)
        return tuple(
            None if (text := texts[at]) is None else load(text) for at, load in self._wanted
        )
