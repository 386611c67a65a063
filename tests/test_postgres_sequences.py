"""Sequences that go on counting: no id is given twice, and states meet all the same."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import servers
from hypothesis import strategies as st

from venomqa_hyp import Action, Agent, Context, Invariant, World
from venomqa_hyp.adapters import PostgresAdapter
from venomqa_hyp.errors import DefinitionError

SCHEMA = """
    CREATE TABLE customers (id serial PRIMARY KEY, name text);
    CREATE TABLE orders (id bigserial PRIMARY KEY, customer int REFERENCES customers, size int);
    CREATE TABLE marks (id smallserial PRIMARY KEY);
    INSERT INTO customers (name) VALUES ('first');
"""


class Shop:
    """Reads the size of an order, which never changes, through a cache that no rollback empties."""

    transport_errors = (psycopg.OperationalError,)

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.cache: dict[int, int] = {}

    def close(self) -> None:
        self.connection.close()

    def ask(self, sql: str, *values: Any) -> Any:
        return self.connection.execute(sql, values).fetchone()

    def order(self, size: int) -> int:
        (customer,) = self.ask("INSERT INTO customers (name) VALUES ('ann') RETURNING id")
        (made,) = self.ask(
            "INSERT INTO orders (customer, size) VALUES (%s, %s) RETURNING id", customer, size
        )
        return int(made)

    def size(self, order: int) -> int:
        if order not in self.cache:
            (self.cache[order],) = self.ask("SELECT size FROM orders WHERE id = %s", order)
        return self.cache[order]


@pytest.fixture
def dsn(postgres_url: str) -> Iterator[str]:
    with servers.postgres_database(postgres_url) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SCHEMA)
        yield url


def order(api: Shop, context: Context, size: int) -> None:
    if len(context.get("orders", [])) < 2:
        context["orders"] = [*context.get("orders", []), api.order(size)]


def is_what_the_cache_says(world: World) -> bool:
    rows = world.api.connection.execute("SELECT id, size FROM orders").fetchall()
    return all(world.api.size(number) == size for number, size in rows)


ACTIONS = [Action("order", order, arguments={"size": st.sampled_from([1, 2])})]
FRESH = [Invariant("is_what_the_cache_says", is_what_the_cache_says)]


def test_no_id_is_given_twice(dsn: str) -> None:
    """So a cache by id is never stale, and states meet by what the ids name."""
    world = World(Shop(dsn), {"db": PostgresAdapter(dsn, sequences="advance")})
    with closing(world.api), world:
        found = Agent(world, ACTIONS, FRESH, max_steps=200, seed=1).explore()
    assert (found.violations, found.divergence) == ((), None)
    assert found.exhausted == "all 7 states explored"


def test_an_id_that_is_given_twice_meets_the_cache(dsn: str) -> None:
    """Where sequences are set back; the report says that the API was not started anew."""
    world = World(Shop(dsn), {"db": PostgresAdapter(dsn)})
    with closing(world.api), world:
        (violation,) = Agent(world, ACTIONS, FRESH, max_steps=200, seed=1).explore().violations
    notes = getattr(violation.exception, "__notes__", ())
    assert "Executed 3 times; the API was not started anew in between." in notes


def test_sequences_go_on_where_they_were_when_it_ends(dsn: str) -> None:
    """Those that have no room to go far ahead are set back with the rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        adapter = PostgresAdapter(dsn, sequences="advance")
        handle = adapter.checkpoint("start")
        insert = "INSERT INTO customers (name) VALUES ('ann') RETURNING id"
        mark = "INSERT INTO marks DEFAULT VALUES RETURNING id"
        first = [connection.execute(sql).fetchone() for sql in (insert, mark)]
        seen = adapter.observe()
        adapter.rollback(handle)
        second = [connection.execute(sql).fetchone() for sql in (insert, mark)]
        adapter.rollback(handle)
        adapter.close()
        assert first[0] is not None
        assert second[0] == (first[0][0] + 1,)
        assert first[0][0] >= 1_000_000_000
        assert first[1] == second[1] == (1,)
        assert set(seen.data["sequences"]) == {"marks_id_seq"}
        assert connection.execute(insert).fetchone() == (2,)
        assert connection.execute("SELECT nextval('orders_id_seq')").fetchone() == (1,)


def test_what_cannot_go_on_counting_is_refused(dsn: str) -> None:
    """A mode that puts a whole database back, and a word that is none of both."""
    with pytest.raises(DefinitionError, match="needs mode='journal'"):
        PostgresAdapter(dsn, mode="template", sequences="advance")
    wrong: Any = "on"
    with pytest.raises(DefinitionError, match="sequences='on' was refused"):
        PostgresAdapter(dsn, sequences=wrong)
