"""Rows as PostgreSQL writes them: composite literals, and the Python values that are observed.

https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX
"""

import re
from collections.abc import Sequence
from typing import Any

from venomqa_hyp.adapters.postgres.catalog import Catalog, Column, Relation
from venomqa_hyp.adapters.postgres.driver import Connection, Load, load_of
from venomqa_hyp.adapters.sql import IDENTIFIED_ROWS, Choice, Table

#: Closes the error where a name is unknown.
PARTITIONS = " A partition is observed as part of its table."
_FIELD = re.compile(r'(?:"((?:[^"\\]+|""|\\\\)*)"|([^,()"]*))[,)]')


def fields(row: str) -> list[str | None]:
    """Return the texts of the columns of a composite literal; None for NULL."""
    return [
        _unquoted(found[1]) if found[2] is None else found[2] or None
        for found in _FIELD.finditer(row, 1)
    ]


def _unquoted(text: str) -> str:
    return text.replace('""', '"').replace("\\\\", "\\")


class Reader:
    """Makes values of the observed columns of a row."""

    __slots__ = ("_wanted",)

    def __init__(self, wanted: Sequence[tuple[int, Load]]) -> None:
        self._wanted = wanted

    def __call__(self, row: str) -> tuple[Any, ...]:
        """Return one value per observed column."""
        texts = fields(row)
        return tuple(
            None if (text := texts[at]) is None else load(text) for at, load in self._wanted
        )


def check_choice(catalog: Catalog, choice: Choice) -> None:
    """Refuse names that do not exist.

    :raises DefinitionError: one does not.
    """
    columns = {root.name: [column.name for column in root.columns] for root in catalog.roots}
    choice.check(columns, columns, PARTITIONS)


def observed_tables(connection: Connection, catalog: Catalog, choice: Choice) -> dict[int, Table]:
    """Return OID -> each observed table."""
    return {
        root.number: _table(connection, root, choice)
        for root in catalog.roots
        if choice.observes(root.name)
    }


def _table(connection: Connection, root: Relation, choice: Choice) -> Table:
    observed = [
        (place, column)
        for place, column in enumerate(root.columns)
        if not column.generated and not choice.ignores(root.name, column.name)
    ]
    names = tuple(column.name for _, column in observed)
    return Table(
        root.name,
        names,
        root.key,
        _base(connection, root, tuple(column for _, column in observed)),
        Reader([(place, load_of(column.type)) for place, column in observed]),
    )


def _base(connection: Connection, root: Relation, columns: tuple[Column, ...]) -> str:
    only = "" if root.partitioned else "ONLY "
    row = root.row(columns, "r")
    ((rows, content),) = connection.execute(
        f"SELECT count(*), sum(hashtextextended(content, 0))::text FROM "
        f"(SELECT {row} AS content FROM {only}{root.sql} AS r LIMIT {IDENTIFIED_ROWS + 1}) AS s"
    )
    if rows <= IDENTIFIED_ROWS:
        return f"{rows} rows, {content or 0}"
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {only}{root.sql}")
    return f"{rows} rows"
