"""Mode savepoint: what an application does on a shared connection rolls back, and stays inside."""

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
import servers
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from postgres_shop import dump, shop

from venomqa_hyp import Action, World, invariant, venom_machine
from venomqa_hyp.adapters.postgres.savepoint import SavepointMode
from venomqa_hyp.adapters.postgres.sharing.connection import SharedConnection
from venomqa_hyp.adapters.sql import Choice
from venomqa_hyp.errors import InvariantViolated, RollbackError
from venomqa_hyp.testing import check_rollbackable

ADA = [(1, "ada")]


@pytest.fixture(scope="module")
def dsn(postgres_url: str) -> Iterator[str]:
    with shop(postgres_url) as dsn:
        yield dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[SharedConnection]:
    connection = SharedConnection.connect(dsn)
    yield connection
    connection.disconnect()


@pytest.fixture
def mode(connection: SharedConnection) -> Iterator[SavepointMode]:
    mode = SavepointMode(connection)
    yield mode
    mode.close()


@pytest.fixture
def outside(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dsn, autocommit=True) as other:
        yield other


def customers(mode: SavepointMode) -> list[Any]:
    rows: list[Any] = mode.observe().data["tables"]["customers"]["rows"]
    return rows


# --- the contract --------------------------------------------------------------------------------


class Store(SavepointMode):
    """A mode that opens a connection of its own, for the conformance suite."""

    def __init__(self, dsn: str, autocommit: bool) -> None:
        self.application = SharedConnection.connect(dsn, autocommit=autocommit)
        super().__init__(self.application)

    def close(self) -> None:
        super().close()
        self.application.disconnect()


def add(store: Store, chance: random.Random) -> None:
    run = store.application.execute
    run("INSERT INTO customers (name) VALUES (%s)", [f"name {chance.random()}"])
    run("INSERT INTO orders (customer, amount) SELECT max(id), 7 FROM customers")
    store.application.commit()


def change(store: Store, chance: random.Random) -> None:
    store.application.execute("INSERT INTO log VALUES ('changed')")
    store.application.execute("UPDATE customers SET name = name || 'x'")
    store.application.commit()


def take_a_number(store: Store, chance: random.Random) -> None:
    store.application.execute("SELECT nextval('invoices')")
    store.application.commit()


def fail(store: Store, chance: random.Random) -> None:
    """Burn a number of the sequence, as a refused INSERT does."""
    with pytest.raises(psycopg.errors.UniqueViolation):
        store.application.execute("INSERT INTO customers (name) SELECT name FROM customers LIMIT 1")
    store.application.rollback()


def change_the_schema(store: Store, chance: random.Random) -> None:
    store.application.execute(f"CREATE TABLE IF NOT EXISTS t{chance.randrange(5)} ()")
    store.application.execute("TRUNCATE log RESTART IDENTITY")
    store.application.execute("INSERT INTO log VALUES (%s)", [str(chance.random())])
    store.application.commit()


@pytest.mark.parametrize("autocommit", [False, True])
def test_it_keeps_the_contract(dsn: str, autocommit: bool) -> None:
    """Every rule of Rollbackable holds, and the database is not changed by it."""
    mutations = [add, change, take_a_number, fail, change_the_schema]
    before = dump(dsn)
    check_rollbackable(lambda: Store(dsn, autocommit), mutations, operations=40)
    after = dump(dsn)
    for sequence in ("customers_id_seq", "invoices", "orders_id_seq"):
        del before[sequence], after[sequence]
    assert after == before


# --- the application's transactions --------------------------------------------------------------


def test_commit_keeps_and_rollback_takes_back(
    connection: SharedConnection, mode: SavepointMode, outside: psycopg.Connection[Any]
) -> None:
    """As on a connection of its own; another connection sees nothing of it."""
    connection.execute("INSERT INTO customers (name) VALUES ('bob')")
    connection.commit()
    connection.execute("DELETE FROM customers")
    connection.rollback()
    connection.rollback()
    assert [name for _, name in customers(mode)] == ["ada", "bob"]
    assert outside.execute("SELECT * FROM customers").fetchall() == ADA


