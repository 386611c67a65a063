"""MySQL and MariaDB: what a second connection finds after a rollback, and what is left behind."""

import datetime
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pymysql
import pytest
import servers

from venomqa_hyp.adapters.mysql import MySQLAdapter, remove_journal
from venomqa_hyp.cli import main
from venomqa_hyp.core.difference import changes
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable

SCHEMA = """
    CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(10,2), note VARCHAR(40));
    CREATE TABLE stock (sku VARCHAR(20) PRIMARY KEY, amount INT);
    CREATE TABLE log (line TEXT)
"""


class Application:
    """A connection of the application's own."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        self._connection = servers.mysql_connect(url, **options)

    def __call__(self, sql: str) -> Any:
        with self._connection.cursor() as cursor:
            for statement in filter(str.strip, sql.split(";\n")):
                self.affected = cursor.execute(statement)
            return cursor.fetchall()

    def close(self) -> None:
        self._connection.close()

    @property
    def id(self) -> int:
        return self._connection.thread_id()


@pytest.fixture
def empty(mysql_url: str) -> Iterator[Application]:
    """A connection to a database that holds nothing."""
    with servers.mysql_database(mysql_url) as url, closing(Application(url)) as application:
        yield application


@pytest.fixture
def application(empty: Application) -> Application:
    """A connection to a database with the tables of the schema."""
    empty(SCHEMA)
    return empty


@pytest.fixture
def adapter(application: Application) -> Iterator[MySQLAdapter]:
    with closing(MySQLAdapter(application.url, lock_timeout=0.2)) as adapter:
        yield adapter


def rows(application: Application, table: str) -> list[Any]:
    return sorted(application(f"SELECT * FROM {table}"), key=repr)


def is_mariadb(application: Application) -> bool:
    return "MariaDB" in application("SELECT VERSION()")[0][0]


# --- the contract --------------------------------------------------------------------------------


def test_the_contract_holds(application: Application) -> None:
    """Insertions, updates and deletions by another connection, in tables with and without key."""

    def insert(_: Any, choices: random.Random) -> None:
        application(f"INSERT INTO orders (total, note) VALUES (1.5, 'n{choices.random()}')")

    def update(_: Any, choices: random.Random) -> None:
        insert(_, choices)
        application("UPDATE orders SET total = total + 1 ORDER BY id DESC LIMIT 2")

    def delete(_: Any, choices: random.Random) -> None:
        insert(_, choices)
        application("DELETE FROM orders ORDER BY id LIMIT 1")

    def replace(_: Any, choices: random.Random) -> None:
        sku = choices.choice("abc")
        application(f"REPLACE INTO stock VALUES ('{sku}', {choices.randrange(10**9)})")

    def log(_: Any, choices: random.Random) -> None:
        application("INSERT INTO log VALUES ('same'), ('same')")
        application("DELETE FROM log LIMIT 1")

    def make() -> MySQLAdapter:
        application("DELETE FROM orders;\nDELETE FROM log;\nALTER TABLE orders AUTO_INCREMENT = 1")
        return MySQLAdapter(application.url)

    check_rollbackable(make, [insert, update, delete, replace, log], operations=40)


def test_dead_handles_are_refused(application: Application, adapter: MySQLAdapter) -> None:
    """Forgotten, or of a closed adapter."""
    forgotten, kept = adapter.checkpoint("a"), adapter.checkpoint("b")
    adapter.forget(forgotten)
    assert not adapter.is_live(forgotten)
    with pytest.raises(RollbackError, match="Take a new checkpoint"):
        adapter.rollback(forgotten)
    adapter.close()
    with pytest.raises(RollbackError, match="closed"):
        adapter.rollback(kept)
    with pytest.raises(SystemUnavailable, match="closed"):
        adapter.observe()


# --- statements of every kind --------------------------------------------------------------------


def test_load_data_is_rolled_back(
    application: Application, adapter: MySQLAdapter, tmp_path: Path
) -> None:
    """It fires triggers like an INSERT."""
    if not application("SELECT @@local_infile")[0][0]:
        pytest.skip("this server has local_infile = OFF, so LOAD DATA LOCAL does nothing")
    file = tmp_path / "stock"
    file.write_text("a\t1\nb\t2\n")
    start = adapter.checkpoint("start")
    with closing(Application(application.url, local_infile=True)) as loading:
        loading(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE stock")
    assert rows(application, "stock") == [("a", 1), ("b", 2)]
    adapter.rollback(start)
    assert rows(application, "stock") == []


def test_the_application_does_not_notice_the_journal(
    application: Application, adapter: MySQLAdapter
) -> None:
    """LAST_INSERT_ID, affected rows and the list of tables are as without it."""
    application("INSERT INTO orders (total) VALUES (1), (2), (3)")
    assert application("SELECT LAST_INSERT_ID(), ROW_COUNT()")[0][0] == 1
    application("UPDATE orders SET total = 5 WHERE id > 1")
    assert application.affected == 2
    assert len(application("SHOW TABLES")) == 3


def test_counters_are_set_back(application: Application, adapter: MySQLAdapter) -> None:
    """Also where a failed or rolled-back statement has used numbers up; it shows."""
    application("INSERT INTO orders (total) VALUES (1)")
    start, before = adapter.checkpoint("start"), adapter.observe()
    application("BEGIN;\nINSERT INTO orders (total) VALUES (2), (3);\nROLLBACK")
    after = adapter.observe()
    assert after != before
    assert after.data["auto_increment"] == {"orders": 4}
    adapter.rollback(start)
    assert adapter.observe() == before
    application("INSERT INTO orders (total) VALUES (2)")
    assert application("SELECT MAX(id) FROM orders") == ((2,),)


def test_rows_ignored_by_update_are_not_journaled(
    application: Application, adapter: MySQLAdapter
) -> None:
    """MariaDB fires the trigger for a row that UPDATE IGNORE left alone."""
    application("INSERT INTO stock VALUES ('a', 1), ('b', 2), ('c', 3)")
    start, before = adapter.checkpoint("start"), adapter.observe()
    application("UPDATE IGNORE stock SET sku = 'b', amount = 9 WHERE sku = 'a'")
    assert adapter.observe() == before
    application("UPDATE stock SET sku = 'C' WHERE sku = 'c'")
    adapter.rollback(start)
    assert rows(application, "stock") == [("a", 1), ("b", 2), ("c", 3)]


def test_many_rows_are_rolled_back(application: Application, adapter: MySQLAdapter) -> None:
    """More than are sent at once, in a table with a key and in one without."""
    application(f"INSERT INTO log VALUES {', '.join(f'({n % 600})' for n in range(1200))}")
    start = adapter.checkpoint("start")
    before = rows(application, "log")
    application(f"INSERT INTO stock VALUES {', '.join(f'({n}, {n})' for n in range(1200))}")
    full = adapter.checkpoint("full")
    application("DELETE FROM stock;\nDELETE FROM log WHERE line > 500")
    adapter.rollback(full)
    assert application("SELECT COUNT(*), SUM(amount) FROM stock") == ((1200, 719400),)
    adapter.rollback(start)
    assert application("SELECT COUNT(*) FROM stock") == ((0,),)
    assert rows(application, "log") == before


def test_long_rows_are_rolled_back_or_refused(empty: Application) -> None:
    """Up to half of what the server takes at once; beyond, the message says what to raise."""
    ((longest,),) = empty("SELECT @@max_allowed_packet")
    empty("CREATE TABLE files (id INT PRIMARY KEY, content LONGBLOB)")
    with closing(MySQLAdapter(empty.url)) as adapter:
        start = adapter.checkpoint("start")
        empty("INSERT INTO files VALUES (1, REPEAT('a', 700000)), (2, REPEAT('b', 700000))")
        two = adapter.checkpoint("two")
        adapter.rollback(start)
        assert empty("SELECT COUNT(*) FROM files") == ((0,),)
        adapter.rollback(two)
        assert empty("SELECT id, content = REPEAT(CHAR(96 + id), 700000) FROM files") == (
            (1, 1),
            (2, 1),
        )
        empty(f"UPDATE files SET content = REPEAT('c', {longest // 2}) WHERE id = 1")
        with pytest.raises(RollbackError, match=r"'files' .* too long.*max_allowed_packet"):
            adapter.observe()


def test_leading_zeros_without_a_key(empty: Application) -> None:
    """Equal rows are told apart by their text; a number with leading zeros has another text."""
    empty("CREATE TABLE log (number INT ZEROFILL, at YEAR, word VARCHAR(5))")
    empty("INSERT INTO log VALUES (7, 0, 'a'), (7, 0, 'A')")
    with closing(MySQLAdapter(empty.url)) as adapter:
        start, before = adapter.checkpoint("start"), rows(empty, "log")
        empty("INSERT INTO log VALUES (7, 0, 'a'), (0, 0, NULL)")
        full, after = adapter.checkpoint("full"), rows(empty, "log")
        for handle, content in ((start, before), (full, after), (start, before)):
            adapter.rollback(handle)
            assert rows(empty, "log") == content


def test_keys_with_generated_columns_find_no_rows(empty: Application) -> None:
    """The next key does, or the whole row; and what refers to such a column is rolled back."""
    key = "UNIQUE" if is_mariadb(empty) else "PRIMARY KEY"
    empty(
        f"CREATE TABLE parent (a INT NOT NULL, k INT AS (a * 2) STORED, b INT, {key} (k));"
        "\nCREATE TABLE twin (a INT NOT NULL, k INT AS (a * 2) STORED, b INT NOT NULL,"
        f" {key} (a, k), UNIQUE (b));"
        "\nCREATE TABLE child (id INT PRIMARY KEY, k INT,"
        " FOREIGN KEY (k) REFERENCES parent (k) ON DELETE CASCADE);"
        "\nINSERT INTO parent (a, b) VALUES (1, 1), (2, 2);"
        "\nINSERT INTO twin (a, b) VALUES (1, 1), (2, 2);"
        "\nINSERT INTO child VALUES (1, 2), (2, 4)"
    )
    tables = ("parent", "twin", "child")
    with closing(MySQLAdapter(empty.url)) as adapter:
        start, before = adapter.checkpoint("start"), [rows(empty, table) for table in tables]
        empty(
            "INSERT INTO parent (a, b) VALUES (3, 3);\nUPDATE parent SET a = a + 10 WHERE a = 3;"
            "\nDELETE FROM parent WHERE a = 1;\nUPDATE twin SET a = a + 10;"
            "\nDELETE FROM twin WHERE b = 1"
        )
        changed, after = adapter.checkpoint("changed"), [rows(empty, table) for table in tables]
        assert after != before
        for handle, expected in ((start, before), (changed, after), (start, before)):
            adapter.rollback(handle)
            assert [rows(empty, table) for table in tables] == expected


@pytest.mark.parametrize(("table", "name"), [("`a ``b'.`", "a `b'."), ("`a b'.é日$`", "a b'.é日$")])
def test_odd_names_work(empty: Application, table: str, name: str) -> None:
    """Spaces, backticks, quotes, dots and letters beyond ASCII, in tables, columns and keys."""
    empty(f"CREATE TABLE {table} (`k ``.` CHAR(3), `w\"'` INT, PRIMARY KEY (`k ``.`))")
    with closing(MySQLAdapter(empty.url)) as adapter:
        start = adapter.checkpoint("start")
        empty(f"INSERT INTO {table} VALUES ('x', 1)")
        seen = adapter.observe().data["tables"][name]
        assert (seen["columns"], seen["rows"]) == (("k `.", "w\"'"), [("x", 1)])
        adapter.rollback(start)
        assert empty(f"SELECT * FROM {table}") == ()


def test_a_name_that_no_trigger_may_have_is_refused(empty: Application) -> None:
    """MySQL cannot store the triggers; MariaDB can."""
    empty("CREATE TABLE `a ``b'.é` (k INT PRIMARY KEY)")
    if is_mariadb(empty):
        MySQLAdapter(empty.url).close()
    else:
        with pytest.raises(SystemUnavailable, match="both a backtick and letters beyond ASCII"):
            MySQLAdapter(empty.url)
    assert empty("SHOW TRIGGERS") == ()


@pytest.mark.parametrize("end", ["_Ab", " é-$日"])
def test_odd_database_names_work(mysql_url: str, end: str) -> None:
    """TRUNCATE is noticed there, and in a database with a similar name it does no harm."""
    parts = urlsplit(mysql_url)
    name = f"{parts.path[1:]}{end}"
    others = {name.replace("_", "x"), name.lower()} - {name}
    with closing(Application(mysql_url, charset="utf8mb4")) as application:
        if application("SELECT @@lower_case_table_names")[0][0]:
            others.discard(name.lower())
        try:
            for database in (name, *others):
                application(f"CREATE DATABASE `{database}`")
                application(f"CREATE TABLE `{database}`.t (id INT)")
            with closing(MySQLAdapter(parts._replace(path=f"/{quote(name)}").geturl())) as adapter:
                start = adapter.checkpoint("start")
                for other in others:
                    application(f"TRUNCATE `{other}`.t")
                adapter.rollback(start)
                application(f"TRUNCATE `{name}`.t")
                with pytest.raises(RollbackError, match="emptied by TRUNCATE"):
                    adapter.rollback(start)
        finally:
            for database in (name, *others):
                application(f"DROP DATABASE IF EXISTS `{database}`")


# --- foreign keys: MySQL fires no trigger for what they do ---------------------------------------

SHOP = """
    CREATE TABLE customers (name VARCHAR(20) PRIMARY KEY);
    CREATE TABLE orders (customer VARCHAR(20), number INT, PRIMARY KEY (customer, number),
        FOREIGN KEY (customer) REFERENCES customers (name) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE lines_ (id INT PRIMARY KEY, customer VARCHAR(20), number INT, FOREIGN KEY
        (customer, number) REFERENCES orders (customer, number)
        ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE visits (id INT PRIMARY KEY, customer VARCHAR(20),
        FOREIGN KEY (customer) REFERENCES customers (name) ON DELETE SET NULL ON UPDATE SET NULL);
    CREATE TABLE comments (id INT PRIMARY KEY, parent INT, line INT,
        FOREIGN KEY (parent) REFERENCES comments (id) ON DELETE CASCADE,
        FOREIGN KEY (line) REFERENCES lines_ (id) ON DELETE CASCADE);
    CREATE TABLE likes (id INT PRIMARY KEY, comment INT,
        FOREIGN KEY (comment) REFERENCES comments (id) ON DELETE CASCADE);
    INSERT INTO customers VALUES ('ann'), ('bob');
    INSERT INTO orders VALUES ('ann', 1), ('ann', 2), ('bob', 1);
    INSERT INTO lines_ VALUES (1, 'ann', 1), (2, 'ann', 2), (3, 'bob', 1), (4, 'ann', 1);
    INSERT INTO visits VALUES (1, 'ann'), (2, 'ann'), (3, NULL), (4, 'bob');
    INSERT INTO comments VALUES (1, NULL, 1), (2, 1, NULL), (3, 2, NULL), (4, 3, 3), (5, NULL, 3);
    INSERT INTO likes VALUES (1, 4), (2, 5), (3, 3)
"""
SHOP_TABLES = ("customers", "orders", "lines_", "visits", "comments", "likes")


CASCADES = {
    "DELETE FROM customers WHERE name = 'ann'": SHOP_TABLES,
    "DELETE FROM customers": SHOP_TABLES,
    "DELETE FROM comments WHERE id = 1": ("comments", "likes"),
    "UPDATE customers SET name = 'amy' WHERE name = 'ann'": SHOP_TABLES[:4],
    "UPDATE customers SET name = 'ANN' WHERE name = 'ann'": SHOP_TABLES[:4],
    "UPDATE orders SET number = number + 5 ORDER BY number DESC": ("lines_", "orders"),
    "DELETE FROM orders WHERE number = 1": ("comments", "likes", "lines_", "orders"),
    "REPLACE INTO customers VALUES ('ann')": SHOP_TABLES[1:],
}


def skip_unless_the_engine_follows_keys(application: Application) -> None:
    """From 9.6 on MySQL follows them elsewhere, and refuses some cascades, or forgets SET NULL."""
    if application("SHOW VARIABLES WHERE Variable_name = 'innodb_native_foreign_keys'") == (
        ("innodb_native_foreign_keys", "OFF"),
    ):
        pytest.skip("without a journal too, this server fails; see innodb_native_foreign_keys")


def test_what_foreign_keys_do_is_rolled_back(empty: Application) -> None:
    """Cascades over several tables, within one table, of keys, and SET NULL; there and back."""
    skip_unless_the_engine_follows_keys(empty)
    empty(SHOP)

    def content() -> dict[str, list[Any]]:
        return {table: rows(empty, table) for table in SHOP_TABLES}

    with closing(MySQLAdapter(empty.url)) as adapter:
        start, before = adapter.checkpoint("start"), content()
        for statement, touched in CASCADES.items():
            empty(statement)
            seen, after = adapter.observe(), content()
            shown = {name for name, table in seen.data["tables"].items() if table["removed"]}
            assert shown == {table for table in SHOP_TABLES if after[table] != before[table]}
            assert shown == set(touched), statement
            changed = adapter.checkpoint("changed")
            adapter.rollback(start)
            assert content() == before, statement
            adapter.rollback(changed)
            assert content() == after, statement
            assert adapter.observe() == seen
            adapter.rollback(start)


def test_random_cascades_are_rolled_back(empty: Application) -> None:
    """Deletions and changes of keys among rows that refer to each other, in a tree of handles."""
    choices = random.Random(0)
    empty(SHOP)
    with closing(MySQLAdapter(empty.url)) as adapter:
        taken = []
        for number in range(40):
            taken.append((adapter.checkpoint(""), {t: rows(empty, t) for t in SHOP_TABLES}))
            name, other = choices.choice(["ann", "bob", "cy"]), f"new{choices.randrange(3)}"
            statement = choices.choice(
                [
                    f"INSERT IGNORE INTO customers VALUES ('{name}'), ('{other}')",
                    f"INSERT IGNORE INTO orders VALUES ('{name}', {choices.randrange(4)})",
                    f"INSERT IGNORE INTO lines_ SELECT {number + 10}, o.* FROM orders o LIMIT 1",
                    f"INSERT IGNORE INTO comments SELECT {number + 10}, c.id, l.id FROM comments c"
                    " JOIN lines_ l LIMIT 1",
                    f"UPDATE IGNORE customers SET name = '{other}' WHERE name = '{name}'",
                    f"DELETE FROM customers WHERE name = '{other}'",
                    f"DELETE FROM comments WHERE id = {choices.randrange(1, 50)}",
                ]
            )
            empty(statement)
            if number % 3 == 0:
                handle, content = choices.choice(taken)
                adapter.rollback(handle)
                assert {table: rows(empty, table) for table in SHOP_TABLES} == content


def test_cascades_in_a_circle_are_refused(empty: Application) -> None:
    """Over several tables they cannot be followed; SET NULL ends a circle."""
    skip_unless_the_engine_follows_keys(empty)
    empty("CREATE TABLE a (id INT PRIMARY KEY, b INT)")
    empty("CREATE TABLE b (id INT PRIMARY KEY, a INT)")
    empty("ALTER TABLE a ADD CONSTRAINT ab FOREIGN KEY (b) REFERENCES b (id) ON DELETE SET NULL")
    empty("ALTER TABLE b ADD CONSTRAINT ba FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE")
    with closing(MySQLAdapter(empty.url)) as adapter:
        empty("INSERT INTO a VALUES (1, NULL), (2, NULL);\nINSERT INTO b VALUES (1, 1);\n")
        empty("UPDATE a SET b = 1")
        start = adapter.checkpoint("start")
        empty("DELETE FROM a WHERE id = 1")
        assert rows(empty, "a") == [(2, None)]
        adapter.rollback(start)
        assert (rows(empty, "a"), rows(empty, "b")) == ([(1, 1), (2, 1)], [(1, 1)])
    empty("ALTER TABLE a DROP FOREIGN KEY ab")
    empty("ALTER TABLE a ADD CONSTRAINT ab FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE")
    with pytest.raises(DefinitionError, match=r"in a circle: a -> b -> a.*DROP FOREIGN KEY ab"):
        MySQLAdapter(empty.url)
    assert empty("SHOW TRIGGERS") == ()


def test_cascade_to_a_table_without_key_is_refused(empty: Application) -> None:
    """Its rows could not be found again; the remedy is a key."""
    empty("CREATE TABLE a (id INT PRIMARY KEY)")
    empty("CREATE TABLE b (a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)")
    with pytest.raises(DefinitionError, match=r"'b' has no primary key.*ALTER TABLE b ADD COLUMN"):
        MySQLAdapter(empty.url)


# --- the application's own triggers --------------------------------------------------------------

TRIGGERS = """
    CREATE TRIGGER first BEFORE INSERT ON stock FOR EACH ROW SET NEW.amount = NEW.amount * 2;
    CREATE TRIGGER second BEFORE INSERT ON stock FOR EACH ROW SET NEW.amount = NEW.amount + 1;
    CREATE TRIGGER noted AFTER INSERT ON stock FOR EACH ROW
        --
        INSERT INTO log -- a blank line of comment comes first
        VALUES (CONCAT('é ', NEW.sku));
    CREATE TRIGGER kept BEFORE DELETE ON stock FOR EACH ROW
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'nothing is ever deleted'
"""


def test_the_applications_triggers_work_but_not_in_a_rollback(application: Application) -> None:
    """In their order; after close() their definition is what it was."""
    application(TRIGGERS)
    about = "TRIGGER_NAME, ACTION_ORDER, ACTION_STATEMENT, DEFINER, SQL_MODE, CHARACTER_SET_CLIENT"
    listed = f"SELECT {about} FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
    before = rows_of = sorted(application(listed))
    with closing(MySQLAdapter(application.url)) as adapter:
        start = adapter.checkpoint("start")
        application("INSERT INTO stock VALUES ('a', 5)")
        full = adapter.checkpoint("full")
        assert rows(application, "stock") == [("a", 11)]
        assert rows(application, "log") == [("é a",)]
        adapter.rollback(start)
        assert rows(application, "stock") == rows(application, "log") == []
        adapter.rollback(full)
        assert rows(application, "stock") == [("a", 11)]
        assert rows(application, "log") == [("é a",)]
        rows_of = sorted(application(listed))
    assert rows_of != before
    assert sorted(application(listed)) == before


@pytest.mark.parametrize(
    "body",
    [
        'SET NEW.line = CONCAT(\'it\'\'s \', "a ""b""")',
        "SET NEW.line = CHARSET(_binary'a' /* why */)",
        "FOLLOWS earlier BEGIN -- why\n SET NEW.line = CONCAT(NEW.line, '\U0001f600'); END",
        "PRECEDES earlier SET NEW.line = '\U0001f600'",
    ],
)
def test_triggers_come_back_as_they_were_written(mysql_url: str, body: str) -> None:
    """What information_schema shows of them creates other ones."""
    with (
        servers.mysql_database(mysql_url) as url,
        closing(Application(url, charset="utf8mb4")) as application,
    ):
        trigger = "BEFORE INSERT ON log FOR EACH ROW"
        application("CREATE TABLE log (line TEXT CHARACTER SET utf8mb4)")
        application(f"CREATE TRIGGER earlier {trigger} SET NEW.line = CONCAT(NEW.line, '.')")
        application(f"CREATE TRIGGER later {trigger} {body}")
        application("INSERT INTO log VALUES ('')")
        with closing(MySQLAdapter(url)):
            application("INSERT INTO log VALUES ('')")
        application("INSERT INTO log VALUES ('')")
        first, *others = application("SELECT HEX(line) FROM log")
        assert others == [first, first]


