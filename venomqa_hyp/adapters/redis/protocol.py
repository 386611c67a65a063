"""What is said on a connection, without the package that says it."""

from typing import Any

from venomqa_hyp.errors import SystemUnavailable

#: The name of a command and its arguments.
Command = tuple[Any, ...]


class ConnectionLost(SystemUnavailable):
    """The server does not answer on this connection any more."""


def milliseconds(time: Any) -> int:
    """Return the reply to TIME in milliseconds."""
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000
