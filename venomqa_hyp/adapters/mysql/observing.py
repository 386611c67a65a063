"""Which tables are observed, how, and what identifies their content at the beginning."""

from collections.abc import Mapping

from venomqa_hyp.adapters.journal import IDENTIFIED_ROWS, Choice, Table
from venomqa_hyp.adapters.mysql.driver import Connection, quoted
from venomqa_hyp.adapters.mysql.rows import Layout


def observed_layouts(layouts: Mapping[str, Layout], choice: Choice) -> dict[str, Layout]:
    """Return name -> the layout of each table that counts.

    :raises DefinitionError: a name in the choice does not exist.
    """
    columns = {table: [column.name for column in layouts[table].columns] for table in layouts}
    choice.check(layouts, columns)
    return {table: layout for table, layout in layouts.items() if choice.observes(table)}


def observed_columns(layout: Layout, choice: Choice) -> tuple[str, ...]:
    """Return the names of the columns of a table that count."""
    return tuple(
        column.name
        for column in layout.columns
        if not column.is_generated and not choice.ignores(layout.name, column.name)
    )


def observed_table(connection: Connection, layout: Layout, choice: Choice) -> Table:
    """Return how a table is observed that counts."""
    names = observed_columns(layout, choice)
    key = tuple(column.name for column in layout.key_columns)
    return Table(
        layout.name,
        names,
        key if set(key) <= set(names) else (),
        _base(connection, layout, names),
        layout.reader(names),
    )


def _base(connection: Connection, layout: Layout, names: tuple[str, ...]) -> str:
    counted = [column for column in layout.columns if column.name in names]
    written = [column.written(quoted(layout.name)) for column in counted]
    row = f"CONCAT_WS(',',{','.join(written or [repr('')])})"
    halves = ", ".join(
        f"SUM(CAST(CONV(SUBSTRING(content, {start}, 15), 16, 10) AS DECIMAL(20)))"
        for start in (1, 16)
    )
    ((rows, *content),) = connection.rows(
        f"SELECT COUNT(*), {halves} FROM (SELECT SHA2({row}, 256) AS content FROM {layout.sql}"
        f" LIMIT {IDENTIFIED_ROWS + 1}) AS hashed"
    )
    if rows <= IDENTIFIED_ROWS:
        return f"{rows} rows, {'.'.join(str(part or 0) for part in content)}"
    ((rows,),) = connection.rows(f"SELECT COUNT(*) FROM {layout.sql}")
    return f"{rows} rows"
