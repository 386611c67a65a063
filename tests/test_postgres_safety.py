"""Which databases are accepted, and which mode is chosen."""

from typing import Any

import psycopg
import pytest
import servers
from postgres_shop import dump, name_of, shop

from venomqa_hyp.adapters import PostgresAdapter
from venomqa_hyp.adapters.postgres import driver
from venomqa_hyp.adapters.postgres.databases import conninfo_of
from venomqa_hyp.adapters.postgres.safety import TOUCHES, Target, check_destructive
from venomqa_hyp.adapters.postgres.sharing import SharedConnection
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

LOCAL = ["127.0.0.1", "127.8.9.10", "::1", "/var/run/postgresql", "@venomqa"]


@pytest.mark.parametrize("host", LOCAL)
@pytest.mark.parametrize("name", ["test", "shop_test", "Test-Shop", "tests2", "venomqa_gw0"])
def test_a_local_database_with_a_test_word_is_accepted(host: str, name: str) -> None:
    """As a word of its name."""
    check_destructive(Target(host, name, ""), "journal", None)


@pytest.mark.parametrize("name", ["shop", "contest", "latest", "postgres", "attestation"])
def test_another_name_needs_a_mark(name: str) -> None:
    """A comment of the database, as the error says."""
    with pytest.raises(DefinitionError, match=f"'{name}'.*it is not marked for tests") as refused:
        check_destructive(Target("127.0.0.1", name, "the shop"), "journal", None)
    assert f"COMMENT ON DATABASE \"{name}\" IS 'venomqa: rows may be overwritten'" in str(
        refused.value
    )
    check_destructive(
        Target("127.0.0.1", name, "venomqa: rows may be overwritten"), "journal", None
    )


@pytest.mark.parametrize("host", ["10.0.0.5", "192.168.1.9", "db.example.com", "::ffff:8.8.8.8"])
def test_another_machine_is_refused(host: str) -> None:
    """Even where the name has a test word."""
    with pytest.raises(DefinitionError, match="not this machine"):
        check_destructive(Target(host, "shop_test", "venomqa"), "template", None)


@pytest.mark.parametrize("name", ["shop_prod", "production", "prod_test", "live", "test_live"])
def test_what_looks_like_production_is_refused(name: str) -> None:
    """However it is marked: a forwarded port makes it look local."""
    with pytest.raises(DefinitionError, match="its name has the word"):
        check_destructive(Target("127.0.0.1", name, "venomqa"), "journal", None)


@pytest.mark.parametrize("mode", TOUCHES)
def test_the_error_says_what_would_be_touched_and_how_to_permit_it(mode: str) -> None:
    """By the exact name of the database, which then is enough."""
    target = Target("10.0.0.5", "prod", "")
    with pytest.raises(DefinitionError) as refused:
        check_destructive(target, mode, None)
    assert TOUCHES[mode] in str(refused.value)
    assert str(refused.value).endswith("allow_destructive='prod'")
    check_destructive(target, mode, "prod")


@pytest.mark.parametrize(
    ("name", "better"),
    [("shop", "shop_test"), ("shop-live_test", "shop_test"), ("prod2", "test"), ("live", "test")],
)
def test_the_name_that_the_error_suggests_is_accepted(name: str, better: str) -> None:
    """And a comment is suggested only where it would be enough."""
    with pytest.raises(DefinitionError) as refused:
        check_destructive(Target("127.0.0.1", name, ""), "journal", None)
    assert f"(such as {better})" in str(refused.value)
    assert ("COMMENT ON DATABASE" in str(refused.value)) == (name == "shop")
    check_destructive(Target("127.0.0.1", better, ""), "journal", None)


@pytest.mark.parametrize("given", ["shop", "", "PROD", "True"])
def test_another_name_permits_nothing(given: str) -> None:
    """Not even a database that would be accepted without: the DSN may be the wrong one."""
    with pytest.raises(DefinitionError, match=r"leads to: 'prod_test' on 127\.0\.0\.1"):
        check_destructive(Target("127.0.0.1", "prod_test", ""), "journal", given)


