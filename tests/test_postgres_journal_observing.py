"""PostgreSQL in mode journal: what of the database is observed, and where it is found."""

import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import psycopg_pool
import pytest
from postgres_database import THREE_ORDERS, Database, journal

from venomqa_hyp.adapters.postgres import PostgresAdapter
from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.core import changes
from venomqa_hyp.errors import DefinitionError, SystemUnavailable


@pytest.fixture
def db(module_database: Database) -> Database:
    module_database.clear(THREE_ORDERS)
    return module_database


@pytest.fixture
def system(db: Database) -> Iterator[PostgresAdapter]:
    with closing(journal(db)) as opened:
        yield opened


def test_observations_show_what_differs_from_the_beginning(db: Database) -> None:
    db.execute(
        'CREATE SCHEMA shop; CREATE TABLE shop."Items" (id uuid PRIMARY KEY, price numeric, '
        "ok bool, raw bytea, at timestamp, twice int GENERATED ALWAYS AS (2) STORED, tags text[])"
    )
    with closing(journal(db)) as system:
        before = system.observe()
        db.execute(
            "UPDATE orders SET total = 9 WHERE id = 1",
            "DELETE FROM orders WHERE id = 2",
            """INSERT INTO shop."Items" VALUES ('00000000-0000-0000-0000-00000000000a', 1.50, true,
               '\\x00', 'infinity', DEFAULT, '{a,"b c"}')""",
        )
        after = system.observe()
    assert before.data["tables"]["orders"]["rows"] == []
    assert after.data["tables"]["orders"] == {
        "columns": ("id", "total", "note"),
        "key": ("id",),
        "rows": [(1, 9, None)],
        "removed": [(1, 1, None), (2, 2, None)],
        "base": before.data["tables"]["orders"]["base"],
    }
    items = after.data["tables"]["shop.Items"]
    assert items["columns"] == ("id", "price", "ok", "raw", "at", "tags")
    assert items["rows"] == [(UUID(int=10), Decimal("1.50"), True, b"\0", "infinity", '{a,"b c"}')]
    assert after.data["sequences"] == {"orders_id_seq": (3, True)}
    assert [(one.table, len(one.changed), len(one.removed)) for one in changes(before, after)] == [
        ("orders", 1, 1),
        ("shop.Items", 0, 0),
    ]


def test_the_beginning_is_identified_by_its_content(db: Database) -> None:
    """Two runs that begin alike have equal observations; large tables are only counted."""
    seen = []
    for change in ("SELECT 1", "SELECT 2", "UPDATE orders SET note = 'x'"):
        db.execute(change)
        with closing(journal(db)) as system:
            seen.append(system.observe().data["tables"]["orders"]["base"])
    assert seen[0] == seen[1] != seen[2]
    db.execute("INSERT INTO orders (total) SELECT 1 FROM generate_series(1, 5000)")
    with closing(journal(db)) as system:
        assert system.observe().data["tables"]["orders"]["base"] == "5003 rows"


def test_tables_and_columns_that_are_not_observed_are_rolled_back(db: Database) -> None:
    db.execute("CREATE TABLE hidden (a serial)", "CREATE SEQUENCE alone")
    ignored = ["orders.note", "total", "hidden.a"]
    options = {"observe_tables": ["orders"], "ignore_columns": ignored}
    with closing(journal(db, **options)) as system:
        before, content = system.observe(), db.dump()
        handle = system.checkpoint("before")
        assert before.data["tables"]["orders"]["columns"] == ("id",)
        assert before.data["sequences"] == {"orders_id_seq": (3, True)}
        db.execute("UPDATE orders SET total = 7, note = 'x'", "INSERT INTO hidden DEFAULT VALUES")
        db.execute("SELECT nextval('alone')")
        after = system.observe()
        assert after == before
        assert after.data["tables"] == before.data["tables"]
        system.rollback(handle)
        assert db.dump() == content