@pytest.mark.parametrize(
    "clean",
    [remove_journal, lambda url: MySQLAdapter(url).close()],
)
@pytest.mark.filterwarnings("ignore::venomqa_hyp.adapters.recovery.RecoveryWarning")
def test_a_crash_leaves_nothing_that_is_not_cleaned(
    application: Application, clean: Callable[[str], None]
) -> None:
    """The application's triggers come back, and the journal goes; with or without a new run."""
    application(TRIGGERS)
    listed = (
        "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS"
        " WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1"
    )
    databases = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"
    ours = f"{databases} WHERE SCHEMA_NAME LIKE CONCAT(DATABASE(), '%') ORDER BY 1"
    before = application(listed), application(ours)
    crashed = MySQLAdapter(application.url)
    ((number,),) = application(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE()"
        " AND ID <> CONNECTION_ID() ORDER BY ID LIMIT 1"
    )
    with pytest.raises(SystemUnavailable, match="used by another MySQLAdapter"):
        clean(application.url)
    application(f"KILL {number}")
    with pytest.raises(SystemUnavailable, match="cannot be read"):
        crashed.observe()
    assert (application(listed), application(ours)) != before
    clean(application.url)
    assert (application(listed), application(ours)) == before


def test_cleaning_keeps_triggers_that_were_changed_after_a_crash(application: Application) -> None:
    """A migration between two runs has the last word."""
    application(TRIGGERS)
    crashed = MySQLAdapter(application.url)
    application(
        "DROP TRIGGER kept;\nDROP TRIGGER noted;\nCREATE TRIGGER noted AFTER INSERT ON stock"
        " FOR EACH ROW INSERT INTO log VALUES ('new')"
    )
    crashed.close()
    application("INSERT INTO stock VALUES ('a', 5);\nDELETE FROM stock WHERE amount = 11")
    assert (rows(application, "stock"), rows(application, "log")) == ([], [("new",)])


