"""What cannot work is refused at once, and what fails says what, why, and what to do."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
import redis_servers

from venomqa_hyp import World
from venomqa_hyp.adapters.redis import RedisAdapter, mirror
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable


@pytest.fixture
def server() -> Iterator[str]:
    with redis_servers.private_server() as url:
        yield url


@pytest.fixture
def client(server: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server) as client:
        yield client


def test_missing_package_names_the_install_line() -> None:
    """Without redis-py everything can be imported, and using the adapter says what is missing."""
    script = """
import sys
sys.modules["redis"] = None
from venomqa_hyp.adapters import RedisAdapter
try:
    RedisAdapter("redis://127.0.0.1/0")
except Exception as error:
    print(type(error).__name__, error)
"""
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert printed.startswith("DefinitionError")
    assert "pip install 'venomqa-hyp[redis]'" in printed


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("localhost:6379", r"redis://127\.0\.0\.1:6379/0"),
        (6379, r"got a builtins\.int.*pass a URL"),
        (redis.asyncio.Redis(), "no asyncio"),
        (
            redis.sentinel.Sentinel([("127.0.0.1", 1)]).master_for("main"),
            "URL of the master",
        ),
    ],
)
def test_wrong_source_is_refused(source: Any, words: str) -> None:
    """The message says what to pass instead."""
    with pytest.raises(DefinitionError, match=words):
        RedisAdapter(source)


@pytest.mark.parametrize("host", ["redis.example.com", "10.1.2.3"])
def test_other_machines_are_refused(host: str) -> None:
    """Unless they are named; a name that is not theirs does not do."""
    url = f"redis://{host}:6379/0"
    for options in ({}, {"allow_destructive": "other.example.com"}):
        with pytest.raises(DefinitionError, match=f"allow_destructive='{host}'"):
            RedisAdapter(url, **options)  # type: ignore[arg-type]


def test_named_machine_is_used() -> None:
    """By its host, by host and port, or by the whole URL: then only the connection can fail."""
    url = "redis://redis.invalid:6379/0"
    for name in ("redis.invalid", "redis.invalid:6379", url):
        with pytest.raises(SystemUnavailable, match="does not answer"):
            RedisAdapter(url, allow_destructive=name)


@pytest.mark.parametrize(
    "options",
    [{"prefix": ""}, {"prefix": 3}, {"databases": 1}, {"databases": [-1]}, {"databases": []}],
)
def test_wrong_argument_is_refused(options: dict[str, Any]) -> None:
    """Before anything is connected to."""
    with pytest.raises(DefinitionError, match=f"{next(iter(options))}=.*must be"):
        RedisAdapter("redis://127.0.0.1:1/0", **options)


def test_database_that_does_not_exist_is_refused(server: str) -> None:
    """In the words of the server."""
    with pytest.raises(SystemUnavailable, match=r"refuses SELECT 99: .*out of range"):
        RedisAdapter(server, databases=[0, 99])


def test_server_that_is_not_there(server: str) -> None:
    """Where it was looked for is in the message."""
    with pytest.raises(SystemUnavailable, match=r"Redis 127\.0\.0\.1:1 does not answer"):
        RedisAdapter("redis://127.0.0.1:1/0")


def test_password_is_asked_for(client: redis.Redis, server: str) -> None:
    """None, a wrong one, and the right one in the URL."""
    client.config_set("requirepass", "secret")
    with pytest.raises(SystemUnavailable, match="Put the password into the URL"):
        RedisAdapter(server)
    with pytest.raises(SystemUnavailable, match="Correct user and password"):
        RedisAdapter(server.replace("//", "//:wrong@"))
    with closing(RedisAdapter(server.replace("//", "//:secret@"))) as adapter:
        adapter.observe()


def test_vector_sets_are_refused(client: redis.Redis, server: str) -> None:
    """DUMP shows them in another way after each RESTORE."""
    with closing(RedisAdapter(server, prefix="cache:")) as adapter:
        for key in ("vectors", "cache:vectors"):
            try:
                client.execute_command("VADD", key, "VALUES", 1, 1, "one")
            except redis.ResponseError:
                pytest.skip("vector sets came with Redis 8")
            if key == "vectors":
                adapter.rollback(adapter.checkpoint("x"))
        with pytest.raises(SystemUnavailable, match=r"cache:vectors' is a vector set.*the prefix"):
            adapter.checkpoint("x")


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_cluster_is_refused(kind: str) -> None:
    """Its keys are on several servers."""
    with (
        redis_servers.private_server("--cluster-enabled", "yes", kind=kind) as url,
        pytest.raises(DefinitionError, match=r"part of a cluster.*single server"),
    ):
        RedisAdapter(url)


def test_replica_is_refused(client: redis.Redis, server: str) -> None:
    """At the start, with its master's address; later when the rollback is refused."""
    with closing(RedisAdapter(server)) as adapter:
        client.set("key", "x")
        handle = adapter.checkpoint("x")
        client.delete("key")
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(RollbackError, match=r"refuses .*replica.*URL of its master"):
            adapter.rollback(handle)
    with pytest.raises(DefinitionError, match=r"is a replica.*127\.0\.0\.1:1"):
        RedisAdapter(server)


