r"""Values as JSON, and back: exactly, and without executing anything.

Values that JSON holds exactly stay as they are. Everything else is an object with one key that
begins with ``$``, wherever a value may stand:

=============== ====================================== ==================================
``$bytes``      bytes                                  base64: ``"aGk="``
``$tuple``      tuple                                  list of values
``$set``        set                                    list of values
``$frozenset``  frozenset                              list of values
``$dict``       dict with keys that are not text, or   list of ``[key, value]``
                whose only key begins with ``$``
``$int``        int beyond +-(2**53 - 1)               text: ``"9007199254740992"``, very
                                                       large ones ``"0x..."``
``$float``      not finite                             ``"nan"``, ``"inf"``, ``"-inf"``
``$complex``    complex                                ``"(1+2j)"``
``$str``        text with surrogates, which JSON       they, and ``\``, are ``\uXXXX``:
                merges or refuses                      ``"caf\\udce9"``
``$decimal``    decimal.Decimal                        ``"1.50"``
``$uuid``       uuid.UUID                              its usual text
``$datetime``   datetime.datetime: naive, or with a    ISO 8601, then `` fold=1`` where
                fixed offset that has no name          fold is 1
``$time``       datetime.time, likewise                likewise
``$date``       datetime.date                          ISO 8601
``$timedelta``  datetime.timedelta                     ``[days, seconds, microseconds]``
``$unsaved``    a value that is not saved, see         what it looked like, for people
                :class:`Unsaved`
=============== ====================================== ==================================

The order of a list, tuple or dict is kept; that of a set has no meaning. Of a NaN, sign and
payload are not kept. Only these exact types are saved: an enum member, a dataclass or a named
tuple could be read back only by importing the code that defines it, and *nothing that a file
names is ever imported or executed*. An argument with such a value is saved as ``$unsaved``, beside
the choices with which its strategy makes it again, where they are known.
"""

import base64
import datetime
import decimal
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from venomqa_hyp.errors import DefinitionError, VenomError

#: The version of the encoding.
FORMAT = 1
#: How deeply a value may be nested.
MAX_NESTING = 100

_EXACT_INTEGER = 2**53 - 1  # beyond, RFC 8259 expects readers to round
_DECIMAL_BITS = 2000  # Python may refuse to convert more than 640 digits

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Unencodable(DefinitionError):
    """A value cannot be written to a failure file and read back as the same value."""


class Undecodable(VenomError, ValueError):
    """Something in a failure file is not the encoding of a value."""


@attrs.frozen
class Unsaved:
    """Stands for the value of an argument that cannot be saved.

    :ivar shown: what the value looked like.
    """

    shown: str


def encode(value: object, *, where: str = "value") -> Json:
    """Return what stands for a value in JSON, see the head of this module.

    :param where: what the value is called in an error, such as ``amount``.
    :raises Unencodable: names the first nested value of another type.
    """
    return encode_within(value, where, MAX_NESTING)


def decode(encoded: Json) -> Any:
    """Return the value that :func:`encode` was given.

    :raises Undecodable: for what :func:`encode` never returns.
    """
    try:
        return _decode(encoded)
    except Undecodable:
        raise
    except (ValueError, TypeError, ArithmeticError) as error:
        raise Undecodable(f"it holds {encoded!r:.80}, which is no value: {error}") from error
    except RecursionError:
        raise Undecodable("it is nested too deeply") from None


@attrs.frozen
class _Scalar:
    """How values of one type are packed into a JSON value, and unpacked again."""

    kind: type
    packed: type
    pack: Callable[[Any], Json]
    unpack: Callable[[Any], Any]


_SURROGATE = re.compile("[\ud800-\udfff]")


def _pack_int(value: int) -> str:
    return str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)


def _pack_str(value: str) -> str:
    return re.sub("[\\\\\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", value)


def _unpack_str(text: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)


def _pack_time(value: datetime.datetime | datetime.time) -> str:
    if value.tzinfo is None or type(value.tzinfo) is datetime.timezone:
        text = value.isoformat()
        if repr(type(value).fromisoformat(text)) == repr(value.replace(fold=0)):
            return f"{text} fold=1" if value.fold else text
    raise ValueError("and ISO 8601 holds no time zone but a fixed offset without a name")


def _unpack_time(kind: type[Any]) -> Callable[[str], Any]:
    def unpack(text: str) -> Any:
        moment, _, fold = text.partition(" fold=")
        return kind.fromisoformat(moment).replace(fold=int(fold or 0))

    return unpack


def _unpack_timedelta(parts: list[Any]) -> datetime.timedelta:
    days, seconds, microseconds = parts
    return datetime.timedelta(days, seconds, microseconds)


