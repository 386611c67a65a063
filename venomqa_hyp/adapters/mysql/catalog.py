"""What the server says about a database: tables, foreign keys, triggers."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from typing import Any

import attrs

from venomqa_hyp.adapters.mysql.driver import Connection, quoted, text
from venomqa_hyp.adapters.mysql.rows import KINDS, Column, Layout
from venomqa_hyp.errors import DefinitionError

#: What the names of our own triggers begin with.
PREFIX = "venomqa_"
_BLANK = r"(?:\s|/\*.*?\*/|#[^\n]*\n|--(?:[^\S\n][^\n]*)?\n)"
_WORD = r"`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[\w$]+"
_HEAD = re.compile(rf"{_BLANK}|(?P<word>{_WORD})|.", re.DOTALL)
_ORDER = re.compile(
    rf"{_BLANK}*((FOLLOWS|PRECEDES)\b{_BLANK}*({_WORD}){_BLANK}*)?", re.DOTALL | re.IGNORECASE
)


@attrs.frozen
class ForeignKey:
    """A constraint of ``child`` that refers to ``parent``, both tables of this database.

    :ivar columns: of the child, in the order of ``referenced``, which are the parent's.
    :ivar on_delete: what happens to the child's rows, such as ``CASCADE``; so ``on_update``.
    """

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    referenced: tuple[str, ...]
    on_delete: str
    on_update: str


@attrs.frozen
class Trigger:
    """A trigger of the application.

    :ivar body: as information_schema shows it, which is not how it was written.
    :ivar head: what stands before the body, as it was written; empty where that is not known.
    """

    name: str
    table: str
    timing: str
    event: str
    body: str
    definer: str
    sql_mode: str
    charset: str
    collation: str
    head: str = ""


@attrs.frozen
class Catalog:
    """The database at one moment.

    :ivar layouts: name of the table -> how its rows are written.
    :ivar counted: the tables with an AUTO_INCREMENT column.
    :ivar triggers: the application's, in the order in which they fire.
    """

    layouts: Mapping[str, Layout]
    counted: frozenset[str]
    keys: tuple[ForeignKey, ...]
    triggers: tuple[Trigger, ...]


def read(connection: Connection) -> Catalog:
    """Read the catalog.

    :raises DefinitionError: a table is of a kind that cannot be rolled back; names the remedy.
    """
    name = text(connection.database)
    tables, columns, unique, keys, triggers, foreign = (
        result.rows for result in connection.run(*(sql.format(name) for sql in _QUERIES))
    )
    for problem in (*_of_tables(tables), *_of_foreign_keys(foreign)):
        raise DefinitionError(problem)
    described = defaultdict(list)
    generated = set()
    for table, *column in columns:
        if _is_generated(column[3]):
            generated.add((table, column[0]))
        else:
            described[table].append(column)
    positions = _keys(unique, generated)
    names = [row[0] for row in tables if row[1] == "BASE TABLE"]
    layouts = {
        table: _layout(connection.database, table, described[table], positions.get(table, ()))
        for table in names
    }
    counted = {table for table in names if any("auto_increment" in c[3] for c in described[table])}
    return Catalog(
        layouts,
        frozenset(counted),
        _foreign_keys(keys),
        tuple(Trigger(*row) for row in triggers if not row[0].startswith(PREFIX)),
    )


def as_written(connection: Connection, trigger: Trigger) -> Trigger:
    """Return the trigger with the head and the body that create it again.

    What information_schema shows has lost doubled quotes, ``_binary`` and rare letters.
    """
    ((_, _, statement, *_),) = connection.rows(
        f"SHOW CREATE TRIGGER {quoted(connection.database, trigger.name)}"
    )
    head, body = _parts(statement)
    return attrs.evolve(trigger, head=head, body=body)


def _parts(statement: str) -> tuple[str, str]:
    words: list[str] = []
    for part in _HEAD.finditer(statement):
        if part["word"]:
            words.append(part["word"].upper())
        if words[-3:] == ["FOR", "EACH", "ROW"]:
            order = _ORDER.match(statement, part.end())
            return statement[: part.end()], statement[order.end() if order else part.end() :]
    raise ValueError(f"not the definition of a trigger: {statement}")


def problems(connection: Connection) -> list[str]:
    """Return the tables and foreign keys that cannot be rolled back, each with its remedy."""
    name = text(connection.database)
    tables, foreign = connection.run(*(_QUERIES[at].format(name) for at in (0, 5)))
    return [*_of_tables(tables.rows), *_of_foreign_keys(foreign.rows)]


def _of_tables(tables: Any) -> Iterator[str]:
    for table, kind, engine in tables:
        if kind == "SYSTEM VERSIONED":
            yield (
                f"MySQL: table {table!r} is system-versioned, and what it remembers of the past "
                "cannot be set back. For the test database: "
                f"ALTER TABLE {table} DROP SYSTEM VERSIONING"
            )
        if kind == "SEQUENCE":
            yield (
                f"MySQL: {table!r} is a SEQUENCE, whose next value cannot be read, so it cannot be "
                "set back. For the test database, use an AUTO_INCREMENT column instead."
            )
        if kind == "BASE TABLE" and (engine or "").lower() != "innodb":
            yield (
                f"MySQL: table {table!r} is of engine {engine}, which has no transactions, so it "
                "cannot be rolled back together with the others. For the test database: "
                f"ALTER TABLE {table} ENGINE=InnoDB"
            )


def _of_foreign_keys(foreign: Any) -> Iterator[str]:
    for name, database, table, parent in foreign:
        yield (
            f"MySQL: foreign key {name!r} of {database}.{table} changes rows of that other "
            f"database when {parent!r} changes, and only one database is rolled back. For the "
            f"test: ALTER TABLE {database}.{table} DROP FOREIGN KEY {name}"
        )


def _layout(database: str, table: str, columns: Any, key: tuple[str, ...]) -> Layout:
    kept = []
    for name, kind, charset, _ in columns:
        if kind not in KINDS:
            raise DefinitionError(
                f"MySQL: column {name!r} of table {table!r} is of type {kind}, which is not known "
                "to come back unchanged. For the test, use another type."
            )
        kept.append(Column(name, kind, charset))
    names = [column.name for column in kept]
    layout = Layout(database, table, tuple(kept), tuple(names.index(name) for name in key))
    # A FLOAT is not equal to what it is written as.
    usable = all(column.is_comparable for column in layout.key_columns)
    return layout if usable else attrs.evolve(layout, key=())


def _is_generated(extra: str) -> bool:
    return "GENERATED" in extra and "DEFAULT_GENERATED" not in extra


def _keys(unique: Any, generated: Set[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return table -> columns of its primary key, else of its first unique key without NULL.

    :param generated: table and name of each generated column; these are in no text of a row.
    """
    indexes: dict[tuple[str, str], list[tuple[str | None, str]]] = defaultdict(list)
    for table, index, column, nullable in unique:
        indexes[table, index].append((column, nullable))
    chosen: dict[str, tuple[str, ...]] = {}
    for (table, index), parts in indexes.items():
        names = tuple(
            column
            for column, nullable in parts
            if column and nullable != "YES" and (table, column) not in generated
        )
        if len(names) == len(parts) and (index == "PRIMARY" or table not in chosen):
            chosen[table] = names
    return chosen


