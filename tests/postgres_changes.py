"""Statements that change the schema of a shop, and statements that do not."""

SHOP = """
    CREATE TYPE color AS ENUM ('red', 'blue');
    CREATE TYPE pair AS (a int, b int);
    CREATE TYPE span AS RANGE (subtype = int);
    CREATE DOMAIN price AS int CONSTRAINT positive CHECK (VALUE > 0);
    CREATE TABLE orders (
        id serial PRIMARY KEY, total int NOT NULL DEFAULT 0, note text, paint color, cost price,
        CONSTRAINT total_small CHECK (total < 1000)
    );
    CREATE INDEX by_total ON orders (total);
    CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders);
    CREATE TABLE parts (a int) PARTITION BY LIST (a);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE parts_2 (a int);
    CREATE TABLE family (a int); CREATE TABLE child (a int) INHERITS (family);
    CREATE TABLE loner (a int);
    CREATE VIEW cheap AS SELECT id FROM orders WHERE total < 10;
    CREATE MATERIALIZED VIEW stored AS SELECT id FROM orders;
    CREATE SEQUENCE ticket;
    CREATE STATISTICS known ON id, total FROM orders;
    CREATE FUNCTION price_of(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE PROCEDURE work() LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE TRIGGER touched BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE RULE noted AS ON DELETE TO loner DO INSTEAD NOTHING;
    CREATE POLICY mine ON orders USING (total > 0);
    CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
    CREATE COLLATION plain (locale = 'C');
    CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far;
    CREATE PUBLICATION news FOR TABLE lines;
    INSERT INTO orders (total) VALUES (1), (2), (3);
"""

