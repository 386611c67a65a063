"""What the arguments of the Redis adapter may be."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from venomqa_hyp.errors import DefinitionError

if TYPE_CHECKING:
    from venomqa_hyp.adapters.redis.connection import Address


def refuse_other_machine(address: "Address", source: object, allowed: str | None) -> None:
    """Refuse a server elsewhere, unless its name was given."""
    if address.is_local or (
        allowed is not None and allowed in (address.host, str(address), source)
    ):
        return
    raise DefinitionError(
        f"Redis {address} is not on this machine, and a rollback overwrites and deletes keys. If "
        f"it is there to be tested on, say so: allow_destructive={address.host!r}"
        + (f" (got {allowed!r})." if allowed is not None else ".")
    )


def checked_prefix(prefix: str | bytes | None) -> bytes:
    """Return the prefix as bytes."""
    if prefix is None:
        return b""
    if not isinstance(prefix, str | bytes) or not prefix:
        raise DefinitionError(
            f"prefix={prefix!r} must be what the names of the keys begin with, such as 'app:'; "
            "leave it out for the whole database."
        )
    return prefix.encode() if isinstance(prefix, str) else prefix


def checked_databases(wanted: Iterable[int] | None, default: int) -> tuple[int, ...]:
    """Return the numbers, sorted."""
    if wanted is None:
        return (default,)
    numbers = () if isinstance(wanted, int | str) else tuple(wanted)
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise DefinitionError(f"databases={wanted!r} must be a list of numbers, such as [0, 1].")
    return tuple(sorted(set(numbers)))
