"""Redis: exact values and expiry, what the server does not tell of, several databases, errors."""

import gc
import pickle
import random
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
import redis_servers
import servers
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Invariant, World, venom_machine
from venomqa_hyp.adapters.redis import RedisAdapter
from venomqa_hyp.errors import DefinitionError, InvariantViolated, RollbackError
from venomqa_hyp.testing import check_rollbackable, volatile_places


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with redis_servers.private_server() as url:
        yield url


@pytest.fixture
def client(server: str) -> Iterator[redis.Redis]:
    """The application's connection to a whole server of this file's own."""
    with redis.Redis.from_url(server) as client:
        client.flushall()
        yield client


@pytest.fixture
def adapter(client: redis.Redis, server: str) -> Iterator[RedisAdapter]:
    with closing(RedisAdapter(server)) as adapter:
        yield adapter


@pytest.fixture
def prefix(redis_url: str) -> Iterator[str]:
    """A prefix of this test's own, on the server that others use too."""
    with servers.redis_prefix(redis_url) as prefix:
        yield prefix


# --- the contract --------------------------------------------------------------------------------


def change_a_string(client: redis.Redis, prefix: str, chance: random.Random) -> None:
    client.set(f"{prefix}{chance.randrange(5)}", str(chance.random()))


def change_a_hash(client: redis.Redis, prefix: str, chance: random.Random) -> None:
    client.hset(f"{prefix}hash", str(chance.randrange(3)), str(chance.random()))


def change_a_list_and_delete(client: redis.Redis, prefix: str, chance: random.Random) -> None:
    client.delete(f"{prefix}{chance.randrange(5)}")
    client.rpush(f"{prefix}list", str(chance.random()))


def change_sets(client: redis.Redis, prefix: str, chance: random.Random) -> None:
    client.sadd(f"{prefix}set", str(chance.random()))
    client.zadd(f"{prefix}zset", {str(chance.randrange(9)): chance.random()})


def change_a_stream(client: redis.Redis, prefix: str, chance: random.Random) -> None:
    key = f"{prefix}stream"
    number = client.xlen(key) + 1
    client.xadd(key, {"a": str(chance.random())}, id=f"{number}-1")
    if number == 1:
        client.xgroup_create(key, "group", id="0")
    client.xreadgroup("group", "consumer", {key: ">"}, count=1)


def change_with_expiry(client: redis.Redis, prefix: str, chance: random.Random) -> None:
    client.set(f"{prefix}session", str(chance.random()), ex=chance.randrange(60, 600))


CHANGES = [
    change_a_string,
    change_a_hash,
    change_a_list_and_delete,
    change_sets,
    change_a_stream,
    change_with_expiry,
]


def check(url: str, begin: str, **options: Any) -> None:
    """Check every rule of Rollbackable; each system begins without keys under the prefix."""
    with redis.Redis.from_url(url) as client:

        def make() -> RedisAdapter:
            for key in list(client.scan_iter(f"{begin}*")):
                client.delete(key)
            return RedisAdapter(url, **options)

        def mutation(change: Any) -> Any:
            return lambda system, chance: change(client, begin, chance)

        check_rollbackable(make, [mutation(change) for change in CHANGES])


def test_whole_database_keeps_the_contract(server: str, client: redis.Redis) -> None:
    """Every rule of Rollbackable holds."""
    check(server, "")


def test_prefix_keeps_the_contract(redis_url: str, prefix: str) -> None:
    """Every rule of Rollbackable holds for the keys of one prefix."""
    check(redis_url, prefix, prefix=prefix)


def test_reading_everything_keeps_the_contract(redis_url: str, prefix: str) -> None:
    """Every rule of Rollbackable holds where the server cannot say what changed."""
    check(redis_url, prefix, prefix=prefix, tracking=False)


def test_several_databases_keep_the_contract(server: str, client: redis.Redis) -> None:
    """Every rule of Rollbackable holds with names that are in more than one database."""
    check(server, "", databases=[0, 3])


# --- values --------------------------------------------------------------------------------------