def test_a_transaction_block_outside_of_a_transaction_commits(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """So a later rollback() does not take it back, while that of an inner block does."""
    with connection.transaction():
        connection.execute("INSERT INTO log VALUES ('kept')")
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO log VALUES ('inner')")
        with pytest.raises(psycopg.ProgrammingError, match="forbidden within"):
            connection.commit()
    connection.rollback()
    connection.execute("INSERT INTO log VALUES ('begun')")
    with connection.transaction():
        connection.execute("INSERT INTO log VALUES ('in the begun one')")
    connection.rollback()
    with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
        connection.execute("INSERT INTO log VALUES ('failed'); SELECT 1 / 0")
    assert mode.observe().data["tables"]["log"]["rows"] == [("kept",)]


def test_with_autocommit_each_statement_stands_alone(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """One that fails takes nothing back; a block is one transaction all the same."""
    connection.autocommit = True
    connection.execute("INSERT INTO log VALUES ('first')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO customers (name) VALUES ('ada')")
    connection.execute("INSERT INTO log VALUES ('second')")
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO log VALUES ('block')")
        connection.execute("INSERT INTO log VALUES ('of two')")
    with connection.cursor().copy("COPY log FROM STDIN") as copy:
        copy.write_row(["third"])
    connection.rollback()
    rows = mode.observe().data["tables"]["log"]["rows"]
    assert rows == [("first",), ("second",), ("third",)]


def test_a_refused_insert_answered_without_rollback_is_ended_by_commit(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """COMMIT of a failed transaction rolls it back, here as in PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO log VALUES ('before')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            cursor.execute("INSERT INTO customers (name) VALUES ('ada')")
    connection.commit()
    connection.execute("INSERT INTO log VALUES ('after')")
    connection.commit()
    assert mode.observe().data["tables"]["log"]["rows"] == [("after",)]


def in_a_block(connection: SharedConnection, statement: str) -> None:
    with connection.transaction():
        connection.execute(statement)
        connection.execute("SELECT 1")


@pytest.mark.parametrize("style", ["commit", "block", "autocommit"])
def test_a_deferred_constraint_is_checked_at_commit(
    connection: SharedConnection, mode: SavepointMode, style: str
) -> None:
    """It fails there, not before, and takes the transaction back; then it is deferred again."""
    connection.autocommit = style == "autocommit"
    insert = "INSERT INTO orders (customer, amount) VALUES (99, 1)"
    for _ in range(2):
        if style == "commit":
            connection.execute(insert)
            finish = connection.commit
        elif style == "autocommit":
            finish = partial(connection.execute, insert)
        else:
            finish = partial(in_a_block, connection, insert)
        with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
            finish()
        assert refused.value.diag.constraint_name == "orders_customer_fkey"
    with connection.transaction():
        connection.execute(insert)
        connection.execute("INSERT INTO customers VALUES (99, 'late')")
    assert customers(mode) == [*ADA, (99, "late")]
    assert len(mode.observe().data["tables"]["orders"]["rows"]) == 1


def test_constraints_set_by_the_application_do_not_end_anything(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """SET CONSTRAINTS ALL fires the guard against COMMIT, which arms itself again."""
    for when in ("IMMEDIATE", "DEFERRED", "IMMEDIATE"):
        connection.execute(f"SET CONSTRAINTS ALL {when}")
    connection.execute("INSERT INTO log VALUES ('x')")
    connection.commit()
    assert mode.observe().data["tables"]["log"]["rows"] == [("x",)]
    with pytest.raises(psycopg.errors.RaiseException, match="COMMIT was sent as SQL"):
        connection.execute("COMMIT")


@pytest.mark.parametrize("command", ["COMMIT", "END", "ROLLBACK", "COMMIT; SELECT 1"])
def test_a_transaction_ended_by_sql_is_noticed(
    connection: SharedConnection,
    mode: SavepointMode,
    outside: psycopg.Connection[Any],
    command: str,
) -> None:
    """Nothing is committed, and the next thing the World does says what to write instead."""
    handle = mode.checkpoint("start")
    connection.execute("INSERT INTO log VALUES ('x')")
    if "COMMIT" in command or command == "END":
        with pytest.raises(psycopg.errors.RaiseException, match="COMMIT was sent as SQL"):
            connection.execute(command)
    else:
        connection.execute(command)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("INSERT INTO log VALUES ('y')")
    for attempt in (mode.observe, lambda: mode.checkpoint("x"), lambda: mode.rollback(handle)):
        with pytest.raises(RollbackError, match=r"sent COMMIT or ROLLBACK as SQL.*Call commit"):
            attempt()
    assert outside.execute("SELECT * FROM log").fetchall() == []


def test_a_transaction_that_is_chained_to_another_is_noticed(
    connection: SharedConnection, mode: SavepointMode, outside: psycopg.Connection[Any]
) -> None:
    """It ends that of the test and leaves no sign of that."""
    connection.execute("ROLLBACK AND CHAIN")
    connection.execute("INSERT INTO log VALUES ('x')")
    with pytest.raises(RollbackError, match="sent COMMIT or ROLLBACK as SQL"):
        mode.observe()
    assert outside.execute("SELECT * FROM log").fetchall() == []


def test_what_cannot_be_kept_apart_is_refused(connection: SharedConnection) -> None:
    """Pipelines and read-only transactions; the isolation level is only remembered."""
    with pytest.raises(psycopg.NotSupportedError, match="journal"), connection.pipeline():
        pass
    with pytest.raises(psycopg.NotSupportedError, match="journal"):
        connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    assert connection.isolation_level is psycopg.IsolationLevel.SERIALIZABLE
    connection.execute("SELECT 1")
    with pytest.raises(psycopg.ProgrammingError, match="can't change 'autocommit' now"):
        connection.autocommit = True


def test_close_takes_back_and_leaves_the_connection_open(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """As PostgreSQL does with what a closed connection did not commit."""
    with connection:
        connection.execute("INSERT INTO log VALUES ('committed')")
    connection.execute("INSERT INTO log VALUES ('not committed')")
    connection.close()
    assert mode.observe().data["tables"]["log"]["rows"] == [("committed",)]


# --- checkpoints and rollback --------------------------------------------------------------------


def test_rollback_destroys_later_checkpoints(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """is_live() says so, and a rollback to one of them is refused."""
    first, second, third = (mode.checkpoint(name) for name in "abc")
    mode.rollback(second)
    assert [mode.is_live(handle) for handle in (first, second, third)] == [True, True, False]
    with pytest.raises(RollbackError, match="a rollback to an earlier savepoint destroyed it"):
        mode.rollback(third)
    mode.rollback(first)
    assert [mode.is_live(handle) for handle in (first, second, third)] == [True, False, False]


def test_forgotten_savepoints_are_released(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """As soon as none above them is needed."""
    first, second, third = (mode.checkpoint(name) for name in "abc")
    mode.forget(second)
    assert len(connection.savepoints) == 3
    connection.execute("INSERT INTO log VALUES ('not committed')")
    mode.forget(third)
    connection.rollback()
    assert len(connection.savepoints) == 3
    assert mode.observe().data["tables"]["log"]["rows"] == []
    fourth = mode.checkpoint("d")
    mode.forget(fourth)
    assert len(connection.savepoints) == 1
    mode.rollback(first)
    mode.checkpoint("e")
    mode.close()
    assert connection.savepoints == []


def test_sequences_and_schema_roll_back(connection: SharedConnection, mode: SavepointMode) -> None:
    """Numbers are given out again; a table that was dropped is back, with its rows."""
    handle, before = mode.checkpoint("start"), mode.observe()
    given = [connection.execute("SELECT nextval('invoices')").fetchone() for _ in range(3)]
    connection.execute("INSERT INTO customers (name) VALUES ('bob')")
    connection.execute("ALTER TABLE log ADD COLUMN at timestamptz DEFAULT now()")
    connection.execute("DROP TABLE orders")
    connection.execute("CREATE TABLE refunds (id serial)")
    connection.commit()
    assert sorted(mode.observe().data["tables"]) == ["customers", "log", "refunds", "visits"]
    mode.rollback(handle)
    assert mode.observe() == before
    again = [connection.execute("SELECT nextval('invoices')").fetchone() for _ in range(3)]
    assert again == given
    mode.rollback(handle)


def test_an_open_transaction_is_refused_if_it_has_written(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """One that has only read is harmless; a rollback ends any."""
    start = mode.checkpoint("start")
    connection.execute("SELECT * FROM customers")
    mode.checkpoint("after reading")
    connection.execute("INSERT INTO log VALUES ('x')")
    with pytest.raises(
        RollbackError, match=r"has written or locked.*did not commit.*before the action"
    ):
        mode.checkpoint("after writing")
    assert mode.observe().data["tables"]["log"]["rows"] == [("x",)]
    mode.rollback(start)
    assert mode.observe().data["tables"]["log"]["rows"] == []
    mode.checkpoint("after the rollback")


def test_a_failed_transaction_left_open_is_named_and_can_be_rolled_back(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """Nothing can be read in it."""
    handle = mode.checkpoint("start")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")
    for attempt in (mode.observe, lambda: mode.checkpoint("x")):
        with pytest.raises(RollbackError, match=r"left a failed transaction open.*rollback\(\)"):
            attempt()
    mode.rollback(handle)
    assert customers(mode) == ADA


def test_observed_values_do_not_depend_on_the_session(
    connection: SharedConnection, mode: SavepointMode
) -> None:
    """Nor on how the application wants its rows and values."""
    connection.execute("INSERT INTO log VALUES ('x')")
    connection.execute(
        "INSERT INTO orders (amount, placed, note)"
        """ VALUES (1.50, '2026-01-02 03:04:05.6+00', '{"a": [1]}')"""
    )
    connection.commit()
    before = mode.observe()
    connection.execute("SET TIME ZONE 'Asia/Tokyo'; SET DateStyle = 'German'")
    connection.commit()
    connection.row_factory = psycopg.rows.dict_row
    assert mode.observe() == before
    assert "2026-01-02 03:04:05.6+00" in before.data["tables"]["orders"]["rows"][0]
    assert connection.execute("SHOW TimeZone").fetchone() == {"TimeZone": "Asia/Tokyo"}


def test_ignored_columns_do_not_show_in_the_order_of_rows(connection: SharedConnection) -> None:
    """Where there is no key, rows are in the order of what is observed of them."""
    mode = SavepointMode(connection, choice=Choice(["visits"], ["at"]))
    seen = []
    for first, second in (("a", "b"), ("b", "a")):
        handle = mode.checkpoint("start")
        connection.execute("INSERT INTO visits VALUES (%s, 1), (%s, 2)", [first, second])
        connection.commit()
        seen.append(mode.observe().digest)
        mode.rollback(handle)
    assert seen[0] == seen[1]
    mode.close()


def test_only_observed_tables_and_columns_count(connection: SharedConnection) -> None:
    """All tables roll back all the same."""
    choice = Choice(["customers"], ["customers.name"])
    mode = SavepointMode(connection, choice=choice)
    connection.execute("UPDATE customers SET name = 'eve'; INSERT INTO log VALUES ('x')")
    connection.commit()
    shown = {"customers": {"columns": ("id",), "key": ("id",), "rows": [(1,)]}}
    assert mode.observe().data["tables"] == shown
    assert list(mode.observe().data["sequences"]) == ["customers_id_seq"]
    mode.close()


# --- the wrong connection ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO customers (name) VALUES ('eve')",
        "UPDATE customers SET name = name",
        "DELETE FROM customers",
        "TRUNCATE customers CASCADE",
        "CREATE TABLE fresh ()",
    ],
)
def test_a_write_through_another_connection_is_refused(postgres_url: str, statement: str) -> None:
    """Whatever it did, the World ends with an error instead of a rollback that is none."""
    with shop(postgres_url) as dsn, psycopg.connect(dsn, autocommit=True) as other:
        store = Store(dsn, False)
        handle = store.checkpoint("start")
        other.execute(statement)  # type: ignore[call-overload]
        for attempt in (
            store.observe,
            lambda: store.rollback(handle),
        ):
            with pytest.raises(RollbackError, match="does not use the shared connection"):
                attempt()
            other.execute("INSERT INTO log VALUES ('again')")
        store.close()


def test_a_write_that_is_committed_late_is_refused(postgres_url: str) -> None:
    """A transaction that was in progress at one look is remembered until the next."""
    with shop(postgres_url) as dsn, psycopg.connect(dsn) as other:
        store = Store(dsn, False)
        other.execute("INSERT INTO log VALUES ('x')")
        store.observe()
        other.commit()
        with pytest.raises(RollbackError, match="committed changes of log"):
            store.observe()
        store.close()


def test_writes_elsewhere_are_no_concern(
    postgres_url: str, mode: SavepointMode, outside: psycopg.Connection[Any]
) -> None:
    """Another database, a write that was rolled back, reading, and the server's own upkeep."""
    handle = mode.checkpoint("start")
    with servers.postgres_database(postgres_url) as elsewhere:
        with psycopg.connect(elsewhere, autocommit=True) as other:
            other.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        mode.observe()
    with outside.transaction(force_rollback=True):
        outside.execute("INSERT INTO log VALUES ('x')")
    outside.execute("SELECT * FROM customers")
    outside.execute("ANALYZE customers")
    mode.rollback(handle)
    mode.observe()


def test_a_killed_connection_is_named_and_the_next_start_is_clean(
    dsn: str, connection: SharedConnection, mode: SavepointMode, outside: psycopg.Connection[Any]
) -> None:
    """The server ends it, as when it is restarted."""
    handle = mode.checkpoint("start")
    connection.execute("INSERT INTO log VALUES ('x')")
    connection.commit()
    outside.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    for attempt in (mode.observe, lambda: mode.rollback(handle)):
        with pytest.raises(RollbackError, match=r"connection is closed.*SharedConnection\.connect"):
            attempt()
    store = Store(dsn, False)
    assert store.observe().data["tables"]["log"]["rows"] == []
    store.close()


# --- in a World ----------------------------------------------------------------------------------


def test_a_machine_runs_on_savepoints(dsn: str) -> None:
    """Rollbacks in any order, with a refused insert among the steps; the shortest path is found."""
    before = dump(dsn)

    def open_world() -> World:
        store = Store(dsn, True)
        return World(store.application, {"db": store})

    def register(api: SharedConnection, context: Any, name: str) -> int:
        try:
            api.execute("INSERT INTO customers (name) VALUES (%s)", [name])
        except psycopg.errors.UniqueViolation:
            return 409
        return 201

    def order(api: SharedConnection, context: Any) -> None:
        api.execute("INSERT INTO orders (customer, amount) SELECT max(id), 1 FROM customers")

    @invariant()
    def at_most_two_orders_of_bob(world: World) -> bool:
        tables = world.systems["db"].observe().data["tables"]
        bob = [key for key, name in tables["customers"]["rows"] if name == "bob"]
        return len([row for row in tables["orders"]["rows"] if row[1] in bob]) < 2

    names = st.sampled_from(["ada", "bob"])
    actions = [Action("register", register, arguments={"name": names}), Action("order", order)]
    machine = venom_machine(open_world, actions, [at_most_two_orders_of_bob])
    short = settings(database=None, max_examples=50, stateful_step_count=10, derandomize=True)
    with pytest.raises(InvariantViolated):
        run_state_machine_as_test(machine, settings=short)
    (violation,) = machine.last_run.violations
    path = [str(step) for step in violation.reproduction_path]
    assert path == ["register(name='bob')", "order()", "order()"]
    after = dump(dsn)
    assert after["customers"] == before["customers"]
    assert after["orders"] == []
