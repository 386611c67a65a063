"""MySQL under random statements of every kind, in random trees of checkpoints.

After each rollback the database is dumped by a connection of its own and compared with the dump
that was taken at the checkpoint. ``VENOMQA_RANDOM_MYSQL`` is the number of databases to try.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pymysql
import pytest
import servers

from venomqa_hyp.adapters.mysql import MySQLAdapter

DATABASES = int(os.environ.get("VENOMQA_RANDOM_MYSQL", "3"))
OPERATIONS = 40

Choices = random.Random


def text(choices: Choices) -> str:
    letters = choices.choices(
        ["a", "A", "b", " ", "é", "'", "\\", "~", ","], k=choices.randrange(6)
    )
    return "'" + "".join(letters).replace("\\", "\\\\").replace("'", "''") + "'"


def emoji(choices: Choices) -> str:
    return choices.choice(["'😀'", "'e'", "'E'", "''", text(choices)])


def octets(choices: Choices) -> str:
    return f"X'{choices.randbytes(choices.randrange(6)).hex()}'"


def number(low: int, high: int) -> Callable[[Choices], str]:
    return lambda choices: str(choices.choice([low, high, 0, choices.randint(low, high)]))


def moment(choices: Choices) -> str:
    day = f"{choices.randint(1971, 2037)}-{choices.randint(1, 12):02}-{choices.randint(1, 28):02}"
    hour, second = choices.randrange(24), choices.randrange(60)
    return f"'{day} {hour:02}:59:{second:02}.{choices.randrange(10**6):06}'"


def labels(choices: Choices) -> str:
    return "'" + ",".join(sorted(choices.sample(["a", "b b", "c''"], choices.randrange(4)))) + "'"


def point(choices: Choices) -> str:
    return f"ST_GeomFromText('POINT({choices.random()} {choices.randint(-9, 9)})', 4326)"


#: Type -> a literal of it; those of MariaDB only are taken where the server knows them.
TYPES: dict[str, Callable[[Choices], str]] = {
    "TINYINT": number(-128, 127),
    "SMALLINT UNSIGNED ZEROFILL": number(0, 65535),
    "MEDIUMINT": number(-8388608, 8388607),
    "BIGINT UNSIGNED": number(0, 2**64 - 1),
    "DECIMAL(30,10)": lambda c: f"{c.randint(-(10**19), 10**19)}.{c.randrange(10**10)}",
    "FLOAT": lambda c: repr(c.uniform(-1, 1) * 10 ** c.randint(-30, 30)),
    "FLOAT(7,3)": lambda c: f"{c.randint(-9999, 9999)}.{c.randrange(1000):03}",
    "DOUBLE": lambda c: repr(c.uniform(-1, 1) * 10 ** c.randint(-300, 300)),
    "BIT(64)": number(0, 2**64 - 1),
    "CHAR(8)": text,
    "CHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin": emoji,
    "VARCHAR(20) CHARACTER SET latin1": text,
    "VARCHAR(20) CHARACTER SET utf16": text,
    "TEXT": lambda c: f"REPEAT({text(c)}, {c.choice([1, 1000])})",
    "BINARY(6)": octets,
    "VARBINARY(20)": octets,
    "LONGBLOB": lambda c: f"REPEAT({octets(c)}, {c.choice([1, 20000])})",
    "ENUM('a','b b','c''','')": lambda c: c.choice(["'a'", "'b b'", "'c'''", "''", "'wrong'"]),
    "SET('a','b b','c''')": labels,
    "DATE": lambda c: c.choice(["'0000-00-00'", "'2024-02-29'", "'9999-12-31'", "'2024-00-00'"]),
    "DATETIME": moment,
    "DATETIME(6)": moment,
    "TIMESTAMP": lambda c: c.choice([moment(c), "'0000-00-00 00:00:00'"]),
    "TIMESTAMP(6)": moment,
    "TIME(3)": lambda c: f"'{c.choice(['', '-'])}{c.randrange(838)}:59:01.{c.randrange(1000):03}'",
    "YEAR": lambda c: str(c.choice([0, 1901, 2024, 2155])),
    "JSON": lambda c: f"""'{{"a": [1, 2.5, "{c.randrange(9)}", null]}}'""",
    "POINT": point,
    "GEOMETRY": point,
    "UUID": lambda c: f"'123e4567-e89b-12d3-a456-{c.randrange(16**12):012x}'",
    "INET6": lambda c: f"'::{c.randrange(65536):x}'",
}
KEY_TYPES = (
    *("TINYINT", "CHAR(8)", "VARCHAR(20) CHARACTER SET latin1", "BIGINT UNSIGNED", "YEAR"),
    *("DATE", "TIMESTAMP(6)", "TIME(3)", "BIT(64)", "DECIMAL(30,10)", "VARBINARY(20)"),
    *("ENUM('a','b b','c''','')", "SET('a','b b','c''')", "DATETIME(6)", "DOUBLE"),
    "VARCHAR(20) CHARACTER SET utf16",
)
#: Kind of a column -> what tells its values apart, where their hexadecimal digits do not.
EXACT = {
    **dict.fromkeys(("float", "double"), "CAST({0} AS DOUBLE)"),
    **dict.fromkeys(("enum", "set"), "CONCAT(CAST({0} AS UNSIGNED), HEX({0}))"),
    **dict.fromkeys(("decimal", "uuid", "inet6", "date", "datetime", "time", "json"), "{0}"),
    "timestamp": "CONCAT(UNIX_TIMESTAMP({0}), ' ', {0})",
}
MARIADB_ONLY = {"UUID", "INET6"}


class Application:
    """Random tables, and random statements from a connection of their own."""

    def __init__(self, url: str, choices: Choices) -> None:
        self._connection = servers.mysql_connect(url)
        self._choices = choices
        is_mariadb = "MariaDB" in self._connection.get_server_info()
        self._types = [name for name in TYPES if is_mariadb or name not in MARIADB_ONLY]
        self.columns: dict[str, dict[str, str]] = {}
        self.nullable: set[str] = set()
        self.execute("SET sql_mode = '', time_zone = '+05:30'")
        self._connection.autocommit(True)

    def execute(self, sql: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def close(self) -> None:
        self._connection.close()

    def create(self) -> None:
        keys = ["id INT AUTO_INCREMENT PRIMARY KEY", "", "k1 {0}, k2 {1}, PRIMARY KEY (k2, k1)"]
        keys += ["u1 {0} NOT NULL, UNIQUE (u1)", "id INT AUTO_INCREMENT PRIMARY KEY, UNIQUE (c0)"]
        for number_, key in enumerate(self._choices.sample(keys, 3)):
            some = self._choices.sample(self._types, 4)
            if "(c0)" in key:
                some[0] = self._choices.choice(KEY_TYPES)
            columns = {f"c{at}": kind for at, kind in enumerate(some)}
            pair = self._choices.choices(KEY_TYPES, k=2)
            nullable = self._choices.random() < 0.6
            if nullable:
                self.nullable.add(f"t {number_}")
            null = "NULL" if nullable else "NOT NULL"
            parts = [f"{name} {kind} {null}" for name, kind in columns.items()]
            parts += ["g INT AS (1 + 1) STORED", *filter(None, [key.format(*pair)])]
            if "k1" in key:
                columns |= {"k1": pair[0], "k2": pair[1]}
            elif "u1" in key:
                columns["u1"] = pair[0]
            table = f"t {number_}"
            self.execute(f"CREATE TABLE `{table}` ({', '.join(parts)})")
            self.columns[table] = columns

    def act(self) -> None:
        kind = self._choices.choice(["one", "one", "one", "committed", "rolled back"])
        if kind != "one":
            self.execute("BEGIN")
        for _ in range(self._choices.randrange(1, 4)):
            # A duplicate, or a value out of range: that happens to applications too.
            with suppress(pymysql.MySQLError):
                self.execute(self._statement())
        if kind != "one":
            self.execute("COMMIT" if kind == "committed" else "ROLLBACK")

    def _statement(self) -> str:
        choices = self._choices
        table = choices.choice(list(self.columns))
        columns = self.columns[table]
        names = ", ".join(columns)
        rows = ", ".join(f"({', '.join(self._row(table))})" for _ in range(choices.randint(1, 3)))
        setting = ", ".join(
            f"{name} = {TYPES[columns[name]](choices)}" for name in choices.sample(list(columns), 2)
        )
        some = f"LIMIT {choices.randint(1, 3)}" if choices.random() < 0.8 else ""
        inserted = f"INTO `{table}` ({names}) VALUES {rows}"
        return choices.choice(
            [
                f"INSERT {inserted}",
                f"INSERT {inserted}",
                f"INSERT IGNORE {inserted}",
                f"REPLACE {inserted}",
                f"INSERT {inserted} ON DUPLICATE KEY UPDATE {setting}",
                f"INSERT IGNORE INTO `{table}` ({names}) SELECT {names} FROM `{table}` LIMIT 2",
                f"UPDATE `{table}` SET {setting} {some}",
                f"UPDATE IGNORE `{table}` SET {setting} {some}",
                f"DELETE FROM `{table}` {some}",
            ]
        )

    def _row(self, table: str) -> Iterator[str]:
        for name, kind in self.columns[table].items():
            may_be_null = table in self.nullable and name.startswith("c")
            is_null = may_be_null and self._choices.random() < 0.15
            yield "NULL" if is_null else TYPES[kind](self._choices)


def dump(url: str, tables: list[str]) -> dict[str, Any]:
    """Return everything about the tables, read by a connection of its own."""
    found: dict[str, Any] = {}
    with closing(servers.mysql_connect(url)) as connection, connection.cursor() as cursor:

        def ask(query: str) -> Any:
            cursor.execute(query)
            return cursor.fetchall()

        ask("SET time_zone = '+00:00'")
        for table in tables:
            columns = ask(
                "SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE FROM information_schema.COLUMNS"
                f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}'"
            )
            exact = ", ".join(EXACT.get(kind, "HEX({0})").format(name) for name, kind, _ in columns)
            found[table] = {
                "rows": sorted(map(repr, ask(f"SELECT {exact} FROM `{table}`"))),
                "definition": ask(f"SHOW CREATE TABLE `{table}`"),
            }
            if all(nullable == "NO" or name == "g" for name, _, nullable in columns):
                # With NULL in it, MariaDB 10.11 gives an unchanged table several checksums.
                found[table]["checksum"] = ask(f"CHECKSUM TABLE `{table}` EXTENDED")
    return found


@pytest.mark.parametrize("seed", range(DATABASES))
def test_every_rollback_restores_the_dump(mysql_url: str, seed: int) -> None:
    """Rows, checksums and counters are those of the checkpoint, and nothing is left behind."""
    choices = Choices(seed)
    with (
        servers.mysql_database(mysql_url) as url,
        closing(Application(url, choices)) as application,
    ):
        application.create()
        tables = list(application.columns)
        for _ in range(5):
            application.act()
        with closing(MySQLAdapter(url)) as adapter:
            taken = [(adapter.checkpoint("start"), dump(url, tables), adapter.observe())]
            for number_ in range(OPERATIONS):
                operation = choices.choice(["act", "act", "observe", "checkpoint", "rollback"])
                if operation == "act":
                    application.act()
                elif operation == "observe":
                    adapter.observe()
                elif operation == "checkpoint":
                    taken.append(
                        (adapter.checkpoint(str(number_)), dump(url, tables), adapter.observe())
                    )
                else:
                    handle, expected, seen = choices.choice(taken)
                    adapter.rollback(handle)
                    assert dump(url, tables) == expected
                    assert adapter.observe() == seen
        assert application.execute("SHOW TRIGGERS") == ()
        assert len(application.execute("SHOW TABLES")) == len(tables)
