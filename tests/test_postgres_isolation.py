"""Each worker of a parallel run gets a database of its own, and leaves none behind."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from postgres_shop import dump, shop
from psycopg.conninfo import conninfo_to_dict

from venomqa_hyp.adapters import PostgresAdapter
from venomqa_hyp.adapters.postgres.databases import conninfo_of, url_of
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
        assert dump(database.dsn) == dump(database.url)
        assert database.url.startswith("postgresql://")
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


def test_the_worker_of_xdist_is_known(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session fixture needs no other fixture for it."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw7")
    with PostgresAdapter.clone(dsn) as database:
        assert database.name.endswith("_gw7")


@pytest.mark.parametrize(
    "source",
    [
        "postgresql://me:p%40ss%2F@127.0.0.1:5432/shop_test",
        "host=/var/run/postgresql dbname='my shop' user=a password='x y'",
        "postgresql://postgres@[::1]:5433/x?application_name=a%20b&connect_timeout=3",
        "dbname=shop_test",
        "host=a,b port=1,2 dbname=q",
    ],
)
def test_a_url_leads_where_the_dsn_does(source: str) -> None:
    """Whatever it is made of; without the password it can be shown."""
    parts = conninfo_to_dict(source)
    assert conninfo_to_dict(url_of(source)) == parts
    parts.pop("password", None)
    assert conninfo_to_dict(url_of(source, password=False)) == parts


def test_an_adapter_says_how_a_person_connects(dsn: str) -> None:
    """Without a password, which would be printed."""
    secret = conninfo_of(dsn, password="hunter2")
    adapter = PostgresAdapter(secret)
    adapter.close()
    assert adapter.location.startswith("psql 'postgresql://")
    assert "hunter2" not in adapter.location
