"""Where a service can keep its items: containers in PostgreSQL, SQLite, Redis and memory."""

import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import psycopg
from _redis_stores import (
    Fields,
    Hashes,
    Item,
    JsonText,
    Listed,
    Members,
    Place,
    Store,
    Stream,
    Strings,
)
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8

from venomqa_hyp.adapters import MemoryAdapter, SQLiteAdapter
from venomqa_hyp.adapters.postgres import PostgresAdapter

_PG_TYPES = {str: "text", int: "bigint", float: "float8"}
_FIRST = {str: "first", int: 7, float: 0.5}


class Rows:
    """A table with one row for each item."""

    def __init__(
        self, connection: Any, system: Any, mark: str, shape: "tuple[Encode, Encode]"
    ) -> None:
        self._connection, self._mark = connection, mark
        self._encode, self._decode = shape
        self.system = system

    def read(self) -> list[Item]:
        rows = self._connection.execute("SELECT ref, status, slot FROM items").fetchall()
        return [Item(self._decode(ref), status, slot) for ref, status, slot in rows]

    def add(self, item: Item) -> None:
        values = self._encode(item.value), item.status, item.slot
        self._execute("INSERT INTO items (ref, status, slot) VALUES (?, ?, ?)", *values)

    def replace(self, old: Item, new: Item) -> None:
        column, key = self._key(old)
        values = self._encode(new.value), new.status, key
        self._execute(f"UPDATE items SET ref = ?, status = ? WHERE {column} = ?", *values)

    def drop(self, item: Item) -> None:
        column, key = self._key(item)
        self._execute(f"DELETE FROM items WHERE {column} = ?", key)

    def close(self) -> None:
        self._connection.close()

    def _key(self, item: Item) -> tuple[str, Any]:
        return ("ref", self._encode(item.value)) if item.slot is None else ("slot", item.slot)

    def _execute(self, sql: str, *values: Any) -> None:
        self._connection.execute(sql.replace("?", self._mark), values)


Encode = Callable[[Any], Any]


def nested(value: Any) -> Any:
    return {"order": {"meta": {"ref": value}}}


def unnested(found: Any) -> Any:
    return found["order"]["meta"]["ref"]


def as_element(value: Any) -> Any:
    return Int8(value) if isinstance(value, int) else value  # else psycopg sends smallint[]


def postgres_rows(place: Place, kind: type, numbered: bool, shape: str) -> Store:
    encode, decode, sql_type = {
        "column": (lambda value: value, lambda found: found, _PG_TYPES.get(kind)),
        "jsonb": (lambda value: Jsonb(nested(value)), unnested, "jsonb"),
        "array": (
            lambda value: [as_element(item) for item in (_FIRST[kind], value)],
            lambda found: found[1],
            f"{_PG_TYPES.get(kind)}[]",
        ),
    }[shape]
    keys = ("PRIMARY KEY", "") if numbered else ("", "PRIMARY KEY")
    connection = psycopg.connect(place.postgres, autocommit=True)
    connection.execute("DROP SCHEMA IF EXISTS venomqa_journal CASCADE")
    connection.execute("DROP TABLE IF EXISTS items")
    connection.execute(
        f"CREATE TABLE items (slot int {keys[0]}, ref {sql_type} {keys[1]}, status text)"
    )
    system = PostgresAdapter(place.postgres, mode="journal")
    return Rows(connection, system, "%s", (encode, decode))


class SqliteRows(Rows):
    """A file that is removed in the end."""

    def __init__(self, numbered: bool, shape: "tuple[Encode, Encode]") -> None:
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "values_test.db"
        connection = sqlite3.connect(file, isolation_level=None)
        if numbered:
            table = "slot INTEGER PRIMARY KEY, ref, status TEXT)"
        else:  # the order of rows is that of the key, and not that in which they were inserted
            table = "slot INTEGER, ref PRIMARY KEY, status TEXT) WITHOUT ROWID"
        connection.execute(f"CREATE TABLE items ({table}")
        super().__init__(connection, SQLiteAdapter(connection), "?", shape)

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


