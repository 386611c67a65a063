"""PostgreSQL in mode journal: a changed schema ends the run, and names what was changed."""

import os
import random
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest
from postgres_changes import CHANGES, HARMLESS, SHOP
from postgres_database import Database, database, journal

from venomqa_hyp.adapters.postgres import PostgresAdapter, remove_journal, schema
from venomqa_hyp.errors import RollbackError, SystemUnavailable


class Roles:
    """Two roles of this module, which all databases of the server share."""

    def __init__(self, server: str) -> None:
        self.server = server
        suffix = f"{os.getpid()}_{random.randrange(10**9)}"
        self.role, self.owning = f"venomqa_role_{suffix}", f"venomqa_owning_{suffix}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as admin:
            for name in (self.role, self.owning):
                admin.execute(statement.format(name))


@pytest.fixture(scope="module")
def roles(postgres_url: str) -> Iterator[Roles]:
    found = Roles(postgres_url)
    found.execute("CREATE ROLE {} NOLOGIN")
    yield found
    found.execute("DROP ROLE {}")


@pytest.fixture
def db(postgres_url: str, roles: Roles) -> Iterator[Database]:
    """A database of this test's own: what is changed in it belongs to no schema at times."""
    with database(postgres_url) as found:
        found.execute(
            SHOP,
            "SELECT lo_from_bytea(42, 'abc')",
            "CREATE TABLE loner_sorted (a int PRIMARY KEY)",
            "CLUSTER loner_sorted USING loner_sorted_pkey",
            f"CREATE TABLE owned (a int); ALTER TABLE owned OWNER TO {roles.owning}",
            f"GRANT SELECT ON owned, orders TO {roles.role}",
        )
        yield found


def filled(text: str, db: Database, roles: Roles) -> str:
    for name, value in {
        "database": db.app.info.dbname,
        "role": roles.role,
        "owning": roles.owning,
    }.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def check_refused(system: PostgresAdapter, handle: object, expected: str) -> None:
    """Check that each use of the system says what was changed, the second time too."""
    for attempt in (system.observe, lambda: system.checkpoint(""), lambda: system.rollback(handle)):
        with pytest.raises(RollbackError, match=rf'(?s){expected}.*mode="template"'):
            attempt()


@pytest.mark.parametrize("statement", CHANGES)
def test_a_changed_schema_ends_the_run_and_is_named(
    db: Database, roles: Roles, statement: str
) -> None:
    expected = filled(CHANGES[statement], db, roles)
    with closing(journal(db)) as system:
        handle = system.checkpoint("before")
        db.execute(filled(statement, db, roles))
        check_refused(system, handle, expected)


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_no_change_of_the_schema_is_accepted(db: Database, roles: Roles, case: str) -> None:
    with closing(journal(db)) as system:
        before, content, handle = system.observe(), db.dump(), system.checkpoint("before")
        for statement in HARMLESS[case]:
            db.execute(filled(statement, db, roles))
        # A change of the schema that is there no more: now all of it is compared.
        db.execute("CREATE TABLE passing (a int)", "DROP TABLE passing")
        system.observe()
        system.rollback(handle)
        assert system.observe() == before
        assert db.dump() == content


# What the adapter's role may not see, or may not have.

UNPRIVILEGED = [
    "CREATE TABLE more (a int)",
    "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
    "GRANT SELECT ON orders TO PUBLIC",
    "ALTER TABLE orders ALTER total DROP DEFAULT",
    "ALTER TABLE orders DROP CONSTRAINT total_small",
    "ALTER INDEX by_total SET (fillfactor = 60)",
    "CLUSTER orders USING orders_pkey",
    "DROP POLICY mine ON orders",
    "DROP RULE noted ON loner",
    "ALTER TABLE orders DISABLE TRIGGER touched",
    "CREATE OR REPLACE FUNCTION price_of(int) RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "ALTER TYPE color ADD VALUE 'green'",
    "ALTER SEQUENCE ticket INCREMENT 5",
    "CREATE STATISTICS more ON id, note FROM orders",
    "COMMENT ON TABLE orders IS 'all of them'",
    "ALTER DATABASE {database} SET work_mem = '5MB'",
    "CREATE PUBLICATION more",
    "CREATE EVENT TRIGGER more ON ddl_command_end EXECUTE FUNCTION watch()",
    "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES IN (2)",
    "SELECT lo_create(4711)",
    "SELECT lo_unlink(42)",
]


