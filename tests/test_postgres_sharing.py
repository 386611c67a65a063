"""Applications that use psycopg, SQLAlchemy or Django work on a shared connection unchanged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
import pytest
from postgres_shop import shop

from venomqa_hyp import World
from venomqa_hyp.adapters import PostgresAdapter
from venomqa_hyp.adapters.postgres.sharing import (
    SharedConnection,
    SharedPool,
    share_engine,
    share_with_django,
)
from venomqa_hyp.errors import DefinitionError, RollbackError

#: Registers a customer and answers with the status.
Register = Callable[[str], int]


@pytest.fixture(scope="module")
def dsn(postgres_url: str) -> Iterator[str]:
    with shop(postgres_url) as dsn:
        yield dsn


@contextmanager
def with_psycopg(dsn: str) -> Iterator[tuple[SharedConnection, Register]]:
    connection = SharedConnection.connect(dsn)
    pool = SharedPool(connection)

    def register(name: str) -> int:
        try:
            with pool.connection() as connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO log VALUES ('registers')")
                cursor.execute("INSERT INTO customers (name) VALUES (%s)", [name])
        except psycopg.errors.UniqueViolation:
            return 409
        return 201

    yield connection, register
    connection.disconnect()


@contextmanager
def with_sqlalchemy(dsn: str) -> Iterator[tuple[SharedConnection, Register]]:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from sqlalchemy.orm import Session

    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url, pool_size=5, pool_pre_ping=True)
    with engine.connect() as before:  # the application has connected earlier
        before.execute(sqlalchemy.text("SELECT 1"))

    def register(name: str) -> int:
        with Session(engine) as session:
            session.execute(sqlalchemy.text("INSERT INTO log VALUES ('registers')"))
            insert = "INSERT INTO customers (name) VALUES (:name)"
            try:
                session.execute(sqlalchemy.text(insert), {"name": name})
                session.commit()
            except sqlalchemy.exc.IntegrityError:
                session.rollback()
                return 409
        return 201

    connection = SharedConnection.connect(dsn)
    with share_engine(engine, connection):
        yield connection, register
    connection.disconnect()
    with engine.connect() as after:
        names = after.execute(sqlalchemy.text("SELECT name FROM customers")).all()
    assert names == [("ada",)]
    engine.dispose()


def configure_django(dsn: str) -> None:
    django = pytest.importorskip("django")
    from django.conf import settings

    parts = urlsplit(dsn)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(host),
        "PORT": parts.port or "",
    }
    if not settings.configured:
        settings.configure(DATABASES={"default": database}, USE_TZ=True)
        django.setup()
    from django.db import NotSupportedError, connections

    connections["default"].settings_dict.update(database)
    try:
        connections["default"].ensure_connection()
    except NotSupportedError as error:
        pytest.skip(f"this Django does not know the server: {error}")


@contextmanager
def with_django(dsn: str) -> Iterator[tuple[SharedConnection, Register]]:
    configure_django(dsn)
    from django.db import IntegrityError, connection, transaction

    def register(name: str) -> int:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("INSERT INTO log VALUES ('registers')")
                cursor.execute("INSERT INTO customers (name) VALUES (%s)", [name])
        except IntegrityError:
            return 409
        finally:
            connection.close()  # as Django does after a request
        return 201

    with share_with_django() as shared:
        yield shared, register
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM customers")
        assert cursor.fetchall() == [("ada",)]
    connection.close()


@pytest.mark.parametrize("sharing", [with_psycopg, with_sqlalchemy, with_django])
def test_commits_and_refusals_roll_back(dsn: str, sharing: Any) -> None:
    """A unique violation answered with 409 ends nothing; ids are given out again."""
    with sharing(dsn) as (connection, register):
        db = PostgresAdapter(connection)
        with World(None, {"db": db}) as world:
            empty, start = world.observe(), world.checkpoint("start")
            for _ in range(2):
                assert [register(name) for name in ("bob", "ada", "bob", "cy")] == [
                    201,
                    409,
                    409,
                    201,
                ]
                tables = db.observe().data["tables"]
                assert tables["customers"]["rows"] == [(1, "ada"), (2, "bob"), (5, "cy")]
                assert tables["log"]["rows"] == [("registers",)] * 2
                later = world.checkpoint("later")
                world.rollback(start)
                assert world.observe() == empty
                assert not world.is_live(later)
    with psycopg.connect(dsn) as outside:
        assert outside.execute("SELECT name FROM customers").fetchall() == [("ada",)]


def test_a_second_connection_at_the_same_time_is_refused(dsn: str) -> None:
    """In the application, and once more when the World is used."""
    connection = SharedConnection.connect(dsn)
    adapter, pool = PostgresAdapter(connection), SharedPool(connection)
    with pool.connection(), pytest.raises(RollbackError, match="took a second connection"):
        pool.getconn()
    with pytest.raises(RollbackError, match="took a second connection"):
        adapter.observe()
    adapter.close()
    connection.disconnect()


def test_a_second_connection_of_an_engine_is_refused(dsn: str) -> None:
    """Its pool would give out the same one."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    connection = SharedConnection.connect(dsn)
    with (
        share_engine(engine, connection),
        engine.connect(),
        pytest.raises(RollbackError, match="took a second connection"),
    ):
        engine.connect()
    connection.disconnect()


def test_a_pool_rolls_back_what_was_not_committed(dsn: str) -> None:
    """As the real one, when a connection is returned; in a block, where it raises."""
    connection = SharedConnection.connect(dsn)
    with SharedPool(connection) as pool:
        pool.open()
        pool.wait()
        taken = pool.getconn()
        taken.execute("INSERT INTO log VALUES ('forgotten')")
        pool.putconn(taken)
        with pytest.raises(ZeroDivisionError), pool.connection() as taken:
            taken.execute(f"INSERT INTO log VALUES ('{1 / 0}')")
        with pool.connection() as taken:
            assert taken.execute("SELECT * FROM log").fetchall() == []
    connection.disconnect()


@pytest.mark.parametrize("url", ["sqlite://", "postgresql+psycopg_async://"])
def test_another_driver_is_refused(dsn: str, url: str) -> None:
    """With the mode that works for it."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(url)
    connection = SharedConnection.connect(dsn)
    with (
        pytest.raises(DefinitionError, match=r"psycopg 3 connections.*mode 'journal'"),
        share_engine(engine, connection),
    ):
        pass
    connection.disconnect()


def test_django_in_a_transaction_is_refused(dsn: str) -> None:
    """Its own test case has begun one on another connection."""
    configure_django(dsn)
    from django.db import connection, transaction

    with (
        transaction.atomic(),
        pytest.raises(DefinitionError, match="TransactionTestCase"),
        share_with_django(),
    ):
        pass
    connection.close()
