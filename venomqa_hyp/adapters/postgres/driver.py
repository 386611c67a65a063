"""The one module that knows psycopg: a connection of our own, and its errors."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from venomqa_hyp.adapters.sql import Answer
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

if TYPE_CHECKING:
    import psycopg

#: Text -> value.
Load = Callable[[str], Any]

#: What values look like as text, for rows to come out, and go in again, without loss.
EXACT = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
}
_SETTINGS = EXACT | {
    "standard_conforming_strings": "on",
    "xmloption": "content",
    "row_security": "off",
    "jit": "off",
    "statement_timeout": "0",
    "synchronous_commit": "off",
    "client_min_messages": "warning",
    "application_name": "venomqa",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
_OLDEST = 130000
#: The role may not.
NOT_ALLOWED = "42501"
_LOCK_TIMEOUT = "55P03"
_DEADLOCK = "40P01"


class Failed(Exception):
    """PostgreSQL refused a statement, or does not answer any more.

    :ivar sqlstate: five characters; None where the connection is lost.
    """

    def __init__(self, text: str, sqlstate: str | None) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate

    @property
    def is_lock(self) -> bool:
        """Tell whether another session held a lock for too long."""
        return self.sqlstate in (_LOCK_TIMEOUT, _DEADLOCK)


class Session(Protocol):
    """A connection, ours or a shared one; both methods raise ``Failed``."""

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Return the rows of a statement."""
        ...

    def read(self, statements: Sequence[str]) -> list[Answer]:
        """Return columns and rows of queries."""
        ...


class Connection:
    """A connection of our own, which commits by itself.

    :param lock_timeout: seconds.
    :ivar where: the database, for messages; without a password.
    :raises SystemUnavailable: there is no connection, or the server is too old.
    """

    def __init__(self, source: Any, lock_timeout: float) -> None:
        driver = load_psycopg()
        conninfo, options = target(source)
        try:
            connected = driver.connect(conninfo, **options, autocommit=True)
        except driver.Error as error:
            why = ". ".join(line.strip() for line in _text(error).splitlines())
            raise SystemUnavailable(
                f"PostgreSQL cannot be reached: {why} Start the server, or correct the "
                "DSN: postgresql://user:password@127.0.0.1:5432/database"
            ) from error
        self._connection: psycopg.Connection[Any] = connected
        self._error = driver.Error
        info = connected.info
        self.where = f"database {info.dbname!r} on {info.host or 'a local socket'}:{info.port}"
        #: The address that was reached; of a socket, its folder.
        self.host: str = info.hostaddr or info.host
        self.version: int = info.server_version
        try:
            self._prepare(lock_timeout)
        except BaseException:
            connected.close()
            raise

    def _prepare(self, lock_timeout: float) -> None:
        if self.version < _OLDEST:
            raise SystemUnavailable(
                f"{self.where} is PostgreSQL {self.version // 10000}, which this adapter was never "
                "run on. Start PostgreSQL 13 or later for the test."
            )
        settings = _SETTINGS | {"lock_timeout": f"{round(lock_timeout * 1000)}ms"}
        if self.version >= 140000:
            settings["idle_session_timeout"] = "0"
        self.execute(
            "SELECT set_config(name, value, false) "
            "FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
            [list(settings), list(settings.values())],
        )

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Return the rows of a statement; none where it answers with none.

        :raises Failed: PostgreSQL refuses it.
        """
        with self._translated():
            cursor = self._connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Execute what is in the block as one transaction."""
        with self._translated(), self._connection.transaction():
            yield

    def read(self, statements: Sequence[str]) -> list[Answer]:
        """Execute queries in one read-only transaction; return columns and rows of each.

        One round trip: in a pipeline, psycopg's ``transaction()`` waits for the server four times.
        """
        with self._translated():
            try:
                with self._connection.pipeline():
                    self._connection.execute("BEGIN READ ONLY")
                    cursors = [self._connection.execute(sql) for sql in statements]
                    self._connection.execute("COMMIT")
            except BaseException:
                with suppress(self._error):
                    self._connection.rollback()
                raise
            return [answer(cursor) for cursor in cursors]

    def close(self) -> None:
        """Close the connection, and give its locks back before the server notices."""
        with suppress(self._error):
            self._connection.execute("SELECT pg_advisory_unlock_all()")
        self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            lost = self._connection.closed
            raise Failed(_text(error), None if lost else error.sqlstate) from error


def answer(cursor: "psycopg.Cursor[Any]") -> Answer:
    """Return columns and rows of what was executed."""
    result, description = cursor.pgresult, cursor.description or ()
    loads = [load_of(column.type_code) for column in description]
    values = [
        tuple(
            None if (raw := result.get_value(row, column)) is None else read(raw.decode())
            for column, read in enumerate(loads)
        )
        for row in range(result.ntuples if result and loads else 0)
        if result
    ]
    return tuple(column.name for column in description), values


def _is_true(text: str) -> bool:
    return text == "t"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


#: Number of a built-in type -> what makes a value of its text. Any other type stays text: of a
#: timestamp, for one, Python has no value where it is `infinity` or BC.
_LOADS: dict[int, Load] = {
    16: _is_true,
    17: _bytes,
    20: int,
    21: int,
    23: int,
    26: int,
    700: float,
    701: float,
    1700: Decimal,
    2950: UUID,
}


def load_of(kind: int) -> Load:
    """Return what makes a value of the text of a type."""
    return _LOADS.get(kind, str)


def target(source: Any) -> tuple[str, dict[str, Any]]:
    """Return what to connect to; nothing is asked of the application's own connections."""
    if isinstance(source, str):
        # SQLAlchemy writes the driver into the scheme.
        return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", source), {}
    if hasattr(source, "getconn") and isinstance(getattr(source, "conninfo", None), str):
        return source.conninfo, {
            key: value
            for key, value in (source.kwargs or {}).items()
            if key not in ("autocommit", "row_factory", "cursor_factory", "prepare_threshold")
        }
    info = getattr(source, "info", None)
    if info is not None and isinstance(getattr(info, "dsn", None), str):
        # The DSN of a connection leaves the password out.
        return info.dsn, {"password": info.password} if info.password else {}
    raise DefinitionError(
        f"PostgresAdapter got a {type(source).__name__}: pass a DSN such as "
        "'postgresql://user:password@127.0.0.1:5432/shop_test', a psycopg connection, or a "
        "psycopg_pool.ConnectionPool."
    )


def load_psycopg() -> Any:
    """Import psycopg, or say how to install it."""
    try:
        import psycopg
    except ImportError as error:
        raise DefinitionError(
            "PostgresAdapter needs psycopg, which is not installed: "
            "pip install 'venomqa-hyp[postgres]'"
        ) from error
    return psycopg


def _text(error: "psycopg.Error") -> str:
    parts = [str(error.diag.message_primary or error).strip()]
    parts += [part for part in (error.diag.message_detail, error.diag.message_hint) if part]
    return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts)
