"""Read the content of an image: every row with its exact type, in a fixed order.

The digest is made of one digest per table. A table none of whose pages changed keeps the digest
of the state before, so observing costs the size of the tables that changed.
"""

import hashlib
import marshal
import sqlite3
import struct
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

import attrs

from venomqa_hyp.adapters.sqlite.image import Image, changed_pages, tree_pages
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.values.digest import digest

# Version 2 writes equal values of equal types as equal bytes; 3 and later write references to
# objects met before, which depend on identity.
_MARSHAL_VERSION = 2
_ROWS_AT_ONCE = 2000
ROWID_NAMES = ("rowid", "_rowid_", "oid")
COUNTERS = "sqlite_sequence"


Schema = tuple[tuple[str, str, str, str | None], ...]
Digests = Mapping[str, str]


@attrs.frozen
class Plan:
    """What is observed.

    :ivar tables: names of the tables whose rows count; None means all.
    :ivar queries: name -> SQL of the named queries.
    """

    system: str
    tables: frozenset[str] | None = None
    queries: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Table:
    """How to read one table.

    :ivar columns: names in the order of a row; generated columns are left out, since they follow
        from the others.
    :ivar key: the columns that tell rows apart: the primary key, else the rowid.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    sql: str


@attrs.frozen
class Content:
    """What was read out of one image, kept for the next state.

    :ivar schema: (type, name, table, sql) of all that is in the schema.
    :ivar roots: table or index -> page number of the root of its B-tree.
    :ivar digests: table -> digest of its rows.
    """

    plan: Plan
    schema: Schema
    roots: Mapping[str, int]
    tables: tuple[Table, ...]
    digests: Digests
    observation: Observation


class Rows(Mapping[str, Mapping[str, Any]]):
    """The rows of tables or queries, read out of the image when they are first asked for.

    Keeping all rows of every state would take many times the memory of the changed pages.
    """

    def __init__(self, image: Image, statements: Mapping[str, tuple[Mapping[str, Any], str]]):
        self._image = image
        self._statements = statements
        self._loaded: dict[str, Mapping[str, Any]] | None = None

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def _load(self) -> dict[str, Mapping[str, Any]]:
        with closing(open_for_reading(self._image)) as connection:
            return {
                name: {**head, "rows": rows(connection, sql)}
                for name, (head, sql) in self._statements.items()
            }


def open_for_reading(image: Image) -> sqlite3.Connection:
    """Return a connection to a copy of ``image`` that no statement can change."""
    connection = image.open()
    connection.execute("PRAGMA query_only = ON")
    return connection


def read(image: Image, plan: Plan, known: Image | None) -> Content:
    """Read what ``plan`` observes.

    :param known: an image that was read before; tables equal to its tables are not read again.
    :raises sqlite3.Error: a table or query cannot be read.
    """
    with closing(open_for_reading(image)) as connection:
        schema, roots = read_schema(connection)
        old = known.content if known is not None else None
        if old is not None and (old.plan != plan or old.schema != schema):
            old = None
        tables = old.tables if old is not None else _observed_tables(connection, schema, plan)
        kept = _unchanged(known, image, old, roots) if known is not None and old else {}
        digests = {
            table.name: kept.get(table.name) or _hash_rows(rows(connection, table.sql))
            for table in tables
        }
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "application_id")
        }
        queries = {name: _read_query(connection, sql) for name, sql in plan.queries}
    observation = _observation(image, plan, schema, settings, tables, digests, queries)
    return Content(plan, schema, roots, tables, digests, observation)


def columns_of_query(connection: sqlite3.Connection, sql: str) -> tuple[str, ...]:
    """Return the column names that ``sql`` answers with; none, if it is not a query.

    :raises sqlite3.Error: SQLite cannot run it.
    """
    with closing(connection.execute(sql)) as cursor:
        return tuple(column[0] for column in cursor.description or ())


def check_query(
    system: str,
    ask: Callable[[str], tuple[tuple[str, ...], object]],
    name: str,
    sql: str,
    known: Container[str],
) -> None:
    """Try an observation query.

    :param ask: returns the columns and the rows that a query answers with.
    :param known: the names that are used.
    :raises DefinitionError: SQLite refuses it, it answers with no rows, or the name is used.
    """
    if name in known:
        raise DefinitionError(
            f"{system}: there is an observation query {name!r} already; choose another name."
        )
    try:
        columns, _ = ask(sql)
    except sqlite3.Error as error:
        raise DefinitionError(
            f"{system}: SQLite refuses the observation query {name!r}: {error}. The query: {sql}"
        ) from error
    if not columns:
        raise DefinitionError(
            f"{system}: the observation query {name!r} answers with no rows: {sql}. Write a SELECT."
        )


def table_names(image: Image) -> list[str]:
    """Return the names of all tables whose rows can be observed."""
    with closing(open_for_reading(image)) as connection:
        return sorted(readable(read_schema(connection)[0]))


def checked_tables(system: str, wanted: Iterable[str], existing: list[str]) -> frozenset[str]:
    """Return the tables to observe.

    :raises DefinitionError: one of them does not exist.
    """
    if isinstance(wanted, str):
        raise DefinitionError(f"observe_tables={wanted!r} must be a list: [{wanted!r}].")
    names = frozenset(wanted)
    if unknown := sorted(names.difference(existing)):
        raise DefinitionError(
            f"{system}: observe_tables names {unknown}, which the database does not have. "
            f"Its tables: {existing}."
        )
    return names


def rows(connection: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of ``sql``.

    Text that is not UTF-8 is decoded with ``surrogateescape``, so that different bytes stay
    different.
    """
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.text_factory = str


