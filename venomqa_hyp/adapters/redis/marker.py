"""A key that says that a run is in progress, by which the next run knows of one that was killed.

It is in a database that is not observed, so that no pattern of the application finds it. The run is
alive as long as the server lists a connection of the name that the key holds.
"""

import contextlib
import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from venomqa_hyp.adapters.recovery import RecoveryWarning
from venomqa_hyp.adapters.redis.protocol import ConnectionLost
from venomqa_hyp.adapters.redis.values import text
from venomqa_hyp.errors import SystemUnavailable

if TYPE_CHECKING:
    from venomqa_hyp.adapters.redis.connection import Connection

#: Servers have 16 databases unless they are told otherwise; the last one is used least.
_LAST = 15


class Marker:
    """The key of one run.

    :param prefix: of the observed keys.
    :param databases: the observed ones.
    """

    def __init__(self, prefix: bytes, databases: Sequence[int]) -> None:
        self._prefix = prefix
        self._databases = tuple(databases)
        self._database: int | None = None
        self._run = f"venomqa-{uuid.uuid4()}"
        numbers = ",".join(map(str, databases))
        self._key = b"venomqa:run:%b:%b" % (numbers.encode(), prefix)
        self._value = b""

    def leave(self, connection: "Connection", start: str) -> Mapping[str, Any] | None:
        """Leave the key, where the server lets us, and return that of a run that was killed.

        :param start: identifies the keys at the start of this run.
        """
        with _optional():
            self.name(connection)
            self._database = self._select(connection)
            earlier, clients = connection.all_answered([("GET", self._key), ("CLIENT", "LIST")])
            self._value = json.dumps(
                {"run": self._run, "process": _process(), "began": time.time(), "start": start}
            ).encode()
            connection.call("SET", self._key, self._value)
            return _killed(earlier, clients, start)
        self._database = None
        return None

    def name(self, connection: "Connection") -> None:
        """Give a connection the name that shows that the run is alive."""
        with _optional():
            connection.call("CLIENT", "SETNAME", self._run)

    def leave_again(self, connection: "Connection") -> None:
        """Leave the key once more, after all keys of the server were deleted."""
        with _optional():
            if self._database is not None:
                connection.select(self._database)
                connection.call("SET", self._key, self._value)

    def remove(self, connection: "Connection") -> None:
        """Delete the key, unless another run has left its own."""
        with contextlib.suppress(SystemUnavailable):
            if self._database is not None:
                connection.select(self._database)
                if connection.call("GET", self._key) == self._value:
                    connection.call("DEL", self._key)

    def warn(self, name: str, where: str, killed: Mapping[str, Any]) -> None:
        """Say that the keys are not those that the killed run began with."""
        prefix, databases = text(self._prefix), ", ".join(map(str, self._databases))
        keys = f"keys {prefix!r}*" if prefix else "all keys"
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(killed["began"]))
        warnings.warn(
            f"{name}: the run on Redis {where} ({keys}, database {databases}) that began at "
            f"{began} ended without closing its adapter, and what it had changed is still there: "
            "after a kill, nothing of Redis can be rolled back. This run begins with these keys. "
            "To begin anew, delete them (redis-cli -n NUMBER FLUSHDB where the database is the "
            "test's own), and let each run use a prefix or a database of its own.",
            RecoveryWarning,
            stacklevel=3,
        )

    def _select(self, connection: "Connection") -> int:
        """Select a database that is not observed."""
        refused: SystemUnavailable | None = None
        for number in _candidates(self._databases):
            try:
                connection.select(number)
            except ConnectionLost:
                raise
            except SystemUnavailable as error:
                refused = error
            else:
                return number
        raise refused or SystemUnavailable("Every database is observed.")


def _candidates(databases: Iterable[int]) -> list[int]:
    return [number for number in range(_LAST, -1, -1) if number not in set(databases)]


@contextlib.contextmanager
def _optional() -> Iterator[None]:
    """Go on where the user of the connection may not do this."""
    try:
        yield
    except ConnectionLost:
        raise
    except SystemUnavailable:
        pass


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _killed(earlier: bytes | None, clients: bytes, start: str) -> Mapping[str, Any] | None:
    """Return the marker of a run that is over and has changed keys."""
    if earlier is None:
        return None
    found: Mapping[str, Any] = json.loads(earlier)
    is_alive = b"name=%b " % found["run"].encode() in clients
    is_own = found["process"] == _process()
    return None if is_alive or is_own or found["start"] == start else found
