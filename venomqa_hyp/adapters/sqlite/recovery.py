"""Undo what a run that was killed has left in a file."""

import os
import sqlite3
from collections import Counter
from contextlib import closing

import attrs

from venomqa_hyp.adapters.recovery import recovered
from venomqa_hyp.adapters.sqlite import installation
from venomqa_hyp.adapters.sqlite.catalog import COUNTERS, describe, read_schema, readable
from venomqa_hyp.adapters.sqlite.driver import File, decoded, rows
from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.adapters.sqlite.rows import Key, Layout, packed, unpacked
from venomqa_hyp.adapters.sqlite.settings import (
    JOURNAL_MODE,
    read_settings,
    write_journal_mode,
    write_settings,
)
from venomqa_hyp.adapters.sqlite.start import Note, Shape, Start, before
from venomqa_hyp.adapters.sqlite.triggers import NOTES, START
from venomqa_hyp.errors import RollbackError

_CLEAN_TIMEOUT = 5.0


@attrs.frozen
class Recovery:
    """What was done to a file.

    :ivar rows: how many rows were removed or put back; None where nothing differed.
    :ivar left: what could not be undone, as a sentence; empty where all was.
    """

    rows: int | None = None
    left: str = ""

    def told(self, where: str) -> str | None:
        """Say what was done, or what could not be; ``None`` where there was nothing to do."""
        return self.left or (None if self.rows is None else recovered(where, self.rows))


def clean(path: str | os.PathLike[str]) -> str | None:
    """Undo what a killed run left in a file, and return what was done, as a sentence.

    :return: ``None`` where nothing was left.
    :raises VenomError: as of :func:`recover`; or there is no such file.
    """
    file = File(path, _CLEAN_TIMEOUT)
    try:
        done = recover(file)
    finally:
        file.close()
    return done.told(file.where)


def recover(file: File) -> Recovery:
    """Make a file what it was when a run began that ended without closing its adapter.

    Each part is one transaction, so it can be killed itself. Where another adapter of this process
    uses the file, its journal is removed, which ends that adapter.

    :raises RollbackError: a lock was held for too long.
    :raises SystemUnavailable: another process uses the file, or it cannot be written.
    """
    claim = file.claim()
    if not claim.is_first:
        with file.errors("remove the journal of another adapter"):
            installation.remove(file.connection)
        return Recovery()
    with file.errors("roll back a run that was killed", RollbackError):
        done = _undo_journal(file)
        image = claim.kept()
        if image is not None:
            done = _restore_copy(file, image)
    claim.drop()
    return done


# --- mode journal --------------------------------------------------------------------------------


def _undo_journal(file: File) -> Recovery:
    connection = file.connection
    if not installation.is_installed(connection):
        return Recovery()
    left = _restore_journal_mode(file)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.text_factory = decoded
    try:
        with file.transaction("IMMEDIATE"), installation.silenced(connection):
            done = _undo(file)
            connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        installation.remove(connection)
        return _impossible(
            file, f"something was written past the triggers of its journal ({error})"
        )
    finally:
        connection.text_factory = str
    return attrs.evolve(done, left=done.left or left)


def _restore_journal_mode(file: File) -> str:
    """Set the journal mode back before the rest, as it is in no transaction."""
    start = Start.read(file.connection)
    if start is None:
        return ""
    try:
        write_journal_mode(file.connection, start.settings[JOURNAL_MODE], file.where)
    except RollbackError as error:
        return f"an earlier run was killed and its rows were rolled back. But {error}"
    return ""


def _undo(file: File) -> Recovery:
    """Undo all that the notes tell, and remove the journal, in the transaction that is open."""
    connection = file.connection
    start = Start.read(connection)
    now = Shape.read(connection)
    notes = rows(connection, f"SELECT * FROM {NOTES} WHERE seq > {START} ORDER BY seq")
    installation.drop(connection)
    if start is None:
        return _impossible(file, f"the table {NOTES} was emptied")
    problem = start.shape.problem(now)
    if not problem and all(number is not None for _, number, *_ in notes):
        problem = f"notes are missing in the table {NOTES}"
    if problem:
        return _impossible(file, problem)
    found = read_settings(connection, counted=COUNTERS in start.settings)
    changed = _put_back([note for note in notes if note[1] is not None], start, connection)
    write_settings(connection, start.settings)
    differs = changed or found != start.settings
    return Recovery(changed if differs else None)


def _impossible(file: File, problem: str) -> Recovery:
    return Recovery(
        left=f"an earlier run on {file.where} was killed, and cannot be rolled back: {problem}. "
        "The database holds what that run left: create it anew, or restore a copy."
    )


def _put_back(notes: list[Note], start: Start, connection: sqlite3.Connection) -> int:
    """Write all rows as they were, and return how many were not."""
    changed = 0
    for number, first in before(notes, start.layouts).items():
        layout = start.layouts[number]
        present = {key: _find(connection, layout, key) for key in first}
        wrong = [key for key, row in first.items() if present[key] != row]
        changed += len(wrong)
        for key in wrong:
            connection.execute(*layout.delete(key))
        for key in wrong:
            if (row := first[key]) is not None:
                connection.execute(*layout.insert(unpacked(row)))
    return changed


def _find(connection: sqlite3.Connection, layout: Layout, key: Key) -> str | None:
    """Return the row that has a key, and not only one that SQLite takes for equal."""
    found = connection.execute(*layout.select(key)).fetchone()
    return None if found is None or layout.key_of(found) != key else packed(found)


# --- mode copy -----------------------------------------------------------------------------------


def _restore_copy(file: File, image: Image) -> Recovery:
    found = file.image(None)
    if found.pages == image.pages and found.journal_mode == image.journal_mode:
        return Recovery()
    # The pages last: until then, the next run finds that there is something to do.
    write_journal_mode(file.connection, image.journal_mode, file.where)
    image.restore(file.connection)
    file.refuse_old_readers()
    here, there = _all_rows(found), _all_rows(image)
    return Recovery((here - there).total() + (there - here).total())


def _all_rows(image: Image) -> Counter[str]:
    with closing(image.open()) as connection:
        return Counter(
            f"{name} {row!r}"
            for name in readable(read_schema(connection)[0])
            for row in rows(connection, describe(connection, name).sql)
        )
