"""What adapters say when a handle, or the adapter itself, is used after its end."""

from venomqa_hyp.errors import RollbackError, SystemUnavailable


def not_live(system: str, handle: object, *, ended_by: str = "") -> RollbackError:
    """Return the error of a rollback to a handle that is not live.

    :param ended_by: what else ends the life of a handle, where the test need not have done it.
    """
    cause = f"{ended_by} (ask is_live(handle) first), " if ended_by else ""
    return RollbackError(
        f"{system}: cannot roll back to {handle!r}: {cause}it was forgotten, it is another "
        "adapter's, or this adapter was closed. Take a new checkpoint."
    )


def closed(system: str) -> SystemUnavailable:
    """Return the error of using an adapter that was closed."""
    return SystemUnavailable(f"{system}: the adapter was closed; create a new one.")