#: Statement -> what the error has to say of it.
CHANGES = {
    # Tables
    "CREATE TABLE more (a int)": r"\(table public.more: new\)",
    "DROP TABLE orders CASCADE": "table public.orders: gone",
    "ALTER TABLE loner RENAME TO single": "table public.single: name was loner, is single",
    "CREATE SCHEMA tenant CREATE TABLE orders (id int)": "schema tenant: new",
    "CREATE SCHEMA hidden; ALTER TABLE loner SET SCHEMA hidden": "hidden.loner",
    "ALTER TABLE orders ENABLE ROW LEVEL SECURITY": "public.orders: row security was off, is on",
    "ALTER TABLE orders FORCE ROW LEVEL SECURITY": "forced row security was off, is on",
    "ALTER TABLE loner SET UNLOGGED": "table public.loner: persistence was p, is u",
    "ALTER TABLE orders REPLICA IDENTITY FULL": "orders: replica identity was d, is f",
    "ALTER TABLE orders SET (fillfactor = 70)": r"options was none, is \{fillfactor=70\}",
    "ALTER TABLE orders SET (toast.autovacuum_enabled = off)": "orders: options of TOAST was none",
    "ALTER TABLE orders OWNER TO {role}": "table public.orders: .*owner was .*, is {role}",
    "GRANT SELECT ON orders TO PUBLIC": r"public.orders: privileges was \{.*, =r/",
    "GRANT UPDATE (note) ON orders TO PUBLIC": "orders.note: privileges was none",
    "REASSIGN OWNED BY {owning} TO {role}": "table public.owned: .*owner was {owning}, is {role}",
    "REVOKE SELECT ON owned FROM {role}": "table public.owned: privileges",
    "DROP OWNED BY {role}": "table public.owned: privileges",
    # Columns
    "ALTER TABLE orders ADD more int": r"\(table column public.orders.more: new\)",
    "ALTER TABLE orders DROP note": "table column public.orders.note: gone",
    "ALTER TABLE orders RENAME note TO memo": "orders.memo: name was note, is memo",
    "ALTER TABLE lines ALTER order_id TYPE bigint": "lines.order_id: .*type was integer, is bigint",
    "ALTER TABLE orders ALTER total SET DEFAULT 7": "orders.total: value was 0, is 7",
    "ALTER TABLE orders ALTER total DROP DEFAULT": (
        "default of table column public.orders.total: gone"
    ),
    "ALTER TABLE lines ALTER order_id SET NOT NULL": "lines.order_id: not null was off, is on",
    "ALTER TABLE orders ALTER note SET STORAGE PLAIN": "orders.note: storage was x, is p",
    "ALTER TABLE orders ALTER note SET STATISTICS 7": "orders.note: statistics target was .*, is 7",
    "ALTER TABLE orders ALTER note SET (n_distinct = 5)": (
        r"orders.note: options was none, is \{n_distinct=5\}"
    ),
    # Constraints and indexes
    "ALTER TABLE orders ADD CONSTRAINT few CHECK (total < 9) NOT VALID": "few on .*orders: new",
    "ALTER TABLE orders DROP CONSTRAINT total_small": "total_small on public.orders: gone",
    "ALTER TABLE lines DROP CONSTRAINT lines_order_id_fkey": "lines_order_id_fkey on .*: gone",
    "ALTER TABLE loner ADD UNIQUE (a)": "loner_a_key on public.loner: new",
    "CREATE INDEX more ON orders (note)": r"\(index public.more: new\)",
    "CREATE INDEX CONCURRENTLY more ON orders (note)": r"\(index public.more: new\)",
    "DROP INDEX by_total": "index public.by_total: gone",
    "ALTER INDEX by_total SET (fillfactor = 60)": "index public.by_total: options",
    "ALTER TABLE orders CLUSTER ON orders_pkey": "orders_pkey: clustered on was off, is on",
    "CLUSTER orders USING orders_pkey": "orders_pkey: clustered on was off, is on",
    "CREATE STATISTICS more ON id, note FROM orders": "statistics object public.more: new",
    "ALTER STATISTICS known SET STATISTICS 9": "public.known: statistics target",
    # Partitions and inheritance
    "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES IN (2)": "public.parts_2: ",
    "ALTER TABLE parts DETACH PARTITION parts_1": "public.parts_1: ",
    "CREATE TABLE parts_3 PARTITION OF parts DEFAULT": "table public.parts_3: new",
    "ALTER TABLE loner INHERIT family": "parent of table public.loner: new",
    "ALTER TABLE child NO INHERIT family": "parent of table public.child: gone",
    # Triggers, rules, policies
    "CREATE TRIGGER more AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch()": (
        r"\(trigger more on public.orders: new\)"
    ),
    "ALTER TABLE orders DISABLE TRIGGER touched": "touched on .*: enabled was O, is D",
    "DROP TRIGGER touched ON orders": "trigger touched on public.orders: gone",
    "ALTER TABLE orders DISABLE TRIGGER ALL": "venomqa_journal_delete on public.orders: enabled",
    "DROP SCHEMA venomqa_journal CASCADE": "schema venomqa_journal: gone",
    "CREATE RULE more AS ON DELETE TO orders DO INSTEAD NOTHING": "rule more on public.orders: new",
    "DROP RULE noted ON loner": "rule noted on public.loner: gone",
    "CREATE POLICY few ON orders USING (true)": "policy few on public.orders: new",
    "ALTER POLICY mine ON orders USING (false)": r"policy mine .*: condition was \(total > 0\)",
    "DROP POLICY mine ON orders": "policy mine on public.orders: gone",
    # Views, functions, types
    "CREATE VIEW more AS SELECT 1": r"\(view public.more: new\)",
    "CREATE OR REPLACE VIEW cheap AS SELECT id FROM orders": (
        "on public.cheap: definition was CREATE RULE"
    ),
    "CREATE MATERIALIZED VIEW more AS SELECT 1": "materialized view public.more: new",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'": (
        r"function public.more\(\): new"
    ),
    "CREATE OR REPLACE FUNCTION price_of(int) RETURNS int LANGUAGE sql AS 'SELECT 2'": (
        r"function public.price_of\(integer\): definition was SELECT 1, is SELECT 2"
    ),
    "DROP PROCEDURE work()": r"procedure public.work\(\): gone",
    "CREATE AGGREGATE most(int) (sfunc = int4larger, stype = int)": r"public.most\(integer\): new",
    "ALTER TYPE color ADD VALUE 'green'": "label 'green' of type public.color: new",
    "ALTER TYPE color RENAME VALUE 'red' TO 'pink'": "'pink' of type public.color: ",
    "ALTER DOMAIN price SET DEFAULT 5": "type public.price: ",
    "ALTER DOMAIN price DROP CONSTRAINT positive": "positive on public.price: gone",
    "ALTER TYPE pair ADD ATTRIBUTE c int": "composite type column public.pair.c: new",
    "CREATE TYPE more AS RANGE (subtype = int)": "type public.more: new",
    "DROP TYPE span": "type public.span: gone",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)": "operator public.===",
    "CREATE OPERATOR FAMILY many USING btree": "operator family public.many USING btree: new",
    "CREATE CAST (pair AS text) WITH INOUT": r"cast \(public.pair AS .*text\): new",
    "CREATE COLLATION more (locale = 'C')": "collation public.more: new",
    "ALTER SEQUENCE ticket INCREMENT 5": "sequence public.ticket: seqincrement was 1, is 5",
    "ALTER SEQUENCE ticket OWNED BY loner.a; CREATE SEQUENCE more": "sequence public.more: new",
    "DROP SEQUENCE ticket": "sequence public.ticket: gone",
    "ALTER TEXT SEARCH CONFIGURATION words DROP MAPPING FOR asciiword": "public.words",
    "CREATE TEXT SEARCH DICTIONARY more (TEMPLATE = simple)": "dictionary public.more: new",
    # Comments, privileges, what belongs to the whole database
    "COMMENT ON TABLE orders IS 'all of them'": "comment of table public.orders: new",
    "COMMENT ON DATABASE {database} IS 'venomqa'": "comment of database {database}: new",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC": "default acl for role .*: new",
    "REVOKE EXECUTE ON FUNCTION pg_sleep(float8) FROM PUBLIC": r"pg_sleep.*: changed",
    "COMMENT ON FUNCTION pg_sleep(float8) IS NULL": "objects of the system in pg_description",
    "GRANT CREATE ON DATABASE {database} TO PUBLIC": "database {database}: privileges",
    "ALTER DATABASE {database} SET work_mem = '5MB'": "settings of database {database}: new",
    "ALTER ROLE {role} IN DATABASE {database} SET work_mem = '5MB'": "settings for role {role}",
    "CREATE PUBLICATION more": "publication more: new",
    "ALTER PUBLICATION news ADD TABLE orders": "public.orders in publication news: new",
    "ALTER PUBLICATION news DROP TABLE lines": "public.lines in publication news: gone",
    "CREATE EVENT TRIGGER more ON ddl_command_end EXECUTE FUNCTION watch()": "trigger more: new",
    "ALTER EVENT TRIGGER venomqa_journal_sql_drop DISABLE": "venomqa_journal_sql_drop: enabled",
    "DROP EXTENSION plpgsql CASCADE": "extension plpgsql: gone",
    "CREATE LANGUAGE more HANDLER plpgsql_call_handler": "language more: new",
    "CREATE ACCESS METHOD more TYPE TABLE HANDLER heap_tableam_handler": "access method more: new",
    "CREATE SERVER more FOREIGN DATA WRAPPER far": "server more: new",
    "ALTER SERVER away OPTIONS (host 'h')": "server away: options",
    "CREATE USER MAPPING FOR PUBLIC SERVER away": "user mapping .*public on server away: new",
    "CREATE FOREIGN TABLE f (a int) SERVER away": "foreign table public.f: new",
    # Large objects
    "SELECT lo_create(4711)": r"\(large object 4711: new\)",
    "SELECT lo_unlink(42)": "large object 42: gone",
    "SELECT lo_put(42, 0, 'xyz')": "content of large object 42: content was",
    "ALTER LARGE OBJECT 42 OWNER TO {role}": "large object 42: .*owner was .*, is {role}",
    "GRANT SELECT ON LARGE OBJECT 42 TO PUBLIC": "large object 42: privileges",
}

