"""PostgreSQL in mode journal: what the application may do, what is refused, what a crash leaves."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest
from postgres_database import THREE_ORDERS, Database, journal

from venomqa_hyp.adapters.postgres import PostgresAdapter, remove_journal
from venomqa_hyp.adapters.recovery import RecoveryWarning
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable, WorldError


@pytest.fixture
def db(module_database: Database) -> Database:
    module_database.clear(THREE_ORDERS)
    return module_database


@pytest.fixture
def system(db: Database) -> Iterator[PostgresAdapter]:
    with closing(journal(db)) as opened:
        yield opened


def check_undone(db: Database, system: PostgresAdapter, change: Callable[[], object]) -> None:
    """Check that a change shows, is undone and done again exactly."""
    before, content = system.checkpoint("before"), db.dump()
    change()
    after, changed = system.checkpoint("after"), db.dump()
    assert changed != content
    for handle, expected in ((before, content), (after, changed), (before, content)):
        system.rollback(handle)
        assert db.dump() == expected


class Roles:
    """Names of roles of this test, which are shared by all databases of the server."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.made: list[str] = []

    def make(self, kind: str, options: str = "LOGIN") -> str:
        name = f"venomqa_{kind}_{os.getpid()}_{random.randrange(10**9)}"
        self.db.execute(f"CREATE ROLE {name} {options}")
        self.made.append(name)
        return name


