"""A database for one test module, and a second, independent look at what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from servers import postgres_database

from venomqa_hyp.adapters.postgres import PostgresAdapter

THREE_ORDERS = """
    CREATE TABLE orders (id serial PRIMARY KEY, total int, note text);
    INSERT INTO orders (total) VALUES (1), (2), (3)
"""
SYSTEM = "nspname IN ('information_schema', 'venomqa_journal') OR nspname LIKE 'pg\\_%'"


class Database:
    """A database with one connection of the application, which commits by itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = self.connect()

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.app.execute(statement)

    def rows(self, sql: str) -> list[Any]:
        return self.app.execute(sql).fetchall()

    def connect(self, **options: Any) -> "psycopg.Connection[Any]":
        # Nothing here outlives the test, so no commit has to wait for the disk.
        quick = "-c synchronous_commit=off -c client_min_messages=error"
        return psycopg.connect(self.url, **{"autocommit": True, "options": quick, **options})

    def dump(self) -> dict[str, Any]:
        """Return every row, as COPY writes it, and every sequence."""
        found = {}
        for kind, name in self.rows(
            "SELECT relkind::text, c.oid::regclass::text FROM pg_class AS c "
            "JOIN pg_namespace AS n ON n.oid = relnamespace "
            f"WHERE relkind IN ('r', 'S') AND NOT ({SYSTEM}) ORDER BY 2"
        ):
            if kind == "S":
                found[name] = self.rows(f"SELECT last_value, is_called FROM {name}")
            else:
                with (
                    self.app.cursor() as cursor,
                    cursor.copy(f"COPY (SELECT * FROM ONLY {name}) TO STDOUT") as copy,
                ):
                    found[name] = sorted(bytes(line) for line in copy)
        return found

    def catalog(self) -> list[Any]:
        """Return what a journal could leave behind."""
        return self.rows(
            "SELECT 'relation', oid::regclass::text FROM pg_class "
            "WHERE relnamespace <> 'pg_toast'::regnamespace UNION ALL "
            "SELECT 'trigger', concat(tgname, tgrelid::regclass, tgenabled) FROM pg_trigger "
            "UNION ALL "
            "SELECT 'function', oid::regprocedure::text FROM pg_proc UNION ALL "
            "SELECT 'type', oid::regtype::text FROM pg_type "
            "WHERE typnamespace <> 'pg_toast'::regnamespace UNION ALL "
            "SELECT 'schema', nspname::text FROM pg_namespace UNION ALL "
            "SELECT 'event trigger', evtname::text FROM pg_event_trigger UNION ALL "
            "SELECT 'setting', setconfig::text FROM pg_db_role_setting AS s "
            "JOIN pg_database AS d ON d.oid = setdatabase WHERE datname = current_database() "
            "ORDER BY 1, 2"
        )

    def clear(self, *content: str) -> None:
        """Drop everything and forget the settings; then execute statements."""
        for (name,) in self.rows(f"SELECT nspname FROM pg_namespace WHERE NOT ({SYSTEM})"):
            self.execute(f'DROP SCHEMA "{name}" CASCADE')
        self.execute("DROP SCHEMA IF EXISTS venomqa_journal CASCADE", "CREATE SCHEMA public")
        self.execute("RESET ALL", *content)


def journal(db: Database, **options: Any) -> PostgresAdapter:
    return PostgresAdapter(db.url, mode="journal", **options)


@contextmanager
def database(server: str) -> Iterator[Database]:
    with postgres_database(server) as url:
        found = Database(url)
        try:
            yield found
        finally:
            found.app.close()