def test_a_second_adapter_is_refused(application: Application, adapter: MySQLAdapter) -> None:
    """Each would roll back what the other does."""
    with pytest.raises(SystemUnavailable, match="used by another MySQLAdapter"):
        MySQLAdapter(application.url)
    start = adapter.checkpoint("start")
    application("INSERT INTO log VALUES ('a')")
    adapter.rollback(start)
    assert rows(application, "log") == []


# --- transactions and locks of the application ---------------------------------------------------


def test_open_write_is_waited_for_and_refused(
    application: Application, adapter: MySQLAdapter
) -> None:
    """The message says which connection, and for how long it was waited."""
    start = adapter.checkpoint("start")
    application("BEGIN;\nINSERT INTO log VALUES ('a')")
    for attempt in (adapter.observe, lambda: adapter.checkpoint("x")):
        with pytest.raises(
            RollbackError, match=rf"lock_timeout=0\.2 s: connection {application.id} "
        ):
            attempt()
    application("COMMIT")
    assert adapter.observe().data["tables"]["log"]["rows"] == [("a",)]
    adapter.rollback(start)
    assert rows(application, "log") == []


def test_concurrent_writers_are_rolled_back(
    application: Application, adapter: MySQLAdapter
) -> None:
    """Whatever the order in which their transactions were interleaved, or deadlocked."""
    application("INSERT INTO stock VALUES ('a', 0), ('b', 0), ('c', 0)")
    start, before = adapter.checkpoint("start"), rows(application, "stock")

    def work(seed: int) -> None:
        choices = random.Random(seed)
        with closing(Application(application.url)) as worker:
            for _ in range(30):
                sku, other = choices.sample("abcde", 2)
                with suppress(pymysql.MySQLError):
                    worker(f"BEGIN;\nUPDATE stock SET amount = amount + 1 WHERE sku = '{sku}'")
                    worker(f"REPLACE INTO stock VALUES ('{other}', {choices.randrange(99)})")
                    worker(f"INSERT INTO log VALUES ('{sku}');\nDELETE FROM log LIMIT 1;\nCOMMIT")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    changed, after = adapter.checkpoint("changed"), rows(application, "stock")
    adapter.rollback(start)
    assert (rows(application, "stock"), rows(application, "log")) == (before, [])
    adapter.rollback(changed)
    assert rows(application, "stock") == after