def test_the_beginning_counts_without_the_columns_that_are_ignored(db: Database) -> None:
    digests = []
    for note in ("x", "y"):
        db.execute(f"UPDATE orders SET note = '{note}'")
        with closing(journal(db, ignore_columns=["orders.note"])) as system:
            digests.append(system.observe().digest)
    assert digests[0] == digests[1]


def test_observation_queries(db: Database, system: PostgresAdapter) -> None:
    """Their rows are sorted: after a rollback, a table may come in another order."""
    system.add_observation_query("totals", "SELECT total, id > 1 AS late FROM orders;")
    before = system.observe()
    assert before.data["queries"] == {
        "totals": {"columns": ("total", "late"), "rows": [(1, False), (2, True), (3, True)]}
    }
    handle = system.checkpoint("before")
    db.execute("UPDATE orders SET total = 5 WHERE id = 1")
    assert system.observe().data["queries"]["totals"]["rows"][-1] == (5, False)
    system.rollback(handle)
    assert system.observe() == before
    for name, sql, message in (
        ("totals", "SELECT 1", "already"),
        ("x", "SELEC 1", "refuses the observation query 'x': syntax error"),
        ("x", "DELETE FROM orders", "read-only transaction"),
        ("x", "SET x.y = 1", "not one statement that answers with rows"),
    ):
        with pytest.raises(DefinitionError, match=message):
            system.add_observation_query(name, sql)
    db.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    system.add_observation_query("f", "SELECT f()")
    db.execute("DROP FUNCTION f")
    with pytest.raises(SystemUnavailable, match="an observation query fails: function f"):
        system.observe()
    system.rollback(handle)


@pytest.mark.skipif(sys.platform != "linux", reason="libpq traces on Linux only")
def test_queries_are_answered_in_one_round_trip(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: every step waits for them."""
    connect, opened = psycopg.connect, []

    def connecting(*arguments: Any, **options: Any) -> Any:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(psycopg, "connect", connecting)
    with closing(Connection(db.url, 5.0)) as session, (tmp_path / "trace").open("w") as trace:
        opened[0].pgconn.trace(trace.fileno())
        answers = session.read(["SELECT 1 AS x", "SELECT 2 AS y"])
        opened[0].pgconn.untrace()
    assert [answer for _, answer in answers] == [[(1,)], [(2,)]]
    assert (tmp_path / "trace").read_text().count("\tSync") == 1


def test_what_is_not_covered_is_named(db: Database) -> None:
    db.execute(
        "CREATE MATERIALIZED VIEW sums AS SELECT sum(total) FROM orders",
        "SELECT lo_from_bytea(0, '\\x00')",
    )
    with closing(journal(db)) as system:
        assert system.observe().metadata == {
            "mode": "journal",
            "left_out": ("1 large objects", "materialized view sums"),
        }
    db.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")


def test_any_source_says_where_to_connect_to(db: Database) -> None:
    with psycopg_pool.ConnectionPool(db.url, min_size=0, max_size=1, open=False) as pool:
        for source in (db.app, pool, db.url.replace("postgresql://", "postgresql+psycopg://")):
            with closing(PostgresAdapter(source, mode="journal")) as system:
                db.execute("INSERT INTO orders (total) VALUES (4)")
                assert len(system.observe().data["tables"]["orders"]["rows"]) == 1


def test_a_journal_that_was_read_is_cleaned_up(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that were taken do not slow the next ones down."""
    monkeypatch.setattr("venomqa_hyp.adapters.postgres.recovery.SUMMED_AFTER", 1000)
    sizes = []
    with closing(journal(db)) as system:
        for _ in range(4):
            db.execute("INSERT INTO orders (total) SELECT 1 FROM generate_series(1, 1001)")
            system.observe()
            sizes += db.rows("SELECT pg_relation_size('venomqa_journal.entry')")
    assert sizes[-1] == sizes[1]
