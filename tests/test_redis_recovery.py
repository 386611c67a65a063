"""What a killed run changed in Redis stays, and the next run says so."""

import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from redis_servers import private_server, state

from venomqa_hyp.adapters import RedisAdapter
from venomqa_hyp.adapters.recovery import RecoveryWarning

KILLS = int(os.environ.get("VENOMQA_KILLS", "15"))
ENDLESS = """
import random, sys
import redis
from venomqa_hyp.adapters import RedisAdapter

url, prefix, chance = sys.argv[1], sys.argv[2] or None, random.Random(sys.argv[3])
system = RedisAdapter(url, prefix=prefix)
client, begin = redis.Redis.from_url(url), prefix or ""
handles = [system.checkpoint("beginning")]
print("ready", flush=True)
while True:
    for _ in range(chance.randrange(4)):
        key = f"{begin}{chance.randrange(5)}"
        chance.choice((
            lambda: client.set(key, chance.randrange(100)),
            lambda: client.delete(key),
            lambda: client.set(key, "x", ex=1000),
            lambda: client.set(f"{begin}new{chance.randrange(5)}", "x"),
        ))()
    if chance.random() < 0.5:
        handles = [*handles[-5:], system.checkpoint("later")]
    if chance.random() < 0.7:
        system.rollback(chance.choice(handles))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with private_server() as url:
        yield url


@pytest.fixture(params=["", "shop:"])
def prefix(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def client(server: str, prefix: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server) as client:
        client.flushall()
        seed(client, prefix)
        yield client


def seed(client: redis.Redis, prefix: str) -> None:
    client.mset({f"{prefix}{number}": number for number in range(5)})


def killed(url: str, prefix: str, seconds: float, seed: int = 0) -> None:
    """Kill a run after some time, counted from its first step."""
    command = [sys.executable, "-c", ENDLESS, url, prefix, str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(seconds)
        child.kill()
    while any(one["name"].startswith("venomqa") for one in clients(url)):
        time.sleep(0.01)  # until the server has seen the end of the connection


def clients(url: str) -> list[dict[str, Any]]:
    with redis.Redis.from_url(url) as client:
        found: list[dict[str, Any]] = client.client_list()
        return found


def warned(url: str, prefix: str) -> list[str]:
    """Return what a new run says when it begins."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        RedisAdapter(url, prefix=prefix or None).close()
    assert all(warning.category is RecoveryWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_no_kill_that_left_other_keys_is_silent(
    server: str, prefix: str, client: redis.Redis
) -> None:
    chance, changed, said = random.Random(prefix), 0, 0
    for number in range(max(1, KILLS // 2)):
        client.flushall()
        seed(client, prefix)
        beginning = state(client)
        killed(server, prefix, chance.uniform(0, 0.2), number)
        is_changed, is_said = state(client) != beginning, bool(warned(server, prefix))
        assert is_said == is_changed, number
        changed, said = changed + is_changed, said + is_said
    print(f"prefix {prefix!r}: {changed} kills left other keys, {said} were said")
    assert changed


def test_the_warning_names_the_remedy_once(server: str, prefix: str, client: redis.Redis) -> None:
    killed(server, prefix, 0.3)
    client.set(f"{prefix}0", "changed")
    (message,) = warned(server, prefix)
    assert "ended without closing its adapter" in message
    assert "FLUSHDB" in message
    assert warned(server, prefix) == []


def test_keys_that_were_deleted_after_a_kill_are_said_to_be_others(
    server: str, prefix: str, client: redis.Redis
) -> None:
    killed(server, prefix, 0.1)
    client.flushdb()
    assert len(warned(server, prefix)) == 1
    killed(server, prefix, 0.1)
    client.flushall()
    assert warned(server, prefix) == []


def test_live_run_and_closed_run_are_not_said(
    server: str, prefix: str, client: redis.Redis
) -> None:
    with closing(RedisAdapter(server, prefix=prefix or None)):
        client.set(f"{prefix}0", "changed")
        assert warned(server, prefix) == []
    client.set(f"{prefix}0", "changed again")
    assert warned(server, prefix) == []


def test_marker_is_in_no_observed_database_and_removed(
    server: str, prefix: str, client: redis.Redis
) -> None:
    before = state(client)
    with closing(RedisAdapter(server, prefix=prefix or None)) as system:
        assert state(client) == before
        handle = system.checkpoint("before")
        client.flushall()
        system.rollback(handle)
        assert state(client) == before
        assert set(client.info("keyspace")) == {"db0", "db15"}
    assert set(client.info("keyspace")) == {"db0"}


def test_user_without_rights_to_a_marker_begins_all_the_same(server: str) -> None:
    with redis.Redis.from_url(server) as client:
        client.flushall()
        client.execute_command("ACL", "SETUSER", "few", "on", "nopass", "~few:*", "+@all")
        limited = server.replace("redis://", "redis://few:x@")
        with closing(RedisAdapter(limited, prefix="few:", tracking=False)) as system:
            handle = system.checkpoint("before")
            client.set("few:1", 1)
            system.rollback(handle)
        assert client.info("keyspace") == {}