def test_every_type_returns_byte_for_byte(client: redis.Redis, adapter: RedisAdapter) -> None:
    """Small and large, text and not; keys are bytes too."""
    noise = random.Random(1).randbytes(9000)
    client.set(b"\xff\x00 string", noise)
    client.setbit("bits", 77, 1)
    client.pfadd("count", *range(500))
    client.rpush("list", b"\x00", "", "9", noise)
    client.sadd("numbers", *range(9))
    client.sadd("many", *range(2000))
    client.zadd("scores", {b"\xfe": float("inf"), "b": -0.1, "c": 1e300})
    client.geoadd("places", (1.5, 2.5, "here"))
    client.hset("hash", mapping={b"\xff": noise, "": ""})
    client.hset("large", mapping={str(number): "x" for number in range(2000)})
    before, handle = redis_servers.state(client), adapter.checkpoint("full")
    for key in list(client.scan_iter()):
        client.delete(key)
    client.sadd("hash", "another type")
    adapter.rollback(handle)
    assert redis_servers.state(client) == before


def test_order_of_fields_returns(client: redis.Redis, adapter: RedisAdapter) -> None:
    """A small hash lists its fields as they were added; equal content in another order is kept."""
    client.hset("hash", mapping={"a": "1", "b": "2"})
    handle = adapter.checkpoint("a before b")
    client.delete("hash")
    client.hset("hash", mapping={"b": "2", "a": "1"})
    adapter.rollback(handle)
    assert list(client.hgetall("hash")) == [b"a", b"b"]


def test_consumer_groups_are_seen_and_restored(client: redis.Redis, adapter: RedisAdapter) -> None:
    """The server tells nothing of these commands; each is a new state, and rolls back."""
    for number in (1, 2, 3):
        client.xadd("jobs", {"n": number}, id=f"{number}-1")
    client.xgroup_create("jobs", "workers", id="0")
    steps = [
        lambda: client.xreadgroup("workers", "ann", {"jobs": ">"}, count=2),
        lambda: client.xgroup_createconsumer("jobs", "workers", "bob"),
        lambda: client.xclaim("jobs", "workers", "bob", 0, ["1-1"]),
        lambda: client.xack("jobs", "workers", "2-1"),
        lambda: client.xgroup_setid("jobs", "workers", "0"),
        lambda: client.xgroup_delconsumer("jobs", "workers", "ann"),
        lambda: client.execute_command("XSETID", "jobs", "9-9"),
        lambda: client.xgroup_destroy("jobs", "workers"),
    ]
    taken = []
    for step in steps:
        taken.append((adapter.checkpoint("step"), redis_servers.state(client), adapter.observe()))
        step()
        assert adapter.observe() != taken[-1][2]
    for handle, before, observed in reversed(taken):
        adapter.rollback(handle)
        assert redis_servers.state(client) == before
        assert adapter.observe() == observed


def test_shape_of_the_data(client: redis.Redis, server: str) -> None:
    """Only what differs from the start is shown, by the part of its name up to the last colon."""
    client.set("page:1", "old")
    client.set("page:2", "old")
    client.set("gone", "x")
    with closing(RedisAdapter(server)) as adapter:
        assert dict(adapter.observe().data["databases"]) == {}
        client.set("page:1", "new", ex=60)
        client.delete("gone")
        client.rpush("queue", "a", b"\xff")
        client.hset("cart:7", mapping={"apple": 2})
        client.sadd("tags", "b", "a")
        client.zadd("scores", {"ann": 1.5})
        client.xadd("log", {"k": "v"}, id="1-1")
        seen = adapter.observe()
    databases = seen.data["databases"]
    assert databases["0"]["page:"] == {"1": {"string": "new", "expires": "about:66s"}}
    assert databases["0"]["cart:"] == {"7": {"hash": {"apple": "2"}}}
    rest = dict(databases["0"][""])
    assert rest.pop("log")["stream"]["entries"] == {"1-1": ["k", "v"]}
    assert rest == {
        "gone": None,
        "queue": {"list": ["a", b"\xff"]},
        "tags": {"set": {"a": True, "b": True}},
        "scores": {"zset": {"ann": 1.5}},
    }
    assert pickle.loads(pickle.dumps(dict(seen.data)))["databases"] == dict(databases)


