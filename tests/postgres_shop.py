"""Databases of a test's own, and what is in the catalogs of a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import servers

SHOP = """
    CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer int REFERENCES customers DEFERRABLE INITIALLY DEFERRED,
        amount numeric CHECK (amount > 0), placed timestamptz, note jsonb
    );
    CREATE TABLE log (line text);
    CREATE SEQUENCE invoices START 100;
    INSERT INTO customers (name) VALUES ('ada');
"""


@contextmanager
def shop(server: str) -> Iterator[str]:
    """Make a database with some tables; yield its DSN, and drop it."""
    with servers.postgres_database(server) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(SHOP)
        yield dsn


def name_of(dsn: str) -> str:
    return urlsplit(dsn).path.strip("/")


def dump(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every catalog entry and table that somebody may have left."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'S', 'v')"
                " AND relnamespace = 'public'::regnamespace ORDER BY 1"
            ).fetchall()
        ]
        tables = {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()  # type: ignore[call-overload]
            for name in names
        }
        catalogs = {
            query: connection.execute(query).fetchall()  # type: ignore[call-overload]
            for query in (
                "SELECT relname, relkind::text FROM pg_class ORDER BY relname, relkind, oid",
                "SELECT proname FROM pg_proc ORDER BY 1",
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1",
                "SELECT tgname FROM pg_trigger ORDER BY 1",
                "SELECT conname FROM pg_constraint ORDER BY 1",
            )
        }
    return tables | catalogs
