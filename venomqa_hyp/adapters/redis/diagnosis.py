"""What of a Redis server can be rolled back, without changing it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from venomqa_hyp.adapters.diagnosis import Diagnosis, Part, Verdict, counted
from venomqa_hyp.adapters.redis.arguments import refuse_other_machine
from venomqa_hyp.adapters.redis.server import checked_server, info
from venomqa_hyp.adapters.redis.tracking import Tracker
from venomqa_hyp.errors import DefinitionError

if TYPE_CHECKING:
    from venomqa_hyp.adapters.redis.connection import Address

_NOT_COVERED = "functions, scripts, users, published messages"


def diagnose(source: str, *, timeout: float = 30.0) -> Diagnosis:
    """Say what of a server can be rolled back; nothing is written.

    :param source: a URL.
    :param timeout: seconds to wait for an answer.
    :raises DefinitionError: it is no such URL, or redis-py is missing.
    :raises SystemUnavailable: the server does not answer, or refuses what is needed.
    """
    # Imported here, so that this package can be without redis-py until it is used.
    from venomqa_hyp.adapters.redis.connection import Address

    address = Address(source, timeout)
    tracker = Tracker(address, b"", True)
    try:
        refused = list(_refused(address, source, tracker))
        parts = (*refused, *_contents(address, tracker))
        mode = "" if refused else "DUMP and RESTORE"
        return Diagnosis(f"Redis {address}, database {address.database}", mode, parts)
    finally:
        tracker.close()


def _refused(address: "Address", source: str, tracker: Tracker) -> Iterator[Part]:
    def is_here() -> None:
        refuse_other_machine(address, source, None)

    def is_fit() -> None:
        checked_server(info(tracker.commands), address)

    checks: dict[str, Callable[[], None]] = {"permission": is_here, "the server": is_fit}
    for what, check in checks.items():
        try:
            check()
        except DefinitionError as error:
            yield Part(what, Verdict.REFUSED, str(error))


def _contents(address: "Address", tracker: Tracker) -> Iterator[Part]:
    tracker.commands.select(address.database)
    keys = int(tracker.commands.call("DBSIZE"))
    how = (
        "the server says which keys were changed"
        if tracker.without is None
        else f"every key is read each time, which is slow: {tracker.without}"
    )
    yield Part(
        counted(keys, "key"), Verdict.ROLLED_BACK, f"of every type, with times to live; {how}"
    )
    other = "RedisAdapter(..., databases=[0, 1]) covers more"
    yield Part("other databases of the server", Verdict.LEFT_OUT, other)
    yield Part(_NOT_COVERED, Verdict.LEFT_OUT, "they are no keys")
    killed = "what a killed run has changed stays; give each run a prefix or database of its own"
    yield Part("after a kill", Verdict.LEFT_OUT, killed)
