"""Whole databases: copy, swap, drop, and find those that a killed run has left.

Copies are called ``venomqa_copy_<owner>_<what>``. The owner is also in the application_name of a
connection that is open as long as the copies are needed: a copy with no such connection is left
over, and may be dropped by anybody.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self
from urllib.parse import quote, urlencode
from uuid import uuid4

from venomqa_hyp.adapters.postgres.catalog import quoted
from venomqa_hyp.adapters.postgres.driver import (
    NOT_ALLOWED,
    Connection,
    Failed,
    load_psycopg,
    target,
)
from venomqa_hyp.errors import SystemUnavailable

PREFIX = "venomqa_copy_"
_OWNER = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_")
IN_USE = "55006"
_PAUSE = 0.01
#: From here on copying files costs less than writing all pages to the log, which small databases
#: do faster, since it needs no checkpoint of the server.
_FILES_FROM = 256 * 1024 * 1024


def conninfo_of(source: Any, **changes: str) -> str:
    """Return what to connect to, with some parameters changed; it may hold a password."""
    conninfo, options = target(source)
    made: str = load_psycopg().conninfo.make_conninfo(conninfo, **{**options, **changes})
    return made


def url_of(source: Any, *, password: bool = True) -> str:
    """Return what to connect to as a URL (RFC 3986, as of libpq 34.1.1.2).

    :param password: whether to leave it in.
    """
    parts = load_psycopg().conninfo.conninfo_to_dict(conninfo_of(source))
    user, secret = parts.pop("user", None), parts.pop("password", None)
    database, query = parts.pop("dbname", ""), {key: str(item) for key, item in parts.items()}
    who = "" if user is None else _escaped(user)
    if password and secret is not None:
        who += f":{_escaped(secret)}"
    host, port = query.get("host", ""), query.get("port", "")
    place = ""
    if "," not in f"{host}{port}" and not host.startswith(("/", "@")):
        place = f"[{host}]" if ":" in host else _escaped(host)
        place += f":{port}" if port else ""
        query.pop("host", None), query.pop("port", None)
    rest = f"?{urlencode(query, quote_via=quote)}" if query else ""
    return f"postgresql://{who}{'@' if who else ''}{place}/{_escaped(database)}{rest}"


def _escaped(text: Any) -> str:
    return quote(str(text), safe="")


class Server:
    """A connection to the server of a database, but not to that database.

    :param source: as of ``PostgresAdapter``.
    :param database: the name of the database.
    :param timeout: seconds to wait until others have left a database.
    :raises SystemUnavailable: it cannot be reached.
    """

    def __init__(self, source: Any, database: str, timeout: float) -> None:
        self.owner = uuid4().hex[:12]
        self.timeout = timeout
        elsewhere = "template1" if database == "postgres" else "postgres"
        self._connection = Connection(conninfo_of(source, dbname=elsewhere), timeout)
        self.execute(f"SET application_name = '{PREFIX}{self.owner}'")
        self._made = 0

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Return the rows of a statement.

        :raises Failed: PostgreSQL refuses it.
        """
        return self._connection.execute(sql, parameters)

    def new_name(self, what: str = "") -> str:
        """Return a name for a copy."""
        self._made += 1
        return f"{PREFIX}{self.owner}_{what or self._made}"

    def copy(self, database: str, name: str) -> None:
        """Create a copy; nobody may be connected to the database.

        :raises Failed: PostgreSQL refuses it.
        """
        if self._connection.version < 150000:
            self.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(database)}")
            return
        ((size,),) = self.execute("SELECT pg_database_size(%s::name)", [database])
        strategy = "FILE_COPY" if size >= _FILES_FROM else "WAL_LOG"
        command = f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(database)} STRATEGY {strategy}"
        if strategy == "FILE_COPY" and self._clones():
            try:
                self.execute(command)
                return
            except Failed as error:
                if error.sqlstate in (IN_USE, NOT_ALLOWED):
                    raise
                self.execute("SET file_copy_method = copy")  # the file system shares no blocks
        self.execute(command)

    def swap(self, present: str, fresh: str, aside: str) -> None:
        """Call ``fresh`` what ``present`` was called, at one moment.

        :raises Failed: PostgreSQL refuses it.
        """
        with self._connection.transaction():
            self.execute(f"ALTER DATABASE {quoted(present)} RENAME TO {quoted(aside)}")
            self.execute(f"ALTER DATABASE {quoted(fresh)} RENAME TO {quoted(present)}")

    def drop(self, database: str) -> None:
        """Drop a copy, if it is there."""
        self.execute(f"DROP DATABASE IF EXISTS {quoted(database)} WITH (FORCE)")

    def sessions(self, database: str, *, writing: bool = False) -> str:
        """Return who is connected, for an error; nothing where nobody is.

        :param writing: only those in a transaction that has written.
        """
        rows = self.execute(_SESSIONS, [database, writing])
        return "; ".join(row[0] for row in rows)

    def alone(self, database: str, action: Callable[[], None]) -> None:
        """End the connections of others to a database, and do what needs it unused.

        :raises SystemUnavailable: they came back, or may not be ended.
        :raises Failed: PostgreSQL refuses the action.
        """
        deadline = time.monotonic() + self.timeout
        while True:
            self._end_sessions(database, deadline)
            try:
                action()
                return
            except Failed as error:
                if error.sqlstate != IN_USE or time.monotonic() > deadline:
                    raise

    def wait_until_unused(self, database: str) -> None:
        """Wait until nobody is connected to a database.

        :raises SystemUnavailable: names who still is.
        """
        deadline = time.monotonic() + self.timeout
        while who := self.sessions(database):
            if time.monotonic() > deadline:
                raise SystemUnavailable(
                    f"database {database!r} cannot be copied while others are connected to it, "
                    f"which they still are after {self.timeout:g} s: {who}. Copy one that no "
                    "application works on, and let each work on a copy of its own."
                )
            time.sleep(_PAUSE)

    def give_properties(self, database: str, to: str) -> None:
        """Give a copy what CREATE DATABASE does not copy: owner, settings, privileges, comment.

        :raises Failed: PostgreSQL refuses it.
        """
        for _, statement in self.execute(_PROPERTIES, [database, to]):
            self.execute(statement)

    def left_over(self) -> list[str]:
        """Return the copies whose owner is gone."""
        rows = self.execute(_COPIES, [PREFIX])
        live = {row[0] for row in self.execute(_OWNERS, [PREFIX])}
        return [
            name
            for (name,) in rows
            if (found := _OWNER.match(name)) and f"{PREFIX}{found[1]}" not in live
        ]

    def close(self) -> None:
        """Drop the copies that were made here, and close the connection."""
        try:
            for (name,) in self.execute(_COPIES, [f"{PREFIX}{self.owner}_"]):
                self.drop(name)
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_sessions(self, database: str, deadline: float) -> None:
        while True:
            try:
                if not self.execute(_END, [database]):
                    return
            except Failed as error:
                if error.sqlstate != NOT_ALLOWED:
                    raise
                self._refuse(database, f"{error} Write GRANT pg_signal_backend TO that role.")
            if time.monotonic() > deadline:
                self._refuse(database, f"after {self.timeout:g} s they are still there.")
            time.sleep(_PAUSE)

    def _refuse(self, database: str, why: str) -> NoReturn:
        raise SystemUnavailable(
            f"the connections to database {database!r} cannot be ended: {why} Connected: "
            f"{self.sessions(database)}."
        )

    def _clones(self) -> bool:
        """Ask for copies that share their blocks, where the server offers it (18 or later)."""
        offered = self.execute(
            "SELECT set_config(name, 'clone', false) FROM pg_settings"
            " WHERE name = 'file_copy_method' AND 'clone' = ANY (enumvals)"
        )
        return bool(offered)


