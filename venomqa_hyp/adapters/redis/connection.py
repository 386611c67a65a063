"""Connections to a Redis server, and the errors they end in. The one file that uses redis-py.

Everything is said in RESP2, with replies as bytes, and nothing is ever tried again: a connection
that was lost has lost its invalidations too, and who uses it has to know.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from venomqa_hyp.adapters.redis.protocol import Command, ConnectionLost, packed, packed_part
from venomqa_hyp.adapters.sql.safety import is_local
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.connection import parse_url
    from redis.retry import Retry
    from redis.sentinel import SentinelConnectionPool
except ImportError as missing:
    raise DefinitionError(
        "RedisAdapter needs redis-py, which is not installed: pip install 'venomqa-hyp[redis]'"
    ) from missing

_AT_ONCE = 1000
_CONNECT_TIMEOUT = 5.0
# Settings that a pool adds for itself.
_OF_A_POOL = ("maint_", "orig_", "event_dispatcher")

#: How the reply of the server begins -> what to do about it.
_REMEDIES = {
    "NOAUTH": "Put the password into the URL: redis://:password@host:6379/0.",
    "WRONGPASS": "Correct user and password in the URL: redis://user:password@host:6379/0.",
    "NOPERM": "Give the user of the test ACL rights on these keys: ACL SETUSER user ~* +@all.",
    "READONLY": "This server is a replica: pass the URL of its master.",
    "OOM": "The server is at its maxmemory: raise it (CONFIG SET maxmemory 0 for a test server).",
    "MISCONF": "The server cannot write its snapshot: CONFIG SET stop-writes-on-bgsave-error no.",
    "LOADING": "The server is still loading its data: wait for it before the run.",
    "MASTERDOWN": "This server is a replica: pass the URL of its master.",
    "UNREACHABLE": "Start the server, or correct the URL: redis://host:6379/0.",
}


class Address:
    """Where a server is, and how to connect to it.

    :param source: a URL, or a ``redis.Redis`` whose settings are used; its connections are not.
    """

    def __init__(self, source: Any, timeout: float) -> None:
        if isinstance(source, str):
            try:
                settings = parse_url(source)  # type: ignore[no-untyped-call]
            except ValueError as error:
                raise DefinitionError(
                    f"RedisAdapter({source!r}): {error}. Write redis://127.0.0.1:6379/0."
                ) from error
            kind = settings.pop("connection_class", redis.Connection)
        elif isinstance(source, redis.Redis):
            pool = source.connection_pool
            if isinstance(pool, SentinelConnectionPool):
                raise DefinitionError(
                    "RedisAdapter got a client of a Sentinel, whose server may change: pass the "
                    "URL of the master, redis://host:6379/0."
                )
            kind, settings = pool.connection_class, pool.connection_kwargs
        else:
            raise DefinitionError(
                f"RedisAdapter got a {type(source).__module__}.{type(source).__name__}: pass a URL "
                "such as redis://127.0.0.1:6379/0, or a redis.Redis (no cluster, no asyncio)."
            )
        settings = {name: settings[name] for name in settings if not name.startswith(_OF_A_POOL)}
        settings.setdefault("socket_connect_timeout", _CONNECT_TIMEOUT)
        settings |= {
            "protocol": 2,
            "decode_responses": False,
            "health_check_interval": 0,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_timeout": False,
            "socket_timeout": timeout,
        }
        self._pool = redis.ConnectionPool(kind, **settings)
        self.database = int(settings.get("db") or 0)
        self.path: str | None = settings.get("path")
        self.host = str(settings.get("host") or "localhost")
        self.port = int(settings.get("port") or 6379)

    @property
    def is_local(self) -> bool:
        """Tell whether the server is on this machine: a socket, or a loopback address."""
        return self.path is not None or is_local(self.host)

    def __str__(self) -> str:
        return self.path if self.path is not None else f"{self.host}:{self.port}"

    def connect(self) -> "Connection":
        """Open a connection.

        :raises SystemUnavailable: the server is not there, or does not let us in.
        """
        connection = Connection(self._pool.make_connection(), str(self))
        try:
            with connection.errors():
                connection.raw.connect()
        except BaseException:
            connection.close()
            raise
        return connection


class Connection:
    """One connection, which is never reopened.

    :ivar raw: redis-py's own.
    :ivar selected: the number of the database; None where that is not known.
    """

    def __init__(self, raw: Any, where: str) -> None:
        self.raw = raw
        self.where = where
        self.selected: int | None = None
        self._closed = False

    def select(self, database: int) -> None:
        """Use a database from now on.

        :raises SystemUnavailable: there is none of that number.
        """
        if self.selected != database:
            self.call("SELECT", database)
            self.selected = database

    def run(self, commands: Iterable[Command]) -> list[Any]:
        """Send all commands, and return their replies; one that failed is an exception in there.

        :raises ConnectionLost: not all was answered.
        """
        waiting, replies = list(commands), []
        with self.errors():
            for start in range(0, len(waiting), _AT_ONCE):
                part = waiting[start : start + _AT_ONCE]
                replies += self._answers(packed(part), len(part))
        return replies

    def run_each(self, command: Command, names: Sequence[bytes]) -> list[Any]:
        """Send a command for each name, which it has as :data:`KEY`.

        :return: the replies, as :meth:`run` returns them.
        :raises ConnectionLost: not all was answered.
        """
        template, replies = packed([command]), []
        with self.errors():
            for start in range(0, len(names), _AT_ONCE):
                part = names[start : start + _AT_ONCE]
                sent = [template % {b"key": packed_part(name)} for name in part]
                replies += self._answers(b"".join(sent), len(part))
        return replies

    def call(self, *command: Any) -> Any:
        """Return the reply to one command.

        :raises SystemUnavailable: the server refuses it.
        """
        return self.all_answered([command])[0]

    def all_answered(self, commands: Iterable[Command]) -> list[Any]:
        """Return the replies to commands none of which may fail.

        :raises SystemUnavailable: the server refuses one.
        """
        commands = list(commands)
        replies = self.run(commands)
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, Exception):
                raise SystemUnavailable(self.refusal(command, reply)) from reply
        return replies

    def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Execute all commands at once, or none where one is refused beforehand.

        :return: their replies; one that failed is an exception in there.
        :raises SystemUnavailable: nothing was executed.
        """
        *queued, replies = self.run([("MULTI",), *commands, ("EXEC",)])
        for command, reply in zip([("MULTI",), *commands], queued, strict=True):
            if isinstance(reply, Exception):
                raise SystemUnavailable(self.refusal(command, reply)) from reply
        if isinstance(replies, Exception):
            raise SystemUnavailable(self.refusal(("EXEC",), replies)) from replies
        return list(replies)

    def receive(self) -> Any:
        """Return the next message that the server sends.

        :raises ConnectionLost: there is none any more.
        """
        with self.errors():
            return self._reply()

    def send(self, *command: Any) -> None:
        """Send a command whose answer is received as a message."""
        with self.errors():
            self.raw.send_command(*command, check_health=False)

    def refusal(self, command: Command, error: Exception) -> str:
        """Return what the server refused, in its words, and what to do about it."""
        shown = " ".join(_shown(part) for part in command[:3])
        return f"Redis {self.where} refuses {shown}: {error}{_remedy(error)}"

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._closed = True
        self.raw.disconnect()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn redis-py's errors into ours; any of them ends this connection."""
        if self._closed:
            # redis-py would open it again, without the tracking that was asked for on it.
            raise ConnectionLost(f"Redis {self.where}: the connection was closed.")
        try:
            yield
        except redis.ResponseError as error:
            self.close()
            raise SystemUnavailable(f"Redis {self.where}: {error}{_remedy(error)}") from error
        except (redis.RedisError, OSError) as error:
            self.close()
            raise ConnectionLost(
                f"Redis {self.where} does not answer: {str(error).rstrip('.')}{_remedy(error)}"
            ) from error

    def _answers(self, sent: bytes, count: int) -> list[Any]:
        self.raw.send_packed_command([sent], check_health=False)
        return [self._reply() for _ in range(count)]

    def _reply(self) -> Any:
        try:
            return self.raw.read_response(disable_decoding=True)
        except redis.ResponseError as refused:
            return refused


def _remedy(error: Exception) -> str:
    # redis-py takes the code off the errors that it has a class for.
    text = str(error)
    by_class = {
        "AuthenticationError": "WRONGPASS",
        "AuthenticationWrongNumberOfArgsError": "WRONGPASS",
        "BusyLoadingError": "LOADING",
        "ConnectionError": "UNREACHABLE",
        "NoPermissionError": "NOPERM",
        "OutOfMemoryError": "OOM",
        "ReadOnlyError": "READONLY",
    }
    code = by_class.get(type(error).__name__, text.partition(" ")[0])
    if code == "WRONGPASS" and "required" in text:
        code = "NOAUTH"
    return f". {_REMEDIES[code]}" if code in _REMEDIES else ""


def _shown(part: Any) -> str:
    text = part.decode("utf-8", "backslashreplace") if isinstance(part, bytes) else str(part)
    return text if len(text) <= 60 else f"{text[:57]}..."
