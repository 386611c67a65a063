"""What the server fixtures hand out answers, is private, and is dropped again."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import redis
import servers

DATABASES = "SELECT datname FROM pg_database"
NEEDS_SERVERS = """
def test_postgres(postgres_url): pass
def test_redis(redis_url): pass
def test_mysql(mysql_url): pass
"""


def test_postgres_database_is_private_and_dropped(postgres_url: str) -> None:
    """A database made on the server is empty, another one than the session's, and then gone."""
    with servers.postgres_database(postgres_url) as url:
        with psycopg.connect(url) as connection:
            name = connection.info.dbname
            tables = connection.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'")
            assert tables.fetchall() == []
        with psycopg.connect(postgres_url) as second:
            assert second.info.dbname != name
            assert (name,) in second.execute(DATABASES).fetchall()
    with psycopg.connect(postgres_url) as second:
        assert (name,) not in second.execute(DATABASES).fetchall()


def test_redis_prefix_is_private_and_dropped(redis_url: str, redis_prefix: str) -> None:
    """Keys under a prefix go with it, keys under another prefix stay."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.set(f"{redis_prefix}stays", "1")
        with servers.redis_prefix(redis_url) as prefix:
            client.set(f"{prefix}goes", "1")
        assert client.keys(f"{prefix}*") == []
        assert client.getdel(f"{redis_prefix}stays") == "1"


def test_mysql_database_is_private_and_dropped(mysql_url: str) -> None:
    """A database made on the server is another one than the session's, and then gone."""
    with closing(servers.mysql_connect(mysql_url)) as second, second.cursor() as cursor:
        with servers.mysql_database(mysql_url) as url:
            with closing(servers.mysql_connect(url)) as connection:
                name = connection.db.decode()
            cursor.execute("SHOW DATABASES")
            assert (name,) in cursor.fetchall()
        cursor.execute("SHOW DATABASES")
        assert (name,) not in cursor.fetchall()


@pytest.fixture
def without_servers(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with our conftest, whose servers are all out of reach."""
    here = Path(__file__).parent
    pytester.makeconftest((here / "conftest.py").read_text())
    helpers = {name: (here / f"{name}.py").read_text() for name in ("servers", "postgres_database")}
    pytester.makepyfile(test_needs=NEEDS_SERVERS, **helpers)
    monkeypatch.setenv("VENOMQA_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:1/postgres")
    monkeypatch.setenv("VENOMQA_TEST_REDIS", "redis://127.0.0.1:1/0")
    monkeypatch.delenv("VENOMQA_TEST_MYSQL", raising=False)
    monkeypatch.delenv("VENOMQA_TEST_REQUIRE_SERVERS", raising=False)
    return pytester


def test_missing_server_skips_with_the_reason(without_servers: pytest.Pytester) -> None:
    """Without a server its tests are skipped, and the summary says what to set."""
    result = without_servers.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines_random(
        [
            "*No server answers at postgresql://*VENOMQA_TEST_POSTGRES*",
            "*No server answers at redis://*VENOMQA_TEST_REDIS*",
            "*Set VENOMQA_TEST_MYSQL*",
        ]
    )


def test_missing_server_fails_where_servers_are_required(
    without_servers: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With VENOMQA_TEST_REQUIRE_SERVERS=1 nothing is skipped."""
    monkeypatch.setenv("VENOMQA_TEST_REQUIRE_SERVERS", "1")
    without_servers.runpytest_subprocess().assert_outcomes(errors=3)