def test_old_snapshot_is_refused(application: Application, adapter: MySQLAdapter) -> None:
    """A REPEATABLE READ transaction would not see the rollback."""
    start = adapter.checkpoint("start")
    with closing(Application(application.url)) as other:
        other("INSERT INTO log VALUES ('a')")
        application("BEGIN;\nSELECT * FROM log")
        with pytest.raises(RollbackError, match=rf"connection {application.id} .*READ COMMITTED"):
            adapter.rollback(start)
        application("COMMIT;\nSET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        application("BEGIN;\nSELECT * FROM log")
        adapter.rollback(start)
        assert rows(application, "log") == []
        application("COMMIT")


def test_old_snapshot_of_another_database_is_none_of_ours(
    application: Application, adapter: MySQLAdapter, mysql_url: str
) -> None:
    """Also where it is older than what is rolled back."""
    with closing(Application(mysql_url)) as other:
        other("BEGIN;\nSELECT * FROM mysql.user")
        start = adapter.checkpoint("start")
        application("INSERT INTO log VALUES ('a')")
        adapter.rollback(start)
        assert rows(application, "log") == []


def test_lock_is_refused_with_its_holder(application: Application, adapter: MySQLAdapter) -> None:
    """SELECT FOR UPDATE of a row that the rollback has to change; in time it succeeds."""
    application("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    application("INSERT INTO stock VALUES ('a', 1)")
    start = adapter.checkpoint("start")
    application("UPDATE stock SET amount = 2;\nBEGIN;\nSELECT * FROM stock FOR UPDATE")
    with pytest.raises(RollbackError, match=rf"holds a lock.* connection {application.id} "):
        adapter.rollback(start)
    application("COMMIT")
    adapter.rollback(start)
    assert rows(application, "stock") == [("a", 1)]


# --- what a rollback cannot undo -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("TRUNCATE orders", r"table orders was emptied by TRUNCATE.*DELETE FROM"),
        ("ALTER TABLE orders ADD COLUMN more INT", "column more of table orders: new.*migrations"),
        ("ALTER TABLE orders MODIFY note VARCHAR(50)", "column note of table orders: changed"),
        ("CREATE TABLE more (id INT)", r"\(table more: new\)"),
        ("DROP TABLE log", r"\(table log: gone\)"),
        (
            "CREATE TRIGGER more AFTER INSERT ON log FOR EACH ROW SET @a = 1",
            "trigger more of table log: new",
        ),
        (
            "DROP TRIGGER venomqa_1_after_insert",
            "trigger venomqa_1_after_insert of table log: gone",
        ),
    ],
)
def test_changed_schema_is_refused(
    application: Application, adapter: MySQLAdapter, statement: str, words: str
) -> None:
    """At the next look, with what was changed and what to do instead."""
    start = adapter.checkpoint("start")
    application("INSERT INTO orders (total) VALUES (1)")
    application(statement)
    with pytest.raises(RollbackError, match=words):
        adapter.observe()
    with pytest.raises(RollbackError, match=words):
        adapter.rollback(start)