def test_digest_depends_on_content_only(client: redis.Redis, server: str) -> None:
    """Another history and another encoding give the equal digest."""
    client.hset("hash", mapping={"a": "1", "b": "2"})
    with closing(RedisAdapter(server)) as first:
        digest = first.observe().digest
        client.delete("hash")
        client.hset("hash", mapping={"b": "x" * 200, "c": "3"})
        client.hset("hash", mapping={"b": "2", "a": "1"})
        client.hdel("hash", "c")
        assert client.object("encoding", "hash") == b"hashtable"
        assert first.observe().digest == digest
        assert dict(first.observe().data["databases"]) == {}
    with closing(RedisAdapter(server)) as second:
        assert second.observe().digest == digest


def test_random_names_and_clocks_can_be_masked(client: redis.Redis, adapter: RedisAdapter) -> None:
    """Two runs of one step differ in these places, and in no other keys."""
    start = adapter.checkpoint("start")
    seen = []
    for token, at in (("5f2b9c0e1d", "1763694000.25"), ("0a77c3b912", "1763694003.75")):
        client.hset(f"session:{token}", mapping={"user": "ann"})
        client.hset("stock:apple", mapping={"left": 3, "at": at})
        seen.append(adapter.observe().data)
        adapter.rollback(start)
    assert volatile_places(*seen) == (
        "databases.0.session:.key",
        "databases.0.stock:.apple.hash.at",
    )


# --- expiry --------------------------------------------------------------------------------------


def left(client: redis.Redis, key: str) -> int:
    milliseconds: int = client.pttl(key)
    return milliseconds


def test_ignored_keys_and_fields_make_no_difference(client: redis.Redis, server: str) -> None:
    """They are rolled back all the same."""
    patterns: dict[str, Any] = {"ignore_keys": ["stats:*"], "ignore_fields": ["last_*"]}
    with closing(RedisAdapter(server, **patterns)) as adapter:
        client.hset("session:1", mapping={"user": "ann", "last_seen": "1"})
        before, handle = adapter.observe(), adapter.checkpoint("before")
        client.set("stats:hits", 7)
        client.hset("session:1", "last_seen", "2")
        seen = adapter.observe()
        assert seen.digest == before.digest
        assert seen.data["databases"]["0"] == {"session:": {"1": {"hash": {"user": "ann"}}}}
        client.hset("session:1", "user", "eve")
        assert adapter.observe().digest != before.digest
        adapter.rollback(handle)
        assert client.get("stats:hits") is None
        assert client.hgetall("session:1") == {b"user": b"ann", b"last_seen": b"1"}


@pytest.mark.parametrize("argument", ["ignore_keys", "ignore_fields"])
def test_a_pattern_in_place_of_a_list_is_refused(server: str, argument: str) -> None:
    """A text would be taken letter by letter."""
    wrong: dict[str, Any] = {argument: "stats:*"}
    with pytest.raises(DefinitionError, match=f"{argument}='stats:\\*' must be a list"):
        RedisAdapter(server, **wrong)


def test_time_to_live_is_that_of_the_checkpoint(client: redis.Redis, adapter: RedisAdapter) -> None:
    """Of keys that were changed, deleted, made permanent, refreshed, or not touched at all."""
    keys = ("changed", "deleted", "permanent", "refreshed", "untouched")
    for key in keys:
        client.set(key, "x", px=5000)
    client.set("for ever", "x")
    handle = adapter.checkpoint("five seconds left")
    time.sleep(0.3)
    client.append("changed", "y")
    client.delete("deleted")
    client.persist("permanent")
    client.expire("refreshed", 1000)
    client.expire("for ever", 1000)
    time.sleep(0.2)
    adapter.rollback(handle)
    for key in keys:
        assert 4700 < left(client, key) <= 5001, key
    assert left(client, "for ever") == -1


def test_expired_key_comes_back(client: redis.Redis, adapter: RedisAdapter) -> None:
    """With the time it had left; and its end is seen though nobody touched it."""
    client.set("short", "x", px=150)
    handle, before = adapter.checkpoint("alive"), adapter.observe()
    time.sleep(0.2)
    assert adapter.observe() != before
    adapter.rollback(handle)
    assert 0 < left(client, "short") <= 151
    assert adapter.observe() == before


