r"""A text as a template with atoms.

``/collections/c1/records/<uuid>`` is the template ``/collections/c1/records/{}`` with one atom. The
template is content. Only an atom can be made anew each time the same thing is done, and whether
one is, :mod:`venomqa_hyp.values.knowledge` learns from two executions: nothing is decided here by
how a value looks.

The *name* of an atom begins with its kind, and is the same however the atom is spelled: a UUID and
its 32 hexadecimal digits, a time in ISO 8601 and in milliseconds since 1970.

===== ============================================= ==============================================
``i`` an id: UUID, ULID, token, long number         ``i550e8400-e29b-41d4-a716-446655440000``
``@`` a time, in microseconds since 1970; or an id, ``@1795270319373000``
      where it is a number that may count the time
``~`` a measurement: a number with many decimals    ``~0.0012340545``
``h`` a hash of something secret, with a salt       ``h$2b$12$...``
===== ============================================= ==============================================

Formats: RFC 9562 (UUID), RFC 7519 (JWT), RFC 9110 section 5.6.7 (HTTP dates), and the modular
crypt format of passlib's documentation.
"""

import base64
import contextlib
import datetime
import decimal
import json
import re
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import attrs

#: The name of an atom.
Name = str

ID, CLOCK, MEASURE, HASH = "i", "@", "~", "h"


@attrs.frozen
class Atom:
    """A part of a text that may be made anew each time.

    :ivar name: the same for every spelling.
    :ivar spelled: as it stands in the text.
    :ivar prefix: what it begins with that is content: ``ord_``. Name and spelling include it, so
        that they do not change where it turns out to be part of what is random.
    """

    name: Name
    spelled: str
    prefix: str = ""


@attrs.frozen(eq=False)
class Encoded:
    """A part of a text that holds JSON in base64: the claims of a JWT, the state of a cursor."""

    content: Any
    spelled: str


#: A text in parts: literal text, atoms and encoded JSON.
Parts = tuple[str | Atom | Encoded, ...]
Made = list[str | Atom | Encoded] | None

UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
#: Commas stand between parameters: ``$argon2id$v=19$m=65536,t=3,p=4$``.
_OF_HASH = r"(?:[^\s\"',;]|,(?=[a-z]+=\d))+"
_SMALLEST_NUMBER = 1_000_000
_MANY_DECIMALS = 6
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: A count of seconds has so many digits now, one of milliseconds three more, and so on.
SECONDS_DIGITS, _MOST_DIGITS = 10, 19
#: Seconds from now within which a number may count the time; ids of other kinds rarely do.
_NEAR = 400 * 86_400


def _pattern(*without: str) -> re.Pattern[str]:
    kinds = {
        "hash": rf"\$(?:2[abxy]?|argon2(?:id|i|d)|pbkdf2[\w-]*|scrypt|bcrypt[\w-]*|[156y]|sha1)\$"
        rf"{_OF_HASH}|\b(?:pbkdf2[\w:]*|argon2|bcrypt\w*|scrypt[\d:]*|md5|sha1)\${_OF_HASH}"
        r"|\{(?:S?SHA\d*|S?MD5|CRYPT|PBKDF2[\w-]*)\}[A-Za-z0-9+/=$.]+"
        r"|SCRAM-SHA-\d+\$[\w$:+/=]+",
        "iso": r"(?<![\d-])\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
        r"(?: ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?)(?![\w:]))?|(?<!\w)\d{8}T\d{6}(?:\.\d+)?Z?(?!\w)",
        "http": rf"{_DAY},? \d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}} \d\d:\d\d:\d\d"
        r"(?: GMT| UTC| [+-]\d{4})?"
        rf"|{_DAY} {_MONTH} [ \d]\d \d\d:\d\d:\d\d(?: UTC| GMT)? \d{{4}}",
        "date": r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])",
        "uuid": rf"(?<![0-9a-fA-F]){UUID}(?![0-9a-fA-F])",
        "stream": r"(?<!\w)\d{13}-\d+(?!\w)",
        "dotted": r"(?<![\w.-])[\w-]{2,}(?:[.:][\w-]{2,}){1,4}(?![\w.])",
        "number": r"(?<![\w.-])[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?(?!-?\w|\.\d)",
        "base64": r"(?<![\w+/-])(?=[^\s+/]*[+/])[A-Za-z0-9+/]{16,}={0,2}(?![\w+/-])",
        "token": r"[A-Za-z0-9_-]{6,}={0,2}",
    }
    chosen = {kind: text for kind, text in kinds.items() if kind not in without}
    return re.compile("|".join(f"(?P<{kind}>{text})" for kind, text in chosen.items()))


_PATTERN = _pattern()
#: For what turned out to be no single atom.
_INSIDE = _pattern("dotted", "base64")
_WORD_IN_PATH = re.compile(r"(?:^|/)[a-z]{4,}/")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")


@lru_cache(maxsize=50_000)
def split(text: str) -> Parts:
    """Return the parts of a text."""
    return tuple(_scan(text, _PATTERN))


