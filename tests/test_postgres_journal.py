"""PostgreSQL in mode journal: what another process commits is rolled back exactly."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from postgres_database import Database

from venomqa_hyp.adapters.postgres import PostgresAdapter
from venomqa_hyp.testing import check_rollbackable


@pytest.fixture
def db(module_database: Database) -> Iterator[Database]:
    module_database.clear()
    yield module_database
    if module_database.app.closed:
        module_database.app = module_database.connect()


Adapter = Callable[..., PostgresAdapter]


@pytest.fixture
def adapter(db: Database) -> Iterator[Adapter]:
    opened: list[PostgresAdapter] = []

    def make(**options: Any) -> PostgresAdapter:
        opened.append(PostgresAdapter(db.url, mode="journal", **options))
        return opened[-1]

    yield make
    for system in opened:
        system.close()


def insert(db: Database) -> Callable[[Any, random.Random], None]:
    return lambda _, choose: db.execute(
        f"INSERT INTO orders (total, note) VALUES ({choose.randrange(100)}, 'new')"
    )


def test_it_keeps_the_contract(db: Database) -> None:
    db.execute("CREATE TABLE orders (id serial PRIMARY KEY, total int, note text)")
    db.execute("CREATE TABLE lines (line text)")

    def update(_: Any, choose: random.Random) -> None:
        db.execute(f"UPDATE orders SET total = total + 1, note = '{choose.random()}'")
        db.execute(f"INSERT INTO orders (total) VALUES ({choose.randrange(9)})")

    def delete(_: Any, choose: random.Random) -> None:
        db.execute("DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)")
        db.execute("INSERT INTO lines VALUES ('same'), ('same')")

    def truncate(_: Any, choose: random.Random) -> None:
        db.execute("TRUNCATE lines", "TRUNCATE orders RESTART IDENTITY CASCADE")
        db.execute(f"INSERT INTO orders (total) VALUES ({choose.random()})")

    def make() -> PostgresAdapter:
        db.execute("TRUNCATE lines", "TRUNCATE orders RESTART IDENTITY CASCADE")
        return PostgresAdapter(db.url, mode="journal")

    check_rollbackable(make, [insert(db), update, delete, truncate], operations=120)


def goes_back_and_forth(db: Database, adapter: Adapter, *changes_: str) -> PostgresAdapter:
    """Check that each statement is undone and redone; return the adapter at the beginning."""
    system = adapter()
    moments = [(system.checkpoint("start"), db.dump(), system.observe().digest)]
    for change in changes_:
        db.execute(change)
        moments.append((system.checkpoint(change), db.dump(), system.observe().digest))
        assert moments[-1][1:] != moments[-2][1:], f"no change: {change}"
    order = [0, *range(len(moments)), *reversed(range(len(moments)))]
    for handle, content, digest in map(moments.__getitem__, order):
        system.rollback(handle)
        assert db.dump() == content
        assert system.observe().digest == digest
    return system


ORDERS = "CREATE TABLE orders (id serial PRIMARY KEY, total int, note text)"
THREE = "INSERT INTO orders (total) VALUES (1), (2), (3)"

FEATURES: dict[str, tuple[list[str], list[str]]] = {
    "statements": (
        [ORDERS, THREE],
        [
            "INSERT INTO orders (total) SELECT i FROM generate_series(1, 50) AS i",
            "UPDATE orders SET total = total * 10 WHERE id > 2",
            "DELETE FROM orders WHERE id IN (1, 5)",
            "UPDATE orders SET id = id + 1000",
        ],
    ),
    "on conflict": (
        [ORDERS, THREE],
        [
            "INSERT INTO orders VALUES (1, 9), (70, 9) "
            "ON CONFLICT (id) DO UPDATE SET total = excluded.total"
        ],
    ),
    "merge": (
        [ORDERS, THREE],
        [
            "MERGE INTO orders USING (VALUES (1), (2), (80)) AS v (id) ON orders.id = v.id "
            "WHEN MATCHED AND v.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET total = 99 "
            "WHEN NOT MATCHED THEN INSERT (id, total) VALUES (v.id, 0)"
        ],
    ),
    "writing common table expressions": (
        [ORDERS, THREE],
        [
            "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING *), "
            "changed AS (UPDATE orders SET total = 7 WHERE id = 2) "
            "INSERT INTO orders (total) SELECT total FROM gone"
        ],
    ),
    "truncate": (
        [
            ORDERS,
            THREE,
            "CREATE TABLE lines (of int REFERENCES orders)",
            "INSERT INTO lines VALUES (1)",
        ],
        ["TRUNCATE orders RESTART IDENTITY CASCADE", "INSERT INTO orders (total) VALUES (5)"],
    ),
    "one column and no column": (
        ["CREATE TABLE one (a text)", "CREATE TABLE none ()"],
        [
            "INSERT INTO one VALUES (NULL), (''), ('')",
            "INSERT INTO none DEFAULT VALUES",
            "INSERT INTO none DEFAULT VALUES",
            "DELETE FROM one WHERE a IS NULL",
            "DELETE FROM none",
        ],
    ),
    "equal rows without a key": (
        [
            "CREATE TABLE lines (a int, b text, c json)",
            "INSERT INTO lines SELECT 1, 'same', '{\"a\": 1}' FROM generate_series(1, 5)",
        ],
        [
            "DELETE FROM lines WHERE ctid IN (SELECT ctid FROM lines LIMIT 2)",
            "INSERT INTO lines VALUES (1, 'same', '{\"a\": 1}')",
            "UPDATE lines SET c = '{\"a\":1}' WHERE ctid = (SELECT min(ctid) FROM lines)",
        ],
    ),
    "cascades": (
        [
            ORDERS,
            THREE,
            "CREATE TABLE lines (id serial PRIMARY KEY, "
            "of int DEFAULT 3 REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE)",
            "CREATE TABLE notes (of int REFERENCES lines ON DELETE SET NULL)",
            "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE)",
            "INSERT INTO lines (of) VALUES (1), (1), (2)",
            "INSERT INTO notes VALUES (1), (2), (3)",
            "INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3)",
        ],
        [
            "UPDATE orders SET id = 50 WHERE id = 1",
            "DELETE FROM orders WHERE id = 50",
            "DELETE FROM tree WHERE id = 2",
        ],
    ),
    "triggers of the application": (
        [
            ORDERS,
            THREE,
            "CREATE TABLE log (line text)",
            """CREATE FUNCTION before_write() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN NEW.note := 'set by trigger'; RETURN NEW; END $$""",
            """CREATE FUNCTION after_write() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN
                   IF pg_trigger_depth() < 3 THEN
                       UPDATE orders SET total = total + 100 WHERE id = NEW.id;
                       INSERT INTO log VALUES (TG_OP);
                   END IF;
                   RETURN NULL;
               END $$""",
            "CREATE TRIGGER a BEFORE INSERT OR UPDATE ON orders "
            "FOR EACH ROW EXECUTE FUNCTION before_write()",
            "CREATE TRIGGER b AFTER INSERT OR UPDATE ON orders "
            "FOR EACH ROW EXECUTE FUNCTION after_write()",
        ],
        [
            "INSERT INTO orders (total) VALUES (1)",
            "UPDATE orders SET total = 0",
            "DELETE FROM orders",
        ],
    ),
    "rules": (
        [
            ORDERS,
            THREE,
            "CREATE TABLE log (line text)",
            "CREATE RULE logged AS ON UPDATE TO orders DO ALSO INSERT INTO log VALUES ('x')",
            "CREATE RULE kept AS ON DELETE TO orders DO INSTEAD "
            "UPDATE orders SET note = 'deleted' WHERE id = OLD.id",
            "CREATE VIEW shown AS SELECT id, total FROM orders",
        ],
        [
            "UPDATE orders SET total = 8 WHERE id = 1",
            "DELETE FROM orders WHERE id = 2",
            "INSERT INTO shown (total) VALUES (9)",
        ],
    ),
    "generated and identity columns": (
        [
            "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, net numeric, "
            "gross numeric GENERATED ALWAYS AS (net * 1.2) STORED, tail text)",
            "INSERT INTO orders (net, tail) VALUES (1, 'a'), (2.50, NULL)",
        ],
        [
            "INSERT INTO orders (net) VALUES (3)",
            "UPDATE orders SET net = 4.00 WHERE id = 1",
            "DELETE FROM orders",
        ],
    ),
    "keys with generated columns": (
        [
            "CREATE TABLE first (a int, twice int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)",
            "CREATE TABLE second (a int NOT NULL, twice int GENERATED ALWAYS AS (a * 2) STORED "
            "NOT NULL, b text, UNIQUE (a, twice))",
            "INSERT INTO first (a) VALUES (1), (2)",
            "INSERT INTO second (a, b) VALUES (1, 'x'), (2, NULL)",
        ],
        [
            "INSERT INTO first (a) VALUES (3)",
            "UPDATE first SET a = a + 10",
            "UPDATE second SET b = 'y' WHERE a = 2",
            "DELETE FROM first; DELETE FROM second",
        ],
    ),
    "constraints": (
        [
            "CREATE TABLE places (id int PRIMARY KEY, "
            "rank int UNIQUE DEFERRABLE INITIALLY DEFERRED, span int4range, "
            "EXCLUDE USING gist (span WITH &&), CHECK (id > 0))",
            "CREATE TABLE first (id int PRIMARY KEY, other int)",
            "CREATE TABLE second (id int PRIMARY KEY, "
            "other int REFERENCES first DEFERRABLE INITIALLY DEFERRED)",
            "ALTER TABLE first ADD FOREIGN KEY (other) REFERENCES second DEFERRABLE "
            "INITIALLY DEFERRED",
            "INSERT INTO places VALUES (1, 1, '[1,5)'), (2, 2, '[5,9)')",
        ],
        [
            "BEGIN; UPDATE places SET rank = 2 WHERE id = 1; "
            "UPDATE places SET rank = 1 WHERE id = 2; COMMIT",
            "BEGIN; DELETE FROM places WHERE id = 1; UPDATE places SET span = '[1,9)'; COMMIT",
            "BEGIN; INSERT INTO first VALUES (1, 1); INSERT INTO second VALUES (1, 1); COMMIT",
        ],
    ),
    "partitions": (
        [
            "CREATE TABLE events (id int, kind text, note text, PRIMARY KEY (id, kind)) "
            "PARTITION BY LIST (kind)",
            "CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a')",
            "CREATE TABLE events_b (note text, gone int, kind text NOT NULL, id int NOT NULL)",
            "ALTER TABLE events_b DROP COLUMN gone",
            "ALTER TABLE events ATTACH PARTITION events_b FOR VALUES IN ('b')",
            "CREATE TABLE events_rest PARTITION OF events DEFAULT PARTITION BY RANGE (id)",
            "CREATE TABLE events_low PARTITION OF events_rest FOR VALUES FROM (0) TO (100)",
            "INSERT INTO events VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')",
        ],
        [
            "INSERT INTO events SELECT i, chr(97 + i % 4), 'new' FROM generate_series(10, 20) AS i",
            "UPDATE events SET kind = 'b' WHERE id = 1",
            "UPDATE events_b SET note = 'direct'",
            "INSERT INTO events_b (id, kind) VALUES (50, 'b')",
            "DELETE FROM events WHERE id = 50",
            "INSERT INTO events_rest VALUES (60, 'q')",
            "TRUNCATE events_a",
            "TRUNCATE events",
        ],
    ),
    "partitions without a key": (
        [
            "CREATE TABLE events (a int, b text) PARTITION BY HASH (a)",
            "CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
            "CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
            "INSERT INTO events SELECT i % 4, 'same' FROM generate_series(1, 12) AS i",
        ],
        ["DELETE FROM events WHERE ctid = '(0,1)'", "UPDATE events SET a = a + 1 WHERE a < 2"],
    ),
    "inheritance": (
        [
            "CREATE TABLE parent (id int PRIMARY KEY, a text)",
            "CREATE TABLE child (b text) INHERITS (parent)",
            "CREATE TABLE grandchild (c text) INHERITS (child)",
            "INSERT INTO parent VALUES (1, 'p')",
            "INSERT INTO child VALUES (2, 'c', 'kept'), (2, 'c', 'kept')",
            "INSERT INTO grandchild VALUES (3, 'g', 'x', 'y')",
        ],
        [
            "UPDATE parent SET a = 'changed'",
            "DELETE FROM ONLY child",
            "INSERT INTO grandchild VALUES (1, 'g', 'x', 'y')",
            "DELETE FROM parent WHERE id = 1",
            "TRUNCATE parent",
        ],
    ),
    "names": (
        [
            'CREATE SCHEMA "Odd schema"',
            'CREATE TABLE "Odd schema"."a.b ""c"" %s $report$" ("Select" int PRIMARY KEY, '
            '"wanted %%" text, "place" text, w text, r text, "copy" text)',
            'CREATE TABLE "user" (place int, part int, "content" text, gone text, written text)',
            'CREATE TABLE "O\'Neil" (id int)',
        ],
        [
            'INSERT INTO "Odd schema"."a.b ""c"" %s $report$" VALUES (1, \'x\'), (2, NULL)',
            'UPDATE "Odd schema"."a.b ""c"" %s $report$" SET "wanted %%" = \'y\', w = \'(,")\\\'',
            "INSERT INTO \"user\" VALUES (1, 2, 'c', '', NULL), (1, 2, 'c', '', NULL)",
            'INSERT INTO "O\'Neil" VALUES (1)',
        ],
    ),
    "keys of other types": (
        [
            'CREATE TABLE a (x text, y numeric, z text COLLATE "C", PRIMARY KEY (y, x))',
            "CREATE TABLE b (x float8 UNIQUE NOT NULL, y text)",
            "CREATE TABLE c (x int UNIQUE, y text)",
            "CREATE TABLE d (x int4range PRIMARY KEY, y int[] UNIQUE)",
            "CREATE TABLE e (x text, y text)",
            "CREATE UNIQUE INDEX ON e (lower(x))",
            "INSERT INTO a VALUES ('k', 1.0, 'z'), ('k', 2.00, 'z')",
        ],
        [
            "UPDATE a SET y = 1.000 WHERE y = 1",
            "INSERT INTO b VALUES ('-0', 'zero'), ('NaN', 'nan'), (1e308, ''), ('-Infinity', '')",
            "UPDATE b SET x = 0 WHERE y = 'zero'",
            "INSERT INTO c VALUES (NULL, 'x'), (NULL, 'x'), (1, 'x')",
            "DELETE FROM c WHERE x IS NULL",
            "INSERT INTO d VALUES ('[1,3)', '{1,2}'), ('empty', '{}')",
            "INSERT INTO e VALUES ('A', 'b')",
            "UPDATE e SET x = 'a'",
        ],
    ),
    "unlogged and unattached": (
        ["CREATE UNLOGGED TABLE cache (k text PRIMARY KEY)", "CREATE SEQUENCE alone START 7"],
        [
            "INSERT INTO cache VALUES ('a')",
            "SELECT nextval('alone')",
            "SELECT setval('alone', 50, false)",
            "SELECT setval('alone', 60, false)",
            "SELECT setval('alone', 60, true)",
            "ALTER SEQUENCE alone RESTART",
        ],
    ),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_goes_back_and_forth(db: Database, adapter: Adapter, feature: str) -> None:
    setup, statements = FEATURES[feature]
    if feature == "merge" and db.app.info.server_version < 150000:
        pytest.skip("MERGE came with PostgreSQL 15")
    db.execute(*setup)
    before = db.catalog()
    goes_back_and_forth(db, adapter, *statements).close()
    assert db.catalog() == before
