"""Measure what it costs to roll back a step that changed 3 keys of a Redis database.

    python benchmarks/redis_rollback.py [--quick] [--url redis://127.0.0.1:6379/9]

prints, for a small and a large database of strings, hashes and lists, a quarter of which expire:

- the median time of checkpoint, observation and rollback around a step that changed 3 keys, and
  the ratio of the rollbacks of the two sizes (at most 1.5);
- what dumping all keys takes instead, as SCAN with a pipeline of DUMP and PTTL (at least 50 times
  as long as the rollback in the large database);
- what opening takes, which reads everything once.

Without ``--url`` it starts a server of its own. The database it uses must be empty, and is emptied
in the end. Times are of the wall clock: only the ratios mean anything on another machine.
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
from contextlib import closing, contextmanager
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
    with own_server() if options.url is None else given_server(options.url) as url:
        with redis.Redis.from_url(url) as client:
            print(f"Redis {client.info()['redis_version']}, a step that changes 3 keys, medians")
        small_rollback, _ = measure(url, SMALL, steps)
        large_rollback, dumping = measure(url, large, steps)
    print(
        f"rollback, {large:,} keys against {SMALL:,}: {large_rollback / small_rollback:.2f} times"
    )
    print(f"dumping {large:,} keys against a rollback: {dumping / large_rollback:.0f} times")


def measure(url: str, keys: int, steps: int) -> tuple[float, float]:
    """Print the figures of a database of that size; return rollback and dumping, in seconds."""
    with redis.Redis.from_url(url) as client:
        fill(client, keys)
        dumping = statistics.median(timed(lambda: dump_all(client)) for _ in range(3))
        opening = time.perf_counter()
        with closing(RedisAdapter(url)) as adapter:
            opening = time.perf_counter() - opening
            times: dict[str, list[float]] = {"checkpoint": [], "observe": [], "rollback": []}
            for number in range(steps):
                began = time.perf_counter()
                handle = adapter.checkpoint("before")
                times["checkpoint"].append(time.perf_counter() - began)
                change(client, number, keys)
                times["observe"].append(timed(adapter.observe))
                began = time.perf_counter()
                adapter.rollback(handle)
                times["rollback"].append(time.perf_counter() - began)
                adapter.forget(handle)
        client.flushdb()
    medians = {name: statistics.median(each) for name, each in times.items()}
    shown = "  ".join(f"{name} {1000 * value:.2f} ms" for name, value in medians.items())
    print(f"{keys:>8,} keys: {shown}  dump all {dumping:.3f} s  open {opening:.2f} s")
    return medians["rollback"], dumping


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def fill(client: redis.Redis, keys: int) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(keys):
        match number % 4:
            case 0:
                pipeline.set(f"page:{number}", f"{number} " * 20, ex=3600)
            case 1:
                pipeline.set(f"page:{number}", f"{number} " * 20)
            case 2:
                pipeline.hset(
                    f"cart:{number}", mapping={"sku": number, "amount": 1, "note": "x" * 40}
                )
            case 3:
                pipeline.rpush(f"queue:{number}", *range(10))
        if number % 5_000 == 0:
            pipeline.execute()
    pipeline.execute()


def change(client: redis.Redis, number: int, keys: int) -> None:
    """Change a value, a hash, and the presence of a key."""
    at = number * 4 % keys
    client.set(f"page:{at}", number)
    client.hincrby(f"cart:{at + 2}", "amount", 1)
    client.delete(f"queue:{at + 3}")


def dump_all(client: redis.Redis) -> None:
    cursor = -1
    while cursor:
        cursor, names = client.scan(max(cursor, 0), count=1000)
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