def test_schema_of_others_may_change(application: Application, adapter: MySQLAdapter) -> None:
    """Temporary tables, and tables of other databases."""
    before = adapter.observe()
    application("CREATE TEMPORARY TABLE mine (id INT);\nDROP TEMPORARY TABLE mine")
    with servers.mysql_database(application.url) as url, closing(Application(url)) as other:
        other(SCHEMA)
        assert adapter.observe() == before


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("CREATE TABLE bad (id INT) ENGINE=MyISAM", r"MyISAM.*ALTER TABLE bad ENGINE=InnoDB"),
        ("CREATE TABLE bad (id INT) WITH SYSTEM VERSIONING", "DROP SYSTEM VERSIONING"),
        ("CREATE SEQUENCE bad", "'bad' is a SEQUENCE"),
    ],
)
def test_tables_that_cannot_roll_back_are_refused(
    empty: Application, table: str, words: str
) -> None:
    """By name, with the statement that helps; nothing is left behind."""
    if "MyISAM" not in table and not is_mariadb(empty):
        pytest.skip("only MariaDB has such tables")
    empty(table)
    with pytest.raises(DefinitionError, match=words):
        MySQLAdapter(empty.url)
    assert empty("SHOW TRIGGERS") == ()


# --- observation ---------------------------------------------------------------------------------


