"""The one module that knows PyMySQL: a connection of our own, and its errors."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from venomqa_hyp.adapters.sql import Answer
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

_SCHEME = re.compile(r"(mysql|mariadb)(\+\w+)?")
_IGNORED_OPTIONS = {"charset"}
_OPTIONS = {"unix_socket", "ssl_ca", "ssl_cert", "ssl_key"}
_MODES = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
#: As "SET NAMES latin1" does not change what Python calls it.
_CODECS = {"utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "latin1": "cp1252"}
_LOCK_WAIT, _DEADLOCK = 1205, 1213
#: How long the statements of one go may get.
BYTES_AT_ONCE = 500_000


class Failed(Exception):
    """The server refused a statement, or does not answer any more.

    :ivar code: number of the error in MySQL's list.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (error {code})")
        self.code = code

    @property
    def is_lock(self) -> bool:
        """Tell whether another connection held a lock for too long."""
        return self.code in (_LOCK_WAIT, _DEADLOCK)


@attrs.frozen
class Result:
    """What one statement answered.

    :ivar columns: names; none where it answers with no rows.
    :ivar affected: number of rows that it changed.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    affected: int


@attrs.frozen
class Target:
    """Where a URL leads.

    :ivar options: what PyMySQL is called with.
    """

    host: str
    database: str
    options: dict[str, Any] = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Read a URL such as ``mysql://user:password@127.0.0.1:3306/shop_test``.

        :raises DefinitionError: says what is wrong with it; never repeats the password.
        """
        parts = urlsplit(url)
        if not _SCHEME.fullmatch(parts.scheme):
            raise _bad_url(f"its scheme is {parts.scheme!r}")
        database = unquote(parts.path.strip("/"))
        if not database or "/" in database:
            raise _bad_url(f"it names {database!r} where the one database stands")
        given = dict(parse_qsl(parts.query))
        if unknown := sorted(given.keys() - _OPTIONS - _IGNORED_OPTIONS):
            raise _bad_url(f"of its options, {unknown} are not among {sorted(_OPTIONS)}")
        options: dict[str, Any] = {name: given[name] for name in _OPTIONS & given.keys()}
        host = parts.hostname or "localhost"
        options |= {
            "host": host,
            "port": parts.port or 3306,
            "user": unquote(parts.username or "") or None,
            "password": unquote(parts.password or ""),
            "database": database,
        }
        return cls(options.get("unix_socket", host), database, options)


