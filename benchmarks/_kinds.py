"""Kinds of values that services make anew each time, and kinds of content that must stay content.

Formats: RFC 9562 (UUID), RFC 7519 (JWT), RFC 9110 (HTTP dates, entity tags), RFC 5322 (dates of
mail), W3C Trace Context, AWS Signature Version 4, and the modular crypt format.
"""

import base64
import datetime
import hashlib
import hmac
import itertools
import json
import secrets
import string
import time
import uuid
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import attrs

ID, BESIDE = "id", "beside"
LOWER, DIGITS = string.ascii_lowercase, string.digits
BASE32, BASE36 = f"{string.ascii_uppercase}234567", DIGITS + LOWER
BASE62 = DIGITS + string.ascii_uppercase + LOWER
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
NANOID = f"{BASE62}_-"
ADJECTIVES = (
    "brave",
    "calm",
    "clever",
    "eager",
    "gentle",
    "happy",
    "jolly",
    "kind",
    "lively",
    "lucky",
    "proud",
    "quiet",
)
ANIMALS = (
    "badger",
    "beaver",
    "falcon",
    "heron",
    "lynx",
    "marten",
    "otter",
    "panda",
    "raven",
    "tiger",
    "walrus",
    "yak",
)
KEY = secrets.token_bytes(32)


@attrs.frozen
class Kind:
    """A kind of value.

    :ivar roles: ``id``: it identifies an item, and requests name the item by it. ``beside``: it is
        stored with an item, and is another after each request.
    :ivar in_seconds: whether it, or a part of it, is the same within a second.
    :ivar is_hash: whether it is the hash of something secret: what it was derived from is content,
        so that where a client holds one it says which request was the last.
    """

    name: str
    make: Callable[[], Any]
    roles: tuple[str, ...] = (ID, BESIDE)
    in_seconds: bool = False
    is_hash: bool = False


@attrs.frozen
class Content:
    """A kind of content, with two values that mean different things.

    :ivar make: the choice, 0 or 1 -> the value; where there is a random part it is another each
        time.
    """

    name: str
    make: Callable[[int], Any]


def chars(alphabet: str, count: int) -> str:
    """Return random characters."""
    return "".join(secrets.choice(alphabet) for _ in range(count))


def written(number: int, alphabet: str, width: int) -> str:
    """Return a number in the base that the alphabet has digits for."""
    found = ""
    for _ in range(width):
        number, digit = divmod(number, len(alphabet))
        found = alphabet[digit] + found
    return found


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def in_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def signature(text: str, algorithm: str = "sha256") -> bytes:
    return hmac.digest(KEY, text.encode(), algorithm)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


_counter = itertools.count(secrets.randbelow(1 << 20))
_last_milliseconds = 0


