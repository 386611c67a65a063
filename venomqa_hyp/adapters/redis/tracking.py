"""Learn from the server which keys were changed since the last time.

``CLIENT TRACKING ON BCAST`` makes the server send the names of changed keys: here to a second
connection, as RESP2 has it. They are complete once that connection has answered a PING that was
sent after a reply on the first one: the server sends invalidations before the replies of the same
turn of its event loop, and in order on each connection.
(https://redis.io/docs/latest/develop/reference/client-side-caching/)

Measured on Redis 6.2, 7.0 and Valkey 9.1, two things are not sent: SWAPDB, and what happens to the
consumer groups of a stream (XREADGROUP, XACK, XCLAIM, XGROUP, XSETID, ...). The statistics of
commands tell that one of these ran; then everything, or every stream, is looked at.

Our own writes are sent too. NOLOOP would drop a key that the application changes in the same turn.
"""

import re
from typing import TYPE_CHECKING

import attrs

from venomqa_hyp.adapters.redis.protocol import ConnectionLost, milliseconds
from venomqa_hyp.errors import SystemUnavailable

if TYPE_CHECKING:
    from venomqa_hyp.adapters.redis.connection import Address, Connection

_CHANNEL = "__redis__:invalidate"
# Commands of streams, but for those that read and those whose keys are sent.
_SILENT = re.compile(
    rb"cmdstat_(x(?!info|len|pending|range|read:|revrange|add|del:|trim)[^:]*|swapdb):calls=(\d+)"
)


@attrs.frozen
class News:
    """What happened since the last time.

    :ivar time: of the server, in milliseconds, before the changes were asked for.
    :ivar keys: names that may have changed, in whatever database; None means any.
    :ivar streams: whether any stream may have changed besides.
    """

    time: int
    keys: frozenset[bytes] | None
    streams: bool


class Tracker:
    """The connection for commands, and the one on which the server sends what changed.

    :ivar commands: for everything that the adapter does.
    :ivar without: why the server cannot say what changed, so that all keys are read each time.
    """

    def __init__(self, address: "Address", prefix: bytes, wanted: bool) -> None:
        self._prefix = prefix
        self._invalidations: Connection | None = None
        self._counts: dict[bytes, bytes] | None = None
        self.without: str | None = None if wanted else "tracking=False"
        self.commands = address.connect()
        try:
            if wanted:
                self._invalidations = address.connect()
                self._begin(self._invalidations)
        except ConnectionLost:
            self.close()
            raise
        except SystemUnavailable as error:
            self.without = str(error)
            self._stop()

    def news(self) -> News:
        """Return what changed before this was called.

        :raises ConnectionLost: one of the connections; what changed since is not known any more.
        """
        if self._invalidations is None:
            return News(milliseconds(self.commands.call("TIME")), None, True)
        time, statistics = self.commands.all_answered([("TIME",), ("INFO", "commandstats")])
        keys = self._drain(self._invalidations)
        counts = dict(_SILENT.findall(statistics))
        before, self._counts = self._counts, counts
        if before is None or before.get(b"swapdb") != counts.get(b"swapdb"):
            keys = None
        return News(milliseconds(time), keys, before != counts)

    def close(self) -> None:
        """End tracking, and close both connections."""
        self._stop()
        self.commands.close()

    def _begin(self, invalidations: "Connection") -> None:
        number = invalidations.call("CLIENT", "ID")
        invalidations.call("SUBSCRIBE", _CHANNEL)
        prefix = ("PREFIX", self._prefix) if self._prefix else ()
        self.commands.call("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", *prefix)
        self.commands.call("INFO", "commandstats")

    def _stop(self) -> None:
        if self._invalidations is not None:
            self._invalidations.close()
            self._invalidations = None

    @staticmethod
    def _drain(invalidations: "Connection") -> frozenset[bytes] | None:
        keys: set[bytes] = set()
        everything = False
        invalidations.send("PING")
        while True:
            message = invalidations.receive()
            if isinstance(message, Exception):
                raise SystemUnavailable(invalidations.refusal(("PING",), message)) from message
            if message[0] == b"pong":
                return None if everything else frozenset(keys)
            if message[2] is None:
                everything = True  # FLUSHDB or FLUSHALL, whichever database
            else:
                keys.update(message[2])
