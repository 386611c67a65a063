"""Which tables and columns are observed, and what identifies their content at the beginning."""

from collections.abc import Iterable

import attrs

from venomqa_hyp.adapters.journal import Table
from venomqa_hyp.adapters.postgres.catalog import Catalog, Relation
from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.adapters.postgres.rows import Reader, load_of
from venomqa_hyp.errors import DefinitionError

#: Up to so many rows the content at the beginning is identified by itself, beyond by their number.
_IDENTIFIED_ROWS = 5000


def _names(value: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(value, str):
        raise DefinitionError(f"{value!r} must be a list of names: [{value!r}].")
    return None if value is None else frozenset(value)


@attrs.frozen
class Choice:
    """What the author of a test wants to observe.

    :ivar tables: names of tables; None means all.
    :ivar ignored: names of columns, as ``updated_at`` (of all tables) or ``orders.updated_at``.
    """

    tables: frozenset[str] | None = attrs.field(default=None, converter=_names)
    ignored: frozenset[str] = attrs.field(default=frozenset(), converter=_names)


def observed_tables(connection: Connection, catalog: Catalog, choice: Choice) -> dict[int, Table]:
    """Return OID -> each observed table.

    :raises DefinitionError: a name in the choice does not exist.
    """
    roots = catalog.roots
    if choice.tables is not None:
        _refuse_unknown("observe_tables", choice.tables, [root.name for root in roots])
        roots = [root for root in roots if root.name in choice.tables]
    known = [name for root in roots for column in root.columns for name in _both(root, column.name)]
    _refuse_unknown("ignore_columns", choice.ignored, known)
    return {root.number: _table(connection, root, choice.ignored) for root in roots}


def _refuse_unknown(argument: str, wanted: frozenset[str], known: list[str]) -> None:
    if unknown := sorted(wanted.difference(known)):
        raise DefinitionError(
            f"{argument} names {unknown}, which the database does not have. There are: "
            f"{sorted(known)}. A partition is observed as part of its table."
        )


def _both(root: Relation, column: str) -> tuple[str, str]:
    return column, f"{root.name}.{column}"


def _table(connection: Connection, root: Relation, ignored: frozenset[str]) -> Table:
    observed = [
        (place, column)
        for place, column in enumerate(root.columns)
        if not column.generated and ignored.isdisjoint(_both(root, column.name))
    ]
    names = tuple(column.name for _, column in observed)
    return Table(
        root.name,
        names,
        root.key if set(root.key) <= set(names) else (),
        _base(connection, root),
        Reader([(place, load_of(column.type)) for place, column in observed]),
    )


def _base(connection: Connection, root: Relation) -> str:
    only = "" if root.partitioned else "ONLY "
    row = root.row(root.columns, "r")
    ((rows, content),) = connection.execute(
        f"SELECT count(*), sum(hashtextextended(content, 0))::text FROM "
        f"(SELECT {row} AS content FROM {only}{root.sql} AS r LIMIT {_IDENTIFIED_ROWS + 1}) AS s"
    )
    if rows <= _IDENTIFIED_ROWS:
        return f"{rows} rows, {content or 0}"
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {only}{root.sql}")
    return f"{rows} rows"