def milliseconds() -> int:
    """Return milliseconds since 1970, and no number twice."""
    global _last_milliseconds
    _last_milliseconds = max(_last_milliseconds + 1, time.time_ns() // 10**6)
    return _last_milliseconds


def uuid7() -> str:
    high = (time.time_ns() // 10**6) << 16 | 7 << 12 | secrets.randbits(12)
    return str(uuid.UUID(int=high << 64 | 2 << 62 | secrets.randbits(62)))


def ulid() -> str:
    return written(time.time_ns() // 10**6, CROCKFORD, 10) + chars(CROCKFORD, 16)


def ksuid() -> str:
    raw = (int(time.time()) - 1_400_000_000).to_bytes(4) + secrets.token_bytes(16)
    return written(int.from_bytes(raw), BASE62, 27)


def xid() -> str:
    raw = int(time.time()).to_bytes(4) + b"\x4d\x88\xe1\x5b\x60" + (next(_counter)).to_bytes(3)
    return base64.b32hexencode(raw).decode().rstrip("=").lower()


def cuid() -> str:
    count = written(next(_counter), BASE36, 4)
    return f"c{written(time.time_ns() // 10**6, BASE36, 8)}{count}7x2q{chars(BASE36, 8)}"


def object_id() -> str:
    raw = int(time.time()).to_bytes(4) + b"\x9f\x3c\x51\xa2\x7e" + (next(_counter)).to_bytes(3)
    return raw.hex()


def snowflake() -> int:
    return (time.time_ns() // 10**6 - 1_288_834_974_657) << 22 | secrets.randbits(22)


def jwt(claims: dict[str, Any]) -> str:
    head = base64url(in_json({"alg": "HS256", "typ": "JWT"}))
    signed = f"{head}.{base64url(in_json(claims))}"
    return f"{signed}.{base64url(signature(signed))}"


def access_token(role: str = "user") -> str:
    at = int(time.time())
    claims = {"sub": "7", "role": role, "iat": at, "exp": at + 3600, "jti": uuid.uuid4().hex}
    return jwt(claims)


def short_token() -> str:
    at = int(time.time())
    return jwt({"sub": "7", "iat": at, "exp": at + 3600})


def session_cookie(content: Any) -> str:
    """Return what itsdangerous signs: the content, the time, and the signature."""
    at = int(time.time())
    text = f"{base64url(in_json(content))}.{base64url(at.to_bytes((at.bit_length() + 7) // 8))}"
    return f"{text}.{base64url(signature(text, 'sha1'))}"


def signed_url(path: str) -> str:
    text = f"https://files.example.com{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    text += f"&X-Amz-Date={now():%Y%m%dT%H%M%SZ}&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
    return f"{text}&X-Amz-Signature={signature(text).hex()}"


def cursor() -> str:
    place = {"id": str(uuid.uuid4()), "at": now().isoformat()}
    return base64.b64encode(in_json(place)).decode()


def dotted64(raw: bytes) -> str:
    """Return base64 as passlib writes it."""
    return base64.b64encode(raw, b"./").decode().rstrip("=")


def plain64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def bcrypt() -> str:
    return f"$2b$12${chars('./' + BASE62, 53)}"


def argon2() -> str:
    salt, digest = plain64(secrets.token_bytes(16)), plain64(secrets.token_bytes(32))
    return f"$argon2id$v=19$m=65536,t=3,p=4${salt}${digest}"


def scrypt() -> str:
    return f"scrypt:32768:8:1${chars(BASE62, 16)}${secrets.token_hex(64)}"


def passlib_scrypt() -> str:
    salt, digest = plain64(secrets.token_bytes(16)), plain64(secrets.token_bytes(32))
    return f"$scrypt$ln=16,r=8,p=1${salt}${digest}"


def passlib_pbkdf2() -> str:
    salt, digest = dotted64(secrets.token_bytes(16)), dotted64(secrets.token_bytes(32))
    return f"$pbkdf2-sha256$29000${salt}${digest}"


def werkzeug_pbkdf2() -> str:
    return f"pbkdf2:sha256:600000${chars(BASE62, 16)}${secrets.token_hex(32)}"


def django_pbkdf2() -> str:
    digest = base64.b64encode(secrets.token_bytes(32)).decode()
    return f"pbkdf2_sha256$870000${chars(BASE62, 22)}${digest}"


def ids() -> list[Kind]:
    token = secrets.token_hex
    return [
        Kind("uuid1", lambda: str(uuid.uuid1())),
        Kind("uuid4", lambda: str(uuid.uuid4())),
        Kind("uuid7", uuid7),
        Kind("uuid upper-case", lambda: str(uuid.uuid4()).upper()),
        Kind("uuid, no hyphens", lambda: uuid.uuid4().hex),
        Kind("urn:uuid", lambda: uuid.uuid4().urn),
        Kind("ulid", ulid),
        Kind("nanoid", lambda: chars(NANOID, 21)),
        Kind("ksuid", ksuid),
        Kind("xid", xid),
        Kind("cuid", cuid),
        Kind("ObjectId", object_id),
        *(Kind(f"hex {size}", lambda size=size: token(size // 2)) for size in (16, 32, 40, 64)),
        Kind("base64url 16 bytes", lambda: base64url(secrets.token_bytes(16))),
        Kind("base64url 32 bytes", lambda: base64url(secrets.token_bytes(32))),
        Kind("base64 padded", lambda: base64.b64encode(secrets.token_bytes(16)).decode()),
        Kind("base32", lambda: chars(BASE32, 32)),
        Kind("token_urlsafe(8)", lambda: secrets.token_urlsafe(8)),
        Kind("ord_...", lambda: f"ord_{chars(BASE62, 16)}"),
        Kind("cus_...", lambda: f"cus_{chars(BASE62, 14)}"),
        Kind("pi_..._secret_...", lambda: f"pi_{chars(BASE62, 24)}_secret_{chars(BASE62, 25)}"),
        Kind("snowflake", snowflake),
        Kind("snowflake, text", lambda: str(snowflake())),
        Kind("9-digit number", lambda: secrets.randbelow(9 * 10**8) + 10**8),
        Kind("6-digit code", lambda: str(secrets.randbelow(9 * 10**5) + 10**5)),
        Kind("ETag strong", lambda: f'"{token(16)}"'),
        Kind("ETag weak", lambda: f'W/"{token(10)}"'),
        Kind("ETag number", lambda: f'"{milliseconds()}"'),
        Kind("stream id", lambda: f"{milliseconds()}-{secrets.randbelow(9) + 1}"),
        Kind("JWT", access_token, in_seconds=True),
        Kind("Bearer token", lambda: f"Bearer {secrets.token_urlsafe(24)}"),
        Kind("session cookie", lambda: session_cookie({"sid": token(12)}), in_seconds=True),
        Kind("signed URL", lambda: signed_url(f"/photos/{uuid.uuid4()}.png"), in_seconds=True),
        Kind("cursor", cursor),
        Kind("URL with uuid", lambda: f"/orders/{uuid.uuid4()}"),
        Kind("traceparent", lambda: f"00-{token(16)}-{token(8)}-01"),
        Kind("e-mail", lambda: f"user-{token(4)}@example.com"),
        Kind("file name", lambda: f"report-{token(6)}.pdf"),
        Kind("words and digits", words_and_digits),
    ]


def words_and_digits() -> str:
    number = secrets.randbelow(9000) + 1000
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(ANIMALS)}-{number}"


def stored() -> list[Kind]:
    def beside(name: str, make: Callable[[], Any], **options: bool) -> Kind:
        return Kind(name, make, (BESIDE,), **options)

    return [
        beside("epoch s", lambda: int(time.time()), in_seconds=True),
        beside("epoch ms", lambda: time.time_ns() // 10**6),
        beside("epoch us", lambda: time.time_ns() // 10**3),
        beside("epoch ns", time.time_ns),
        beside("epoch float", time.time),
        beside("duration", lambda: 0.01 + secrets.randbelow(10**9) / 10**10),
        beside("ISO, Z", lambda: f"{now():%Y-%m-%dT%H:%M:%SZ}", in_seconds=True),
        beside("ISO, offset", lambda: in_zone().isoformat()),
        beside("ISO, naive, us", lambda: now().replace(tzinfo=None).isoformat()),
        beside("date time", lambda: f"{now():%Y-%m-%d %H:%M:%S}", in_seconds=True),
        beside("HTTP date", lambda: formatdate(usegmt=True), in_seconds=True),
        beside("RFC 2822 date", lambda: formatdate(), in_seconds=True),
        beside("JWT without jti", short_token, in_seconds=True),
        beside("session, no id", lambda: session_cookie({"user": 7}), in_seconds=True),
        beside("signed URL, const", lambda: signed_url("/photos/7.png"), in_seconds=True),
        beside("bcrypt", bcrypt, is_hash=True),
        beside("argon2", argon2, is_hash=True),
        beside("scrypt", scrypt, is_hash=True),
        beside("scrypt, passlib", passlib_scrypt, is_hash=True),
        beside("pbkdf2, passlib", passlib_pbkdf2, is_hash=True),
        beside("pbkdf2, werkzeug", werkzeug_pbkdf2, is_hash=True),
        beside("pbkdf2, Django", django_pbkdf2, is_hash=True),
        beside("HMAC", lambda: signature(str(time.time_ns())).hex()),
    ]


def in_zone() -> datetime.datetime:
    return now().astimezone(datetime.timezone(datetime.timedelta(hours=2)))


#: Kinds that vary.
KINDS = {kind.name: kind for kind in [*ids(), *stored()]}

#: Content: name -> both values.
PAIRS: dict[str, tuple[Any, Any]] = {
    "amount": (19.99, 24.99),
    "cents": (1999, 2499),
    "count": (3, 4),
    "status": ("active", "frozen"),
    "boolean": (False, True),
    "constant uuid": (str(uuid.NAMESPACE_DNS), str(uuid.NAMESPACE_URL)),
    "version": (1, 2),
    "large revision": (1_000_001, 1_000_002),
    "word with digits": ("standard1", "premium22"),
    "e-mail": ("alice@example.com", "bob@example.com"),
    "due date": ("2031-03-01", "2031-04-01"),
    "due time": ("2031-03-01T00:00:00Z", "2031-04-01T00:00:00Z"),
    "due epoch": (1_930_000_000, 1_940_000_000),
    "country": ("DE", "FR"),
    "time zone": ("Europe/Berlin", "America/New_York"),
    "semantic version": ("1.4.2", "1.5.0"),
    "hex colour": ("#ff8800", "#0088ff"),
    "phone number": ("+4930901820", "+33142685300"),
    "sku": ("ABC-1234", "XYZ-9876"),
    "file size": (1_048_576, 5_242_880),
    "IBAN": ("DE89370400440532013000", "FR1420041010050500013M02606"),
    "EAN-13": ("4006381333931", "5901234123457"),
    "EAN-13, number": (4_006_381_333_931, 5_901_234_123_457),
    "percentage": ("12.5%", "15.0%"),
    "coordinate": (52.5200066, 48.8566140),
    "order of list": (["read", "write"], ["write", "read"]),
    "presence of key": ({"plan": "a", "trial": True}, {"plan": "a"}),
    "null or missing": ({"parent": None}, {}),
    "checksum": tuple(hashlib.sha256(text).hexdigest() for text in (b"a", b"b")),
    "price id": ("price_1MoBy5LkdIwHZ7ixhnSMRMyV", "price_1NqV2kLkdIwHZ7ixA9sQzX4e"),
}


def contents() -> list[Content]:
    """Return the pairs, and content beside, or around, something random."""

    def of(pair: tuple[Any, Any]) -> Callable[[int], Any]:
        return lambda choice: pair[choice]

    return [
        *(Content(name, of(pair)) for name, pair in PAIRS.items()),
        Content("role in JWT", lambda choice: access_token(("user", "admin")[choice])),
        Content("price in JSON text", priced),
        Content("segment of URI", lambda choice: f"/collections/c{choice}/records/{uuid.uuid4()}"),
        Content("prefix of id", lambda choice: f"{('ord', 'ref')[choice]}_{chars(BASE62, 16)}"),
        Content("scheme", lambda choice: f"{('Basic', 'Bearer')[choice]} {chars(BASE62, 32)}"),
        Content("weak or strong", lambda choice: f'{("", "W/")[choice]}"{secrets.token_hex(16)}"'),
    ]


def priced(choice: int) -> str:
    return json.dumps({"id": str(uuid.uuid4()), "price": (19.99, 24.99)[choice]})


#: Kinds of content.
CONTENTS = {content.name: content for content in contents()}