_SCALARS = {
    "$bytes": _Scalar(
        bytes,
        str,
        lambda value: base64.b64encode(value).decode(),
        lambda text: base64.b64decode(text, validate=True),
    ),
    "$int": _Scalar(int, str, _pack_int, lambda text: int(text, 0)),
    "$float": _Scalar(float, str, repr, float),
    "$complex": _Scalar(complex, str, repr, complex),
    "$str": _Scalar(str, str, _pack_str, _unpack_str),
    "$decimal": _Scalar(decimal.Decimal, str, str, decimal.Decimal),
    "$uuid": _Scalar(uuid.UUID, str, str, uuid.UUID),
    "$datetime": _Scalar(datetime.datetime, str, _pack_time, _unpack_time(datetime.datetime)),
    "$time": _Scalar(datetime.time, str, _pack_time, _unpack_time(datetime.time)),
    "$date": _Scalar(
        datetime.date, str, datetime.date.isoformat, lambda text: datetime.date.fromisoformat(text)
    ),
    "$timedelta": _Scalar(
        datetime.timedelta,
        list,
        lambda value: [value.days, value.seconds, value.microseconds],
        _unpack_timedelta,
    ),
    "$unsaved": _Scalar(Unsaved, str, lambda value: value.shown, Unsaved),
}
_TAG_OF_SCALAR = {scalar.kind: tag for tag, scalar in _SCALARS.items()}
_COLLECTIONS: Mapping[str, type[Any]] = {"$tuple": tuple, "$set": set, "$frozenset": frozenset}
_TAG_OF_COLLECTION = {kind: tag for tag, kind in _COLLECTIONS.items()}


def encode_within(value: Any, where: str, room: int) -> Json:
    """Encode a value that may be nested ``room`` levels deep."""
    kind = type(value)
    if _is_plain(value):
        return value  # type: ignore[no-any-return]
    if room == 0:
        raise Unencodable(
            f"{where:.80} refers to itself or is nested more than {MAX_NESTING} levels deep, so "
            "it cannot be saved. Draw a flatter value and build the deep one in the action."
        )
    if kind is list:
        return _encode_items(value, where, room)
    if kind is dict:
        return _encode_dict(value, where, room)
    if tag := _TAG_OF_COLLECTION.get(kind):
        items = _encode_items(value, where, room)
        return {tag: items if kind is tuple else sorted(items, key=_shortest_first)}
    if tag := _TAG_OF_SCALAR.get(kind):
        try:
            return {tag: _SCALARS[tag].pack(value)}
        except ValueError as error:
            raise _unencodable(value, where, str(error)) from None
    raise _unencodable(
        value, where, "which could be read back only by code that a file must not name"
    )


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(-_EXACT_INTEGER <= value <= _EXACT_INTEGER)
    if kind is float:
        return math.isfinite(value)
    if kind is str:
        return not _SURROGATE.search(value)
    return value is None or kind is bool


def _encode_items(items: Any, where: str, room: int) -> list[Json]:
    return [encode_within(item, f"{where}[{at}]", room - 1) for at, item in enumerate(items)]


def _encode_dict(value: dict[Any, Any], where: str, room: int) -> Json:
    pairs = [
        (
            encode_within(key, f"a key of {where}", room - 1),
            encode_within(item, f"{where}[{shown(key)}]", room - 1),
        )
        for key, item in value.items()
    ]
    if all(type(key) is str for key, _ in pairs):
        plain = {str(key): item for key, item in pairs}
        if _tag(plain) is None:
            return plain
    return {"$dict": [[key, item] for key, item in pairs]}


def _tag(value: Mapping[str, Json]) -> str | None:
    if len(value) != 1:
        return None
    key = next(iter(value))
    return key if key.startswith("$") else None


def _shortest_first(encoded: Json) -> tuple[int, str]:
    text = json.dumps(encoded)
    return len(text), text


def _unencodable(value: object, where: str, why: str) -> Unencodable:
    kind = type(value)
    return Unencodable(
        f"{where:.80} is a {kind.__module__}.{kind.__qualname__} ({shown(value)}), {why}. Draw "
        "plain values (text, numbers, dates, lists, dicts) and build it from them in the action."
    )


def shown(value: object) -> str:
    """Return what a value looks like, cut short."""
    try:
        text = repr(value)
    except Exception:  # a user's code, and only for people
        text = f"<{type(value).__qualname__}>"
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # would differ in each run
    return text if len(text) <= 80 else f"{text[:77]}..."


def _decode(encoded: Json) -> Any:
    if isinstance(encoded, list):
        return [_decode(item) for item in encoded]
    if not isinstance(encoded, dict):
        return encoded
    tag = _tag(encoded)
    if tag is None:
        return {key: _decode(item) for key, item in encoded.items()}
    packed = encoded[tag]
    if scalar := _SCALARS.get(tag):
        return scalar.unpack(expect(scalar.packed, packed, tag))
    if tag == "$dict":
        pairs = [expect(list, pair, tag) for pair in expect(list, packed, tag)]
        return {_decode(key): _decode(item) for key, item in pairs}
    if kind := _COLLECTIONS.get(tag):
        return kind([_decode(item) for item in expect(list, packed, tag)])
    raise Undecodable(f"it holds {tag!r:.40}, which is no encoding of format {FORMAT}")


def expect(kind: type[Any], value: object, what: str) -> Any:
    """Return ``value``, which must be of exactly that type.

    :raises Undecodable: when it is not.
    """
    if type(value) is not kind:
        raise Undecodable(f"{what} is {value!r:.80}, but it must be a {kind.__name__}")
    return value
