"""Put the journal into the application's file, and take it out again."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from venomqa_hyp.adapters.sqlite.catalog import Catalog, Unfit, read_catalog
from venomqa_hyp.adapters.sqlite.driver import is_lock, quoted
from venomqa_hyp.adapters.sqlite.rows import Layout
from venomqa_hyp.adapters.sqlite.triggers import CREATED, NOTES, TRIGGERS, statements

#: None before Python 3.12.
_ENABLE_TRIGGER: int | None = getattr(sqlite3, "SQLITE_DBCONFIG_ENABLE_TRIGGER", None)

#: Whether the application's own triggers can be kept from firing.
CAN_SWITCH_TRIGGERS = _ENABLE_TRIGGER is not None


def install(connection: sqlite3.Connection) -> Catalog:
    """Install the journal, in the transaction that is open.

    From then on the application's triggers do not fire on this connection, and neither foreign keys
    nor CHECK constraints hold.

    :raises Unfit: a journal would not be sound.
    :raises sqlite3.Error: the file cannot be written.
    """
    can_switch = _switch_triggers(connection, True)
    catalog = read_catalog(connection, with_triggers=can_switch)
    try:
        for statement in statements(catalog.tables):
            connection.execute(statement)
        for layout in catalog.layouts.values():
            _try(connection, layout)
        _switch_triggers(connection, False)
        for layout in catalog.layouts.values():
            _try(connection, layout)
    except sqlite3.Error as error:
        if is_lock(error) or not isinstance(error, sqlite3.OperationalError):
            raise
        raise Unfit(f"SQLite cannot execute here what a journal needs: {error}") from error
    return catalog


def remove(connection: sqlite3.Connection) -> None:
    """Remove a journal, if there is one; one that a crash left behind too.

    :raises sqlite3.Error: the file cannot be written.
    """
    if not _installed(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        drop(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def drop(connection: sqlite3.Connection) -> None:
    """Remove a journal, if there is one, in the transaction that is open."""
    for kind, name in _installed(connection):
        connection.execute(f"DROP {kind} {quoted(name)}")


def is_installed(connection: sqlite3.Connection) -> bool:
    """Tell whether a journal is there."""
    return ("table", NOTES) in _installed(connection)


@contextmanager
def silenced(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep triggers from firing on this connection, where that can be chosen."""
    _switch_triggers(connection, False)
    try:
        yield
    finally:
        _switch_triggers(connection, True)


def _installed(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(
        "SELECT type, name FROM sqlite_master WHERE (type = 'trigger' AND name GLOB ?)"
        " OR (type = 'table' AND name = ? AND sql GLOB ?) ORDER BY type DESC",
        (TRIGGERS, NOTES, CREATED),
    ).fetchall()


def _switch_triggers(connection: sqlite3.Connection, on: bool) -> bool:
    """Let triggers fire on this connection, or not; tell whether that can be chosen."""
    if _ENABLE_TRIGGER is None:
        return False
    connection.setconfig(_ENABLE_TRIGGER, on)  # type: ignore[attr-defined, unused-ignore]
    return True


def _try(connection: sqlite3.Connection, layout: Layout) -> None:
    """Let SQLite compile all that will be executed, where it knows no function of the application.

    :raises sqlite3.Error: it cannot be.
    """
    values = (None,) * len(layout.stored)
    same = ", ".join(f"{column} = {column}" for column in layout.stored)
    for sql, arguments in (
        layout.select(layout.key_of(values)),
        layout.delete(layout.key_of(values)),
        layout.insert(values),
        (f"UPDATE {layout.sql} SET {same}", []),
    ):
        connection.execute(f"EXPLAIN {sql}", arguments).fetchall()
