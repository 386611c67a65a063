"""Kinto as its documentation installs it, with a database of its own, for the length of a block.

    with serve_kinto(postgres, redis) as kinto:
        httpx.get(f"{kinto.url}/buckets", auth=ADMIN)

``kinto init`` writes the settings. What is changed there are the URLs of the two stores, the prefix
of the keys in Redis, and the line of the history plugin, which is made to count.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from attrs import frozen

from venomqa_hyp.testing.process import serve

KINTO = [sys.executable, "-c", "import sys; from kinto.__main__ import main; sys.exit(main())"]
ADMIN = ("admin", "admin-secret")
COMMAND_TIMEOUT = 60.0


@frozen
class Kinto:
    """A running Kinto, and where it keeps what it knows.

    :ivar url: the address of version 1 of its API.
    :ivar database: the DSN of its PostgreSQL database.
    :ivar cache: the URL of its Redis database.
    :ivar prefix: what its keys in Redis begin with.
    """

    url: str
    database: str
    cache: str
    prefix: str


@contextmanager
def serve_kinto(postgres: str, redis: str) -> Iterator[Kinto]:
    """Make a database, write the settings, migrate, create the administrator, and start Kinto.

    :param postgres: the URL of any database of a PostgreSQL server; a new one is made there.
    :param redis: the URL of a Redis database; only keys under a prefix are used.
    """
    name = f"venomqa_kinto_{uuid4().hex[:12]}"
    with (
        new_database(postgres, name) as database,
        tempfile.TemporaryDirectory(prefix="venomqa-kinto-") as folder,
    ):
        ini = Path(folder, "kinto.ini")
        write_settings(ini, database, redis, f"{name}:")
        run_kinto("migrate", "--ini", str(ini))
        user, password = ADMIN
        run_kinto("create-user", "--ini", str(ini), "--username", user, "--password", password)
        with serve([*KINTO, "start", "--ini", str(ini), "--port", "{port}"]) as server:
            yield Kinto(f"{server.url}/v1", database, redis, f"{name}:")


@contextmanager
def new_database(server: str, name: str) -> Iterator[str]:
    """Make an empty database, and yield its URL; drop it at the end."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def write_settings(ini: Path, database: str, redis: str, prefix: str) -> None:
    """Let Kinto write its settings, and put the stores and the history plugin into them."""
    backends = ["--backend", "postgresql", "--cache-backend", "redis", "--host", "127.0.0.1"]
    run_kinto("init", "--ini", str(ini), *backends)
    values = {
        "kinto.storage_url": database,
        "kinto.permission_url": database,
        "kinto.cache_url": redis,
        "kinto.cache_prefix": prefix,
    }
    written = with_values(ini.read_text(), values)
    ini.write_text(re.sub(r"^#( +kinto\.plugins\.history)$", r" \1", written, flags=re.MULTILINE))


def with_values(settings: str, values: Mapping[str, str]) -> str:
    """Return *settings* with the first line of each name, also a commented one, replaced."""
    for name, value in values.items():
        # The format of the file takes a single % for a reference to another value.
        line = f"{name} = {value}".replace("%", "%%")
        found = re.search(rf"^(# )?{re.escape(name)} =.*$", settings, re.MULTILINE)
        assert found, f"kinto init wrote no {name}"
        settings = settings[: found.start()] + line + settings[found.end() :]
    return settings


def run_kinto(*arguments: str) -> None:
    """Run a command of Kinto, and raise with its output if it fails."""
    done = subprocess.run(
        [*KINTO, *arguments], capture_output=True, text=True, timeout=COMMAND_TIMEOUT
    )
    assert done.returncode == 0, f"kinto {arguments[0]} failed:\n{done.stderr}"