def test_observation_shows_what_differs(application: Application) -> None:
    """Python values, keys, counters, and reports of what a step changed."""
    application("INSERT INTO orders (total, note) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    with closing(MySQLAdapter(application.url)) as adapter:
        before = adapter.observe()
        application("DELETE FROM orders WHERE id = 1;\nUPDATE orders SET total = 9 WHERE id = 2")
        after = adapter.observe()
    table = after.data["tables"]["orders"]
    assert (table["columns"], table["key"]) == (("id", "total", "note"), ("id",))
    assert table["rows"] == [(2, Decimal("9.00"), "b")]
    assert table["removed"] == [(1, Decimal("1.00"), "a"), (2, Decimal("2.00"), "b")]
    assert table["base"].startswith("3 rows, ")
    assert after.data["auto_increment"] == {"orders": 4}
    (shown,) = changes(before, after)
    assert [row.key for row in shown.removed] == [(1,)]
    assert [(row.key, row.columns) for row in shown.changed] == [((2,), ("total",))]


def test_values_are_python_values(empty: Application) -> None:
    """Numbers, dates, bytes; text as text whatever its character set."""
    empty(
        "CREATE TABLE t (id INT PRIMARY KEY, f FLOAT, b BIT(3), l VARCHAR(9) CHARACTER SET latin1,"
        " u VARCHAR(9) CHARACTER SET utf16, e ENUM('x','é'), d DATE, m DATETIME(3), z TIMESTAMP,"
        " v VARBINARY(3), n INT, t TIME, g INT AS (id + 1))"
    )
    with closing(MySQLAdapter(empty.url)) as adapter:
        empty("SET time_zone = '+02:00', sql_mode = ''")
        empty(
            "INSERT INTO t (id, f, b, l, u, e, d, m, z, v, t) VALUES (1, 0.1, 5, 'é€', 'é', 'é',"
            " '2024-02-00', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05', X'00ff', '-1:00:00')"
        )
        table = adapter.observe().data["tables"]["t"]
    assert table["columns"] == ("id", "f", "b", "l", "u", "e", "d", "m", "z", "v", "n", "t")
    (row,) = table["rows"]
    assert row[:7] == (1, 0.10000000149011612, 5, "é€", "é", "é", "2024-02-00")
    assert row[7:9] == (
        datetime.datetime(2024, 1, 2, 3, 4, 5, 678000),
        datetime.datetime(2024, 1, 2, 1, 4, 5),
    )
    assert row[9:] == (b"\x00\xff", None, "-01:00:00")


def test_what_is_not_observed_is_rolled_back(application: Application) -> None:
    """Other tables and ignored columns."""
    with closing(
        MySQLAdapter(application.url, observe_tables=["orders"], ignore_columns=["orders.note"])
    ) as adapter:
        application("INSERT INTO orders (total, note) VALUES (1, 'a')")
        start, before = adapter.checkpoint("start"), adapter.observe()
        application("UPDATE orders SET note = 'b';\nINSERT INTO log VALUES ('x')")
        assert adapter.observe() == before
        assert before.data["tables"]["orders"]["columns"] == ("id", "total")
        assert before.metadata["tables_left_out"] == ["log", "stock"]
        adapter.rollback(start)
        assert application("SELECT note FROM orders") == (("a",),)
        assert rows(application, "log") == []


def test_observation_queries(application: Application, adapter: MySQLAdapter) -> None:
    """Their rows count; bad ones are refused at once."""
    adapter.add_observation_query("sum", "SELECT SUM(total) AS total FROM orders;")
    before = adapter.observe()
    application("INSERT INTO orders (total) VALUES (2), (3)")
    after = adapter.observe()
    assert after.data["queries"]["sum"] == {"columns": ("total",), "rows": [(Decimal("5.00"),)]}
    assert before.data["queries"]["sum"]["rows"] == [(None,)]
    for sql, words in {
        "SELECT missing FROM orders": "missing",
        "DELETE FROM orders": "READ ONLY|read only",
        "SET @a = 1": "Write a SELECT",
        "SELECT 1; SELECT 2": "not one statement",
    }.items():
        with pytest.raises(DefinitionError, match=words):
            adapter.add_observation_query("bad", sql)
    with pytest.raises(DefinitionError, match="already"):
        adapter.add_observation_query("sum", "SELECT 1")
    assert adapter.observe() == after


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://root:secret@127.0.0.1/shop_test", "scheme is 'postgresql'"),
        ("mysql://root:secret@127.0.0.1/", "where the one database stands"),
        ("mysql://root:secret@127.0.0.1/shop_test?pool=3", r"\['pool'\]"),
        ("mysql://root:secret@10.1.2.3/shop_test", r"server is 10\.1\.2\.3, not this machine"),
        ("mysql://root:secret@127.0.0.1/shop", "not marked for tests"),
        ("mysql://root:secret@localhost/prod_test", "has the word 'prod'"),
    ],
)
def test_bad_urls_are_refused(url: str, words: str) -> None:
    """Before anything is connected to; the password is never shown."""
    with pytest.raises(DefinitionError, match=words) as caught:
        MySQLAdapter(url)
    assert "secret" not in str(caught.value)


