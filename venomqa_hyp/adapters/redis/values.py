"""How the value of each type is read, shown, and written again.

A value is shown as plain nested data: what is valid UTF-8 as text, the rest as bytes, members and
fields as the keys of a dict. Clock values that only the server keeps (idle times, times of
delivery, the time of a field's expiry) are not shown.
"""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from venomqa_hyp.adapters.redis.protocol import Command
from venomqa_hyp.values.digest import canonical_text

#: Database number and name.
Place = tuple[int, bytes]

# From this RDB type on, a dumped hash may have fields that expire (Redis 7.4, Valkey 9).
_FIRST_WITH_FIELD_EXPIRY = 22
#: The first byte of a dump -> type of the value. No streams: the server does not tell of all that
#: is done to them.
_KINDS = {
    at: kind
    for kind, numbers in (
        (b"string", (0,)),
        (b"list", (1, 10, 14, 18)),
        (b"set", (2, 11, 20)),
        (b"zset", (3, 5, 12, 17)),
        (b"hash", (4, 9, 13, 16)),
    )
    for at in numbers
}
#: Parts of XINFO STREAM ... FULL that are clocks, or describe the memory that the server uses.
_NOT_CONTENT = frozenset({"radix-tree-keys", "radix-tree-nodes", "seen-time", "active-time"})


@attrs.frozen
class Reading:
    """What the server holds under one key.

    :ivar dump: the answer to DUMP.
    :ivar expires: milliseconds of the server's clock, or None.
    :ivar kind: the type; None where the value was not read, since the dump is known.
    :ivar raw: the value, as it was read.
    :ivar fields: for a hash, the fields that expire, each with its milliseconds.
    """

    dump: bytes
    expires: int | None
    kind: bytes | None = None
    raw: Any = None
    fields: tuple[tuple[bytes, int], ...] = ()


def kind_of_dump(dump: bytes) -> bytes | None:
    """Return the type of a dumped value; None where that has to be asked for."""
    return _KINDS.get(dump[0])


def read_command(kind: bytes, key: bytes) -> Command:
    """Return the command that reads a value of that type; for one of a module, DUMP does."""
    return _COMMANDS[kind](key) if kind in _COMMANDS else ("DUMP", key)


def shown(kind: bytes, reply: Any) -> dict[str, Any]:
    """Return the value as plain data, from the reply to :func:`read_command`."""
    return {text(kind): _SHOW.get(kind, bytes)(reply)}


def canonical(kind: bytes, reply: Any) -> Any:
    """Return the value so that it has one ``repr`` only, from the reply to its command."""
    if kind == b"set":
        return sorted(reply)
    if kind == b"hash":
        return sorted(zip(reply[::2], reply[1::2], strict=True))
    return canonical_text(_stream(reply)) if kind == b"stream" else reply


def may_have_expiring_fields(kind: bytes, dump: bytes) -> bool:
    """Tell whether the fields of this value have to be asked for the time they expire."""
    return kind == b"hash" and dump[0] >= _FIRST_WITH_FIELD_EXPIRY


def text(raw: bytes) -> Any:
    """Return text where the bytes are UTF-8, else the bytes: different ones stay different."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def write_commands(
    key: bytes,
    dump: bytes,
    expires: int | None,
    raw: Sequence[bytes] = (),
    fields: Sequence[tuple[bytes, int]] = (),
) -> list[Command]:
    """Return the commands after which ``key`` holds this value.

    :param expires: milliseconds of the server's clock.
    :param fields: fields of a hash that expire. A dump holds the time they expired at first, and
        loading one drops those it has passed, so that such a hash is written field by field.
    """
    if not fields:
        return [("RESTORE", key, expires or 0, dump, "REPLACE", *(["ABSTTL"] if expires else []))]
    commands: list[Command] = [("DEL", key), ("HSET", key, *raw)]
    commands += [("HPEXPIREAT", key, at, "FIELDS", 1, field) for field, at in fields]
    if expires:
        commands.append(("PEXPIREAT", key, expires))
    return commands


def _items(reply: Sequence[bytes]) -> dict[Any, Any]:
    found = map(text, reply)
    return dict(zip(found, found, strict=True))


def _scores(reply: Sequence[bytes]) -> dict[Any, float]:
    return {text(reply[at]): float(reply[at + 1]) for at in range(0, len(reply), 2)}


def _stream(reply: Sequence[Any]) -> dict[str, Any]:
    found = _mapping(reply)
    found["entries"] = {
        text(number): [text(part) for part in fields] for number, fields in found["entries"]
    }
    groups = [_mapping(group) for group in found["groups"]]
    found["groups"] = {text(group.pop("name")): _group(group) for group in groups}
    return {name: _plain(value) for name, value in found.items()}


def _group(group: dict[str, Any]) -> dict[str, Any]:
    # What is pending in the group is what is pending for its consumers.
    del group["pending"]
    consumers = [_mapping(consumer) for consumer in group["consumers"]]
    group["consumers"] = {
        text(consumer["name"]): {
            text(number): deliveries for number, _time, deliveries in consumer["pending"]
        }
        for consumer in consumers
    }
    return group


def _mapping(reply: Sequence[Any]) -> dict[str, Any]:
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(): value for name, value in pairs if name.decode() not in _NOT_CONTENT}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


_COMMANDS: dict[bytes, Callable[[bytes], Command]] = {
    b"string": lambda key: ("GET", key),
    b"list": lambda key: ("LRANGE", key, 0, -1),
    b"set": lambda key: ("SMEMBERS", key),
    b"zset": lambda key: ("ZRANGE", key, 0, -1, "WITHSCORES"),
    b"hash": lambda key: ("HGETALL", key),
    b"stream": lambda key: ("XINFO", "STREAM", key, "FULL", "COUNT", 0),
}
_SHOW: dict[bytes, Callable[[Any], Any]] = {
    b"string": text,
    b"list": lambda reply: [text(item) for item in reply],
    b"set": lambda reply: {text(item): True for item in sorted(reply)},
    b"zset": _scores,
    b"hash": _items,
    b"stream": _stream,
}