def test_going_to_a_later_checkpoint_shifts_too(client: redis.Redis, adapter: RedisAdapter) -> None:
    """Each handle has its own time left, in whatever order they are used."""
    client.set("key", "x", px=8000)
    early = adapter.checkpoint("8 s")
    time.sleep(0.4)
    late = adapter.checkpoint("7.6 s")
    for _ in range(2):
        time.sleep(0.1)
        adapter.rollback(early)
        assert 7900 < left(client, "key") <= 8001
        time.sleep(0.1)
        adapter.rollback(late)
        assert 7300 < left(client, "key") <= 7601


def test_time_alone_is_no_new_state(client: redis.Redis, adapter: RedisAdapter) -> None:
    """Whether a key expires, and roughly when, is observed at the moment it is set."""
    client.set("key", "x", px=2000)
    before = adapter.observe()
    time.sleep(0.7)
    assert adapter.observe() == before
    client.append("key", "")
    assert adapter.observe() == before
    client.pexpire("key", 60_000)
    later = adapter.observe()
    assert later != before
    client.persist("key")
    assert adapter.observe() not in (before, later)


def test_fields_that_expire_return() -> None:
    """Where the server has them (Redis 7.4, Valkey 9): each with the time it had left."""
    with (
        redis_servers.private_server(kind="valkey") as url,
        redis.Redis.from_url(url) as client,
    ):
        run = client.execute_command
        client.hset("hash", mapping={"keep": "1", "short": "2", "long": "3"})
        run("HPEXPIRE", "hash", 200, "FIELDS", 1, "short")
        run("HPEXPIRE", "hash", 9000, "FIELDS", 1, "long")
        with closing(RedisAdapter(url)) as adapter:
            handle, before = adapter.checkpoint("all"), adapter.observe()
            time.sleep(0.3)
            assert adapter.observe() != before
            adapter.rollback(handle)
            assert client.hgetall("hash") == {b"keep": b"1", b"short": b"2", b"long": b"3"}
            keep, short, long = run("HPTTL", "hash", "FIELDS", 3, "keep", "short", "long")
            assert keep == -1
            assert 0 < short <= 201
            assert 8500 < long <= 9001
            assert adapter.observe() == before
            run("HPERSIST", "hash", "FIELDS", 1, "long")
            assert adapter.observe() != before


# --- what is rolled back, and what not -----------------------------------------------------------


def test_other_prefixes_are_left_alone(redis_url: str, prefix: str) -> None:
    """They are not observed, not restored and not deleted; no character of it is a wildcard."""
    ours, others = f"{prefix}[a]*:", f"{prefix}a:"
    with (
        redis.Redis.from_url(redis_url) as client,
        closing(RedisAdapter(redis_url, prefix=ours)) as adapter,
        closing(RedisAdapter(redis_url, prefix=ours, tracking=False)) as reading,
    ):
        before, handle = adapter.observe(), adapter.checkpoint("start")
        client.set(f"{others}key", "x")
        assert adapter.observe() == before == reading.observe()
        client.set(f"{ours}key", "x")
        assert adapter.observe() == reading.observe() != before
        adapter.rollback(handle)
        assert client.get(f"{others}key") == b"x"
        assert client.exists(f"{ours}key") == 0


def test_everything_at_once_is_noticed(client: redis.Redis, server: str) -> None:
    """FLUSHDB, FLUSHALL and SWAPDB, also those that leave an equal number of keys."""
    client.set("here", "1")
    client.execute_command("COPY", "here", "there", "DB", 1)
    with closing(RedisAdapter(server, databases=[0, 1])) as adapter:
        handle, before = adapter.checkpoint("start"), adapter.observe()
        for command in (["FLUSHDB"], ["FLUSHALL"], ["SWAPDB", 0, 1], ["MOVE", "here", 1]):
            client.execute_command(*command)
            assert adapter.observe() != before, command
            adapter.rollback(handle)
            assert adapter.observe() == before, command
            assert client.keys() == [b"here"], command