@pytest.fixture
def roles(db: Database) -> Iterator[Roles]:
    found = Roles(db)
    yield found
    db.execute("RESET ROLE")
    for name in found.made:
        db.execute(f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


def as_role(db: Database, role: str) -> str:
    """Return a DSN that becomes a role without a password: pg_hba may ask for one."""
    options = "-c%20role%3D" + role
    return f"{db.url}{'&' if '?' in db.url else '?'}options={options}"


# What the application may do.


@pytest.mark.parametrize(
    "settings",
    [
        "SET search_path = ''",
        "SET DateStyle = German; SET IntervalStyle = sql_standard; SET TimeZone = 'Asia/Tokyo'",
        "SET extra_float_digits = -15; SET bytea_output = escape",
        "SET session_replication_role = replica",
        "SET default_transaction_isolation = serializable",
    ],
)
def test_settings_of_the_application_do_not_matter(db: Database, settings: str) -> None:
    db.execute(
        "CREATE TABLE odd (id int, at timestamptz, span interval, f float8, raw bytea, "
        "name regclass)"
    )
    with closing(journal(db)) as system, closing(db.connect()) as app:
        app.execute(settings)
        check_undone(
            db,
            system,
            lambda: app.execute(
                "INSERT INTO public.odd VALUES (1, '2024-03-01 12:00:00.123456+02', "
                "'1 year 2 days -03:00', 0.1::float8 + 0.2, '\\x00ff5c', 'public.orders')"
            ),
        )


def test_copy_and_large_values(db: Database, system: PostgresAdapter) -> None:
    """Long text, which PostgreSQL stores outside of the row, comes back as it was."""

    def load() -> None:
        with db.app.cursor() as cursor:
            with cursor.copy("COPY orders (total, note) FROM STDIN") as copy:
                for number in range(200):
                    copy.write_row((number, "\\\n\t\"'" * number))
            cursor.execute("UPDATE orders SET note = repeat(md5(id::text), 20000) WHERE id = 2")

    check_undone(db, system, load)


def test_types_of_extensions(db: Database) -> None:
    with db.connect() as admin:
        available = {row[0] for row in admin.execute("SELECT name FROM pg_available_extensions")}
    if not {"citext", "hstore"} <= available:
        pytest.skip("this server has no citext and hstore")
    db.execute("CREATE SCHEMA kinds", "CREATE EXTENSION citext SCHEMA kinds")
    db.execute("CREATE EXTENSION hstore SCHEMA kinds")
    db.execute("CREATE TABLE people (mail kinds.citext PRIMARY KEY, more kinds.hstore)")
    db.execute("""INSERT INTO people VALUES ('a@B.c', '"k"=>"1", "n"=>NULL')""")
    with closing(journal(db)) as system:
        check_undone(db, system, lambda: db.execute("UPDATE people SET mail = upper(mail::text)"))


def test_xml_of_both_kinds(db: Database) -> None:
    """A value may be content and no document, whatever the application's own setting says."""
    try:
        db.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server was built without libxml")
    db.execute("CREATE TABLE pages (page xml)", "INSERT INTO pages VALUES ('x<b>y</b>')")
    with closing(journal(db)) as system, closing(db.connect()) as app:
        app.execute("SET xmloption = document")
        check_undone(
            db, system, lambda: app.execute("UPDATE pages SET page = '<!DOCTYPE a><a>&lt;</a>'")
        )


def test_virtual_generated_columns(db: Database) -> None:
    if db.app.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    db.execute("CREATE TABLE v (a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, b text)")
    db.execute("INSERT INTO v VALUES (1, DEFAULT, 'x'), (1, DEFAULT, 'x')")
    with closing(journal(db)) as system:
        check_undone(db, system, lambda: db.execute("UPDATE v SET a = 3", "TRUNCATE v"))


def test_transactions_that_end_in_rollback_leave_nothing(
    db: Database, system: PostgresAdapter
) -> None:
    before = system.observe()
    with suppress(ZeroDivisionError), db.app.transaction():
        db.execute("DELETE FROM orders")
        raise ZeroDivisionError
    with db.app.transaction(), suppress(psycopg.Error), db.app.transaction():
        db.execute("TRUNCATE orders", "SELECT 1 / 0")
    assert system.observe() == before


def test_temporary_tables_and_rolled_back_definitions_are_no_concern(
    db: Database, system: PostgresAdapter
) -> None:
    before = system.observe()
    db.execute("CREATE TEMP TABLE scratch (a int)", "INSERT INTO scratch VALUES (1)")
    with suppress(ZeroDivisionError), db.app.transaction():
        db.execute("ALTER TABLE orders ADD COLUMN gone int")
        raise ZeroDivisionError
    db.execute("DROP TABLE scratch", "ANALYZE", "VACUUM orders")
    assert system.observe() == before


def test_connections_that_write_at_once(db: Database, system: PostgresAdapter) -> None:
    def work(seed: int) -> None:
        choose = random.Random(seed)
        with closing(db.connect()) as app:
            for _ in range(15):
                with suppress(psycopg.errors.DeadlockDetected), app.transaction():
                    app.execute("INSERT INTO orders (total) VALUES (%s)", [choose.randrange(9)])
                    app.execute("UPDATE orders SET total = total + 1 WHERE id < 4 AND total < 30")
                    app.execute("DELETE FROM orders WHERE id = %s", [choose.randrange(4, 40)])

    def all_at_once() -> None:
        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    check_undone(db, system, all_at_once)


def test_an_application_without_rights_on_the_journal(db: Database, roles: Roles) -> None:
    """Also with row-level security, which the application is subject to and the journal not."""
    role = roles.make("app", "NOLOGIN")
    db.execute(
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders FORCE ROW LEVEL SECURITY",
        "CREATE POLICY small ON orders USING (total < 3)",
    )
    with closing(journal(db)) as system, closing(db.connect()) as app:
        app.execute(f"SET ROLE {role}")
        check_undone(db, system, lambda: app.execute("DELETE FROM orders"))
        assert len(db.rows("SELECT FROM orders")) == 3
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT venomqa_journal.take()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("DELETE FROM venomqa_journal.entry")


def test_an_owner_that_is_no_superuser(db: Database, roles: Roles) -> None:
    role = roles.make("owner", "NOLOGIN")
    db.execute(f"ALTER TABLE orders OWNER TO {role}", f"GRANT USAGE ON SCHEMA public TO {role}")
    db.execute(f"GRANT CREATE ON DATABASE {db.app.info.dbname} TO {role}")
    with pytest.raises(SystemUnavailable) as refused:
        journal_as(db, role)
    if db.app.info.server_version < 150000:
        assert "nothing can be granted before PostgreSQL 15" in str(refused.value)
        return
    (grant,) = re.findall(r"GRANT SET [^;]*", str(refused.value))
    db.execute(grant)
    with closing(journal_as(db, role)) as system:
        check_undone(db, system, lambda: db.execute("DELETE FROM orders"))


def journal_as(db: Database, role: str) -> PostgresAdapter:
    return PostgresAdapter(as_role(db, role), mode="journal", schemas=["public"])


# What is refused.

REFUSED: dict[str, tuple[str, str]] = {
    "always trigger": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f(); "
        "ALTER TABLE orders ENABLE ALWAYS TRIGGER t",
        "the trigger t of table orders fires also while .* ENABLE TRIGGER t in the test database",
    ),
    "always rule": (
        "CREATE RULE r AS ON DELETE TO orders DO INSTEAD NOTHING; "
        "ALTER TABLE orders ENABLE REPLICA RULE r",
        "the rule r of table orders applies also .* ENABLE RULE r",
    ),
    "cached sequence": (
        "CREATE SEQUENCE many CACHE 20",
        "the sequence many hands out numbers 20 at a time.*ALTER SEQUENCE many CACHE 1",
    ),
    "foreign partition": (
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
        "CREATE TABLE p (a int) PARTITION BY LIST (a); "
        "CREATE FOREIGN TABLE f PARTITION OF p DEFAULT SERVER s",
        "the table f belongs to p, and is a foreign table",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_journal_cannot_roll_back_is_refused(db: Database, case: str) -> None:
    definition, message = REFUSED[case]
    db.execute(definition)
    before = db.catalog()
    with pytest.raises(DefinitionError, match=message):
        journal(db)
    assert db.catalog() == before
    db.execute("DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observe_tables": ["order"]}, "observe_tables names .'order'.*'orders'"),
        ({"observe_tables": "orders"}, "must be a list"),
        ({"ignore_columns": ["orders.at"]}, "ignore_columns names .'orders.at'.*orders.note"),
        ({"schemas": ["shop"]}, "schemas names .'shop'.*'public'"),
        ({"schemas": "public"}, "must be a list"),
    ],
)
def test_wrong_arguments_are_refused(db: Database, options: Any, message: str) -> None:
    before = db.catalog()
    with pytest.raises(DefinitionError, match=message):
        journal(db, **options)
    assert db.catalog() == before