def _foreign_keys(rows: Any) -> tuple[ForeignKey, ...]:
    columns: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for name, child, parent, on_delete, on_update, column, referenced in rows:
        columns[name, child, parent, on_delete, on_update].append((column, referenced))
    return tuple(
        ForeignKey(
            name,
            child,
            tuple(pair[0] for pair in pairs),
            parent,
            tuple(pair[1] for pair in pairs),
            on_delete,
            on_update,
        )
        for (name, child, parent, on_delete, on_update), pairs in columns.items()
    )


_I_S = "information_schema"
_QUERIES = (
    f"SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM {_I_S}.TABLES WHERE TABLE_SCHEMA = {{0}}"
    " AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME",
    f"SELECT TABLE_NAME, COLUMN_NAME, LOWER(DATA_TYPE), CHARACTER_SET_NAME, EXTRA"
    f" FROM {_I_S}.COLUMNS WHERE TABLE_SCHEMA = {{0}} ORDER BY TABLE_NAME, ORDINAL_POSITION",
    f"SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, NULLABLE FROM {_I_S}.STATISTICS"
    " WHERE TABLE_SCHEMA = {0} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
    f"SELECT k.CONSTRAINT_NAME, k.TABLE_NAME, k.REFERENCED_TABLE_NAME, r.DELETE_RULE,"
    f" r.UPDATE_RULE, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME FROM {_I_S}.KEY_COLUMN_USAGE k"
    f" JOIN {_I_S}.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA"
    " AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME"
    " WHERE k.TABLE_SCHEMA = {0} AND k.REFERENCED_TABLE_SCHEMA = {0}"
    " ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
    f"SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION,"
    f" ACTION_STATEMENT, DEFINER, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION"
    f" FROM {_I_S}.TRIGGERS WHERE TRIGGER_SCHEMA = {{0}}"
    " ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
    f"SELECT k.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.REFERENCED_TABLE_NAME"
    f" FROM {_I_S}.KEY_COLUMN_USAGE k JOIN {_I_S}.REFERENTIAL_CONSTRAINTS r"
    " ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME"
    " AND r.TABLE_NAME = k.TABLE_NAME"
    " WHERE k.REFERENCED_TABLE_SCHEMA = {0} AND k.TABLE_SCHEMA <> {0}"
    " AND (r.DELETE_RULE IN ('CASCADE', 'SET NULL') OR r.UPDATE_RULE IN ('CASCADE', 'SET NULL'))",
)
