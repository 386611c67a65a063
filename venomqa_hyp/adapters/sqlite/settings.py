"""What of a file is no row: its settings, the AUTOINCREMENT counters, the planner's statistics."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from venomqa_hyp.adapters.sqlite.catalog import COUNTERS
from venomqa_hyp.adapters.sqlite.driver import present_journal_mode, quoted, rows
from venomqa_hyp.errors import RollbackError

#: Settings that are observed.
SHOWN = ("user_version", "application_id")
#: Settings that are set back, and that no state depends on.
_HIDDEN = ("default_cache_size", "auto_vacuum")
JOURNAL_MODE = "journal_mode"
SHOWN_COUNTERS = "autoincrement"
STATISTICS = "statistics"
HIDDEN = frozenset((*_HIDDEN, JOURNAL_MODE, STATISTICS, COUNTERS))

Settings = Mapping[str, Any]


def read_settings(connection: sqlite3.Connection, *, counted: bool) -> Settings:
    """Return name -> value of everything there is.

    :param counted: whether there are AUTOINCREMENT counters.
    """
    found: dict[str, Any] = {
        name: rows(connection, f"PRAGMA {name}")[0][0] for name in (*SHOWN, *_HIDDEN)
    }
    found[JOURNAL_MODE] = present_journal_mode(connection)
    found[STATISTICS] = _statistics(connection)
    if counted:
        counters = rows(connection, f"SELECT rowid, name, seq FROM {COUNTERS} ORDER BY rowid")
        shown = sorted((row[1:] for row in counters if isinstance(row[1], str)), key=repr)
        odd = [row[1:] for row in counters if not isinstance(row[1], str)]
        found[COUNTERS] = tuple(counters)
        found[SHOWN_COUNTERS] = {
            "columns": ("name", "seq"),
            "key": ("name",),
            "rows": [*shown, *odd],
        }
    return found


def write_settings(connection: sqlite3.Connection, target: Settings) -> None:
    """Set everything back but the journal mode, in the transaction that is open."""
    found = read_settings(connection, counted=COUNTERS in target)
    for name in (*SHOWN, *_HIDDEN):
        if found[name] != target[name]:
            # A negative size is SQLite's own default, which is written as 0.
            is_default = name == "default_cache_size" and target[name] < 0
            connection.execute(f"PRAGMA {name} = {0 if is_default else target[name]}")
    if found[STATISTICS] != target[STATISTICS]:
        _write_statistics(connection, target[STATISTICS])
    # Rows that were put back may have counted on.
    if found.get(COUNTERS) != target.get(COUNTERS):
        connection.execute(f"DELETE FROM {COUNTERS}")
        connection.executemany(
            f"INSERT INTO {COUNTERS} (rowid, name, seq) VALUES (?, ?, ?)", target[COUNTERS]
        )


def _statistics(connection: sqlite3.Connection) -> Mapping[str, Any]:
    """Return the rows of the tables that ANALYZE and PRAGMA optimize write."""
    names = rows(connection, "SELECT name FROM sqlite_master WHERE name GLOB 'sqlite_stat[14]'")
    return {
        name: tuple(rows(connection, f"SELECT rowid, * FROM {name} ORDER BY rowid"))
        for (name,) in sorted(names)
    }


def _write_statistics(connection: sqlite3.Connection, target: Mapping[str, Any]) -> None:
    found = _statistics(connection)
    for name in found.keys() - target.keys():
        connection.execute(f"DROP TABLE {name}")
    if target.keys() - found.keys():
        # Only ANALYZE can create them. The name does not matter, as its rows are replaced.
        (some,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
        ).fetchone()
        connection.execute(f"ANALYZE {quoted(some)}")
    for name, content in target.items():
        connection.execute(f"DELETE FROM {name}")
        names = "rowid, tbl, idx, " + ("stat" if name.endswith("1") else "neq, nlt, ndlt, sample")
        marks = ", ".join("?" * len(names.split(",")))
        connection.executemany(f"INSERT INTO {name} ({names}) VALUES ({marks})", content)


def write_journal_mode(connection: sqlite3.Connection, mode: str, where: str) -> None:
    """Set the journal mode back, outside of any transaction.

    :param where: the database, as errors name it.
    :raises RollbackError: other connections are open, and SQLite changes it for none of them.
    """
    present = present_journal_mode(connection)
    if present == mode:
        return
    try:
        cursor = connection.cursor()
        cursor.row_factory = None
        found = cursor.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise _refused(where, mode, present, str(error)) from error
    if found != mode:
        raise _refused(where, mode, present, f"it stays {found}")


def _refused(where: str, mode: str, present: str, problem: str) -> RollbackError:
    return RollbackError(
        f"{where}: PRAGMA journal_mode was {mode} and is {present} now, and cannot be set back "
        f"({problem}): SQLite changes it only where no other connection is open. Execute PRAGMA "
        f"journal_mode = {present} once before the run, so that the file has that mode from the "
        "beginning; or let the application close its connections before the action returns."
    )
