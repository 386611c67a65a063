"""A copy of the keys that is brought up to date with what the server says has changed.

Times of expiry are kept on a clock of the mirror's own, which a rollback sets back with the
content: a key with 5 seconds left at a checkpoint has 5 seconds left after the rollback, and its
entry stays the same. ``ahead`` is how far the server's clock is ahead of that one.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import attrs

from venomqa_hyp.adapters.redis.expiry import Expiry
from venomqa_hyp.adapters.redis.ignored import Ignored
from venomqa_hyp.adapters.redis.keyspace import Keyspace
from venomqa_hyp.adapters.redis.protocol import Command
from venomqa_hyp.adapters.redis.values import (
    Place,
    Reading,
    canonical,
    shown,
    text,
    write_commands,
)

_DIGEST_BITS = 128
#: Two readings of one moment of expiry differ by so many milliseconds at most.
_ONE_MOMENT = 2
#: What expires in less than so many milliseconds may be gone when it is read.
_SOON = 100

_Moments = tuple[tuple[bytes, int], ...]


@attrs.frozen(eq=False)
class Entry:
    """One key, as it is kept.

    :ivar expires: milliseconds of the mirror's clock, or None.
    :ivar fields: of a hash, those that expire, each with its milliseconds of that clock.
    :ivar kind: the type.
    :ivar raw: the value, as it was read.
    :ivar labels: what is shown of the expiry.
    :ivar number: the share of the key in the digest of everything; 0 where it is ignored.
    """

    dump: bytes = attrs.field(repr=False)
    expires: int | None
    fields: _Moments
    kind: bytes
    raw: Any = attrs.field(repr=False)
    labels: Mapping[str, Any] | None
    number: int = attrs.field(repr=False)
    ignored: Ignored = attrs.field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        """Return what is observed of the key; made when it is asked for, as few keys ever are."""
        raw = self.ignored.observed(self.kind, self.raw)
        return {**shown(self.kind, raw), **(self.labels or {})}

    def is_over(self, time: int) -> bool:
        """Tell whether the key, or a field, has expired by that time of the mirror's clock."""
        moments = [moment for _, moment in self.fields]
        return min([*moments, self.expires or math.inf]) <= time + _SOON


Entries = Keyspace[Place, Entry]


def same_data(one: Entry | None, other: Entry | None) -> bool:
    """Tell whether the same is observed of both, however the server stores it."""
    return (one.number if one else 0) == (other.number if other else 0)


@attrs.frozen(eq=False)
class Version:
    """All keys at one moment.

    :ivar total: the sum of the numbers of all entries.
    :ivar time: milliseconds of the mirror's clock.
    """

    entries: Entries = attrs.field(repr=False)
    total: int
    time: int

    @property
    def digest(self) -> str:
        """Return 32 hexadecimal digits that depend on the keys and their values only."""
        return f"{self.total % (1 << _DIGEST_BITS):032x}"


@attrs.frozen
class Plan:
    """How to write a version.

    :ivar written: the places whose value is written or deleted.
    :ivar moments: place -> when it expires afterwards, by the server's clock; None for never.
    :ivar ahead: what the server's clock is ahead of the mirror's afterwards.
    """

    version: Version
    commands: Mapping[Place, list[Command]]
    written: frozenset[Place]
    moments: Mapping[Place, int | None]
    ahead: int