def test_modes_and_sources_that_are_not_there_say_what_to_write(application: Application) -> None:
    """The journal is the only mode, and needs the URL."""
    with pytest.raises(DefinitionError, match="leave mode out"):
        MySQLAdapter(application.url, mode="savepoint")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="mode='copy' is none of 'auto', 'journal'"):
        MySQLAdapter(application.url, mode="copy")  # type: ignore[arg-type]
    with (
        closing(servers.mysql_connect(application.url)) as connection,
        pytest.raises(DefinitionError, match="got a Connection: pass the URL"),
    ):
        MySQLAdapter(connection)
    with closing(MySQLAdapter(application.url, mode="journal")) as adapter:
        assert adapter.mode == "journal"


def test_permission_names_the_database(empty: Application) -> None:
    """Another name than the URL's is refused; the right one permits."""
    name = empty("SELECT DATABASE()")[0][0]
    with pytest.raises(DefinitionError, match=f"allow_destructive={name!r}"):
        MySQLAdapter(empty.url, allow_destructive="other")
    MySQLAdapter(empty.url, allow_destructive=name).close()


def test_server_out_of_reach_is_refused() -> None:
    """With the address and the form of a URL."""
    with pytest.raises(SystemUnavailable, match=r"cannot be reached.*correct the URL"):
        MySQLAdapter("mysql://root:secret@127.0.0.1:1/shop_test")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"observe_tables": ["nothing"]}, r"observe_tables names \['nothing'\]"),
        ({"ignore_columns": ["nothing"]}, r"ignore_columns names \['nothing'\]"),
        ({"observe_tables": "orders"}, r"must be a list: \['orders'\]"),
    ],
)
def test_unknown_names_are_refused(
    application: Application, argument: dict[str, Any], words: str
) -> None:
    """The message lists those there are, and nothing is left behind."""
    with pytest.raises(DefinitionError, match=words):
        MySQLAdapter(application.url, **argument)
    assert application("SHOW TRIGGERS") == ()


