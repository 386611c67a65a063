"""Which tables and columns are observed."""

from collections.abc import Iterable, Mapping

import attrs

from venomqa_hyp.errors import DefinitionError

#: Up to so many rows the content at the beginning is identified by itself, beyond by their number.
IDENTIFIED_ROWS = 5000


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

    def observes(self, table: str) -> bool:
        """Tell whether the rows of a table count."""
        return self.tables is None or table in self.tables

    def ignores(self, table: str, column: str) -> bool:
        """Tell whether a column is left out."""
        return not self.ignored.isdisjoint(_both(table, column))

    def check(
        self, tables: Iterable[str], columns: Mapping[str, Iterable[str]], note: str = ""
    ) -> None:
        """Refuse names that do not exist.

        :param columns: table -> names of its columns, for the tables whose columns can be ignored.
        :param note: closes the error, such as what is observed in place of a name.
        :raises DefinitionError: a name does not exist.
        """
        refuse_unknown("observe_tables", self.tables or (), tables, note)
        known = [name for table in columns for own in columns[table] for name in _both(table, own)]
        refuse_unknown("ignore_columns", self.ignored, known, note)


def _both(table: str, column: str) -> tuple[str, str]:
    return column, f"{table}.{column}"


def refuse_unknown(
    argument: str, wanted: Iterable[str], known: Iterable[str], note: str = ""
) -> None:
    """Raise DefinitionError if a database has not everything that an argument names."""
    known = sorted(set(known))
    if unknown := sorted(set(wanted).difference(known)):
        raise DefinitionError(
            f"{argument} names {unknown}, which the database does not have. There are: {known}."
            f"{note}"
        )
