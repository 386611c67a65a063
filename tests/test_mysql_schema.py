"""MySQL and MariaDB: every statement that changes the schema is noticed, and nothing else is."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
import servers

from venomqa_hyp.adapters.mysql import MySQLAdapter, remove_journal
from venomqa_hyp.errors import RollbackError

SCHEMA = (
    "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(10,2),"
    " note VARCHAR(40), KEY noted (note))",
    "CREATE TABLE lines_ (id INT PRIMARY KEY, order_id INT, KEY (order_id),"
    " CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id))",
    "CREATE TABLE stock (sku VARCHAR(20) PRIMARY KEY, amount INT)",
    "CREATE TABLE log (line TEXT)",
    "CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY RANGE (id)"
    " (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
    "CREATE VIEW seen AS SELECT 1 AS id",
    "CREATE PROCEDURE tidy() DELETE FROM log",
    "CREATE PROCEDURE migrate() CREATE INDEX total_at ON orders (total)",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM log",
    "CREATE TRIGGER rounded BEFORE INSERT ON stock FOR EACH ROW SET NEW.amount = NEW.amount + 1",
    "INSERT INTO parted VALUES (1), (11)",
)


class Application:
    """A connection of the application's own, to a database with the schema, and a user."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.user = f"{urlsplit(url).path[1:][:26]}_u"
        self._connection = servers.mysql_connect(url)
        self._database = urlsplit(url).path[1:].replace("_", r"\_")
        self.is_mariadb = "MariaDB" in self._connection.get_server_info()

    def __call__(self, *statements: str) -> Any:
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(self.filled(statement))
            return cursor.fetchall()

    def filled(self, statement: str) -> str:
        """Return a statement with the names of the user and the database in it."""
        return statement.replace("somebody", self.user).replace("this_database", self._database)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def opened(server: str) -> Iterator[tuple[Application, MySQLAdapter]]:
    with servers.mysql_database(server) as url, closing(Application(url)) as application:
        application(*SCHEMA, "CREATE USER somebody", "SET foreign_key_checks = 0")
        try:
            with closing(MySQLAdapter(url)) as adapter:
                yield application, adapter
        finally:
            application("DROP USER somebody")


@pytest.fixture
def fresh(mysql_url: str) -> Iterator[tuple[Application, MySQLAdapter]]:
    with opened(mysql_url) as both:
        yield both


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Application, MySQLAdapter]]:
    """One adapter for many statements, each of which is undone."""
    try:
        with servers.mysql_server() as server, opened(server) as both:
            yield both
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))