#: What is no change of the schema, by name.
HARMLESS = {
    "analyze": ["ANALYZE"],
    "vacuum": ["DELETE FROM orders WHERE id = 3", "VACUUM (FREEZE, ANALYZE)"],
    "vacuum full": ["VACUUM FULL orders", "VACUUM FULL"],
    "truncate": ["TRUNCATE orders CASCADE"],
    "truncate and restart": ["TRUNCATE orders RESTART IDENTITY CASCADE", "VACUUM"],
    "reindex": ["REINDEX TABLE orders", "REINDEX INDEX by_total", "REINDEX SCHEMA public"],
    "temporary table": [
        "CREATE TEMP TABLE orders (id serial PRIMARY KEY, a int DEFAULT 1 CHECK (a > 0))",
        "CREATE INDEX ON pg_temp.orders (a)",
        "ALTER TABLE pg_temp.orders ADD b text",
        "COMMENT ON TABLE pg_temp.orders IS 'scratch'",
        "INSERT INTO pg_temp.orders VALUES (1)",
        "DROP TABLE pg_temp.orders",
    ],
    "temporary table that stays": ["CREATE TEMP TABLE scratch AS SELECT * FROM orders"],
    "temporary view and function": [
        "CREATE TEMP VIEW scratch AS SELECT 1",
        "CREATE FUNCTION pg_temp.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE pg_temp.mood AS ENUM ('ok')",
    ],
    "temporary table until commit": [
        "BEGIN; CREATE TEMP TABLE scratch (a int) ON COMMIT DROP; COMMIT"
    ],
    "rolled back": ["BEGIN; ALTER TABLE orders ADD gone int; DROP TABLE loner; ROLLBACK"],
    "there and back": ["CREATE TABLE more (a int)", "DROP TABLE more"],
    "the same again": [
        "CREATE OR REPLACE VIEW cheap AS SELECT id FROM orders WHERE total < 10",
        "ALTER TABLE orders ALTER total SET NOT NULL",
        "CREATE TABLE IF NOT EXISTS orders (id int)",
        "GRANT SELECT ON orders TO {role}",
    ],
    "refresh": ["REFRESH MATERIALIZED VIEW stored"],
    "sequences": ["SELECT nextval('ticket')", "SELECT setval('orders_id_seq', 90)"],
    "restarted sequence": ["ALTER SEQUENCE ticket RESTART WITH 50"],
    "cluster by the same index": ["CLUSTER loner_sorted"],
    "session": ["SET work_mem = '5MB'", "RESET ALL", "DISCARD ALL", "LISTEN a", "NOTIFY a"],
    "prepared statement and cursor": [
        "PREPARE one AS SELECT 1",
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
    ],
    "large object until commit": ["BEGIN; SELECT lo_create(7); SELECT lo_unlink(7); COMMIT"],
    "another database": ["COMMENT ON ROLE {role} IS 'somebody'"],
}