def test_wrong_sources_are_refused(db: Database) -> None:
    with pytest.raises(DefinitionError, match="got a int: pass a DSN"):
        PostgresAdapter(5432, mode="journal")
    with pytest.raises(SystemUnavailable, match="cannot be reached"):
        PostgresAdapter("postgresql://127.0.0.1:1/none", mode="journal")


def test_a_schema_of_somebody_else_is_not_touched(db: Database) -> None:
    db.execute("CREATE SCHEMA venomqa_journal")
    with pytest.raises(SystemUnavailable, match="not made by venomqa-hyp"):
        journal(db)
    with pytest.raises(SystemUnavailable, match="not made by venomqa-hyp"):
        remove_journal(db.url)
    assert db.rows("SELECT FROM pg_namespace WHERE nspname = 'venomqa_journal'")


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ("ALTER TABLE orders ADD COLUMN more int", "table column public.orders.more: new"),
        ("ALTER TABLE orders DROP COLUMN note", "table column public.orders.note: gone"),
        (
            "ALTER TABLE orders ALTER total TYPE bigint",
            "public.orders.total: type was integer, is bigint",
        ),
        (
            "ALTER TABLE orders ALTER total SET DEFAULT 1",
            "default of table column public.orders.total: new",
        ),
        ("CREATE TABLE more (a int)", "table public.more: new"),
        ("CREATE INDEX more ON orders (total)", "index public.more: new"),
        ("DROP TABLE orders", "table public.orders: gone"),
        ("DROP SEQUENCE orders_id_seq CASCADE", "sequence public.orders_id_seq: gone"),
        (
            "ALTER TABLE orders DISABLE TRIGGER ALL",
            "venomqa_journal_delete on .*enabled was A, is D",
        ),
        ("CREATE SCHEMA tenant CREATE TABLE orders (id int)", "schema tenant: new"),
        ("DROP SCHEMA venomqa_journal CASCADE", "trigger venomqa_journal_delete on .*: gone"),
    ],
)
def test_a_changed_schema_ends_the_run(db: Database, definition: str, told: str) -> None:
    """It says what was changed, and the next run begins as if nothing had been."""
    system = journal(db)
    handle = system.checkpoint("before")
    db.execute(definition)
    for attempt in (system.observe, lambda: system.checkpoint(""), lambda: system.rollback(handle)):
        with pytest.raises(RollbackError, match=rf'(?s){told}.*mode="template"'):
            attempt()
    system.close()
    with closing(journal(db)) as following:
        following.checkpoint("works")
    assert not db.rows("SELECT FROM pg_trigger WHERE tgname LIKE 'venomqa%'")


