"""What is said on a connection, without the package that says it."""

from collections.abc import Iterable
from typing import Any

from venomqa_hyp.errors import SystemUnavailable

#: The name of a command and its arguments.
Command = tuple[Any, ...]
#: Stands for the name of a key in :func:`packed`: this very object, and no name that is equal.
KEY = b"KEY"


class ConnectionLost(SystemUnavailable):
    """The server does not answer on this connection any more."""


def packed(commands: Iterable[Command]) -> bytes:
    """Return commands as they are sent; with ``%(key)b`` where they have :data:`KEY`."""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        parts += [b"%(key)b" if part is KEY else packed_part(part) for part in command]
    return b"".join(parts)


def packed_part(part: Any) -> bytes:
    """Return the name or an argument of a command as it is sent."""
    raw = part if type(part) is bytes else str(part).encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def milliseconds(time: Any) -> int:
    """Return the reply to TIME in milliseconds."""
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000