def read_schema(connection: sqlite3.Connection) -> tuple[Schema, dict[str, int]]:
    """Return the schema without the planner's statistics, and name -> root page."""
    entries = rows(
        connection,
        "SELECT type, name, tbl_name, sql, rootpage FROM sqlite_master ORDER BY type, name",
    )
    roots = {entry[1]: entry[4] for entry in entries if entry[4]}
    # Statistics of the query planner are no content: ANALYZE may run whenever a program ends.
    schema = tuple(entry[:4] for entry in entries if not entry[1].startswith("sqlite_stat"))
    return schema, roots


def readable(schema: Schema) -> list[str]:
    """Return the names of the tables whose rows can be read."""
    # The rows of a virtual table are those of its shadow tables, which are listed here as well.
    return [
        name
        for kind, name, _, sql in schema
        if kind == "table" and not (sql or "").upper().startswith("CREATE VIRTUAL")
    ]


def _observed_tables(
    connection: sqlite3.Connection, schema: Schema, plan: Plan
) -> tuple[Table, ...]:
    names = readable(schema)
    return tuple(
        describe(connection, name) for name in names if plan.tables is None or name in plan.tables
    )


def describe(connection: sqlite3.Connection, name: str) -> Table:
    """Return how to read a table."""
    columns: list[str] = []
    taken: set[str] = set()
    keys: list[tuple[int, str]] = []
    for _, column, _, _, _, position, hidden in rows(
        connection, f"PRAGMA table_xinfo({quoted(name)})"
    ):
        taken.add(column.lower())
        if hidden == 0:
            columns.append(column)
        if position:
            keys.append((position, column))
    key = tuple(column for _, column in sorted(keys))
    if name == COUNTERS:
        key, order = ("name",), '"name"'
    else:
        order = _rowid(connection, name, taken) or ",".join(map(quoted, key))
        if not key and order:
            key = (order,)
            columns.insert(0, order)
    wanted = ",".join(column if column == order else quoted(column) for column in columns)
    ordered = f" ORDER BY {order}" if order else ""
    # Without NOT INDEXED, a table read in the order of an index that happens to cover it.
    sql = f"SELECT {wanted} FROM {quoted(name)} NOT INDEXED{ordered}"
    return Table(name, tuple(columns), key or tuple(columns), sql)


def _rowid(connection: sqlite3.Connection, table: str, taken: set[str]) -> str:
    for name in ROWID_NAMES:
        if name not in taken:
            try:
                connection.execute(f"SELECT {name} FROM {quoted(table)} LIMIT 0")
            except sqlite3.OperationalError:
                return ""  # WITHOUT ROWID
            return name
    return ""


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def _unchanged(known: Image, image: Image, old: Content, roots: Mapping[str, int]) -> Digests:
    """Return the digests of the tables that have no changed page."""
    changed = changed_pages(known, image)
    try:
        trees = {name: tree_pages(image, root) for name, root in roots.items()}
        schema = tree_pages(image, 1)
    except (IndexError, struct.error):
        return {}  # a damaged file: let SQLite say so
    # A changed page outside all trees may be an overflow page of any table.
    if not changed.issubset(schema.union(*trees.values())):
        return {}
    return {
        name: known_digest
        for name, known_digest in old.digests.items()
        if roots.get(name) == old.roots.get(name) and changed.isdisjoint(trees[name])
    }


def _hash_rows(found: list[tuple[Any, ...]]) -> str:
    content = hashlib.blake2b(digest_size=16)
    for start in range(0, len(found), _ROWS_AT_ONCE):
        content.update(marshal.dumps(found[start : start + _ROWS_AT_ONCE], _MARSHAL_VERSION))
    return content.hexdigest()


def _read_query(connection: sqlite3.Connection, sql: str) -> tuple[tuple[str, ...], str]:
    columns = columns_of_query(connection, sql)
    return columns, _hash_rows(rows(connection, sql))


def _observation(
    image: Image,
    plan: Plan,
    schema: Schema,
    settings: Mapping[str, int],
    tables: tuple[Table, ...],
    digests: Digests,
    queries: Mapping[str, tuple[tuple[str, ...], str]],
) -> Observation:
    statements = {
        table.name: ({"columns": table.columns, "key": table.key}, table.sql) for table in tables
    }
    answers = {name: ({"columns": queries[name][0]}, sql) for name, sql in plan.queries}
    data = {
        "schema": {f"{kind} {name}": sql for kind, name, _, sql in schema},
        "settings": settings,
        "tables": Rows(image, statements),
        "queries": Rows(image, answers),
    }
    identity = [data["schema"], settings, digests, queries]
    left_out = sorted(set(readable(schema)).difference(statements))
    return Observation.create(
        plan.system,
        data,
        {"tables_left_out": left_out},
        known_digest=digest(identity, where=f"{plan.system} observation"),
    )
