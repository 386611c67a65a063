"""A canonical digest of nested values, and copies that share nothing mutable.

Equal digests mean equal values *of equal types*: ``1``, ``True``, ``1.0`` and ``"1"`` all differ,
while the order of a dict or set does not matter. The canonical text is built on ``repr``, which
is unambiguous for the built-in scalars.
"""

import copy
import datetime
import decimal
import enum
import hashlib
import pathlib
import uuid
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from types import MappingProxyType
from typing import Any

import attrs

from venomqa_hyp.errors import DigestError

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
#: Types whose own ``repr`` tells equal from unequal; that of a subclass may not.
_CANONICAL: tuple[type, ...] = (
    str,
    bytes,
    int,
    float,
    complex,
    bytearray,
    decimal.Decimal,
    uuid.UUID,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.timezone,
    pathlib.PurePath,
    range,
)


def digest(value: object, *, where: str = "value") -> str:
    """Return 32 hexadecimal digits that identify ``value``.

    :param where: what the value is called in an error, such as ``context``.
    :raises DigestError: names the first nested value that has no canonical form.
    """
    return hash_text(canonical_text(value, where=where))


def hash_text(text: str) -> str:
    """Return 32 hexadecimal digits of BLAKE2b over ``text``."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def canonical_text(value: object, *, where: str = "value") -> str:
    """Return the text that :func:`digest` hashes."""
    if type(value) in _SCALARS:
        return repr(value)
    try:
        return _text(value, where)
    except RecursionError:
        raise DigestError(
            f"{where} refers to itself or is nested too deeply, so it has no digest. "
            "Store the plain values that matter instead."
        ) from None


def _text(value: Any, where: str) -> str:
    kind = type(value)
    if kind in _SCALARS:
        return repr(value)
    if kind is list or kind is tuple:
        return _sequence_text(value, where)
    if kind is dict:
        return _mapping_text(value, where)
    if isinstance(value, enum.Enum):
        # A combination of flags may have no name.
        return f"{_kind_name(kind)}.{value.name}" + ("" if value.name else repr(value.value))
    if isinstance(value, Mapping):
        return _kind_name(kind) + _mapping_text(value, where)
    if isinstance(value, AbstractSet):
        inner = sorted(_text(item, f"{where}{{...}}") for item in value)
        return f"{_kind_name(kind)}{{{','.join(inner)}}}"
    if isinstance(value, (list, tuple, deque)):
        return _kind_name(kind) + _sequence_text(list(value), where)
    for canonical in _CANONICAL:
        if isinstance(value, canonical):
            return _kind_name(kind) + canonical.__repr__(value)  # type: ignore[call-arg]
    return _record_text(value, where)


def _sequence_text(value: list[object] | tuple[object, ...], where: str) -> str:
    if _SCALARS.issuperset(map(type, value)):
        return repr(value)  # nothing nested: this is done in C
    inner = ",".join([_text(item, f"{where}[{index}]") for index, item in enumerate(value)])
    return f"[{inner}]" if type(value) is list else f"({inner},)"


def _mapping_text(value: Mapping[Any, Any], where: str) -> str:
    inner = sorted(
        [
            f"{repr(key) if type(key) in _SCALARS else _text(key, f'{where} key')}:"
            f"{repr(item) if type(item) in _SCALARS else _text(item, f'{where}[{key!r}]')}"
            for key, item in value.items()
        ]
    )
    return f"{{{','.join(inner)}}}"


def _record_text(value: object, where: str) -> str:
    kind = type(value)
    if attrs.has(kind):
        names = [field.name for field in attrs.fields(kind) if field.eq]
    elif is_dataclass(kind):
        names = [field.name for field in dataclass_fields(kind) if field.compare]
    else:
        raise DigestError(
            f"{where} is a {_kind_name(kind)} ({value!r:.80}), which has no canonical digest: "
            "two states that hold one cannot be compared. Store plain values instead "
            '(an id, response.json()["id"]), or a dataclass, or leave the key out with '
            "World(..., state_from_context=[the keys that matter])."
        )
    inner = ",".join(f"{name}={_text(getattr(value, name), f'{where}.{name}')}" for name in names)
    return f"{_kind_name(kind)}({inner})"


def _kind_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_SHARED = _SCALARS | {
    decimal.Decimal,
    uuid.UUID,
    datetime.datetime,
    datetime.date,
    datetime.timedelta,
    range,
}


def snapshot(value: Any) -> Any:
    """Return a copy of ``value`` that shares nothing mutable with it.

    Like :func:`copy.deepcopy`, but immutable scalars and plain containers take a short way.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict:
        if _SCALARS.issuperset(map(type, value.values())):
            return value.copy()
        return {key: snapshot(item) for key, item in value.items()}
    if kind is list:
        if _SCALARS.issuperset(map(type, value)):
            return value.copy()
        return [snapshot(item) for item in value]
    if kind in _SHARED:
        return value
    if kind is MappingProxyType:
        return MappingProxyType({key: snapshot(item) for key, item in value.items()})
    if kind is tuple and _SCALARS.issuperset(map(type, value)):
        return value
    return copy.deepcopy(value)
