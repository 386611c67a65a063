"""Undoing a run that was killed: back to the moment at which it began.

The triggers of that run are still there, and so is its journal: the difference from its beginning
is what was kept at its last rollback, and what was written since. So this is one more rollback, to
the beginning. Each step may be interrupted and done again: the rows go back in one transaction,
then the counters, and the journal is removed last.
"""

import attrs

from venomqa_hyp.adapters.mysql import blocking, schema
from venomqa_hyp.adapters.mysql.beginning import Beginning, Kept, forgotten
from venomqa_hyp.adapters.mysql.driver import Connection, Failed, Target
from venomqa_hyp.adapters.mysql.installation import (
    Installation,
    claim,
    exists,
    journal_name,
    ours,
    remove,
)
from venomqa_hyp.adapters.mysql.journal import JournalStore
from venomqa_hyp.adapters.mysql.schema_catalogs import parts
from venomqa_hyp.adapters.recovery import recovered
from venomqa_hyp.adapters.sql import Delta
from venomqa_hyp.errors import RollbackError, SystemUnavailable

_ATTEMPTS = 3


def recover(connection: Connection, lock_timeout: float, name: str) -> int | None:
    """Set the database back to the beginning of a run that was killed; its journal stays.

    The connection must have claimed the database.

    :param lock_timeout: seconds to wait for transactions of the application.
    :param name: of the system, for errors.
    :return: how many rows were removed and put back; None where no run was in progress.
    :raises SystemUnavailable: it cannot be done; says why and what helps. Nothing was changed then.
    """
    journal = journal_name(connection.database)
    found = Beginning.load(connection, journal)
    # A database that was made anew has no trigger of ours, and nothing of that run either.
    if found is None or not ours(connection):
        return None
    # Privileges have nothing to do with rows, and another user may see others.
    kinds = {
        kind: part
        for kind, part in parts(connection).items()
        if not kind.startswith(schema.PRIVILEGES)
    }
    known = {kind: found.schema[kind] for kind in kinds.keys() & found.schema.keys()}
    if lines := schema.differences(known, schema.read(connection, kinds)):
        raise _impossible(
            connection,
            f"its schema was changed meanwhile ({schema.in_words(lines)})",
            "Undo that and start again.",
        )
    installed = Installation.existing(connection)
    kept = Kept.load(connection, journal)
    beginning = attrs.evolve(found, schema=known)
    store = JournalStore(installed, {}, lock_timeout, name, kept, beginning)
    try:
        return _go_back(store, kept, beginning)
    except RollbackError as error:
        raise _impossible(connection, str(error), "Correct that and start again.") from error


def _go_back(store: JournalStore, kept: Kept, beginning: Beginning) -> int:
    here = Delta().after(kept.entries(), _weightless)
    for _ in range(_ATTEMPTS):
        taken = store.take()
        here = here.after(taken.entries, _weightless)
        moves = here.moves_to(Delta())
        counters = {
            table: value
            for table, value in beginning.counters.items()
            if taken.counters.get(table) != value
        }
        if not (moves or counters) or store.restore(moves, counters):
            return sum(len(move.remove) + len(move.add) for move in moves.values())
    raise RollbackError(
        f"{store.name}: the application went on writing during {_ATTEMPTS} attempts. Stop it."
    )


def _weightless(_: int, __: str) -> int:
    return 0


def remove_journal(url: str, *, lock_timeout: float = 5.0) -> str | None:
    """Roll back a run that was killed, and remove its journal; the next adapter would do so too.

    :return: what was done, as a sentence; ``None`` where there was no journal.
    :raises SystemUnavailable: a living run uses it, a table is locked, or the schema was changed.
    """
    connection = Connection(Target.parse(url), lock_timeout)
    try:
        claim(connection)
        if not exists(connection):
            remove(connection)
            return None
        rows = recover(connection, lock_timeout, "mysql")
        remove(connection)
        return recovered(connection.where, rows or 0)
    except Failed as error:
        raise SystemUnavailable(
            f"MySQL: {connection.where}: the journal cannot be removed: {error}. "
            f"{blocking.holders(connection) if error.is_lock else ''}"
        ) from error
    finally:
        connection.close()


def _impossible(connection: Connection, why: str, remedy: str) -> SystemUnavailable:
    forget = forgotten(journal_name(connection.database))
    return SystemUnavailable(
        f"MySQL: an earlier run on {connection.where} was killed, and the database cannot be set "
        f"back to what it was when that run began: {why}. Nothing was changed. {remedy} Or, to go "
        f"on with the rows as they are now, execute: {forget}"
    )
