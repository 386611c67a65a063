"""Random commands of every type in random trees of checkpoints, read through another client."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest
import redis
import redis_servers
import servers

from venomqa_hyp.adapters.redis import RedisAdapter

#: Operations of each run.
SIZE = int(os.environ.get("VENOMQA_REDIS_FUZZ", "300"))

Run = Callable[..., object]
Command = Callable[[Run, str, random.Random], object]


def value(chance: random.Random) -> bytes:
    size = chance.choice([1, 5, 70, 300])
    return chance.choice(
        [str(chance.randrange(1000)).encode(), chance.randbytes(size), b"x" * size]
    )


def many(chance: random.Random) -> list[bytes]:
    return [value(chance) for _ in range(chance.choice([1, 2, 5, 600]))]


def other(key: str, chance: random.Random) -> str:
    return key[:-1] + str(chance.randrange(10))


COMMANDS: list[Command] = [
    lambda run, key, chance: run("SET", key, value(chance)),
    lambda run, key, chance: run("SET", key, value(chance), "PX", chance.randrange(10**6, 10**9)),
    lambda run, key, chance: run("SET", key, value(chance), "KEEPTTL"),
    lambda run, key, chance: run("APPEND", key, value(chance)),
    lambda run, key, chance: run("INCRBY", key, chance.randrange(9)),
    lambda run, key, chance: run("SETBIT", key, chance.randrange(500), 1),
    lambda run, key, chance: run("SETRANGE", key, chance.randrange(50), value(chance)),
    lambda run, key, chance: run("GETDEL", key),
    lambda run, key, chance: run("GETEX", key, "PERSIST"),
    lambda run, key, chance: run("PFADD", key, *many(chance)),
    lambda run, key, chance: run("RPUSH", key, *many(chance)),
    lambda run, key, chance: run("LPOP", key),
    lambda run, key, chance: run("LINSERT", key, "BEFORE", "5", value(chance)),
    lambda run, key, chance: run("LTRIM", key, 1, -2),
    lambda run, key, chance: run("LMOVE", key, other(key, chance), "LEFT", "RIGHT"),
    lambda run, key, chance: run("SADD", key, *many(chance)),
    lambda run, key, chance: run("SADD", key, *range(chance.randrange(1, 900))),
    lambda run, key, chance: run("SREM", key, *range(chance.randrange(1, 9))),
    lambda run, key, chance: run("SPOP", key),
    lambda run, key, chance: run("SUNIONSTORE", key, other(key, chance), other(key, chance)),
    lambda run, key, chance: run("ZADD", key, chance.uniform(-9, 9), value(chance)),
    lambda run, key, chance: run(
        "ZADD",
        key,
        *[part for member in many(chance) for part in (chance.choice(["inf", 3]), member)],
    ),
    lambda run, key, chance: run("ZINCRBY", key, 1.5, "5"),
    lambda run, key, chance: run("ZPOPMIN", key),
    lambda run, key, chance: run("GEOADD", key, chance.uniform(0, 9), 5, value(chance)),
    lambda run, key, chance: run(
        "HSET", key, *[part for field in many(chance) for part in (field, value(chance))]
    ),
    lambda run, key, chance: run("HSET", key, chance.randrange(5), value(chance)),
    lambda run, key, chance: run("HDEL", key, chance.randrange(5)),
    lambda run, key, chance: run("HINCRBY", key, 1, 1),
    lambda run, key, chance: run("HPEXPIRE", key, 10**7, "FIELDS", 1, chance.randrange(5)),
    lambda run, key, chance: run("HPERSIST", key, "FIELDS", 1, chance.randrange(5)),
    lambda run, key, chance: run("XADD", key, "*", "f", value(chance)),
    lambda run, key, chance: run("XADD", key, "MAXLEN", 3, "*", "f", value(chance), "f", "2"),
    lambda run, key, chance: run("XTRIM", key, "MAXLEN", 2),
    lambda run, key, chance: run("XGROUP", "CREATE", key, "g", "0", "MKSTREAM"),
    lambda run, key, chance: run("XGROUP", "SETID", key, "g", chance.choice(["0", "$"])),
    lambda run, key, chance: run("XGROUP", "CREATECONSUMER", key, "g", chance.randrange(3)),
    lambda run, key, chance: run("XGROUP", "DELCONSUMER", key, "g", chance.randrange(3)),
    lambda run, key, chance: run("XGROUP", "DESTROY", key, "g"),
    lambda run, key, chance: run(
        "XREADGROUP", "GROUP", "g", chance.randrange(3), "COUNT", 2, "STREAMS", key, ">"
    ),
    lambda run, key, chance: run("XAUTOCLAIM", key, "g", chance.randrange(3), 0, "0"),
    lambda run, key, chance: acknowledge(run, key, chance),
    lambda run, key, chance: run("XSETID", key, f"{2**50}-{chance.randrange(9)}"),
    lambda run, key, chance: run("DEL", key),
    lambda run, key, chance: run("UNLINK", key),
    lambda run, key, chance: run("RENAME", key, other(key, chance)),
    lambda run, key, chance: run("COPY", key, other(key, chance), "REPLACE"),
    lambda run, key, chance: run("COPY", key, key, "DB", 1, "REPLACE"),
    lambda run, key, chance: run("MOVE", key, 1),
    lambda run, key, chance: run("EXPIRE", key, chance.randrange(1000, 10**6)),
    lambda run, key, chance: run("PERSIST", key),
    lambda run, key, chance: run("SORT", key, "ALPHA", "STORE", other(key, chance)),
    lambda run, key, chance: run("EVAL", "redis.call('set', KEYS[1], ARGV[1])", 1, key, "lua"),
]
EVERYTHING: list[Command] = [
    lambda run, key, chance: run("FLUSHDB"),
    lambda run, key, chance: run("FLUSHALL"),
    *[lambda run, key, chance: run("SWAPDB", 0, 1)] * 3,
]


def acknowledge(run: Run, key: str, chance: random.Random) -> None:
    pending = run("XPENDING", key, "g", "-", "+", 10, parse_detail=True)
    assert isinstance(pending, list)
    if pending:
        run("XACK", key, "g", chance.choice(pending)["message_id"])


def perform(
    client: redis.Redis, chance: random.Random, prefix: str, commands: list[Command]
) -> None:
    """Run a command that may be refused, as for a key of another type."""
    client.execute_command("SELECT", chance.choice([0, 0, 0, 1]))
    with suppress(redis.ResponseError):
        chance.choice(commands)(client.execute_command, f"{prefix}{chance.randrange(10)}", chance)
    client.execute_command("SELECT", 0)


def fuzz(url: str, seed: int, prefix: str, commands: list[Command], tracking: bool = True) -> None:
    chance = random.Random(seed)
    with (
        closing(redis.Redis.from_url(url, single_connection_client=True)) as client,
        closing(
            RedisAdapter(url, prefix=prefix or None, databases=[0, 1], tracking=tracking)
        ) as adapter,
    ):

        def seen() -> redis_servers.State:
            return redis_servers.state(client, (0, 1), f"{prefix}*")

        taken = [(adapter.checkpoint("start"), seen(), adapter.observe())]
        for number in range(SIZE):
            for _ in range(chance.choice([1, 1, 1, 8])):
                perform(client, chance, prefix, commands)
            if chance.random() < 0.4:
                taken.append((adapter.checkpoint("later"), seen(), adapter.observe()))
            if chance.random() < 0.3:
                handle, expected, observed = chance.choice(taken)
                adapter.rollback(handle)
                assert seen() == expected, f"operation {number} of seed {seed}"
                assert adapter.observe() == observed, f"operation {number} of seed {seed}"
            if len(taken) > 10:
                adapter.forget(taken.pop(chance.randrange(1, len(taken)))[0])
        for handle, expected, _ in taken:
            adapter.rollback(handle)
            assert seen() == expected


@pytest.fixture(scope="module", params=["redis", "valkey"])
def embedded(request: pytest.FixtureRequest) -> Iterator[str]:
    with redis_servers.private_server(kind=request.param) as url:
        yield url


@pytest.mark.parametrize("how", ["tracking", "many", "all"])
def test_every_state_of_a_whole_server_returns(
    embedded: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an embedded server, with all that a command does to all keys at once; read in each way."""
    if how == "many":
        monkeypatch.setattr("venomqa_hyp.adapters.redis.adapter._MANY", 0)
    with redis.Redis.from_url(embedded) as client:
        client.flushall()
    fuzz(embedded, 1, "", COMMANDS * 2 + EVERYTHING, how != "all")


@pytest.mark.parametrize("how", ["tracking", "many", "all"])
def test_every_state_under_a_prefix_returns(
    redis_url: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the server that others use too."""
    if how == "many":
        monkeypatch.setattr("venomqa_hyp.adapters.redis.adapter._MANY", 0)
    url_of_one = urlsplit(redis_url)._replace(path="/1").geturl()
    with servers.redis_prefix(redis_url) as prefix:
        try:
            fuzz(redis_url, 2, prefix, COMMANDS, how != "all")
        finally:
            with redis.Redis.from_url(url_of_one) as client:
                for key in list(client.scan_iter(f"{prefix}*")):
                    client.delete(key)