@pytest.mark.parametrize("mode", ["auto", "journal", "template"])
def test_every_mode_checks_before_it_touches_anything(postgres_url: str, mode: Any) -> None:
    """What counts is the database that was reached, not the words of the DSN."""
    with shop(postgres_url) as dsn:
        live = f"shop_{name_of(dsn)}_live"
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name_of(dsn)} RENAME TO {live}")  # type: ignore[arg-type]
            try:
                url = conninfo_of(dsn, dbname=live)
                before = dump(url)
                with pytest.raises(DefinitionError, match="'live'"):
                    PostgresAdapter(url, mode=mode)
                with pytest.raises(DefinitionError, match="'live'"):
                    PostgresAdapter(conninfo_of(url, application_name="test"), mode=mode)
                with psycopg.connect(url) as connection, pytest.raises(DefinitionError):
                    PostgresAdapter(connection, mode=mode)
                with (
                    pytest.raises(DefinitionError, match="'live'"),
                    PostgresAdapter.clone(url, "gw0"),
                ):
                    pass
                assert dump(url) == before
                if mode != "template":
                    PostgresAdapter(url, mode=mode, allow_destructive=live).close()
                    assert dump(url) == before
            finally:
                admin.execute(f"ALTER DATABASE {live} RENAME TO {name_of(dsn)}")  # type: ignore[arg-type]


def test_the_reason_for_the_mode_is_told(postgres_url: str) -> None:
    """As an attribute, by repr(), and as a note of errors."""
    with shop(postgres_url) as dsn:
        with_dsn = PostgresAdapter(dsn)
        assert with_dsn.mode == "journal"
        assert "connections of its own" in with_dsn.mode_reason
        with_dsn.close()
        with pytest.raises(SystemUnavailable) as error:
            with_dsn.observe()
        assert error.value.__notes__ == [repr(with_dsn)]
        connection = SharedConnection.connect(dsn)
        shared = PostgresAdapter(connection)
        assert repr(shared) == (
            "PostgresAdapter(mode='savepoint', because the source is a SharedConnection)"
        )
        shared.close()
        connection.disconnect()


def test_template_is_taken_where_a_journal_is_not_possible(postgres_url: str) -> None:
    """And the reason says what stood in the way."""
    with shop(postgres_url) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("ALTER SEQUENCE invoices CACHE 20")
        with pytest.raises(DefinitionError, match="invoices"):
            PostgresAdapter(dsn, mode="journal")
        adapter = PostgresAdapter(dsn)
        assert adapter.mode == "template"
        assert "mode 'journal' is not possible: " in adapter.mode_reason
        assert "invoices" in adapter.mode_reason
        adapter.close()


def test_a_wrong_argument_is_no_reason_to_take_another_mode(postgres_url: str) -> None:
    """It is refused as it is in mode journal."""
    with shop(postgres_url) as dsn, pytest.raises(DefinitionError, match=r"names \['orderz'\]"):
        PostgresAdapter(dsn, observe_tables=["orderz"])


def test_modes_and_sources_that_do_not_go_together_are_refused(postgres_url: str) -> None:
    """A savepoint on a connection that the application does not use undoes nothing."""
    with servers.postgres_database(postgres_url) as dsn:
        with pytest.raises(DefinitionError, match=r"SharedConnection\.connect\(dsn\).*got a str"):
            PostgresAdapter(dsn, mode="savepoint")
        with psycopg.connect(dsn) as connection, pytest.raises(DefinitionError, match="got a Conn"):
            PostgresAdapter(connection, mode="savepoint")
        shared = SharedConnection.connect(dsn)
        with pytest.raises(DefinitionError, match="nothing is ever committed"):
            PostgresAdapter(shared, mode="journal")
        shared.disconnect()
        with pytest.raises(DefinitionError, match="none of 'auto', 'journal'"):
            PostgresAdapter(dsn, mode="snapshot")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["journal", "template"])
def test_an_old_server_is_refused(
    postgres_url: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its version, before anything is installed."""
    monkeypatch.setattr(driver, "_OLDEST", 10**6)
    with pytest.raises(SystemUnavailable, match=r"is PostgreSQL \d\d, which .* 13 or later"):
        PostgresAdapter(postgres_url, mode=mode)