def _scan(text: str, pattern: re.Pattern[str]) -> list[str | Atom | Encoded]:
    parts: list[str | Atom | Encoded] = []
    at = 0
    for found in pattern.finditer(text):
        assert found.lastgroup is not None
        made = _MAKE[found.lastgroup](found[0])
        if made is not None:
            parts += [text[at : found.start()], *made]
            at = found.end()
    return [*parts, text[at:]]


def _inside(text: str) -> Made:
    parts = _scan(text, _INSIDE)
    return parts if len(parts) > 1 else None


def atoms_in_text(text: str) -> list[tuple[str, str, str]]:
    """Return each atom as it is spelled, between the literal texts before and after it."""
    parts = split(text)
    return [
        (
            before if isinstance(before, str) else "",
            part.spelled,
            after if isinstance(after, str) else "",
        )
        for before, part, after in zip(("", *parts), parts, (*parts[1:], ""), strict=False)
        if not isinstance(part, str)
    ]


def template_of(text: str) -> str:
    """Return a text without its atoms: what all texts like it have in common."""
    if len(text) < 6:
        return text
    parts = split(text)
    if len(parts) == 1:
        return text
    return "".join(part if isinstance(part, str) else f"{_prefix(part)}{{}}" for part in parts)


def _prefix(part: Atom | Encoded) -> str:
    return part.prefix if isinstance(part, Atom) else ""


