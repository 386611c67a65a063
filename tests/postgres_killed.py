"""A run that is to be killed: an application that writes, and an adapter that rolls back.

Called with a DSN and a seed; prints a line when everything is imported and after each operation,
and goes on until it ends.
"""

import random
import sys
from contextlib import suppress
from typing import Any

import psycopg

from venomqa_hyp.adapters.postgres import PostgresAdapter

CONTENT = """
    CREATE TABLE orders (id serial PRIMARY KEY, total numeric, note text, data jsonb,
        doubled numeric GENERATED ALWAYS AS (total * 2) STORED);
    CREATE TABLE lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        order_id int NOT NULL REFERENCES orders ON DELETE CASCADE, sku text,
        UNIQUE (order_id, sku));
    CREATE TABLE log (at timestamptz DEFAULT now(), what text);
    CREATE TABLE events (day date NOT NULL, body bytea) PARTITION BY RANGE (day);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    CREATE SEQUENCE tickets;
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log (what) VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
    INSERT INTO orders (total, note) SELECT n, 'order ' || n FROM generate_series(1, 50) AS n;
    INSERT INTO lines (order_id, sku) SELECT n, 'a' FROM generate_series(1, 50) AS n;
    INSERT INTO events SELECT date '2026-01-01' + n, 'x' FROM generate_series(0, 40) AS n;
"""
WRITES = (
    "INSERT INTO orders (total, note, data) VALUES (random(), 'new', '{\"a\": [1]}')",
    "INSERT INTO orders (total) SELECT n FROM generate_series(1, 20) AS n",
    "UPDATE orders SET total = total + 1 WHERE id % 7 = 3",
    "UPDATE orders SET note = note || '!', id = id + 1000 WHERE id = (SELECT min(id) FROM orders)",
    "DELETE FROM orders WHERE id % 11 = 5",
    "INSERT INTO lines (order_id, sku) SELECT id, 'b' FROM orders ORDER BY id LIMIT 3",
    "DELETE FROM log WHERE ctid IN (SELECT ctid FROM log LIMIT 2)",
    "INSERT INTO log (what) VALUES ('same'), ('same')",
    "UPDATE events SET day = day + 20 WHERE day < '2026-01-05'",
    "TRUNCATE log",
    "TRUNCATE orders CASCADE",
    "SELECT nextval('tickets')",
)


def work(dsn: str, chance: random.Random) -> None:
    """Open an adapter, let the application write, roll back now and then, and close it."""
    with psycopg.connect(dsn, autocommit=True) as application:
        system = PostgresAdapter(dsn, mode="journal")
        handles: list[Any] = [system.checkpoint("start")]
        for _ in range(chance.randint(5, 60)):
            kind = chance.random()
            if kind < 0.5:
                with suppress(psycopg.IntegrityError):
                    application.execute(chance.choice(WRITES))
            elif kind < 0.65:
                handles.append(system.checkpoint(f"number {len(handles)}"))
            elif kind < 0.85:
                system.rollback(chance.choice(handles))
            else:
                system.observe()
            print("done", flush=True)
        system.rollback(handles[0])
        system.close()


if __name__ == "__main__":
    print("ready", flush=True)
    random_choices = random.Random(int(sys.argv[2]))
    while True:
        work(sys.argv[1], random_choices)