def memory_list(place: Place, kind: type, numbered: bool) -> Store:
    memory = MemoryAdapter({"items": []})
    return Listed(memory, lambda: memory["items"], lambda items: memory.__setitem__("items", items))


class Keyed:
    """A dict in memory: the key is the value, or the slot while the client holds the value."""

    def __init__(self) -> None:
        self.system = MemoryAdapter({"items": {}})

    def read(self) -> list[Item]:
        return [
            Item(None if "slot" in row else key, row["status"], row.get("slot"))
            for key, row in self.system["items"].items()
        ]

    def add(self, item: Item) -> None:
        slot = {} if item.slot is None else {"slot": item.slot}
        row = {"status": item.status, **slot}
        self.system["items"] = {**self.system["items"], self._key(item): row}

    def replace(self, old: Item, new: Item) -> None:
        self.add(attrs.evolve(old, status=new.status))

    def drop(self, item: Item) -> None:
        key = self._key(item)
        self.system["items"] = {
            other: row for other, row in self.system["items"].items() if other != key
        }

    def close(self) -> None:
        pass

    def _key(self, item: Item) -> Any:
        return item.value if item.slot is None else item.slot


@attrs.frozen
class Container:
    """A place for values.

    :ivar open: ``(place, type of the value, whether items have slots) -> store``.
    :ivar server: that it needs.
    :ivar slots: whether its items always have slots.
    :ivar ordered: whether it shows the order in which items were created.
    :ivar deletes: whether items can be deleted.
    :ivar renews: whether values beside items can change.
    :ivar held: what holds the value: ``""`` for the store alone.
    """

    name: str
    open: Callable[[Place, type, bool], Store]
    server: str = ""
    slots: bool = False
    ordered: bool = False
    deletes: bool = True
    renews: bool = True
    held: str = ""


def in_memory(place: Place, kind: type, numbered: bool) -> Store:
    return Keyed()


def sqlite_json(place: Place, kind: type, numbered: bool) -> Store:
    decode = lambda found: unnested(json.loads(found))  # noqa: E731
    return SqliteRows(numbered, (lambda value: json.dumps(nested(value)), decode))


def plain(value: Any) -> Any:
    return value


def _containers() -> list[Container]:
    def postgres(shape: str) -> Container:
        def opened(place: Place, kind: type, numbered: bool) -> Store:
            return postgres_rows(place, kind, numbered, shape)

        return Container(f"PG {shape}", opened, "postgres")

    def in_redis(name: str, make: Callable[[Place, bool], Store], **options: Any) -> Container:
        return Container(f"R {name}", lambda place, kind, n: make(place, n), "redis", **options)

    return [
        *map(postgres, ("column", "jsonb", "array")),
        Container("SQLite", lambda place, kind, numbered: SqliteRows(numbered, (plain, plain))),
        Container("SQLite JSON", sqlite_json),
        in_redis("string", lambda place, n: Strings(place), slots=True),
        in_redis("hash", lambda place, n: Hashes(place), slots=True),
        in_redis("field", lambda place, n: Fields(place, n)),
        in_redis("set", lambda place, n: Members(place, n, scored=False)),
        in_redis("zset", lambda place, n: Members(place, n, scored=True)),
        in_redis("stream", lambda place, n: Stream(place), slots=True, deletes=False, renews=False),
        in_redis("JSON", lambda place, n: JsonText(place), ordered=True),
        Container("list", memory_list, ordered=True),
        Container("Bundle", in_memory, held="Bundle"),
        Container("context", in_memory, ordered=True, held="context"),
        Container("cookie", in_memory, held="cookie"),
        Container("header", in_memory, held="header"),
    ]


CONTAINERS = {container.name: container for container in _containers()}
