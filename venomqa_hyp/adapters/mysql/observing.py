"""Which tables and columns are observed, and what identifies their content at the beginning."""

from collections.abc import Iterable, Mapping

import attrs

from venomqa_hyp.adapters.journal import Table
from venomqa_hyp.adapters.mysql.driver import Connection, quoted
from venomqa_hyp.adapters.mysql.rows import Layout
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

    def check(self, layouts: Mapping[str, Layout]) -> None:
        """Raise DefinitionError if a name does not exist."""
        _refuse_unknown("observe_tables", self.tables or frozenset(), list(layouts))
        known = [
            name
            for table, layout in layouts.items()
            for column in layout.columns
            for name in _both(table, column.name)
        ]
        _refuse_unknown("ignore_columns", self.ignored, known)

    def observes(self, table: str) -> bool:
        """Tell whether the rows of a table count."""
        return self.tables is None or table in self.tables

    def columns(self, layout: Layout) -> tuple[str, ...]:
        """Return the names of the columns of a table that count."""
        return tuple(
            column.name
            for column in layout.columns
            if not column.is_generated and self.ignored.isdisjoint(_both(layout.name, column.name))
        )

    def table(self, connection: Connection, layout: Layout) -> Table:
        """Return how a table is observed that counts."""
        names = self.columns(layout)
        key = tuple(column.name for column in layout.key_columns)
        return Table(
            layout.name,
            names,
            key if set(key) <= set(names) else (),
            _base(connection, layout),
            layout.reader(names),
        )


def _refuse_unknown(argument: str, wanted: frozenset[str], known: list[str]) -> None:
    if unknown := sorted(wanted.difference(known)):
        raise DefinitionError(
            f"{argument} names {unknown}, which the database does not have. There are: "
            f"{sorted(known)}."
        )


def _both(table: str, column: str) -> tuple[str, str]:
    return column, f"{table}.{column}"


def _base(connection: Connection, layout: Layout) -> str:
    row = layout.written(quoted(layout.name))
    halves = ", ".join(
        f"SUM(CAST(CONV(SUBSTRING(content, {start}, 15), 16, 10) AS DECIMAL(20)))"
        for start in (1, 16)
    )
    ((rows, *content),) = connection.rows(
        f"SELECT COUNT(*), {halves} FROM (SELECT SHA2({row}, 256) AS content FROM {layout.sql}"
        f" LIMIT {_IDENTIFIED_ROWS + 1}) AS hashed"
    )
    if rows <= _IDENTIFIED_ROWS:
        return f"{rows} rows, {'.'.join(str(part or 0) for part in content)}"
    ((rows,),) = connection.rows(f"SELECT COUNT(*) FROM {layout.sql}")
    return f"{rows} rows"
