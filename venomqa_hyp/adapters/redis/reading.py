"""Read keys: each with its value, dump and expiry as they were at one moment."""

import re
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from venomqa_hyp.adapters.redis.protocol import KEY, Command, milliseconds
from venomqa_hyp.adapters.redis.values import (
    Reading,
    kind_of_dump,
    may_have_expiring_fields,
    read_command,
)
from venomqa_hyp.errors import SystemUnavailable

if TYPE_CHECKING:
    from venomqa_hyp.adapters.redis.connection import Connection

_AT_ONCE = 500
_QUICKLY_AT_ONCE = 1000
#: Between two answers to TIME there are so many to PTTL, and so many milliseconds at most.
_MOMENTS_AT_ONCE = 100
_MOMENT = 1
_ATTEMPTS = 20
_SCAN_COUNT = 1000
_NEVER, _GONE = -1, -2
_GLOB = re.compile(rb"[*?\[\]^\\-]")

Found = tuple[bytes, Reading | None]
#: Returns the dump that a name was last seen to have.
KnownDump = Callable[[bytes], bytes | None]


class Reader:
    """Reads the keys of the database that a connection has selected.

    :param asks_for_moment: whether the server says when a key expires (PEXPIRETIME, Redis 7), and
        not only how much time is left.
    """

    def __init__(self, connection: "Connection", asks_for_moment: bool) -> None:
        self._connection = connection
        self._asks_for_moment = asks_for_moment

    def names(self, prefix: bytes) -> set[bytes]:
        """Return the names of all keys that begin with ``prefix``."""
        pattern = _GLOB.sub(rb"\\\g<0>", prefix) + b"*"
        found: set[bytes] = set()
        cursor: Any = 0
        while True:
            cursor, names = self._connection.call(
                "SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT
            )
            found.update(names)
            if int(cursor) == 0:
                return found

    def read(self, names: Iterable[bytes], known: KnownDump) -> Generator[Found, None, None]:
        """Yield each name with what is there, or None.

        :param known: where a name still has that dump, the value is not read.
        :raises SystemUnavailable: something goes on changing a key, or it is a vector set.
        """
        waiting = list(names)
        for start in range(0, len(waiting), _AT_ONCE):
            part = waiting[start : start + _AT_ONCE]
            for _ in range(_ATTEMPTS):
                part = yield from self._read(part, known)
                if not part:
                    break
            else:
                raise SystemUnavailable(
                    f"Redis {self._connection.where}: the key {part[0]!r} was changed each of the "
                    f"{_ATTEMPTS} times it was read. Something goes on writing between the "
                    "actions: stop it, or wait for it with World(..., settle=...)."
                )

    def read_quickly(self, names: Iterable[bytes], known: KnownDump) -> dict[bytes, Reading | None]:
        """Return what is there, of all names that need no closer look by :meth:`read`.

        It takes a fraction of the time, but the parts of a reading may be of several moments: who
        calls it has to read again what was changed meanwhile.
        """
        waiting, found = list(names), dict[bytes, Reading | None]()
        for start in range(0, len(waiting), _QUICKLY_AT_ONCE):
            found |= self._read_quickly(waiting[start : start + _QUICKLY_AT_ONCE], known)
        return found

    def _read_quickly(
        self, names: Sequence[bytes], known: KnownDump
    ) -> dict[bytes, Reading | None]:
        found: dict[bytes, Reading | None] = {}
        by_kind: dict[bytes, list[tuple[bytes, bytes, int | None]]] = {}
        dumps = self._connection.run_each(("DUMP", KEY), names)
        for name, moment, dump in zip(names, self._moments(names), dumps, strict=True):
            if dump is None and moment == _GONE:
                found[name] = None
            elif moment not in (None, _GONE) and isinstance(dump, bytes):
                expires = None if moment == _NEVER else moment
                if dump == known(name):
                    found[name] = Reading(dump, expires)
                elif kind := kind_of_dump(dump):
                    by_kind.setdefault(kind, []).append((name, dump, expires))
        for kind, parts in by_kind.items():
            values = self._values(kind, [name for name, _, _ in parts])
            for (name, dump, expires), value in zip(parts, values, strict=True):
                if value is not None and not isinstance(value, Exception):
                    found[name] = Reading(dump, expires, kind, value)
        return found

    def _moments(self, names: Sequence[bytes]) -> Sequence[int | None]:
        """Return when each key expires; None where that is not known to the millisecond."""
        found: list[int | None] = []
        if self._asks_for_moment:
            found += self._connection.run_each(("PEXPIRETIME", KEY), names)
            return [one if isinstance(one, int) else None for one in found]
        for start in range(0, len(names), _MOMENTS_AT_ONCE):
            some = names[start : start + _MOMENTS_AT_ONCE]
            asked = [("TIME",), *(("PTTL", name) for name in some), ("TIME",)]
            first, *left, last = self._connection.all_answered(asked)
            now = milliseconds(last)
            took = now - milliseconds(first)
            found += [one if one < 0 else one + now if took <= _MOMENT else None for one in left]
        return found

    def _values(self, kind: bytes, names: Sequence[bytes]) -> list[Any]:
        if kind == b"string":
            return list(self._connection.call("MGET", *names))
        return self._connection.run_each(read_command(kind, KEY), names)

    def _read(
        self, names: Sequence[bytes], known: KnownDump
    ) -> Generator[Found, None, list[bytes]]:
        """Yield what could be read, and return the names that were changed meanwhile."""
        kinds: dict[bytes, bytes] = {}
        for name, (kind, *rest) in self._ask(names, lambda name: self._first(name, known)):
            if kind == b"none":
                yield name, None
            elif rest and rest[-1] == known(name):
                yield name, Reading(rest[-1], _expires(rest[:-1]))
            elif kind == b"vectorset":
                raise SystemUnavailable(
                    f"Redis {self._connection.where}: the key {name!r} is a vector set, which DUMP "
                    "shows in another way each time that it is restored, so a rollback could not "
                    "be checked. Keep vector sets out of the prefix, or in another database."
                )
            else:
                kinds[name] = kind
        expiring: dict[bytes, Reading] = {}
        again = []
        for name, (*moment, dump, reply) in self._ask(
            kinds, lambda name: self._second(name, kinds[name])
        ):
            if dump is None or isinstance(reply, Exception):
                again.append(name)
                continue
            reading = Reading(dump, _expires(moment), kinds[name], reply)
            if may_have_expiring_fields(kinds[name], dump):
                expiring[name] = reading
            else:
                yield name, reading
        for name, (dump, moments) in self._ask(
            expiring, lambda name: _third(name, expiring[name].raw)
        ):
            if dump != expiring[name].dump:
                again.append(name)
                continue
            fields = zip(expiring[name].raw[::2], moments, strict=True)
            found = tuple((field, moment) for field, moment in fields if moment > 0)
            yield name, attrs.evolve(expiring[name], fields=found)
        return again

    def _first(self, name: bytes, known: KnownDump) -> list[Command]:
        if known(name) is None:
            return [("TYPE", name)]
        return [("TYPE", name), *self._moment(name), ("DUMP", name)]

    def _second(self, name: bytes, kind: bytes) -> list[Command]:
        return [*self._moment(name), ("DUMP", name), read_command(kind, name)]

    def _moment(self, name: bytes) -> list[Command]:
        if self._asks_for_moment:
            return [("PEXPIRETIME", name)]
        return [("TIME",), ("PTTL", name)]

    def _ask(
        self, names: Iterable[bytes], commands: Callable[[bytes], list[Command]]
    ) -> list[tuple[bytes, list[Any]]]:
        """Return each name with the replies to its commands, all as of one moment."""
        asked = [(name, commands(name)) for name in names]
        if not asked:
            return []
        replies = iter(self._connection.transaction([one for _, each in asked for one in each]))
        return [(name, [next(replies) for _ in each]) for name, each in asked]


def _third(name: bytes, raw: Sequence[bytes]) -> list[Command]:
    fields = raw[::2]
    return [("DUMP", name), ("HPEXPIRETIME", name, "FIELDS", len(fields), *fields)]


def _expires(replies: Sequence[Any]) -> int | None:
    """Return the moment of expiry from the replies to ``Reader._moment``."""
    *time, answer = replies
    if answer < 0:
        return None
    return answer + milliseconds(time[0]) if time else int(answer)
