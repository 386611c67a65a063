"""What is observed: the tables and columns that count, and the differences shown of them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from venomqa_hyp.adapters.sql.delta import Delta, TableDelta
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.values.digest import canonical_text, digest

#: Up to so many rows the content at the beginning is identified by itself, beyond by their number.
IDENTIFIED_ROWS = 5000


def _names(argument: str, value: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(value, str):
        raise DefinitionError(f"{argument}={value!r} must be a list: [{value!r}].")
    return None if value is None else frozenset(value)


def _tables(value: Iterable[str] | None) -> frozenset[str] | None:
    return _names("observe_tables", value)


def _columns(value: Iterable[str]) -> frozenset[str]:
    return _names("ignore_columns", value) or frozenset()


@attrs.frozen
class Choice:
    """What the author of a test wants to observe.

    :ivar tables: names of tables; None means all.
    :ivar ignored: names of columns, as ``updated_at`` (of all tables) or ``orders.updated_at``.
    """

    tables: frozenset[str] | None = attrs.field(default=None, converter=_tables)
    ignored: frozenset[str] = attrs.field(default=frozenset(), converter=_columns)

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


@attrs.frozen
class Table:
    """How a table is observed.

    :ivar columns: names of the observed columns.
    :ivar key: the columns that tell rows apart; none where the whole row does. It is shown where
        all of them are observed.
    :ivar base: identifies the content at the beginning.
    :ivar read: row -> the values of the observed columns. Different rows that differ in these must
        give different values, since they tell states apart.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    base: str
    read: Callable[[str], tuple[Any, ...]]

    def weigh(self, row: str) -> int:
        """Return a number of 256 bits that stands for the observed values of a row."""
        text = canonical_text(self.read(row), where=self.name)
        hashed = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32)
        return int.from_bytes(hashed.digest(), "big")

    def show(self, delta: TableDelta | None) -> Mapping[str, Any]:
        """Return the part of ``Observation.data`` for this table."""
        counts: Counter[str] = Counter()
        values: dict[str, tuple[Any, ...]] = {}
        for row, count in delta.counts.items() if delta else ():
            read = self.read(row)
            text = canonical_text(read)
            values[text] = read
            counts[text] += count
        texts = sorted(values)
        return {
            "columns": self.columns,
            "key": self.key if set(self.key) <= set(self.columns) else (),
            "rows": [values[text] for text in texts for _ in range(counts[text])],
            "removed": [values[text] for text in texts for _ in range(-counts[text])],
            "base": self.base,
        }


class Rows(Mapping[str, Mapping[str, Any]]):
    """The rows of tables or queries, read when they are first asked for.

    :param names: of all of them.
    :param read: returns all of them by name.
    """

    def __init__(
        self, names: Iterable[str], read: Callable[[], Mapping[str, Mapping[str, Any]]]
    ) -> None:
        self._names = tuple(names)
        self._read = read
        self._rows: Mapping[str, Mapping[str, Any]] | None = None

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if self._rows is None:
            self._rows = self._read()
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def observation(
    system: str,
    tables: Mapping[int, Table],
    delta: Delta,
    others: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> Observation:
    """Return the observation of a difference.

    :param tables: number -> each observed table.
    :param others: what stands beside ``tables`` in the data, such as sequences.
    """

    def shown() -> dict[str, Mapping[str, Any]]:
        return {
            table.name: table.show(delta.tables.get(number)) for number, table in tables.items()
        }

    bases = {table.name: table.base for table in tables.values()}
    weights = {
        tables[number].name: of_table.weight
        for number, of_table in delta.tables.items()
        if number in tables and of_table.weight
    }
    return Observation.create(
        system,
        {"tables": Rows(bases, shown), **others},
        metadata,
        known_digest=digest([bases, weights, others], where=f"{system} observation"),
    )