INDEX = "index total_at of table orders: new"
#: Statement, what the error says of it, and the statement that undoes it.
UNDONE = (
    ("CREATE INDEX total_at ON orders (total)", INDEX, "DROP INDEX total_at ON orders"),
    ("CALL migrate()", INDEX, "DROP INDEX total_at ON orders"),
    ("PREPARE p FROM 'CREATE INDEX total_at ON orders (total)';EXECUTE p", INDEX,
     "DROP INDEX total_at ON orders"),
    ("DROP INDEX noted ON orders", "index noted of table orders: gone",
     "CREATE INDEX noted ON orders (note)"),
    ("ALTER TABLE orders DROP INDEX noted, ADD INDEX noted (note(3))",
     "index noted of table orders: changed",
     "ALTER TABLE orders DROP INDEX noted, ADD INDEX noted (note)"),
    ("ALTER TABLE orders ADD UNIQUE one (note)", "index one of table orders: new",
     "ALTER TABLE orders DROP INDEX one"),
    ("ALTER TABLE orders COMMENT 'x'", "table orders: changed", "ALTER TABLE orders COMMENT ''"),
    ("ALTER TABLE orders STATS_PERSISTENT=0", "table orders: changed",
     "ALTER TABLE orders STATS_PERSISTENT=DEFAULT"),
    ("ALTER TABLE orders ALTER note SET DEFAULT 'x'", "column note of table orders: changed",
     "ALTER TABLE orders ALTER note SET DEFAULT NULL"),
    ("ALTER TABLE orders MODIFY note VARCHAR(40) COMMENT 'x'",
     "column note of table orders: changed", "ALTER TABLE orders MODIFY note VARCHAR(40)"),
    ("ALTER TABLE lines_ DROP FOREIGN KEY of_order", "foreign key of_order of table lines_: gone",
     "ALTER TABLE lines_ ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id)"),
    ("RENAME TABLE log TO logs", "table log: gone; table logs: new", "RENAME TABLE logs TO log"),
    ("CREATE TABLE more (id INT)", r"\(table more: new\)", "DROP TABLE more"),
    ("CREATE TABLE more LIKE orders", r"\(table more: new\)", "DROP TABLE more"),
    ("ALTER TABLE parted ADD PARTITION (PARTITION p2 VALUES LESS THAN (30))",
     "partition p2 of table parted: new", "ALTER TABLE parted DROP PARTITION p2"),
    ("CREATE VIEW more AS SELECT 1", "view more: new", "DROP VIEW more"),
    ("ALTER VIEW seen AS SELECT 2 AS id", "view seen: changed",
     "ALTER VIEW seen AS SELECT 1 AS id"),
    ("CREATE PROCEDURE more(a INT) SELECT 1", "procedure more: new", "DROP PROCEDURE more"),
    ("ALTER PROCEDURE tidy COMMENT 'x'", "procedure tidy: changed",
     "ALTER PROCEDURE tidy COMMENT ''"),
    ("DROP PROCEDURE tidy;CREATE PROCEDURE tidy() DELETE FROM stock", "procedure tidy: changed",
     "DROP PROCEDURE tidy;CREATE PROCEDURE tidy() DELETE FROM log"),
    ("DROP PROCEDURE tidy", "procedure tidy: gone", "CREATE PROCEDURE tidy() DELETE FROM log"),
    ("CREATE FUNCTION more() RETURNS INT DETERMINISTIC RETURN 1", "function more: new",
     "DROP FUNCTION more"),
    ("CREATE EVENT more ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1", "event more: new",
     "DROP EVENT more"),
    ("ALTER EVENT nightly COMMENT 'x'", "event nightly: changed", "ALTER EVENT nightly COMMENT ''"),
    ("CREATE TRIGGER more AFTER INSERT ON log FOR EACH ROW SET @a = 1",
     "trigger more of table log: new", "DROP TRIGGER more"),
    ("GRANT SELECT ON log TO somebody", "privileges of 'somebody'@'%' on log: new",
     "REVOKE SELECT ON log FROM somebody"),
    ("GRANT SELECT (id) ON orders TO somebody", "privileges of 'somebody'@'%' on orders: new",
     "REVOKE SELECT (id) ON orders FROM somebody"),
    ("GRANT ALL ON `this_database`.* TO somebody", "privileges of 'somebody'@'%': new",
     "REVOKE ALL ON `this_database`.* FROM somebody"),
    ("GRANT EXECUTE ON PROCEDURE tidy TO somebody", "privileges of 'somebody'@'%' on tidy: new",
     "REVOKE EXECUTE ON PROCEDURE tidy FROM somebody"),
    ("ALTER DATABASE CHARACTER SET latin1", "the database: changed",
     "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE this_collation"),
    ("ALTER TABLE stock ADD CONSTRAINT positive CHECK (amount >= 0)",
     "check positive of table stock: new", None),
    ("ALTER TABLE log DEFAULT CHARACTER SET latin1", "table log: changed", None),
    ("ALTER TABLE orders RENAME COLUMN note TO notes", "column note of table orders: gone", None),
    ("CREATE SEQUENCE more", "sequence more: new", "DROP SEQUENCE more"),
    ("ALTER TABLE orders ALTER INDEX noted IGNORED", "index noted of table orders: changed",
     "ALTER TABLE orders ALTER INDEX noted NOT IGNORED"),
    ("ALTER TABLE parted TRUNCATE PARTITION p0", "table parted was emptied by TRUNCATE", None),
    ("TRUNCATE stock", "table stock was emptied by TRUNCATE", None),
    ("ALTER TABLE stock FORCE", "table stock was emptied by TRUNCATE, or rebuilt", None),
    ("DROP TRIGGER rounded", "trigger rounded of table stock: gone", None),
    ("DROP TABLE log", r"\(table log: gone\)", None),
)  # fmt: skip


@pytest.mark.parametrize(("statements", "words", "undo"), UNDONE, ids=[each[0] for each in UNDONE])
def test_a_changed_schema_is_refused_by_name(
    request: pytest.FixtureRequest, statements: str, words: str, undo: str | None
) -> None:
    """At each look, until it is undone."""
    fixture = "shared" if undo else "fresh"
    application, adapter = request.getfixturevalue(fixture)
    if not application.is_mariadb and ("SEQUENCE" in statements or "IGNORED" in statements):
        pytest.skip("only MariaDB has that")
    ((collation,),) = application("SELECT @@collation_database")
    start = adapter.checkpoint("start")
    application("INSERT INTO orders (total) VALUES (1)")
    try:
        application(*statements.split(";"))
        for attempt in (adapter.observe, lambda: adapter.rollback(start)):
            with pytest.raises(RollbackError, match=application.filled(words)):
                attempt()
    finally:
        if undo:
            application(*undo.replace("this_collation", collation).split(";"))
    if undo:
        adapter.rollback(start)
        assert application("SELECT COUNT(*) FROM orders") == ((0,),)