class Connection:
    """A connection of our own, which commits by itself and fires no trigger of ours.

    :param lock_timeout: seconds; the server counts in whole ones, at least 1.
    :ivar where: the database, for messages; without a password.
    :raises SystemUnavailable: there is no connection.
    """

    def __init__(self, target: Target, lock_timeout: float) -> None:
        pymysql = _pymysql()
        self._error = pymysql.err.MySQLError
        self.database = target.database
        self.where = f"database {target.database!r} on {target.host}"
        try:
            self._connection = pymysql.connect(
                **target.options,
                charset="utf8mb4",
                autocommit=True,
                client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
            )
        except (pymysql.err.MySQLError, OSError, RuntimeError) as error:
            # RuntimeError: MySQL 8 asks for a password in a way that needs `cryptography`.
            raise SystemUnavailable(
                f"MySQL: {self.where} cannot be reached: {_words(error)}. Start the server, or "
                "correct the URL: mysql://user:password@127.0.0.1:3306/shop_test"
            ) from error
        self.id: int = self._connection.thread_id()
        self.version: str = self._connection.get_server_info()
        self.is_mariadb = "mariadb" in self.version.lower()
        self._prepare(max(1, math.ceil(lock_timeout)))

    def _prepare(self, seconds: int) -> None:
        settings = {
            "sql_mode": f"'{_MODES}'",
            "time_zone": "'+00:00'",
            "foreign_key_checks": "0",
            "unique_checks": "1",
            "sql_safe_updates": "0",
            "lock_wait_timeout": str(seconds),
            "innodb_lock_wait_timeout": str(seconds),
            "wait_timeout": "2147483",
            "@venomqa_quiet": "1",
        }
        if self.is_mariadb:
            settings |= {"check_constraint_checks": "0", "max_statement_time": "0"}
        else:
            settings |= {"information_schema_stats_expiry": "0", "max_execution_time": "0"}
        chosen = ", ".join(f"{name} = {value}" for name, value in settings.items())
        isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
        *_, named = self.run(f"SET {chosen}", isolation, "SELECT DATABASE()")
        # With lower_case_table_names it is not written as in the URL.
        ((self.database,),) = named.rows

    def run(self, *statements: str) -> list[Result]:
        """Send statements in one go and return what each answered.

        :raises Failed: the server refuses one; the later ones are not executed then.
        """
        return self._send(";\n".join(statements))

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        """Return the rows of one query.

        :raises Failed: the server refuses it.
        """
        return self.run(query)[0].rows

    def run_all(self, statements: Iterable[str]) -> list[Result]:
        """Do as :meth:`run`, in several goes where they are long."""
        results: list[Result] = []
        waiting: list[str] = []
        for statement in statements:
            if waiting and sum(map(len, waiting)) + len(statement) > BYTES_AT_ONCE:
                results += self.run(*waiting)
                waiting = []
            waiting.append(statement)
        return results + (self.run(*waiting) if waiting else [])

    def read(self, queries: Sequence[str]) -> Sequence[Answer]:
        """Return columns and rows of queries that can change nothing.

        :raises Failed: the server refuses a query, or one would change something.
        """
        try:
            results = self.run("START TRANSACTION READ ONLY", *queries, "COMMIT")[1:-1]
        except Failed:
            self.roll_back()
            raise
        return [(result.columns, list(result.rows)) for result in results]

    def roll_back(self) -> None:
        """End a transaction of ours; where the connection is lost the server has done so."""
        try:
            self.run("ROLLBACK")
        except Failed:
            self.close()

    def run_in_charset(self, statement: str, charset: str, collation: str) -> None:
        """Execute a statement whose text the server is to remember in another character set."""
        codec = _CODECS.get(charset, "utf-8" if statement.isascii() else charset)
        self.run(f"SET character_set_client = {charset}, collation_connection = {collation}")
        try:
            self._send(statement.encode(codec))
        finally:
            self.run("SET NAMES utf8mb4")

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        if self._connection.open:
            self._connection.close()

    def _send(self, sql: str | bytes) -> list[Result]:
        results = []
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                while True:
                    columns = tuple(column[0] for column in cursor.description or ())
                    rows = cursor.fetchall() if columns else ()
                    results.append(Result(columns, rows, cursor.rowcount))
                    if not cursor.nextset():
                        return results
        except self._error as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            raise Failed(code, _words(error)) from error


def quoted(*names: str) -> str:
    """Return a name, or a qualified name, as SQL writes it."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def text(value: str) -> str:
    """Return a text as SQL writes it, in our own connection's modes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _words(error: BaseException) -> str:
    return str(error.args[-1] if error.args else error).rstrip(".") or type(error).__name__


def _bad_url(what: str) -> DefinitionError:
    return DefinitionError(
        f"the URL of MySQLAdapter cannot be used: {what}. Write "
        "mysql://user:password@127.0.0.1:3306/shop_test, or for a socket "
        "mysql://user@localhost/shop_test?unix_socket=/run/mysqld/mysqld.sock"
    )


def _pymysql() -> Any:
    try:
        import pymysql
        import pymysql.constants.CLIENT
    except ImportError as error:
        raise DefinitionError(
            "MySQLAdapter needs PyMySQL, which is not installed: pip install 'venomqa-hyp[mysql]'"
        ) from error
    return pymysql