def test_database_of_the_url_is_used(client: redis.Redis, server: str) -> None:
    """The one of the URL, unless others are named."""
    url = server.removesuffix("/0") + "/5"
    with redis.Redis.from_url(url) as five, closing(RedisAdapter(url)) as adapter:
        before, handle = adapter.observe(), adapter.checkpoint("start")
        client.set("key", "in 0")
        assert adapter.observe() == before
        five.set("key", "in 5")
        assert adapter.observe() != before
        adapter.rollback(handle)
        assert five.get("key") is None
        assert client.get("key") == b"in 0"


def test_settings_of_a_client_are_used(client: redis.Redis, server: str) -> None:
    """Its address, database and password, but none of its connections, and no decoding."""
    theirs = redis.Redis.from_url(server, db=2, decode_responses=True)
    with theirs, closing(RedisAdapter(theirs)) as adapter:
        theirs.set("key", "x")
        handle = adapter.checkpoint("x")
        theirs.set("key", "y")
        adapter.rollback(handle)
        assert theirs.get("key") == "x"


def test_lost_connections_are_opened_again(client: redis.Redis, adapter: RedisAdapter) -> None:
    """What changed while one was lost is found by reading everything."""
    for kind in ("normal", "pubsub"):
        handle, before = adapter.checkpoint(kind), adapter.observe()
        client.set("key", kind)
        client.client_kill_filter(_type=kind, skipme=True)
        assert adapter.observe() != before
        client.set("key", "again")
        adapter.rollback(handle)
        assert adapter.observe() == before


def test_handles_share_what_is_equal(client: redis.Redis, adapter: RedisAdapter) -> None:
    """A value that no handle and no observation needs is freed, also while other handles live."""
    first = adapter.checkpoint("empty")
    client.set("key", "x")
    second = adapter.checkpoint("x")
    assert second.content is not None
    entry = second.content.entries.get((0, b"key"))
    kept = weakref.ref(entry)
    del entry
    client.delete("key")
    adapter.observe()
    gc.collect()
    assert kept() is not None
    adapter.forget(second)
    gc.collect()
    assert kept() is None
    adapter.rollback(first)


def test_dead_handles_are_refused(client: redis.Redis, server: str) -> None:
    """Forgotten, foreign, or of a closed adapter."""
    adapter, other = RedisAdapter(server), RedisAdapter(server)
    forgotten, foreign, kept = (one.checkpoint("x") for one in (adapter, other, adapter))
    adapter.forget(forgotten)
    for handle in (forgotten, foreign):
        assert not adapter.is_live(handle)
        with pytest.raises(RollbackError, match="Take a new checkpoint"):
            adapter.rollback(handle)
    other.close()
    adapter.close()
    with pytest.raises(RollbackError, match="closed"):
        adapter.rollback(kept)


# --- in a World ----------------------------------------------------------------------------------


def test_a_machine_finds_the_bug_and_leaves_the_keys(client: redis.Redis, server: str) -> None:
    """Stock that is kept in Redis goes below nothing; the failure is short, the seed is back."""
    client.set("stock:apple", 2)

    def order(api: redis.Redis, context: Any, amount: int) -> None:
        if int(api.get("stock:apple") or 0) > 0:  # the bug: not >= amount
            api.decrby("stock:apple", amount)
            api.rpush("orders", amount)

    def look(api: redis.Redis, context: Any) -> None:
        api.lrange("orders", 0, -1)

    def never_negative(world: World) -> bool:
        return int(world.api.get("stock:apple")) >= 0

    machine = venom_machine(
        lambda: World(redis.Redis.from_url(server), {"cache": RedisAdapter(server)}),
        [Action("order", order, arguments={"amount": st.integers(1, 5)}), Action("look", look)],
        [Invariant("never negative", never_negative)],
    )
    with pytest.raises(InvariantViolated, match="never negative"):
        run_state_machine_as_test(
            machine, settings=settings(machine.TestCase.settings, max_examples=30)
        )
    result = machine.last_run
    assert result is not None
    assert result.divergence is None
    assert [step.arguments for step in result.violations[0].reproduction_path] == [{"amount": 3}]
    assert client.get("stock:apple") == b"2"
    assert client.keys() == [b"stock:apple"]
