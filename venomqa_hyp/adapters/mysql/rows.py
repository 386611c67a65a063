"""Rows as text: written by the server without loss, and read back without loss.

A row is the texts of its columns with commas between; NULL is ``~``. No text holds either sign:
strings are hexadecimal digits of their bytes, in the character set of the column.

``TIMESTAMP`` is a count of seconds: as a date, an hour of autumn would have two meanings. ``FLOAT``
is shown as the double of equal value: of its own text MySQL leaves digits out. ``ENUM`` and
``SET`` are numbers, since an invalid value has number 0 and an empty text.
"""

import datetime
import decimal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from venomqa_hyp.adapters.mysql.driver import Connection, quoted, text
from venomqa_hyp.adapters.sql import IDENTIFIED_ROWS, Choice, Table

NULL = "~"
_NUMBERS = frozenset(("tinyint", "smallint", "mediumint", "int", "bigint", "year"))
_STRINGS = frozenset(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
_BYTES = frozenset(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"))
_SPATIAL = frozenset(
    f"{multi}{kind}" for kind in ("point", "linestring", "polygon") for multi in ("", "multi")
) | {"geometry", "geometrycollection", "geomcollection"}
_PLAIN = frozenset(("date", "datetime", "time", "uuid", "inet4", "inet6"))
_LISTED = frozenset(("enum", "set"))
KINDS = (
    _NUMBERS | _STRINGS | _BYTES | _SPATIAL | _PLAIN | _LISTED
    | {"decimal", "float", "double", "bit", "timestamp", "json"}
)  # fmt: skip
_CODECS = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "utf8": "utf-8",
    "latin1": "cp1252",
    "ucs2": "utf-16-be",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
}
_EPOCH = datetime.datetime(1970, 1, 1)
_ZERO_TIMESTAMP = "0000-00-00 00:00:00"


@attrs.frozen
class Column:
    """One column of a table.

    :ivar kind: the name of its type, without length and the like.
    :ivar charset: of a text column.
    """

    name: str
    kind: str
    charset: str | None = None

    def written(self, row: str) -> str:
        """Return the SQL that writes this column of ``row`` (a table or OLD or NEW) as text."""
        value = f"{row}.{quoted(self.name)}"
        shown = self._shown(value)
        if self.kind == "timestamp":
            # MariaDB answers NULL for the zero timestamp, MySQL 0.
            return f"IF({value} IS NULL,'{NULL}',IFNULL({shown},0))"
        return f"IFNULL({shown},'{NULL}')"

    def _shown(self, value: str) -> str:
        if self.kind == "timestamp":
            return f"UNIX_TIMESTAMP({value})"
        if self.kind == "float":
            return f"CAST({value} AS DOUBLE)"
        if self.kind == "bit":
            return f"CAST({value} AS UNSIGNED)"
        if self.kind in _PLAIN:
            return f"CAST({value} AS CHAR)"
        if self.kind in _LISTED:
            return f"CONCAT(CAST({value} AS UNSIGNED),':',HEX({value}))"
        if self.kind == "json":
            return f"HEX(CAST({value} AS CHAR CHARACTER SET utf8mb4))"
        return f"HEX({value})" if self.kind in _STRINGS | _BYTES | _SPATIAL else value

    def literal(self, piece: str) -> str:
        """Return the SQL that stands for the value again."""
        if piece == NULL:
            return "NULL"
        if self.kind in _NUMBERS or self.kind in ("decimal", "bit"):
            return piece
        if self.kind in _LISTED:
            return piece.partition(":")[0]
        if self.kind in _STRINGS:
            return f"_{self.charset} X'{piece}'"
        if self.kind in _BYTES | _SPATIAL:
            return f"X'{piece}'"
        if self.kind == "json":
            return f"CONVERT(X'{piece}' USING utf8mb4)"
        return text(_timestamp(piece) if self.kind == "timestamp" else piece)

    @property
    def is_comparable(self) -> bool:
        """Tell whether the server finds a value again by its literal."""
        return self.kind not in _SPATIAL | {"float", "json"}

    def reader(self) -> Callable[[str], Any]:
        """Return what makes a Python value of a text other than NULL."""
        readers: dict[str, Callable[[str], Any]] = {
            "decimal": decimal.Decimal,
            "float": float,
            "double": float,
            "bit": int,
            "timestamp": lambda piece: _date(_timestamp(piece)),
            "datetime": _date,
            "date": _date,
            "json": lambda piece: _decoded(piece, "utf-8"),
        }
        if self.kind in readers:
            return readers[self.kind]
        if self.kind in _NUMBERS:
            return int
        codec = _CODECS.get(self.charset or "", self.charset or "")
        if self.kind in _LISTED:
            return lambda piece: _decoded(piece.partition(":")[2], codec)
        if self.kind in _STRINGS:
            return lambda piece: _decoded(piece, codec)
        return bytes.fromhex if self.kind in _BYTES | _SPATIAL else str


@attrs.frozen
class Layout:
    """What of a table is written down, and how its rows are found again.

    :ivar columns: all that cannot be computed from others.
    :ivar key: positions, in ``columns``, of a unique key without NULL; none where there is none
        that rows are found by.
    """

    database: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[int, ...]

    @property
    def sql(self) -> str:
        """Return the qualified name of the table."""
        return quoted(self.database, self.name)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """Return the columns of the key."""
        return tuple(self.columns[position] for position in self.key)

    def written(self, row: str) -> str:
        """Return the SQL that writes ``row`` as text."""
        return f"CONCAT_WS(',',{','.join(column.written(row) for column in self.columns)})"

    def written_key(self, row: str) -> str:
        """Return the SQL that writes the key of ``row`` as text; all of it where there is none."""
        columns = self.key_columns or self.columns
        return f"CONCAT_WS(',',{','.join(column.written(row) for column in columns)})"

    def key_of(self, row: str) -> tuple[str, ...]:
        """Return the texts of the key's columns."""
        pieces = row.split(",")
        return tuple(pieces[position] for position in self.key)

    def found_by_key(self, keys: Iterable[Sequence[str]]) -> str:
        """Return the SQL condition that holds for the rows with one of the keys."""
        columns = self.key_columns
        if len(columns) == 1:
            listed = ",".join(columns[0].literal(key[0]) for key in keys)
            return f"{quoted(columns[0].name)} IN ({listed})"
        return " OR ".join(f"({self._equal(columns, key)})" for key in keys)

    def found_by_all(self, row: str) -> str:
        """Return the SQL condition that holds for rows equal to ``row`` byte by byte."""
        pairs = list(zip(self.columns, row.split(","), strict=True))
        indexable = [pair for pair in pairs if pair[0].is_comparable and pair[1] != NULL]
        # Equal numbers are the same. Told that one equals 7, MySQL would forget that it shows 007.
        exactly = [
            f"{column.written(quoted(self.name))} = '{piece}'"
            for column, piece in pairs
            if piece == NULL or column.kind not in _NUMBERS
        ]
        equal = self._equal([pair[0] for pair in indexable], [pair[1] for pair in indexable])
        return " AND ".join(filter(None, [equal, *exactly]))

    def inserted(self, rows: Sequence[str]) -> str:
        """Return the statement that writes ``rows``."""
        names = ",".join(quoted(column.name) for column in self.columns)
        values = (
            ",".join(
                column.literal(piece)
                for column, piece in zip(self.columns, row.split(","), strict=True)
            )
            for row in rows
        )
        return f"INSERT INTO {self.sql} ({names}) VALUES {','.join(f'({one})' for one in values)}"

    def reader(self, observed: Sequence[str]) -> Callable[[str], tuple[Any, ...]]:
        """Return what makes the values of the observed columns of a row."""
        places = [
            (number, column.reader())
            for number, column in enumerate(self.columns)
            if column.name in observed
        ]

        def read(row: str) -> tuple[Any, ...]:
            pieces = row.split(",")
            return tuple(
                None if pieces[number] == NULL else value(pieces[number])
                for number, value in places
            )

        return read

    @staticmethod
    def _equal(columns: Sequence[Column], values: Sequence[str]) -> str:
        return " AND ".join(
            f"{quoted(column.name)} = {column.literal(value)}"
            for column, value in zip(columns, values, strict=True)
        )


def observed_tables(
    connection: Connection, layouts: Mapping[str, Layout], choice: Choice
) -> list[Table]:
    """Return how each table is observed that counts.

    :raises DefinitionError: a name in the choice does not exist.
    """
    columns = {table: [column.name for column in layouts[table].columns] for table in layouts}
    choice.check(layouts, columns)
    return [
        _observed_table(connection, layout, choice)
        for table, layout in layouts.items()
        if choice.observes(table)
    ]


def _observed_table(connection: Connection, layout: Layout, choice: Choice) -> Table:
    names = tuple(
        column.name for column in layout.columns if not choice.ignores(layout.name, column.name)
    )
    key = tuple(column.name for column in layout.key_columns)
    base = _base(connection, layout, names)
    return Table(layout.name, names, key, base, layout.reader(names))


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


def _timestamp(piece: str) -> str:
    seconds = decimal.Decimal(piece)
    if not seconds:
        return _ZERO_TIMESTAMP
    micro = int(seconds * 1_000_000)
    return (_EPOCH + datetime.timedelta(microseconds=micro)).isoformat(" ")


def _date(written: str) -> Any:
    """Return a date or a datetime; the text itself where MySQL allows what no calendar has."""
    kind = datetime.date if len(written) == len("2024-02-29") else datetime.datetime
    try:
        return kind.fromisoformat(written)
    except ValueError:
        return written


def _decoded(digits: str, codec: str) -> str | bytes:
    """Return the text, or its bytes where Python does not know the character set."""
    raw = bytes.fromhex(digits)
    try:
        return raw.decode(codec)
    except (LookupError, UnicodeDecodeError):
        return raw
