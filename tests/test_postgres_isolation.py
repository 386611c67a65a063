"""Each worker of a parallel run gets a database of its own, and leaves none behind."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from postgres_shop import dump, shop

from venomqa_hyp.adapters import PostgresAdapter
from venomqa_hyp.errors import DefinitionError, SystemUnavailable


@pytest.fixture(scope="module")
def dsn(postgres_url: str) -> Iterator[str]:
    with shop(postgres_url) as dsn:
        yield dsn


def exists(server: str, name: str) -> bool:
    with psycopg.connect(server, autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        return bool(found.fetchall())


def test_a_clone_is_separate_and_dropped(postgres_url: str, dsn: str) -> None:
    """It holds what the template holds, and can be rolled back without further permission."""
    before = dump(dsn)
    with PostgresAdapter.clone(dsn, "gw0") as database:
        assert dump(database.dsn)["customers"] == [(1, "ada")]
        adapter = PostgresAdapter(database.dsn)
        with psycopg.connect(database.dsn, autocommit=True) as application:
            handle = adapter.checkpoint("start")
            application.execute("DELETE FROM customers")
            adapter.rollback(handle)
            assert application.execute("SELECT name FROM customers").fetchall() == [("ada",)]
            adapter.close()
        assert database.name.endswith("_gw0")
        assert repr(database) == f"ClonedDatabase(name={database.name!r})"
    assert not exists(postgres_url, database.name)
    assert dump(dsn) == before


def test_it_is_dropped_when_the_test_fails_and_somebody_is_connected(
    postgres_url: str, dsn: str
) -> None:
    """A server under test may outlive the test."""
    with (
        ExitStack() as opened,
        pytest.raises(ZeroDivisionError),
        PostgresAdapter.clone(dsn, "gw0") as database,
    ):
        opened.enter_context(psycopg.connect(database.dsn)).execute(f"SELECT {1 / 0}")
    assert not exists(postgres_url, database.name)


def test_workers_clone_at_the_same_time(dsn: str) -> None:
    """Four of them, each with rows of its own."""

    def work(number: int) -> list[tuple[object, ...]]:
        with PostgresAdapter.clone(dsn, f"gw{number}") as database:
            with psycopg.connect(database.dsn, autocommit=True) as connection:
                connection.execute("INSERT INTO log VALUES (%s)", [str(number)])
            return dump(database.dsn)["log"]

    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(work, range(4))) == [[(str(number),)] for number in range(4)]


@pytest.mark.parametrize("worker", ["", "a b", 'x"; DROP DATABASE y', "x" * 33])
def test_only_words_name_a_worker(dsn: str, worker: str) -> None:
    """The id becomes a part of a name."""
    with (
        pytest.raises(DefinitionError, match="becomes a part of the name of a database"),
        PostgresAdapter.clone(dsn, worker),
    ):
        pass


def test_a_template_in_use_is_named(dsn: str) -> None:
    """With who uses it, since their connections are not ended here."""
    with psycopg.connect(dsn, application_name="the shop") as other:
        other.execute("SELECT 1")
        with (
            pytest.raises(
                SystemUnavailable, match=r"still are after 0\.2 s: pid \d+ \(the shop, idle in"
            ),
            PostgresAdapter.clone(dsn, "gw0", lock_timeout=0.2),
        ):
            pass