def test_full_memory_ends_a_rollback_before_it_begins(client: redis.Redis, server: str) -> None:
    """Nothing was changed, so the rollback can be tried again."""
    with closing(RedisAdapter(server)) as adapter:
        client.set("key", "x" * 1000)
        handle, full = adapter.checkpoint("full"), adapter.observe()
        client.delete("key")
        empty = adapter.observe()
        client.config_set("maxmemory", 1)
        with pytest.raises(RollbackError, match=r"OOM|maxmemory"):
            adapter.rollback(handle)
        assert adapter.observe() == empty
        client.config_set("maxmemory", 0)
        adapter.rollback(handle)
        assert adapter.observe() == full


def test_killed_server_ends_the_run(client: redis.Redis, server: str) -> None:
    """observe() and rollback() say that it does not answer; the World refuses further use."""
    adapter = RedisAdapter(server)
    with closing(adapter):
        world = World(object(), {"cache": adapter})
        start = world.checkpoint("start")
        os.kill(client.info()["process_id"], signal.SIGKILL)
        with pytest.raises(SystemUnavailable, match="does not answer"):
            adapter.observe()
        with pytest.raises(RollbackError, match=r"'cache'.*does not answer"):
            world.rollback(start)
        with pytest.raises(RollbackError, match="unknown state"):
            world.observe()


def test_restarted_server_is_noticed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lost was not deleted by the application."""
    with closing(RedisAdapter(server)) as adapter, redis.Redis.from_url(server) as client:
        info = dict(adapter._info(), run_id="another")
        monkeypatch.setattr(adapter, "_info", lambda: info)
        client.client_kill_filter(_type="normal", skipme=True)
        for _ in range(2):
            with pytest.raises(SystemUnavailable, match="was started again"):
                adapter.observe()


def test_refused_commands_are_named(client: redis.Redis, server: str) -> None:
    """A user that may not do what is needed gets the server's words and the remedy."""
    client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "~*", "+@all", "-restore")
    with closing(RedisAdapter(server.replace("//", "//ann:pw@"))) as adapter:
        client.set("key", "x")
        handle = adapter.checkpoint("x")
        client.delete("key")
        with pytest.raises(RollbackError, match=r"refuses RESTORE key.*ACL SETUSER"):
            adapter.rollback(handle)


