"""The schema, and what the journal has to know of each table: its values, key, and replacements.

INSERT OR REPLACE deletes rows that equal the new one in the rowid or in any unique index, and fires
no trigger for them. So each trigger looks for these rows first.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

import attrs

from venomqa_hyp.adapters.sqlite.driver import quoted, rows
from venomqa_hyp.adapters.sqlite.rows import Layout
from venomqa_hyp.adapters.sqlite.statements import (
    index_condition,
    stops_half_way,
    trigger_head,
)

ROWID_NAMES = ("rowid", "_rowid_", "oid")
COUNTERS = "sqlite_sequence"
Schema = tuple[tuple[str, str, str, str | None], ...]

_EXPRESSION = -2
#: PRAGMA table_xinfo, column ``hidden``: 2 and 3 are generated columns.
_GENERATED = (2, 3)


class Unfit(Exception):
    """A journal cannot be sound for this database; the text says why."""


@attrs.frozen
class TableInfo:
    """One table, as its triggers have to see it.

    :ivar conflicts: SQL conditions on rows of the table, with NEW in them: together they hold for
        every row that NEW can replace.
    """

    layout: Layout
    conflicts: tuple[str, ...]


@attrs.frozen
class Catalog:
    """All tables.

    :ivar schema: everything there is, without statistics.
    :ivar counted: whether there are AUTOINCREMENT counters.
    """

    schema: Schema
    tables: tuple[TableInfo, ...]
    counted: bool

    @property
    def layouts(self) -> Mapping[int, Layout]:
        """Return number -> each table."""
        return {table.layout.number: table.layout for table in self.tables}


@attrs.frozen
class Selection:
    """How to read one table.

    :ivar columns: names in the order of a row; generated columns are left out, since they follow
        from the others.
    :ivar key: the columns that tell rows apart: the primary key, else the rowid.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    sql: str


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


def describe(connection: sqlite3.Connection, name: str) -> Selection:
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
    return Selection(name, tuple(columns), key or tuple(columns), sql)


def _rowid(connection: sqlite3.Connection, table: str, taken: set[str]) -> str:
    for name in ROWID_NAMES:
        if name not in taken:
            try:
                connection.execute(f"SELECT {name} FROM {quoted(table)} LIMIT 0")
            except sqlite3.OperationalError:
                return ""  # WITHOUT ROWID
            return name
    return ""


def difference(before: Schema, after: Schema, mark: str) -> str:
    """Return what happened to the schema in words; nothing if it is the same.

    :param mark: what the names of the journal's own triggers have in them.
    """
    old, new = set(before), set(after)
    lost, come = set(map(_name, old - new)), set(map(_name, new - old))
    if any(mark in name for name in lost):
        return (
            "triggers of the journal are gone: another SQLiteAdapter was opened on the file, or a "
            "table was dropped"
        )
    parts = [
        f"{verb}: {', '.join(sorted(names)[:5])}"
        for verb, names in (
            ("gone", lost - come),
            ("new", come - lost),
            ("changed", lost & come),
        )
        if names
    ]
    return f"the schema was changed during the run ({'; '.join(parts)})" if parts else ""


def _name(entry: tuple[str, str, str, str | None]) -> str:
    return f"{entry[0]} {entry[1]}"


def read_catalog(connection: sqlite3.Connection, *, with_triggers: bool) -> Catalog:
    """Read what is there.

    :param with_triggers: whether the application's own triggers can be kept from firing.
    :raises Unfit: a journal would not be sound.
    """
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        raise Unfit(f"the text of the database is {encoding}, and has to be UTF-8")
    schema, _ = read_schema(connection)
    for kind, name, _, sql in schema:
        if kind == "table" and (sql or "").upper().startswith("CREATE VIRTUAL"):
            raise Unfit(f"{name} is a virtual table, whose changes fire no triggers")
    names = [name for name in readable(schema) if name != COUNTERS]
    _check_triggers(schema, names, with_triggers)
    tables = tuple(_table(connection, schema, number, name) for number, name in enumerate(names, 1))
    return Catalog(schema, tables, COUNTERS in readable(schema))


def _check_triggers(schema: Schema, tables: list[str], with_triggers: bool) -> None:
    known = {table.lower() for table in tables}
    for kind, name, table, sql in schema:
        # A trigger has the name of its table as its author wrote it. On a view it fires for none.
        if kind != "trigger" or table.lower() not in known or not sql:
            continue
        if not with_triggers:
            raise Unfit(
                f"table {table} has a trigger of its own, {name}, and only Python 3.12 and later "
                "can keep it from firing while rows are put back"
            )
        if trigger_head(sql)[0] == "AFTER" and stops_half_way(sql):
            raise Unfit(
                f"trigger {name} of table {table} has RAISE(IGNORE) or RAISE(FAIL), which can "
                "keep a change from being written down"
            )


