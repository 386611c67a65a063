"""Which mode an adapter works in, and why."""

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from venomqa_hyp.adapters.journal import Choice
from venomqa_hyp.adapters.modes import Chosen, Mode, refuse_unknown_mode
from venomqa_hyp.adapters.postgres.driver import Failed
from venomqa_hyp.adapters.postgres.journal import JournalMode
from venomqa_hyp.adapters.postgres.safety import check_source
from venomqa_hyp.adapters.postgres.template import TemplateMode
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable

MODES = ("auto", "journal", "savepoint", "template")
SEQUENCES = ("restore", "advance")
_NOT_ALLOWED = "42501"


@attrs.frozen
class Wish:
    """The arguments of an adapter."""

    source: Any
    mode: str
    name: str
    choice: Choice
    schemas: Iterable[str] | None
    allow_destructive: str | None
    lock_timeout: float
    warm_up: Callable[[], object] | None
    sequences: str = "restore"

    @property
    def common(self) -> dict[str, Any]:
        """The arguments that every mode takes."""
        return {
            "name": self.name,
            "choice": self.choice,
            "schemas": self.schemas,
            "lock_timeout": self.lock_timeout,
        }


def choose(wish: Wish) -> Chosen:
    """Open a mode for a database that may be overwritten.

    :raises DefinitionError: the mode does not go with the source, or the database is refused.
    :raises SystemUnavailable: the database cannot be reached or changed.
    """
    refuse_unknown_mode(wish.mode, MODES)
    if wish.sequences not in SEQUENCES:
        raise DefinitionError(
            f"sequences={wish.sequences!r} was refused: sequences are set back with the rows, or "
            "go on counting. Write sequences='restore' or sequences='advance'."
        )
    shared = _is_shared(wish.source)
    if wish.mode == "savepoint" and not shared:
        raise DefinitionError(
            "mode='savepoint' needs the connection that the application uses, opened with "
            f"SharedConnection.connect(dsn), and got a {type(wish.source).__name__}: on any other "
            "connection a savepoint undoes nothing that the application did."
        )
    if shared and wish.mode not in ("auto", "savepoint"):
        raise DefinitionError(
            f"mode={wish.mode!r} rolls back what is committed, and nothing is ever committed on a "
            "SharedConnection. Pass the DSN instead, or leave mode out."
        )
    if wish.sequences == "advance" and (shared or wish.mode == "template"):
        raise DefinitionError(
            f"sequences='advance' needs mode='journal': mode {wish.mode!r} sets sequences back "
            "with everything else. Pass the DSN, and leave mode out."
        )
    asked = f"mode={wish.mode!r} was asked for"
    if shared:
        check_source(wish.source, "savepoint", wish.allow_destructive, wish.lock_timeout)
        why = asked if wish.mode == "savepoint" else "the source is a SharedConnection"
        return Chosen(_savepoint(wish), "savepoint", why)
    check_source(
        wish.source,
        "template" if wish.mode == "template" else "journal",
        wish.allow_destructive,
        wish.lock_timeout,
    )
    if wish.mode == "template":
        return Chosen(_template(wish), "template", asked)
    if wish.mode == "journal":
        return Chosen(_journal(wish), "journal", asked)
    return _automatic(wish)


def _automatic(wish: Wish) -> Chosen:
    try:
        why = "the application has connections of its own, which stay open"
        return Chosen(_journal(wish), "journal", why)
    except (DefinitionError, SystemUnavailable) as error:
        if wish.sequences == "advance":
            raise
        refused = error
    cause = refused.__cause__
    denied = isinstance(cause, Failed) and cause.sqlstate == _NOT_ALLOWED
    if not denied and not isinstance(refused, DefinitionError):
        raise refused
    mode: TemplateMode | None = None
    try:
        mode = _template(wish)
        mode.forget(mode.checkpoint("is it possible?"))
    except (DefinitionError, SystemUnavailable, RollbackError) as error:
        if mode is not None:
            mode.close()
        refused.add_note(f"Mode 'template' is not possible either: {error}")
        raise refused from error
    return Chosen(mode, "template", f"mode 'journal' is not possible: {refused}")


def _journal(wish: Wish) -> Mode:
    return JournalMode(wish.source, **wish.common, advance=wish.sequences == "advance")


def _template(wish: Wish) -> TemplateMode:
    return TemplateMode(wish.source, warm_up=wish.warm_up, **wish.common)


def _savepoint(wish: Wish) -> Mode:
    # Not above: that module cannot be imported without psycopg, and this one can.
    from venomqa_hyp.adapters.postgres.savepoint import SavepointMode

    return SavepointMode(wish.source, **wish.common)


def _is_shared(source: Any) -> bool:
    if isinstance(source, str):
        return False
    from venomqa_hyp.adapters.postgres.sharing import SharedConnection

    return isinstance(source, SharedConnection)