# Locks.


@pytest.fixture
def impatient(db: Database) -> Iterator[PostgresAdapter]:
    with closing(journal(db, lock_timeout=0.2)) as opened:
        yield opened


def test_a_transaction_left_open_is_named(db: Database, impatient: PostgresAdapter) -> None:
    handle = impatient.checkpoint("before")
    with closing(db.connect(autocommit=False, application_name="shop")) as leak:
        leak.execute("UPDATE orders SET total = 0 WHERE id = 1")
        attempts: list[Callable[[], object]] = [
            impatient.observe,
            lambda: impatient.checkpoint(""),
            lambda: impatient.rollback(handle),
        ]
        for attempt in attempts:
            with pytest.raises(WorldError) as refused:
                attempt()
            text = str(refused.value)
            assert f"pid {leak.info.backend_pid} (shop, idle in transaction for" in text
            assert "query: UPDATE orders SET total = 0 WHERE id = 1)" in text
            assert "lock_timeout=0.2 s" in text
        leak.rollback()
    impatient.rollback(handle)


def test_a_row_lock_left_behind_is_named(db: Database, impatient: PostgresAdapter) -> None:
    handle = impatient.checkpoint("before")
    db.execute("UPDATE orders SET total = 0 WHERE id = 1")
    with closing(db.connect(autocommit=False)) as leak:
        leak.execute("SELECT FROM orders WHERE id = 1 FOR UPDATE")
        changed = db.dump()
        with pytest.raises(RollbackError, match=f"pid {leak.info.backend_pid} .*FOR UPDATE"):
            impatient.rollback(handle)
        assert db.dump() == changed
    impatient.rollback(handle)


def test_open_readers_do_not_matter(db: Database, system: PostgresAdapter) -> None:
    handle, content = system.checkpoint("before"), db.dump()
    with closing(db.connect(autocommit=False)) as reader:
        reader.execute("SELECT FROM orders")
        db.execute("DELETE FROM orders")
        system.rollback(handle)
        assert db.dump() == content


# Failures and crashes.


def test_rows_that_no_trigger_reported_are_noticed(db: Database, system: PostgresAdapter) -> None:
    handle = system.checkpoint("before")
    db.execute("UPDATE orders SET total = 0 WHERE id = 1")
    db.execute("SET venomqa_journal.own_session = 'on'", "DELETE FROM orders WHERE id = 1")
    changed = db.dump()
    with pytest.raises(RollbackError, match=r"of 1 rows .*orders holds 0\. So rows were written"):
        system.rollback(handle)
    assert db.dump() == changed


def test_a_rollback_that_fails_changes_nothing(db: Database) -> None:
    db.execute(
        """CREATE FUNCTION fits() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('venomqa_journal.own_session', true) = 'on' THEN
                RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device';
            END IF;
            RETURN true;
        END $$""",
        "CREATE TABLE big (a int, CHECK (fits()))",
        "INSERT INTO big VALUES (1)",
    )
    with closing(journal(db)) as system:
        handle = system.checkpoint("before")
        db.execute("DELETE FROM orders", "DELETE FROM big")
        changed = db.dump()
        with pytest.raises(RollbackError, match="No space left on device"):
            system.rollback(handle)
        assert db.dump() == changed
    with closing(journal(db)) as following:
        assert following.observe().data["tables"]["big"]["rows"] == []