ALLOWED = (
    "ANALYZE TABLE orders",
    "CHECK TABLE orders",
    "REPAIR TABLE orders",
    "FLUSH TABLES",
    "FLUSH STATUS",
    "FLUSH PRIVILEGES",
    "LOCK TABLES orders WRITE;UNLOCK TABLES",
    "CREATE TEMPORARY TABLE mine (id INT);CREATE INDEX i ON mine (id);ALTER TABLE mine ADD j INT;"
    "TRUNCATE mine;DROP TEMPORARY TABLE mine",
    "CREATE INDEX i ON orders (total);DROP INDEX i ON orders",
    "CREATE OR REPLACE VIEW seen AS SELECT 1 AS id",
    "ALTER TABLE orders AUTO_INCREMENT = 100",
    "CREATE USER somebody2;DROP USER somebody2",
)


@pytest.mark.parametrize("statements", ALLOWED)
def test_what_leaves_the_schema_alone_is_allowed(
    shared: tuple[Application, MySQLAdapter], statements: str
) -> None:
    """It is rolled back, as far as there is something."""
    application, adapter = shared
    start = adapter.checkpoint("start")
    application(*statements.split(";"))
    application("INSERT INTO orders (total) VALUES (1)")
    adapter.observe()
    adapter.rollback(start)
    assert application("SELECT COUNT(*) FROM orders") == ((0,),)
    application("INSERT INTO orders (total) VALUES (1)")
    assert application("SELECT id FROM orders") == ((1,),)
    adapter.rollback(start)


def test_a_neighbour_may_change_its_schema(shared: tuple[Application, MySQLAdapter]) -> None:
    """Whatever it changes, one kind at a time and all at once."""
    application, adapter = shared
    before = adapter.observe()
    with servers.mysql_database(application.url) as url, closing(Application(url)) as other:
        name = f"`{urlsplit(url).path[1:]}`"
        grants = (f"GRANT ALL ON {name}.* TO {application.user}",)
        for statement in (*SCHEMA, *grants, "TRUNCATE log", "OPTIMIZE TABLE log", "DROP TABLE log"):
            other(statement)
            assert adapter.observe() == before
        other("CREATE INDEX i ON orders (total)", "DROP VIEW seen", "DROP EVENT nightly")
        assert adapter.observe() == before
    assert adapter.observe() == before


def test_an_optimised_table_is_rolled_back_also_after_a_kill(mysql_url: str) -> None:
    """It is in another file then, but holds what it held; else only TRUNCATE and the like do so.

    Which statement it was is known where no other database had one meanwhile.
    """
    with servers.mysql_database(mysql_url) as url, closing(Application(url)) as application:
        application(*SCHEMA)
        for _ in range(5):
            adapter = MySQLAdapter(url)
            adapter.observe()
            application("INSERT INTO stock VALUES ('a', 1)", "OPTIMIZE TABLE stock")
            try:
                adapter.observe()
            except RollbackError:
                adapter.close()
                application("DELETE FROM stock")
                continue
            ((number,),) = application(
                "SELECT ID FROM information_schema.PROCESSLIST"
                " WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
            )
            application(f"KILL {number}")
            assert "1 row was" in str(remove_journal(url))
            assert application("SELECT * FROM stock") == ()
            return
        pytest.skip("other databases of the server were changed all the time")


def test_a_statement_that_is_still_executed_is_not_overlooked(
    fresh: tuple[Application, MySQLAdapter],
) -> None:
    """The server counts it when it begins, and it waits for a lock before it changes anything."""
    application, adapter = fresh
    application("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN")
    application("SELECT * FROM stock")

    def migrate() -> None:
        with closing(Application(application.url)) as other:
            other("CREATE INDEX amounts ON stock (amount)")

    migration = threading.Thread(target=migrate)
    migration.start()
    try:
        while not application(
            "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting%metadata lock'"
            " AND INFO LIKE 'CREATE INDEX amounts%' AND DB = DATABASE()"
        ):
            pass
        adapter.observe()
    finally:
        application("COMMIT")
        migration.join()
    with pytest.raises(RollbackError, match="index amounts of table stock: new"):
        adapter.observe()


def test_a_step_without_such_statements_costs_no_look(
    fresh: tuple[Application, MySQLAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the server's counts are asked for; a rollback's own ALTER TABLE is none."""
    application, adapter = fresh
    start = adapter.checkpoint("start")
    looks: list[str] = []
    send = pymysql.cursors.Cursor.execute

    def noted(cursor: Any, sql: Any, *rest: Any) -> Any:
        looks.extend(["look"] if b"CHECK_CONSTRAINTS" in bytes(str(sql), "utf-8") else [])
        return send(cursor, sql, *rest)

    monkeypatch.setattr(pymysql.cursors.Cursor, "execute", noted)
    quiet = 0
    for _ in range(20):
        application("INSERT INTO orders (total) VALUES (1)")
        adapter.observe()
        adapter.rollback(start)
        quiet += not looks
        looks.clear()
    # Other tests may use the server at the same time.
    assert quiet > 0