def atom_of(value: object) -> Atom | None:
    """Return the atom that a value which is no text may be."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float, decimal.Decimal)):
        return _number(str(value))
    if isinstance(value, uuid.UUID):
        return Atom(f"{ID}{value}", str(value))
    if isinstance(value, (bytes, bytearray)) and len(value) >= 8:
        name = str(uuid.UUID(bytes=bytes(value))) if len(value) == 16 else value.hex()
        return Atom(ID + name, value.hex())
    if isinstance(value, datetime.datetime):
        return Atom(f"{CLOCK}{_microseconds(value)}", value.isoformat(" "))
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)):
        return Atom(f"{MEASURE}{value}", str(value))
    return None


def is_whole_second(name: Name) -> bool:
    """Return whether an atom is a time without a fraction of a second."""
    return name[0] == CLOCK and name.partition("+")[0].endswith("000000")


def is_written_time(name: Name, spelled: str) -> bool:
    """Return whether an atom is a time or a measurement by the way it is written."""
    return name[0] == MEASURE or (name[0] == CLOCK and not spelled.replace(".", "").isdecimal())


def reads_clock(name: Name, since: float, until: float) -> bool:
    """Return whether an atom is what a clock showed in a time, or some whole minutes off that.

    :param since: seconds since 1970.
    """
    microseconds = name[1:].partition("+")[0]
    if name[0] != CLOCK or not microseconds.isdecimal():
        return False
    moment = int(microseconds) / 10**6
    low, high = since - 1.0, until + 1.0
    if high - low > 30:
        return low <= moment <= high
    return (moment - low) % 60 <= high - low


def _hash(text: str) -> Made:
    return [Atom(HASH + text, text)]


def _iso(text: str) -> Made:
    try:
        return [Atom(f"{CLOCK}{_microseconds(moment_of(text))}", text)]
    except ValueError:
        return None


def moment_of(text: str) -> datetime.datetime:
    """Return the time that a text is in ISO 8601.

    :raises ValueError: it is none.
    """
    plain = re.sub(r" ?(?:UTC|Z)$", "+00:00", text).replace(",", ".")
    plain = re.sub(r"(\.\d{6})\d+", r"\1", plain)
    return datetime.datetime.fromisoformat(re.sub(r"(?<=:\d\d) (?=[+-])", "", plain))


def _microseconds(moment: datetime.datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - EPOCH) // datetime.timedelta(microseconds=1)


_HTTP_FORMS = ("%d %b %Y %H:%M:%S", "%d %b %y %H:%M:%S", "%b %d %H:%M:%S %Y")


def _http(text: str) -> Made:
    plain = re.sub(r"^[A-Za-z]+,? | (?:GMT|UTC)|(?<=:\d\d) [+-]\d{4}", "", text).replace("-", " ")
    for form in _HTTP_FORMS:
        try:
            moment = datetime.datetime.strptime(plain, form)
        except ValueError:
            continue
        return [Atom(f"{CLOCK}{_microseconds(moment)}", text)]
    return None


def _microseconds_in(whole: str, decimals: str) -> tuple[int, str]:
    """Return the microseconds since 1970 of a count of seconds, milliseconds, ..., and the rest."""
    digits, wanted = whole + decimals, SECONDS_DIGITS + 6
    return int(digits[:wanted].ljust(wanted, "0")), digits[wanted:].rstrip("0")


def _date(text: str) -> Made:
    return [Atom(MEASURE + text, text)]


def _uuid(text: str) -> Made:
    return [Atom(ID + text.lower(), text)]


def _stream(text: str) -> Made:
    return [Atom(f"{CLOCK}{text}", text)]


def _dotted(text: str) -> Made:
    """Take apart what is signed: JSON, a time and a signature, with dots or colons between."""
    *first, last = re.split(r"([.:])", text)
    segments, joints = first[::2], first[1::2]
    encoded = [_encoded(segment) for segment in segments]
    is_timed = len(segments) > 1 and _signed_time(segments[-1]) is not None
    if len(last) < 20 or not _is_random(last) or not (any(encoded) or is_timed):
        return _inside(text)
    parts: list[str | Atom | Encoded] = []
    for segment, known, joint in zip(segments, encoded, joints, strict=True):
        parts += [known or _signed_time(segment) or Atom(ID + segment, segment), joint]
    return [*parts, Atom(ID + last, last)]


_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _signed_time(text: str) -> Atom | None:
    """Return the time as itsdangerous (base64) and Django (base 62) sign it: seconds since 1970."""
    if len(text) != 6 or not text.isascii():
        return None
    counts = [sum(_BASE62.find(letter) * 62**at for at, letter in enumerate(reversed(text)))]
    with contextlib.suppress(ValueError):
        counts.append(int.from_bytes(base64.b64decode(f"{text}==", b"-_", validate=True)))
    near = [count for count in counts if abs(count - time.time()) < _NEAR]
    return Atom(f"{CLOCK}{near[0]}000000", text) if near else None


def _encoded(text: str) -> Encoded | None:
    if not text.startswith(("ey", "ew", "W1", "Wy", "Ww", "W3")):
        return None
    try:
        raw = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_")
        content = json.loads(raw)
    except ValueError:
        return None
    return Encoded(content, text) if isinstance(content, (dict, list)) else None


def _digits(text: str) -> Made:
    atom = _number(text, smallest=100_000)
    return None if atom is None else [atom]


def _number(text: str, smallest: int = _SMALLEST_NUMBER) -> Atom | None:
    """Return the atom that a number may be: a clock, a long number, a measurement."""
    whole, _, decimals = text.removeprefix("-").removeprefix("+").partition(".")
    if not whole.isdecimal() or not (decimals.isdecimal() or not decimals):
        return Atom(MEASURE + text, text) if "e-" in text.lower() else None
    if SECONDS_DIGITS <= len(whole) <= _MOST_DIGITS and text[0].isdigit():
        moment, finer = _microseconds_in(whole, decimals)
        if abs(moment / 10**6 - time.time()) < _NEAR:
            return Atom(f"{CLOCK}{moment}{finer and '+'}{finer}", text)
    if len(decimals.rstrip("0")) >= _MANY_DECIMALS:
        return Atom(MEASURE + text, text)
    return Atom(ID + text, text) if int(whole) >= smallest and not decimals.strip("0") else None


def _base64(text: str) -> Made:
    is_path = not text.endswith("=") and (text.startswith("/") or _WORD_IN_PATH.search(text))
    if is_path or not _is_random(text):
        return _inside(text)
    return [Atom(ID + text, text)]


def _token(text: str) -> Made:
    if encoded := _encoded(text):
        return [encoded]
    plain = text.rstrip("=")
    if re.fullmatch("[0-9a-fA-F]{32}", plain):
        return [Atom(f"{ID}{uuid.UUID(plain)}", text)]
    if plain.isdecimal():
        return _digits(plain)
    if known := re.search(UUID, plain):
        before, after = plain[: known.start()], plain[known.end() :]
        return [before, *(_uuid(known[0]) or ()), after]
    if prefixed := re.fullmatch(r"([a-z]{3,}[-_])([A-Za-z0-9]{8,})", plain):
        inner = _token(prefixed[2])
        if inner is None or _HEX.fullmatch(prefixed[2]) or prefixed[2].isdecimal():
            return inner and [prefixed[1], *inner]
        return [Atom(ID + text, text, prefixed[1])]
    if (_HEX.fullmatch(plain) and not plain.isalpha()) or _is_random(plain):
        return [Atom(ID + text, text)]
    return None


_CLASSES = str.maketrans(
    {
        **dict.fromkeys("abcdefghijklmnopqrstuvwxyz", "a"),
        **dict.fromkeys("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "A"),
        **dict.fromkeys("0123456789", "0"),
        **dict.fromkeys("-_+/.=", "-"),
    }
)


def _is_random(text: str) -> bool:
    """Return whether letters, digits and cases are mixed as chance would mix them."""
    classes = text.translate(_CLASSES)
    joints = classes.count("-")
    size = len(text) - joints
    mixed = sum(one != other for one, other in pairwise(classes)) - 2 * joints
    if "0" not in classes:
        return size >= 12 and mixed / size > 0.25
    return mixed >= (2 if size >= 8 else 3) and mixed / size > 0.12


_MAKE: dict[str, Callable[[str], Made]] = {
    "hash": _hash,
    "iso": _iso,
    "http": _http,
    "date": _date,
    "uuid": _uuid,
    "stream": _stream,
    "dotted": _dotted,
    "number": _digits,
    "base64": _base64,
    "token": _token,
}