def test_missing_privilege_names_the_grant(application: Application, mysql_url: str) -> None:
    """A user who may not create the journal's database, then one who may not see the engine's."""
    name = application("SELECT DATABASE()")[0][0]
    user = f"{name[:20]}'@'127.0.0.1"
    application(f"CREATE USER '{user}'")
    try:
        application(f"GRANT ALL ON `{name}`.* TO '{user}'")
        url = application.url.replace("//root@", f"//{name[:20]}@")
        with pytest.raises(SystemUnavailable, match=rf"GRANT ALL ON `{name}_venomqa_journal`"):
            MySQLAdapter(url)
        application(f"GRANT ALL ON `{name}_venomqa_journal`.* TO '{user}'")
        if application("SELECT @@log_bin AND NOT @@log_bin_trust_function_creators")[0][0]:
            with pytest.raises(SystemUnavailable, match="log_bin_trust_function_creators = 1"):
                MySQLAdapter(url)
            application(f"GRANT SUPER ON *.* TO '{user}'")
        with pytest.raises(SystemUnavailable, match="GRANT PROCESS"):
            MySQLAdapter(url)
        application(f"GRANT PROCESS ON *.* TO '{user}'")
        MySQLAdapter(url).close()
    finally:
        application(f"DROP USER '{user}'")
    assert application("SHOW TRIGGERS") == ()


def test_a_trigger_that_could_not_be_put_back_is_not_taken(application: Application) -> None:
    """Of another definer, for which a user needs a right of its own."""
    application(TRIGGERS)
    name = application("SELECT DATABASE()")[0][0]
    user = f"{name[:20]}'@'127.0.0.1"
    before = application("SHOW TRIGGERS")
    application(f"CREATE USER '{user}'")
    try:
        for right in (f"ALL ON `{name}`.*", f"ALL ON `{name}_venomqa_journal`.*", "PROCESS ON *.*"):
            application(f"GRANT {right} TO '{user}'")
        url = application.url.replace("//root@", f"//{name[:20]}@")
        with pytest.raises(SystemUnavailable, match=r"SUPER|log_bin_trust_function_creators"):
            MySQLAdapter(url)
        assert application("SHOW TRIGGERS") == before
        assert application(f"SHOW DATABASES LIKE '{name}_venomqa%'") == ()
        rights = "SUPER" if is_mariadb(application) else "SUPER, SYSTEM_USER"
        application(f"GRANT {rights} ON *.* TO '{user}'")
        MySQLAdapter(url).close()
    finally:
        application(f"DROP USER '{user}'")
    assert len(application("SHOW TRIGGERS")) == len(before)


def test_the_command_line_removes_what_is_left(
    application: Application, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing is left, that is no error."""
    assert main(["clean", application.url]) == 0
    assert "nothing was left behind" in capsys.readouterr().out
