"""Values with other atoms: what one path holds, as another path holds it."""

import datetime
import decimal
import re
import uuid
from collections.abc import Mapping
from typing import Any

from venomqa_hyp.errors import DigestError
from venomqa_hyp.values.atoms import (
    CLOCK,
    EPOCH,
    ID,
    SECONDS_DIGITS,
    UUID,
    Atom,
    Encoded,
    Name,
    atom_of,
    moment_of,
)
from venomqa_hyp.values.chunks import chunks, split_wholly
from venomqa_hyp.values.knowledge import Knowledge
from venomqa_hyp.values.trees import Reader


class Sealed(Exception):
    """An atom is within something encoded or signed, so that no other can take its place."""


def rename(value: Any, names: Mapping[Name, Name]) -> Any:
    """Return a value in which atoms have other names.

    :raises Sealed: one of them cannot be exchanged.
    """
    kind = type(value)
    if kind is str:
        return _renamed_text(value, names)
    if kind is dict:
        return {rename(key, names): rename(item, names) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind([rename(item, names) for item in value])
    atom = atom_of(value)
    if atom is None and kind in (int, float):
        atom = Atom(f"{ID}{value}", str(value))  # a small number may be one, too
    if atom is None or atom.name not in names:
        return value
    new = respell(atom.spelled, names[atom.name])
    if new is None or kind not in _MAKE:
        raise Sealed
    return _MAKE[kind](new)


def aligned(one: object, other: object, knowledge: Knowledge) -> dict[Name, Name]:
    """Return what the atoms of one value are called in another that is the same but for them."""
    if one is other or one == other:
        return {}
    try:
        first, second = knowledge.unit(one), knowledge.unit(other)
    except DigestError:
        return {}
    names = {
        mine.name: its.name
        for mine, its in zip(first.atoms(), second.atoms(), strict=False)
        if mine.name != its.name
    }
    if isinstance(one, str) and isinstance(other, str):
        names[f"i{one}"] = f"i{other}"  # as a whole, for it may be signed
    return names if first.pieces == second.pieces else {}


_MAKE: Mapping[type, Any] = {
    int: int,
    float: float,
    decimal.Decimal: decimal.Decimal,
    uuid.UUID: uuid.UUID,
    bytes: lambda text: bytes.fromhex(text.replace("-", "")),
}


def _renamed_text(text: str, names: Mapping[Name, Name]) -> str:
    whole = names.get(f"i{text}")
    if whole is not None:
        return respell(text, whole) or whole[1:]
    out = []
    for part in split_wholly(text, frozenset(c for c in chunks(text) if f"{ID}{c}" in names)):
        if isinstance(part, Atom):
            new = respell(part.spelled, names[part.name]) if part.name in names else part.spelled
            if new is None:
                raise Sealed
            out.append(new)
        elif isinstance(part, Encoded):
            if any(hole.name in names for hole in Reader().unit(part.content, ()).atoms()):
                raise Sealed
            out.append(part.spelled)
        else:
            out.append(part)
    return "".join(out)


def respell(spelled: str, name: Name) -> str | None:
    """Return another atom in the spelling of a given one; ``None`` where that is not known."""
    if name[0] == ID:
        return _respelled_id(spelled, name[1:])
    microseconds, _, finer = name[1:].partition("+")
    if name[0] == CLOCK and microseconds.isdecimal():
        return _respelled_clock(spelled, int(microseconds), finer)
    return name[1:]


def _respelled_id(spelled: str, new: str) -> str:
    if re.fullmatch(UUID, new):
        if re.fullmatch(r"[0-9a-fA-F]{32}", spelled):
            new = new.replace("-", "")
        if spelled.upper() == spelled != spelled.lower():
            new = new.upper()
    return new


def _respelled_clock(spelled: str, moment: int, finer: str) -> str | None:
    whole, _, decimals = spelled.partition(".")
    if whole.isdecimal() and len(whole) >= SECONDS_DIGITS:
        digits = f"{moment:016}{finer}".ljust(len(whole) + len(decimals), "0")
        new = digits[: len(whole)]
        return f"{new}.{digits[len(whole) : len(whole) + len(decimals)]}" if decimals else new
    found = re.fullmatch(r"(.{10})([T ])([\d:]+?)(?:\.(\d+))?( ?(?:Z|UTC|[+-][\d:]+)?)", spelled)
    if found is None or not spelled[:4].isdecimal():
        return None
    offset = moment_of(spelled).utcoffset() or datetime.timedelta()
    at = EPOCH + datetime.timedelta(microseconds=moment) + offset
    text = f"{at:%Y-%m-%d}{found[2]}{f'{at:%H:%M:%S}'[: len(found[3])]}"
    if found[4]:
        text += f".{at.microsecond:06}"[: len(found[4]) + 1]
    return text + found[5]