class Mirror:
    """What is known of the keys, and how to write another version of them.

    :param ignored: what makes no difference.
    :ivar version: the keys as they were last read.
    """

    def __init__(self, ignored: Ignored) -> None:
        self._ignored = ignored
        self.version = Version(Keyspace(), 0, 0)
        self._ahead = 0
        self._expiry = Expiry()
        # How the server dumps a value that it was given as another dump of the same value.
        self._aliases: dict[Place, bytes] = {}
        self._written: frozenset[Place] = frozenset()
        self._streams: set[Place] = set()
        self._with_fields: set[Place] = set()

    @property
    def streams(self) -> frozenset[Place]:
        """The places that hold a stream."""
        return frozenset(self._streams)

    def known_dump(self, place: Place) -> bytes | None:
        """Return what DUMP answered when the place was last read."""
        entry = self.version.entries.get(place)
        return self._aliases.get(place, entry.dump) if entry is not None else None

    def expired(self, server_time: int) -> set[Place]:
        """Return the places whose time was up by then, so that they have to be read."""
        return self._expiry.passed(server_time)

    def update(self, server_time: int, readings: Iterable[tuple[Place, Reading | None]]) -> None:
        """Take over what was read."""
        changes: dict[Place, Entry | None] = {}
        total, now = self.version.total, server_time - self._ahead
        for place, reading in readings:
            known = self.version.entries.get(place)
            entry = None if reading is None else self._entry(place, reading, known, now)
            self._note_expiry(place, entry, None if reading is None else reading.expires, now)
            if entry is not known:
                self._aliases.pop(place, None)
                changes[place] = entry
                total += (entry.number if entry else 0) - (known.number if known else 0)
                self._note_kind(place, entry)
        entries = self.version.entries.changed(changes)
        self.version = Version(entries, total, now)

    def plan(self, target: Version, server_time: int) -> Plan:
        """Return how to write ``target``."""
        ahead = server_time - target.time
        commands: dict[Place, list[Command]] = {}
        moments: dict[Place, int | None] = {}
        differing = self.version.entries.differences(target.entries)
        wanted = {place: want for place, _, want in differing}
        if ahead != self._ahead:
            wanted |= {place: target.entries.get(place) for place in self._with_fields}
        for place, want in wanted.items():
            moments[place] = _moment(want, ahead)
            commands[place] = _write(place, want, ahead)
        for place, moment in self._expiry.wrong(ahead, target.time):
            if place not in wanted:
                moments[place] = moment
                commands[place] = [("PEXPIREAT", place[1], moment)]
        return Plan(target, commands, frozenset(wanted), moments, ahead)

    def wrote(self, plan: Plan) -> None:
        """Note that a plan was carried out."""
        self.version, self._ahead, self._written = plan.version, plan.ahead, plan.written
        for place, moment in plan.moments.items():
            entry = plan.version.entries.get(place)
            self._note_expiry(place, entry, moment, plan.version.time)
        for place in plan.written:
            self._aliases.pop(place, None)
            self._note_kind(place, plan.version.entries.get(place))

    def verified(self) -> None:
        """Note that what was written has been read again."""
        self._written = frozenset()

    def _entry(self, place: Place, reading: Reading, known: Entry | None, now: int) -> Entry:
        """Return the entry for a reading: the known one where it says the same."""
        expires, fields = self._expires(place, reading, known), self._fields(reading, known)
        kind, raw = reading.kind, reading.raw
        same = known if known and (expires, fields) == (known.expires, known.fields) else None
        if kind is None:
            assert known is not None
            if same:
                return same
            kind, raw = known.kind, known.raw
        labels = _labels(expires, fields, known, now)
        seen = self._ignored.observed(kind, raw)
        number = 0 if self._ignored.hides(place[1]) else _number(place, kind, seen, labels)
        if same and place in self._written and number == same.number:
            # Written by us: the server dumps it in another form, as it may.
            self._aliases[place] = reading.dump
            return same
        return Entry(reading.dump, expires, fields, kind, raw, labels, number, self._ignored)

    def _expires(self, place: Place, reading: Reading, known: Entry | None) -> int | None:
        moment = reading.expires
        if moment is None:
            return None
        before = self._expiry.of(place)
        if known is not None and before is not None and abs(moment - before) <= _ONE_MOMENT:
            return known.expires
        return moment - self._ahead

    def _fields(self, reading: Reading, known: Entry | None) -> _Moments:
        if reading.kind is None and known is not None:
            return known.fields
        if not reading.fields:
            return ()
        fields = tuple((field, moment - self._ahead) for field, moment in reading.fields)
        if known is not None and _one_moment(fields, known.fields):
            return known.fields
        return fields

    def _note_expiry(self, place: Place, entry: Entry | None, moment: int | None, now: int) -> None:
        self._expiry.forget(place)
        if entry is not None and entry.expires is not None and moment is not None:
            self._expiry.note(place, moment, entry.expires, now)
        if entry is not None and entry.fields:
            first = min(entry.fields, key=itemgetter(1))[1] + self._ahead
            self._expiry.note_first(place, min(first, moment or first))

    def _note_kind(self, place: Place, entry: Entry | None) -> None:
        is_stream = entry is not None and entry.kind == b"stream"
        (self._streams.add if is_stream else self._streams.discard)(place)
        has_fields = entry is not None and bool(entry.fields)
        (self._with_fields.add if has_fields else self._with_fields.discard)(place)


def _moment(want: Entry | None, ahead: int) -> int | None:
    return None if want is None or want.expires is None else want.expires + ahead


def _write(place: Place, want: Entry | None, ahead: int) -> list[Command]:
    if want is None:
        return [("DEL", place[1])]
    fields = [(field, moment + ahead) for field, moment in want.fields]
    return write_commands(place[1], want.dump, _moment(want, ahead), want.raw, fields)


def _one_moment(these: _Moments, those: _Moments) -> bool:
    return len(these) == len(those) and all(
        one == other and abs(moment - its) <= _ONE_MOMENT
        for (one, moment), (other, its) in zip(these, those, strict=True)
    )


def _labels(
    expires: int | None, fields: _Moments, known: Entry | None, now: int
) -> dict[str, Any] | None:
    """Return what is shown of the expiry: roughly the time that was given, so time may pass."""
    if expires is None and not fields:
        return None
    shown: dict[str, Any] = {}
    before = known.labels or {} if known is not None else {}
    if expires is not None:
        same = known is not None and known.expires == expires
        shown["expires"] = before["expires"] if same else _about(expires - now)
    if fields:
        moments = dict(known.fields) if known is not None else {}
        labels = before.get("fields_expire", {})
        shown["fields_expire"] = {
            text(field): labels[text(field)]
            if moments.get(field) == moment
            else _about(moment - now)
            for field, moment in sorted(fields)
        }
    return shown


def _about(left: int) -> str:
    """Return the nearest power of two, in seconds, in a form that may be found to be volatile."""
    seconds = 2 ** round(math.log2(max(left, 1))) / 1000
    return f"about:{seconds:.0f}s" if seconds >= 1 else f"about:{seconds:.3f}s"


def _number(place: Place, kind: bytes, raw: Any, labels: Mapping[str, Any] | None) -> int:
    told = repr((place, kind, canonical(kind, raw), labels)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(told, digest_size=_DIGEST_BITS // 8).digest(), "big")