def _table(connection: sqlite3.Connection, schema: Schema, number: int, name: str) -> TableInfo:
    if name.lower() in ("new", "old"):
        raise Unfit(f"table {name} is called what triggers call a row")
    info = rows(connection, f"PRAGMA table_xinfo({quoted(name)})")
    indexes = _indexes(connection, name)
    by_rowid, key_sql = _row_key(name, info, indexes)
    shown = describe(connection, name)
    plain = [row[1] for row in info if row[6] == 0]
    alias = next((row[1] for row in info if quoted(row[1]) == key_sql), None)
    stored = [column for column in plain if column != alias]
    names = [*([alias or key_sql] if by_rowid else []), *stored]
    layout = Layout(
        number=number,
        name=name,
        stored=(*([key_sql] if by_rowid else []), *map(quoted, stored)),
        key=(0,) if by_rowid else tuple(stored.index(column) for column in shown.key),
        collations=("",) if by_rowid else _key_collations(indexes, shown.key),
        shown=shown.columns,
        shown_key=shown.key,
        places=tuple(names.index(column) for column in shown.columns),
    )
    statements = {entry[1]: entry[3] for entry in schema if entry[0] == "index"}
    unique = [index for index in indexes if index.unique]
    _refuse_computed(name, info, unique)
    _refuse_changing_triggers(schema, name, unique)
    conflicts = [f"{layout.sql}.{key_sql} = NEW.{key_sql}"] if by_rowid else []
    conflicts += [_conflict(layout, index, statements.get(index.name)) for index in unique]
    return TableInfo(layout, tuple(conflicts))


@attrs.frozen
class _Index:
    """An index.

    :ivar terms: (column number, column name, collation) of each indexed term.
    """

    name: str
    unique: bool
    is_key: bool
    partial: bool
    terms: tuple[tuple[int, str | None, str], ...]
    has_rowid: bool


def _indexes(connection: sqlite3.Connection, table: str) -> list[_Index]:
    found = []
    for _, name, unique, origin, partial in rows(connection, f"PRAGMA index_list({quoted(table)})"):
        info = rows(connection, f"PRAGMA index_xinfo({quoted(name)})")
        terms = tuple((row[1], row[2], row[4]) for row in info if row[5])
        has_rowid = any(row[1] == -1 for row in info)
        found.append(_Index(name, bool(unique), origin == "pk", bool(partial), terms, has_rowid))
    return found


def _row_key(table: str, info: list[tuple[Any, ...]], indexes: list[_Index]) -> tuple[bool, str]:
    """Return whether rows are found by their rowid, and what the rowid is called in SQL."""
    keys = [str(row[1]) for row in info if row[5]]
    of_key = next((index for index in indexes if index.is_key), None)
    if of_key is not None and not of_key.has_rowid:
        return False, ""  # WITHOUT ROWID
    if of_key is None and keys:
        return True, quoted(keys[0])  # INTEGER PRIMARY KEY
    taken = {str(row[1]).lower() for row in info}
    for name in ROWID_NAMES:
        if name not in taken:
            return True, name
    raise Unfit(f"the columns of table {table} hide its rowid by their names")


def _key_collations(indexes: list[_Index], key: tuple[str, ...]) -> tuple[str, ...]:
    (of_key,) = (index for index in indexes if index.is_key)
    by_name = {name: collation for _, name, collation in of_key.terms}
    return tuple(by_name[column] for column in key)


def _refuse_computed(table: str, info: list[tuple[Any, ...]], unique: list[_Index]) -> None:
    """Raise Unfit where SQLite computes what it compares, after the trigger that has to know it.

    Such are the rowid that SQLite chooses, in expressions and generated columns; and the defaults
    that REPLACE writes where a column may not be NULL.
    """
    generated = {row[1] for row in info if row[6] in _GENERATED}
    filled = {row[1] for row in info if row[4] is not None and (row[3] or row[5])}
    for index in unique:
        for number, name, _ in index.terms:
            if number == _EXPRESSION or name in generated:
                term = "an expression" if number == _EXPRESSION else f"the generated column {name}"
                raise Unfit(
                    f"index {index.name} of table {table} is unique over {term}, which SQLite "
                    "computes after the triggers that look for the rows that can be replaced"
                )
            if name in filled:
                raise Unfit(
                    f"REPLACE can write the default of column {name} of table {table}, and which "
                    "rows are replaced then cannot be known before"
                )


def _refuse_changing_triggers(schema: Schema, table: str, unique: list[_Index]) -> None:
    """Raise Unfit if a trigger can change what an UPDATE conflicts with, after ours has looked.

    SQLite reads the columns that an UPDATE does not set once more after its BEFORE triggers. With
    an index over one column there is no harm: what such a trigger writes there is looked at.
    """
    wide = [index for index in unique if len(index.terms) > 1 or index.partial]
    for kind, name, of_table, sql in schema:
        is_here = kind == "trigger" and of_table.lower() == table.lower()
        if is_here and wide and sql and trigger_head(sql) == ("BEFORE", "UPDATE"):
            raise Unfit(
                f"trigger {name} of table {table} can change a row while it is being updated, "
                f"and so which rows {wide[0].name} lets it replace"
            )


def _conflict(layout: Layout, index: _Index, sql: str | None) -> str:
    """Return the condition for rows that NEW can replace by one index."""
    where = index_condition(sql) if sql else ""
    conditions = [f"({where})"] if where else []
    for _, name, collation in index.terms:
        column = quoted(str(name))
        conditions.append(f"{layout.sql}.{column} = NEW.{column} COLLATE {quoted(collation)}")
    return " AND ".join(conditions)
