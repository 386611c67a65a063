"""What is said where a killed run was rolled back."""

import warnings


class RecoveryWarning(UserWarning):
    """An earlier run was killed: what it had changed was rolled back first, or is still there."""


def warn_of_recovery(system: str, told: str) -> None:
    """Say what was done about a killed run before this one began.

    :param system: name of the system.
    :param told: what was done, as a sentence.
    """
    warnings.warn(f"{system}: {told}", RecoveryWarning, stacklevel=5)


def recovered(where: str, rows: int) -> str:
    """Return what was done, as a sentence.

    :param where: the database, as errors name it.
    :param rows: how many rows were removed and put back.
    """
    changed = "1 row was" if rows == 1 else f"{rows} rows were"
    return (
        f"an earlier run on {where} was killed; {changed} removed or put back, so the database is "
        "what it was when that run began."
    )