@pytest.fixture
def owned(db: Database, roles: Roles) -> Iterator[Database]:
    """A database whose tables belong to a role that is no superuser."""
    if db.app.info.server_version < 150000:
        pytest.skip("session_replication_role can be granted from PostgreSQL 15 on")
    role = roles.owning
    db.execute(
        f"GRANT SET ON PARAMETER session_replication_role TO {role}",
        f"GRANT CREATE ON DATABASE {db.app.info.dbname} TO {role}",
        f"GRANT ALL ON SCHEMA public TO {role}",
    )
    for kind, name in db.rows(
        "SELECT relkind::text, oid::regclass::text FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') "
        "UNION ALL SELECT 'S', 'ticket'"
    ):
        word = {"v": "VIEW", "m": "MATERIALIZED VIEW", "S": "SEQUENCE"}.get(kind, "TABLE")
        db.execute(f"ALTER {word} {name} OWNER TO {role}")
    try:
        yield db
    finally:
        db.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {role}")


def as_role(db: Database, role: str) -> PostgresAdapter:
    options = "-c%20role%3D" + role
    return journal_of(f"{db.url}{'&' if '?' in db.url else '?'}options={options}")


def journal_of(url: str) -> PostgresAdapter:
    return PostgresAdapter(url, mode="journal")


@pytest.mark.parametrize("statement", UNPRIVILEGED)
def test_without_event_triggers_a_changed_schema_ends_the_run_too(
    owned: Database, roles: Roles, statement: str
) -> None:
    expected = filled(CHANGES[statement], owned, roles)
    with closing(as_role(owned, roles.owning)) as system:
        assert not owned.rows("SELECT FROM pg_event_trigger")
        handle = system.checkpoint("before")
        owned.execute(filled(statement, owned, roles))
        check_refused(system, handle, expected)


@pytest.mark.parametrize("case", HARMLESS)
def test_without_event_triggers_no_change_is_accepted_too(
    owned: Database, roles: Roles, case: str
) -> None:
    with closing(as_role(owned, roles.owning)) as system:
        before, handle = system.observe(), system.checkpoint("before")
        for statement in HARMLESS[case]:
            owned.execute(filled(statement, owned, roles))
        system.observe()
        system.rollback(handle)
        assert system.observe() == before


