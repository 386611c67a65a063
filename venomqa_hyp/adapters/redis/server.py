"""What a server says about itself."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from venomqa_hyp.errors import DefinitionError

if TYPE_CHECKING:
    from venomqa_hyp.adapters.redis.connection import Address, Connection

_OLDEST = (6, 0)


@attrs.frozen
class Server:
    """What does not change while the server runs."""

    version: tuple[int, ...]
    run_id: str


def checked_server(info: Mapping[str, str], address: "Address") -> Server:
    """Return the server.

    :raises DefinitionError: it is part of a cluster, a replica, or older than 6.0.
    """
    if info.get("cluster_enabled") == "1":
        raise DefinitionError(
            f"Redis {address} is part of a cluster, whose keys are on several servers: a cluster "
            "cannot be rolled back. Run the service against a single server."
        )
    if info.get("role") != "master":
        raise DefinitionError(
            f"Redis {address} is a replica and cannot be written to: pass the URL of its master, "
            f"{info.get('master_host')}:{info.get('master_port')}."
        )
    version = tuple(int(part) for part in info["redis_version"].split(".")[:2])
    if version < _OLDEST:
        raise DefinitionError(
            f"Redis {address} is version {info['redis_version']}; RedisAdapter needs 6.0 or newer."
        )
    return Server(version, info["run_id"])


def info(connection: "Connection") -> dict[str, str]:
    """Return name -> value of what INFO answers."""
    lines = connection.call("INFO").decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
