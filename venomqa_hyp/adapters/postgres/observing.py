"""How tables are observed, and what identifies their content at the beginning."""

from venomqa_hyp.adapters.journal import IDENTIFIED_ROWS, Choice, Table
from venomqa_hyp.adapters.postgres.catalog import Catalog, Column, Relation
from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.adapters.postgres.rows import Reader, load_of

#: Closes the error where a name is unknown.
PARTITIONS = " A partition is observed as part of its table."


def observed_tables(connection: Connection, catalog: Catalog, choice: Choice) -> dict[int, Table]:
    """Return OID -> each observed table.

    :raises DefinitionError: a name in the choice does not exist.
    """
    columns = {root.name: [column.name for column in root.columns] for root in catalog.roots}
    choice.check(columns, columns, PARTITIONS)
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
        root.key if set(root.key) <= set(names) else (),
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
