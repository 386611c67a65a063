"""Random statements on random schemas, in random trees of checkpoints, against all rows and rowids.

VENOMQA_FUZZ_OPERATIONS sets how many operations are tried.
"""

import os
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp.adapters.sqlite import SQLiteAdapter
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.values.digest import canonical_text

OPERATIONS = int(os.environ.get("VENOMQA_FUZZ_OPERATIONS", "300"))
OPERATIONS_PER_SCHEMA = 60
#: The application's own triggers need a Python that can switch them off.
TRIGGERS = sys.version_info >= (3, 12)

Choose = random.Random

VALUES = [
    "NULL", "0", "1", "2", "3", "-1", "1.0", "2.5", "-0.0", "9e999", "-9e999", "1e300",
    "9007199254740993", "9223372036854775807", "'a'", "'A'", "'a '", "'b'", "'1'", "'1.0'", "''",
    "' 2 '", "'é'", "char(97, 0, 98)", "CAST(x'61ff' AS TEXT)", "x''", "x'00'", "x'610062'",
    "zeroblob(3)", "'it''s'",
]  # fmt: skip
SMALL = ["0", "1", "2", "3", "4", "'1'", "2.0", "NULL"]
TYPES = ["", "INT", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE"]
STRICT_TYPES = ["INT", "INTEGER", "TEXT", "REAL", "BLOB", "ANY"]
COLLATIONS = ["", "", " COLLATE NOCASE", " COLLATE RTRIM", " COLLATE BINARY", " DESC"]
ON_CONFLICT = ["", "", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE", " ON CONFLICT FAIL"]
KEYS = {
    "rowid": "id INTEGER PRIMARY KEY",
    "counted": "id INTEGER PRIMARY KEY AUTOINCREMENT",
    "descending": "id INTEGER PRIMARY KEY DESC",
    "text": "id TEXT COLLATE NOCASE PRIMARY KEY",
    "replaced": "id INTEGER PRIMARY KEY ON CONFLICT REPLACE",
    "none": "id",
    "hidden": '"rowid" , id',
    "hidden twice": '"RowId" TEXT, oid INT, id UNIQUE',
}
REFERENCES = [
    "ON DELETE CASCADE ON UPDATE CASCADE",
    "ON DELETE SET NULL ON UPDATE SET DEFAULT",
    "ON DELETE SET DEFAULT DEFERRABLE INITIALLY DEFERRED",
    "ON DELETE CASCADE ON UPDATE RESTRICT",
]


class Table:
    def __init__(self, name: str, columns: list[str], rowid: str) -> None:
        self.name = name
        self.columns = columns
        self.rowid = rowid


def value(choose: Choose) -> str:
    return choose.choice(SMALL if choose.random() < 0.6 else VALUES)


def make_schema(db: sqlite3.Connection, choose: Choose) -> list[Table]:
    db.execute("CREATE TABLE roots (id INTEGER PRIMARY KEY, other UNIQUE)")
    db.execute("INSERT INTO roots VALUES (0, 10), (1, 11), (2, 12), (3, 13)")
    db.execute("CREATE TABLE log (line)")
    tables = [make_table(db, choose, place) for place in range(choose.randrange(2, 5))]
    for number in range(choose.randrange(6) if TRIGGERS else 0):
        with suppress(sqlite3.Error):
            db.execute(trigger(choose, tables, number))
    return tables


def make_table(db: sqlite3.Connection, choose: Choose, place: int) -> Table:
    while True:
        name = choose.choice([f"t{place}", f'"T ""{place}"', f"[select {place}]"])
        kind = choose.choice([*KEYS, "without"])
        strict = choose.random() < 0.2
        types = STRICT_TYPES if strict else TYPES
        plain = [f"c{at}" for at in range(choose.randrange(1, 4))]
        written = [f"{column} {choose.choice(types)}{limit(choose)}" for column in plain]
        columns, ends, rowid = [*plain, "id"], [], "_rowid_"
        if kind == "without":
            written.append(f"id {choose.choice(types)}")
            ends.append(f"PRIMARY KEY (id{collation(choose)}, c0{collation(choose)})")
            rowid = ""
        else:
            written.insert(choose.randrange(2), KEYS[kind])
            columns += {"hidden": ["rowid"], "hidden twice": ["rowid", "oid"]}.get(kind, [])
        if choose.random() < 0.3:
            how = choose.choice(["", " STORED"])
            written.append(f"made AS (c0 || coalesce(id, 'x')){how}")
        if choose.random() < 0.5:
            written.append(f"up DEFAULT 1 REFERENCES roots (id) {choose.choice(REFERENCES)}")
            columns.append("up")
        if choose.random() < 0.2:
            written.append("own REFERENCES roots (other) ON UPDATE CASCADE ON DELETE CASCADE")
            columns.append("own")
        if choose.random() < 0.2 and len(plain) > 1:
            ends.append(f"UNIQUE (c0, c1){choose.choice(ON_CONFLICT)}")
        options = [*["STRICT"] * strict, *["WITHOUT ROWID"] * (not rowid)]
        try:
            db.execute(f"CREATE TABLE {name} ({', '.join(written + ends)}) {', '.join(options)}")
            for at in range(choose.randrange(3)):
                db.execute(index(choose, name, plain, f"i{place}_{at}"))
            return Table(name, columns, rowid)
        except sqlite3.Error:
            db.execute(f"DROP TABLE IF EXISTS {name}")


def limit(choose: Choose) -> str:
    unique = f" UNIQUE{choose.choice(ON_CONFLICT)}"
    return choose.choice(["", "", "", unique, " CHECK (c0 IS NOT 'b')", " DEFAULT 7"])


def collation(choose: Choose) -> str:
    return choose.choice(COLLATIONS)


def index(choose: Choose, table: str, plain: list[str], name: str) -> str:
    column = f"{choose.choice(plain)}{collation(choose)}"
    terms = [column, *choose.choice([[], [], [f"{choose.choice(plain)} DESC"]])]
    where = choose.choice(["", "", f" WHERE {choose.choice(plain)} > 0", " WHERE (id) IS NOT NULL"])
    return f"CREATE UNIQUE INDEX {name} ON {table} ({', '.join(terms)}){where}"


def trigger(choose: Choose, tables: list[Table], number: int) -> str:
    table, other = choose.choice(tables), choose.choice(tables)
    when = choose.choice(["BEFORE", "AFTER", "AFTER", ""])
    event = choose.choice(["INSERT", "UPDATE", "DELETE"])
    row = "OLD" if event == "DELETE" else "NEW"
    steps = [
        f"INSERT INTO log VALUES ({row}.id || '{number}')",
        f"SELECT RAISE(IGNORE) WHERE {row}.id = 2",
        f"SELECT RAISE(FAIL, 'no') WHERE {row}.id = 3",
        f"SELECT RAISE(ABORT, 'no') WHERE {row}.id = 3",
        "INSERT INTO roots (id, other) VALUES (50, 50)",
    ]
    # What SQLite does where a row is changed before it is changed is not defined: it may even write
    # rows out of order.
    if when == "AFTER" or event == "INSERT":
        steps += [
            f"INSERT OR IGNORE INTO {other.name} (id, c0) VALUES ({row}.id, {value(choose)})",
            f"REPLACE INTO {other.name} (c0) VALUES ({row}.c0)",
            f"UPDATE {other.name} SET c0 = {value(choose)} WHERE id = {row}.id",
            f"UPDATE {table.name} SET c0 = {value(choose)} WHERE id = {row}.id",
            f"UPDATE OR REPLACE {other.name} SET id = {row}.id WHERE id = {value(choose)}",
            f"DELETE FROM {other.name} WHERE c0 = {row}.c0",
            f"DELETE FROM {table.name} WHERE id = {row}.id",
        ]
    step = choose.choice(steps)
    return f"CREATE TRIGGER own{number} {when} {event} ON {table.name} BEGIN {step}; END"


def insert(table: Table, choose: Choose) -> str:
    columns = [column for column in table.columns if choose.random() < 0.8] or ["id"]
    if table.rowid and choose.random() < 0.2:
        columns.append(table.rowid)
    rows = ", ".join(
        f"({', '.join(value(choose) for _ in columns)})" for _ in range(choose.randrange(1, 4))
    )
    verb = choose.choice([*["INSERT"] * 3, *["REPLACE"] * 3, *both(choose, "INSERT")])
    end = ""
    if choose.random() < 0.2:
        verb = "INSERT"
        changed = f"{choose.choice(table.columns)} = {value(choose)}"
        end = f" ON CONFLICT DO {choose.choice(['NOTHING', 'UPDATE SET ' + changed])}"
    return f"{verb} INTO {table.name} ({', '.join(columns)}) VALUES {rows}{end}"


def both(choose: Choose, verb: str) -> list[str]:
    return [f"{verb} OR {how}" for how in ("IGNORE", "FAIL", "REPLACE", "ABORT", "ROLLBACK")]


def where(table: Table, choose: Choose) -> str:
    some = f"{choose.choice(table.columns)} {choose.choice(['=', '>', '<', 'IS NOT'])}"
    return choose.choice(["", f" WHERE {some} {value(choose)}", " WHERE id % 2"])


def update(table: Table, choose: Choose) -> str:
    columns = choose.sample(table.columns, choose.choice([1, 1, min(2, len(table.columns))]))
    if table.rowid and choose.random() < 0.1:
        columns.append(table.rowid)
    changed = ", ".join(
        f"{column} = {choose.choice([value(choose), f'{column} + 1', table.columns[0]])}"
        for column in columns
    )
    verb = choose.choice(["UPDATE", *["UPDATE OR REPLACE"] * 2, *both(choose, "UPDATE")])
    return f"{verb} {table.name} SET {changed}{where(table, choose)}"


def delete(table: Table, choose: Choose) -> str:
    return f"DELETE FROM {table.name}{where(table, choose)}"


def copied(table: Table, choose: Choose) -> str:
    columns = ", ".join(table.columns)
    return f"REPLACE INTO {table.name} ({columns}) SELECT {columns} FROM {table.name}"


def roots(table: Table, choose: Choose) -> str:
    number = choose.randrange(5)
    return choose.choice(
        [
            f"REPLACE INTO roots VALUES ({number}, {10 + choose.randrange(5)})",
            f"UPDATE OR REPLACE roots SET id = {choose.randrange(5)} WHERE id = {number}",
            f"UPDATE roots SET other = other + 100 WHERE id = {number}",
            f"DELETE FROM roots WHERE id = {number}",
        ]
    )


def counters(table: Table, choose: Choose) -> str:
    return choose.choice(
        [
            f"UPDATE sqlite_sequence SET seq = {choose.randrange(20)}",
            "DELETE FROM sqlite_sequence",
            f"PRAGMA user_version = {choose.randrange(9)}",
        ]
    )


STATEMENTS = [*[insert] * 6, *[update] * 6, *[delete] * 2, copied, *[roots] * 2, counters]


def write_something(db: sqlite3.Connection, tables: list[Table], choose: Choose) -> list[str]:
    """Execute what the application might; much of it is refused, and that is fine."""
    db.execute(f"PRAGMA recursive_triggers = {choose.choice(['ON', 'OFF'])}")
    db.execute(f"PRAGMA foreign_keys = {choose.choice(['ON', 'ON', 'OFF'])}")
    count = choose.choice([1, 1, 2, 4])
    written = [choose.choice(STATEMENTS)(choose.choice(tables), choose) for _ in range(count)]
    if count > 2:
        written[1:1] = choose.choice([["SAVEPOINT s"], []])
        written.append(choose.choice(["ROLLBACK TO s", "RELEASE s", "SELECT 1"]))
    if count > 1:
        written = ["BEGIN", *written, choose.choice(["COMMIT", "COMMIT", "ROLLBACK"])]
    for statement in written:
        with suppress(sqlite3.Error):
            db.execute(statement).fetchall()
    if db.in_transaction:  # a foreign key refused the COMMIT
        db.execute("ROLLBACK")
    return written


def everything(path: Path, tables: list[Table]) -> dict[str, Any]:
    """Return all rows with their types, bytes and rowids, read without the adapter."""
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        found: dict[str, Any] = {}
        for table in [*tables, Table("roots", ["id", "other"], "oid"), Table("log", [], "oid")]:
            shown = f"{table.rowid}, *" if table.rowid else "*"
            types = "".join(f", typeof({column})" for column in table.columns)
            rows = db.execute(f"SELECT {shown}{types} FROM {table.name} NOT INDEXED").fetchall()
            found[table.name] = [repr(row) for row in rows]
        with suppress(sqlite3.Error):  # there is none without AUTOINCREMENT
            found["counters"] = db.execute("SELECT rowid, * FROM sqlite_sequence").fetchall()
        found["version"] = db.execute("PRAGMA user_version").fetchone()
        return found


def schema(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()


def all_rows(path: Path) -> dict[str, Counter[str]]:
    """Return what mode ``copy`` shows of each table."""
    with closing(sqlite3.connect(path)) as db, closing(SQLiteAdapter(db)) as copying:
        return {
            name: texts(table["rows"]) for name, table in copying.observe().data["tables"].items()
        }


def texts(rows: list[Any]) -> Counter[str]:
    return Counter(canonical_text(row) for row in rows)


def shown(tables: Mapping[str, Any]) -> Iterator[tuple[str, Counter[str], Counter[str]]]:
    for name, table in tables.items():
        yield name, texts(table["rows"]), texts(table["removed"])


def opened(path: Path, db: sqlite3.Connection) -> SQLiteAdapter | None:
    """Open a journal; where the triggers of the schema do not allow one, without them."""
    with suppress(DefinitionError):
        return SQLiteAdapter(path, mode="journal")
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    with suppress(DefinitionError):
        return SQLiteAdapter(path, mode="journal")
    return None


def start(path: Path, choose: Choose) -> tuple[sqlite3.Connection, list[Table], SQLiteAdapter]:
    """Create a schema of which a journal can be made, and fill it."""
    while True:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(f"PRAGMA journal_mode = {choose.choice(['WAL', 'DELETE'])}")
        db.execute("PRAGMA synchronous = OFF")
        tables = make_schema(db, choose)
        for _ in range(4):
            write_something(db, tables, choose)
        if system := opened(path, db):
            return db, tables, system
        db.close()
        path.unlink()


@pytest.mark.filterwarnings("ignore::venomqa_hyp.adapters.sqlite.JournalWarning")
@pytest.mark.parametrize("seed", range(max(1, OPERATIONS // OPERATIONS_PER_SCHEMA)))
def test_every_rollback_restores_every_row(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    path = tmp_path / "fuzz.db"
    db, tables, system = start(path, choose)
    history: list[str] = []
    with closing(db):
        with closing(system):
            before = [entry for entry in schema(path) if "venomqa" not in entry[1]]
            base = all_rows(path)
            taken: list[tuple[Any, str, dict[str, Any]]] = []
            for _ in range(OPERATIONS_PER_SCHEMA):
                kind = choose.random()
                if kind < 0.1 or not taken:
                    handle = system.checkpoint("fuzz")
                    seen = system.observe()
                    taken.append((handle, seen.digest, everything(path, tables)))
                    now = all_rows(path)
                    for name, more, fewer in shown(seen.data["tables"]):
                        assert more == now[name] - base[name], history
                        assert fewer == base[name] - now[name], history
                elif kind < 0.3:
                    handle, digest, content = choose.choice(taken)
                    system.rollback(handle)
                    assert everything(path, tables) == content, history
                    assert system.observe().digest == digest, history
                    history.append("-- rollback")
                elif kind < 0.34 and len(taken) > 2:
                    system.forget(taken.pop(choose.randrange(len(taken)))[0])
                else:
                    history += write_something(db, tables, choose)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert schema(path) == before