def test_a_journal_that_cannot_grow_fails_the_statement_of_the_application(
    db: Database, system: PostgresAdapter
) -> None:
    db.execute(
        """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE disk_full USING MESSAGE = 'No space left on device'; END $$""",
        "CREATE TRIGGER fail BEFORE INSERT OR DELETE ON venomqa_journal.entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION fail()",
        "ALTER TABLE venomqa_journal.entry ENABLE ALWAYS TRIGGER fail",
    )
    before = db.dump()
    with pytest.raises(psycopg.errors.DiskFull):
        db.execute("DELETE FROM orders")
    assert db.dump() == before
    with pytest.raises(RollbackError, match=r"trigger fail on venomqa_journal\.entry: new"):
        system.observe()


def test_a_connection_that_the_server_ended(db: Database) -> None:
    system = journal(db)
    handle = system.checkpoint("before")
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'venomqa' AND datname = current_database()"
    )
    with pytest.raises(SystemUnavailable, match="look at the log of PostgreSQL"):
        system.observe()
    with pytest.raises(SystemUnavailable):
        system.rollback(handle)
    with pytest.raises(SystemUnavailable, match="removed by the next run, or by: venomqa clean"):
        system.close()
    with pytest.warns(RecoveryWarning, match="0 rows were removed"):
        opened = journal(db)
    with closing(opened) as following:
        check_undone(db, following, lambda: db.execute("DELETE FROM orders"))


def test_a_run_that_was_killed_leaves_a_journal_that_can_be_removed(db: Database) -> None:
    before = db.catalog()
    code = (
        "import sys\nfrom venomqa_hyp.adapters.postgres import PostgresAdapter\n"
        "system = PostgresAdapter(sys.argv[1], mode='journal')\nprint('open', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, db.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"open\n"
        with pytest.raises(SystemUnavailable, match=r"process \d+ \(venomqa"):
            journal(db, lock_timeout=0.1)
        with pytest.raises(SystemUnavailable, match="used by another run"):
            remove_journal(db.url, lock_timeout=0.1)
        run.send_signal(signal.SIGKILL)
    db.execute("INSERT INTO orders (total) VALUES (4)")
    assert db.rows("SELECT FROM venomqa_journal.entry")
    assert remove_journal(db.url)
    assert db.catalog() == before
    assert not remove_journal(db.url)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("ends", ["close", "rollback"])
@pytest.mark.parametrize(
    "statement",
    ["SELECT FROM orders WHERE id = 2 FOR UPDATE", "UPDATE orders SET total = 8 WHERE id = 2"],
)
def test_a_statement_that_goes_on_is_cancelled_where_that_is_allowed(
    db: Database, statement: str, ends: str, allowed: bool
) -> None:
    system = PostgresAdapter(db.url, mode="journal", lock_timeout=0.3, allow_cancel=allowed)
    start = system.checkpoint("start")
    rows = db.dump()
    db.execute("UPDATE orders SET total = 7 WHERE id = 2")
    system.observe()
    told: list[str] = []

    def goes_on() -> None:
        with db.connect() as other:
            try:
                other.execute(f"BEGIN; {statement}; SELECT pg_sleep(3)")
            except psycopg.Error as error:
                told.append(str(error))

    working = threading.Thread(target=goes_on)
    working.start()
    while not db.rows("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
        time.sleep(0.01)
    end = system.close if ends == "close" else lambda: system.rollback(start)
    if allowed:
        end()
        assert ends == "close" or db.dump() == rows
    else:
        with pytest.raises((SystemUnavailable, RollbackError), match="allow_cancel=True"):
            end()
    working.join()
    assert [("user request" in text) for text in told] == [True] * allowed
    if ends == "rollback":
        system.close()