def test_what_changed_is_not_lost_by_an_error(client: redis.Redis, server: str) -> None:
    """The names were received before the error; then everything is read the next time."""
    client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all")
    with closing(RedisAdapter(server.replace("//", "//ann:pw@"))) as adapter:
        before = adapter.observe()
        client.set("key", "x")
        client.execute_command("ACL", "SETUSER", "ann", "-type")
        with pytest.raises(SystemUnavailable, match="refuses TYPE"):
            adapter.observe()
        client.execute_command("ACL", "SETUSER", "ann", "+type")
        assert adapter.observe() != before


@pytest.mark.parametrize("rights", ["-client", "-info", "-subscribe", "resetchannels"])
def test_everything_is_read_where_tracking_is_refused(
    client: redis.Redis, server: str, rights: str
) -> None:
    """The observation says why; INFO is needed in any case."""
    client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all", rights)
    url = server.replace("//", "//ann:pw@")
    if rights == "-info":
        with pytest.raises(SystemUnavailable, match="refuses INFO"):
            RedisAdapter(url)
        return
    with closing(RedisAdapter(url)) as adapter:
        assert "refuses" in adapter.observe().metadata["read"]
        handle, before = adapter.checkpoint("start"), adapter.observe()
        client.set("key", "x")
        assert adapter.observe() != before
        adapter.rollback(handle)
        assert client.exists("key") == 0


def test_command_that_fails_is_an_error(
    client: redis.Redis, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which keys were not restored is in the message; nothing is swallowed."""
    with closing(RedisAdapter(server)) as adapter:
        client.mset({"good": "1", "bad": "2"})
        handle = adapter.checkpoint("both")
        client.flushall()
        write = mirror.write_commands

        def damaged(key: bytes, dump: bytes, *rest: Any) -> Any:
            return write(key, dump[:-1] + bytes([dump[-1] ^ 1]) if key == b"bad" else dump, *rest)

        monkeypatch.setattr(mirror, "write_commands", damaged)
        with pytest.raises(
            RollbackError, match=r"1 commands failed.*RESTORE bad.*Not restored: 'bad'"
        ):
            adapter.rollback(handle)
        monkeypatch.undo()
        adapter.rollback(handle)
        assert client.mget("good", "bad") == [b"1", b"2"]


def test_writing_during_a_rollback_is_noticed(
    client: redis.Redis, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollback reads what it wrote, and names the keys that another wrote meanwhile."""
    with closing(RedisAdapter(server)) as adapter:
        handle = adapter.checkpoint("empty")
        client.set("key", "x")
        wrote = adapter._mirror.wrote

        def interrupted(plan: Any) -> None:
            client.set("background", "y")
            wrote(plan)

        monkeypatch.setattr(adapter._mirror, "wrote", interrupted)
        with pytest.raises(RollbackError, match=r"'background' \(database 0\) changed while"):
            adapter.rollback(handle)


@pytest.mark.parametrize("tracking", [True, False])
def test_value_dump_and_expiry_are_of_one_moment(
    client: redis.Redis, server: str, tracking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another goes on writing, what is seen is one of its states and no mixture."""
    monkeypatch.setattr("venomqa_hyp.adapters.redis.adapter._MANY", 0)
    stop = threading.Event()

    def toggle() -> None:
        with redis.Redis.from_url(server) as other:
            while not stop.is_set():
                other.pipeline().delete("key").rpush("key", 1).execute()
                other.pipeline().delete("key").set("key", 1, ex=60).execute()
                time.sleep(0.001)  # the key is to be read at times without a change

    thread = threading.Thread(target=toggle)
    thread.start()
    seen = set()
    try:
        with closing(RedisAdapter(server, tracking=tracking)) as adapter:
            for _ in range(100):
                observed = adapter.observe()
                entry = adapter.checkpoint("now").content.entries.get((0, b"key"))
                seen.add(str(observed.data["databases"]))
                assert entry is None or ("list" in entry.data) is (entry.dump[0] != 0)
    finally:
        stop.set()
        thread.join()
    assert all("list" in text or "about:66s" in text for text in seen if "key" in text)
