"""Measure what it costs to roll back a step that changed 3 keys of a Redis database.

    python benchmarks/redis_rollback.py [--quick] [--url redis://127.0.0.1:6379/9]

prints, for few and many keys (strings, hashes and lists, a quarter of which expire), each under a
prefix of its own, step for step in turn:

- the time of checkpoint, observation and rollback around a step that changed 3 keys, and
  the ratio of the rollbacks of the two sizes (at most 1.5);
- what dumping all keys takes instead, as SCAN with a pipeline of DUMP and PTTL (at least 50 times
  as long as the rollback among many);
- what opening takes, which reads everything once.

Without ``--url`` it starts a server of its own. The database it uses must be empty, and is emptied
in the end. Times are of the wall clock, lower quartiles, since other work on the machine only adds
to them: only the ratios mean anything on another machine.
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from venomqa_hyp.adapters.redis import RedisAdapter

SMALL, LARGE = 1_000, 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--url", help="a server, with the number of an empty database")
    options = parser.parse_args()
    large, steps = (5_000, 10) if options.quick else (LARGE, 200)
    with (
        own_server() if options.url is None else given_server(options.url) as url,
        redis.Redis.from_url(url) as client,
    ):
        print(f"Redis {client.info()['redis_version']}, a step that changes 3 keys")
        stores = [Store(client, url, keys) for keys in (SMALL, large)]
        for number in range(steps):
            for store in stores:
                store.measure(number)
        small_rollback, large_rollback = (store.report() for store in stores)
        client.flushdb()
    ratio, dumps = large_rollback / small_rollback, stores[1].dumping / large_rollback
    print(f"rollback, {large:,} keys against {SMALL:,}: {ratio:.2f} times")
    print(f"dumping {large:,} keys against a rollback: {dumps:.0f} times")


class Store:
    """So many keys under a prefix of their own, and an adapter."""

    def __init__(self, client: redis.Redis, url: str, keys: int) -> None:
        self.client, self.keys, self.prefix = client, keys, f"{keys}:"
        fill(client, self.prefix, keys)
        self.dumping = timed(lambda: dump_all(client, self.prefix))
        began = time.perf_counter()
        self.adapter = RedisAdapter(url, prefix=self.prefix)
        self.opening = time.perf_counter() - began
        self.times: dict[str, list[float]] = {"checkpoint": [], "observe": [], "rollback": []}

    def measure(self, number: int) -> None:
        began = time.perf_counter()
        handle = self.adapter.checkpoint("before")
        self.times["checkpoint"].append(time.perf_counter() - began)
        change(self.client, self.prefix, number * 4 % self.keys)
        self.times["observe"].append(timed(self.adapter.observe))
        self.times["rollback"].append(timed(lambda: self.adapter.rollback(handle)))
        self.adapter.forget(handle)

    def report(self) -> float:
        """Print the figures, and return that of the rollback in seconds."""
        self.adapter.close()
        low = {name: statistics.quantiles(each)[0] for name, each in self.times.items()}
        shown = "  ".join(f"{name} {1000 * value:.2f} ms" for name, value in low.items())
        print(
            f"{self.keys:>8,} keys: {shown}  dump all {self.dumping:.3f} s  "
            f"open {self.opening:.2f} s"
        )
        return low["rollback"]


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def fill(client: redis.Redis, prefix: str, keys: int) -> None:
    pipeline = client.pipeline(transaction=False)
    for at in range(keys):
        match at % 4:
            case 0:
                pipeline.set(f"{prefix}session:{at}", f"{at} " * 20, ex=3600)
            case 1:
                pipeline.set(f"{prefix}page:{at}", f"{at} " * 20)
            case 2:
                pipeline.hset(f"{prefix}cart:{at}", mapping={"sku": at, "amount": 1, "n": "x" * 40})
            case 3:
                pipeline.rpush(f"{prefix}queue:{at}", *range(10))
        if at % 5_000 == 0:
            pipeline.execute()
    pipeline.execute()


def change(client: redis.Redis, prefix: str, at: int) -> None:
    """Change a value, a hash, and the presence of a key."""
    client.append(f"{prefix}session:{at}", "x")
    client.hincrby(f"{prefix}cart:{at + 2}", "amount", 1)
    client.delete(f"{prefix}queue:{at + 3}")


def dump_all(client: redis.Redis, prefix: str) -> None:
    cursor = -1
    while cursor:
        cursor, names = client.scan(max(cursor, 0), match=f"{prefix}*", count=1000)
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.dump(name)
            pipeline.pttl(name)
        pipeline.execute()


@contextmanager
def given_server(url: str) -> Iterator[str]:
    with redis.Redis.from_url(url) as client:
        if client.dbsize():
            sys.exit(f"The database of {url} is not empty: give the number of an empty one.")
    yield url


@contextmanager
def own_server() -> Iterator[str]:
    beside = Path(sys.executable).parent
    binary = shutil.which("redis-server") or shutil.which("redis-server", path=str(beside))
    if binary is None:
        sys.exit("There is no redis-server on the PATH: give --url.")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        with subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL) as process:
            try:
                with redis.Redis(port=port) as client:
                    wait_for(client)
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                process.terminate()


def wait_for(client: redis.Redis) -> None:
    for _ in range(100):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    sys.exit("The server does not start: give --url.")


if __name__ == "__main__":
    main()