@pytest.mark.parametrize("superuser", [True, False])
def test_rows_alone_need_no_comparison(
    owned: Database, roles: Roles, superuser: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing all definitions takes long; rows, transactions and TRUNCATE do not ask for it."""
    with closing(journal(owned) if superuser else as_role(owned, roles.owning)) as system:
        handle = system.checkpoint("before")
        monkeypatch.setattr(schema, "read", lambda *_: pytest.fail("definitions were compared"))
        owned.execute("INSERT INTO orders (total) VALUES (4)", "TRUNCATE orders CASCADE", "ANALYZE")
        system.observe()
        system.rollback(handle)
        owned.execute("UPDATE orders SET total = 9", "VACUUM")
        system.observe()


# Where a change comes from, and where it is.


def test_a_change_with_triggers_switched_off_is_noticed(db: Database) -> None:
    with closing(journal(db)) as system:
        db.execute("SET session_replication_role = replica", "ALTER TABLE orders ADD more int")
        with pytest.raises(RollbackError, match=r"column public.orders.more: new"):
            system.observe()


def test_an_application_without_rights_may_change_its_own_tables(
    db: Database, roles: Roles
) -> None:
    """What notes the change runs as the owner of the journal."""
    with closing(journal(db)) as system, closing(db.connect()) as app:
        app.execute(f"SET ROLE {roles.owning}")
        app.execute("ALTER TABLE owned ADD more int")
        with pytest.raises(RollbackError, match=r"column public.owned.more: new"):
            system.observe()


def test_a_neighbour_schema_may_change(db: Database) -> None:
    db.execute("CREATE SCHEMA shop; CREATE TABLE shop.items (id int); CREATE SCHEMA neighbour")
    with closing(journal(db, schemas=["shop"])) as system:
        before = system.observe()
        db.execute(
            "CREATE TABLE neighbour.more (id serial PRIMARY KEY, a int DEFAULT 1 CHECK (a > 0))",
            "COMMENT ON COLUMN neighbour.more.a IS 'a'; CREATE INDEX ON neighbour.more (a)",
            "CREATE VIEW neighbour.v AS SELECT 1; GRANT SELECT ON neighbour.v TO PUBLIC",
            "CREATE FUNCTION neighbour.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE TYPE neighbour.mood AS ENUM ('ok'); DROP TABLE orders CASCADE",
            "CREATE SCHEMA third CREATE TABLE t (a int); DROP SCHEMA neighbour CASCADE",
        )
        assert system.observe() == before
        db.execute("ALTER TABLE shop.items ADD CHECK (id > 0)")
        with pytest.raises(RollbackError, match=r"\(table constraint items_id_check on shop.items"):
            system.observe()


def test_what_is_database_wide_counts_with_some_schemas_too(db: Database) -> None:
    db.execute("CREATE SCHEMA shop; CREATE TABLE shop.items (id int)")
    with closing(journal(db, schemas=["shop"])) as system:
        db.execute("CREATE PUBLICATION more")
        with pytest.raises(RollbackError, match="publication more: new"):
            system.observe()


def test_many_changes_are_counted(db: Database) -> None:
    with closing(journal(db)) as system:
        db.execute(*(f"CREATE TABLE more_{number} (a serial)" for number in range(9)))
        with pytest.raises(RollbackError, match=r"more_0: new; .*more_4: new; and \d+ more\)"):
            system.observe()


def test_a_transaction_that_changes_the_schema_counts_when_it_ends(db: Database) -> None:
    with closing(journal(db)) as system, closing(db.connect(autocommit=False)) as app:
        app.execute("CREATE TABLE more (a int)")
        system.observe()
        app.commit()
        with pytest.raises(RollbackError, match=r"table public\.more: new"):
            system.observe()


# Large objects, prepared transactions, replication.


def test_large_objects_of_the_beginning_are_left_out(db: Database) -> None:
    with closing(journal(db)) as system:
        assert "1 large objects" in system.observe().metadata["left_out"]


def test_a_role_that_cannot_read_large_objects_says_so(owned: Database, roles: Roles) -> None:
    with closing(as_role(owned, roles.owning)) as system:
        left_out = " ".join(system.observe().metadata["left_out"])
        assert "1 large objects, and changes of their content are not noticed" in left_out


def test_a_prepared_transaction_is_named(db: Database) -> None:
    if db.rows("SHOW max_prepared_transactions") == [("0",)]:
        pytest.skip("this server has max_prepared_transactions = 0")
    with closing(journal(db, lock_timeout=0.2)) as system:
        before, handle = system.observe(), system.checkpoint("before")
        db.execute("BEGIN; UPDATE orders SET total = 9; PREPARE TRANSACTION 'half'")
        try:
            with pytest.raises(SystemUnavailable, match="a prepared transaction, of: half"):
                system.observe()
        finally:
            db.execute("COMMIT PREPARED 'half'")
        system.rollback(handle)
        assert system.observe() == before


def test_a_logical_replication_slot_does_not_matter(db: Database) -> None:
    if db.rows("SHOW wal_level") != [("logical",)]:
        pytest.skip("this server has another wal_level than logical")
    slot = f"venomqa_{random.randrange(10**9)}"
    db.execute(
        "CREATE PUBLICATION everything FOR ALL TABLES",
        f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')",
    )
    try:
        with closing(journal(db)) as system:
            before, content, handle = system.observe(), db.dump(), system.checkpoint("before")
            db.execute("DELETE FROM orders WHERE id = 1", "INSERT INTO orders (total) VALUES (5)")
            system.rollback(handle)
            assert (system.observe(), db.dump()) == (before, content)
    finally:
        db.execute(f"SELECT pg_drop_replication_slot('{slot}')")


def test_rows_that_a_publication_forbids_to_remove_are_refused(db: Database) -> None:
    """PostgreSQL deletes no row of a published table without a replica identity."""
    with closing(journal(db)) as opened:
        opened.checkpoint("works")
    db.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    with closing(journal(db)) as system:
        handle = system.checkpoint("before")
        db.execute("INSERT INTO parts_2 VALUES (1)")
        with pytest.raises(RollbackError, match="REPLICA IDENTITY"):
            system.rollback(handle)


# What is left, and how large a database may be.


def test_nothing_is_left(db: Database) -> None:
    before = db.catalog()
    system = journal(db)
    assert db.rows("SELECT FROM pg_event_trigger")
    system.close()
    assert db.catalog() == before
    lost = journal(db)
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'venomqa' AND datname = current_database()"
    )
    with suppress(SystemUnavailable):
        lost.close()
    db.execute("ALTER TABLE orders ADD more int", "ALTER TABLE orders DROP more")
    assert remove_journal(db.url)
    assert [row for row in db.catalog() if row not in before] == []


def test_many_tables_and_many_columns(db: Database) -> None:
    columns = ", ".join(f"c{number} int" for number in range(1600))
    db.execute(f"CREATE TABLE wide ({columns})", "INSERT INTO wide (c5) VALUES (1)")
    db.execute(*(f"CREATE TABLE t{number} (id serial PRIMARY KEY)" for number in range(100)))
    with closing(journal(db)) as system:
        before, content, handle = system.observe(), db.dump(), system.checkpoint("before")
        db.execute("UPDATE wide SET c1599 = 7", "INSERT INTO t99 DEFAULT VALUES")
        system.rollback(handle)
        assert (system.observe(), db.dump()) == (before, content)
        db.execute("ALTER TABLE t50 ADD more int")
        with pytest.raises(RollbackError, match=r"\(table column public.t50.more: new\)"):
            system.observe()