_END = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid()
        AND backend_type IN ('client backend', 'walsender')
"""
_SESSIONS = """
    SELECT format('pid %%s (%%s, %%s, query: %%s)', pid,
        coalesce(nullif(application_name, ''), usename), state,
        left(regexp_replace(query, '\\s+', ' ', 'g'), 200))
    FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND (backend_xid IS NOT NULL OR NOT %s)
    ORDER BY pid LIMIT 5
"""
_COPIES = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
_OWNERS = """
    SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, %s)
"""
# The values of some settings are stored as a list of quoted names, as they are written.
_PROPERTIES = """
    WITH d AS (SELECT *, %s::text AS of, %s::text AS copy FROM pg_database),
    source AS (SELECT * FROM d WHERE datname = of),
    settings AS (
        SELECT copy, rolname, split_part(setting, '=', 1) AS name,
            substr(setting, strpos(setting, '=') + 1) AS value
        FROM source JOIN pg_db_role_setting ON setdatabase = source.oid
        CROSS JOIN LATERAL unnest(setconfig) AS setting LEFT JOIN pg_roles AS r ON r.oid = setrole
    ),
    grants AS (
        SELECT copy, rolname, privilege_type, is_grantable
        FROM source CROSS JOIN LATERAL aclexplode(datacl) LEFT JOIN pg_roles AS r ON r.oid = grantee
    )
    SELECT 1, format('ALTER DATABASE %%I OWNER TO %%I', copy, pg_get_userbyid(datdba)) FROM source
    UNION ALL
    SELECT 2, format('ALTER DATABASE %%I CONNECTION LIMIT %%s', copy, datconnlimit) FROM source
    UNION ALL
    SELECT 3, format('ALTER %%s SET %%I TO %%s',
        CASE WHEN rolname IS NULL THEN format('DATABASE %%I', copy)
            ELSE format('ROLE %%I IN DATABASE %%I', rolname, copy) END,
        name, CASE WHEN name IN ('search_path', 'temp_tablespaces', 'local_preload_libraries',
            'session_preload_libraries') THEN value ELSE quote_literal(value) END)
    FROM settings
    UNION ALL
    SELECT 4, format('REVOKE ALL ON DATABASE %%I FROM PUBLIC', copy)
    FROM source WHERE datacl IS NOT NULL
    UNION ALL
    SELECT 5, format('GRANT %%s ON DATABASE %%I TO %%s%%s', privilege_type, copy,
        coalesce(quote_ident(rolname), 'PUBLIC'),
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM grants
    UNION ALL
    SELECT 6, format('COMMENT ON DATABASE %%I IS %%L', copy, comment)
    FROM source CROSS JOIN shobj_description(source.oid, 'pg_database') AS comment
    WHERE comment IS NOT NULL
    ORDER BY 1
"""


def remove_copies(source: Any, *, lock_timeout: float = 5.0) -> list[str]:
    """Drop the copies that killed runs left on the server of a database; return their names.

    :raises SystemUnavailable: the server cannot be reached, or a copy cannot be dropped.
    """
    with Server(source, "", lock_timeout) as server:
        names = server.left_over()
        for name in names:
            try:
                server.drop(name)
            except Failed as error:
                raise SystemUnavailable(f"database {name!r} cannot be dropped: {error}") from error
        return names
