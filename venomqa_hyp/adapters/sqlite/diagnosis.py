"""What of a SQLite file can be rolled back, without changing it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from venomqa_hyp.adapters.diagnosis import Diagnosis, Part, Verdict, counted
from venomqa_hyp.adapters.sqlite.adapter import JOURNAL_FROM
from venomqa_hyp.adapters.sqlite.catalog import Unfit, read_catalog, read_schema, readable
from venomqa_hyp.adapters.sqlite.driver import existing_file
from venomqa_hyp.adapters.sqlite.installation import CAN_SWITCH_TRIGGERS, is_installed
from venomqa_hyp.errors import SystemUnavailable


def diagnose(source: str, *, lock_timeout: float = 5.0) -> Diagnosis:
    """Say what of a database file can be rolled back; nothing is written.

    :param source: its path.
    :param lock_timeout: seconds.
    :raises DefinitionError: it is no path of a file.
    :raises SystemUnavailable: it cannot be read.
    """
    path = existing_file(source)
    try:
        opened = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=lock_timeout)
        with closing(opened) as connection:
            parts = (*_contents(connection), *_other_run(connection, path))
            mode = _mode(connection)
    except sqlite3.Error as error:
        raise SystemUnavailable(
            f"SQLite database {path} cannot be read: {error}. Pass the path of a database file."
        ) from error
    return Diagnosis(f"SQLite database {path}", mode, parts)


def _mode(connection: sqlite3.Connection) -> str:
    return "copy" if _size(connection) < JOURNAL_FROM or _unfit(connection) else "journal"


def _unfit(connection: sqlite3.Connection) -> str:
    try:
        read_catalog(connection, with_triggers=CAN_SWITCH_TRIGGERS)
    except Unfit as error:
        return str(error)
    return ""


def _contents(connection: sqlite3.Connection) -> Iterator[Part]:
    schema, _ = read_schema(connection)
    mode, megabytes, unfit = _mode(connection), _size(connection) / 1e6, _unfit(connection)
    how = {
        "copy": f"the file ({megabytes:.1f} MB) is copied in memory",
        "journal": "triggers write down each row",
    }[mode]
    yield Part(counted(len(readable(schema)), "table"), Verdict.ROLLED_BACK, how)
    yield Part("settings, counters", Verdict.ROLLED_BACK, "user_version, AUTOINCREMENT and others")
    if mode == "copy":
        yield Part("changes of the schema", Verdict.ROLLED_BACK, "part of the copy")
    else:
        during = "a run that meets one ends; migrate before it, or use mode='copy'"
        yield Part("changes of the schema", Verdict.LEFT_OUT, during)
    if unfit:
        yield Part("mode journal", Verdict.NOTE, f"not possible, so mode copy: {unfit}")
    attached = "each file needs an adapter of its own"
    yield Part("attached files", Verdict.LEFT_OUT, attached)


def _other_run(connection: sqlite3.Connection, path: Path) -> Iterator[Part]:
    if Path(f"{path}-venomqa").exists() or is_installed(connection):
        what = f"{path}-venomqa is there: a run uses the file, or was killed and will be undone"
        yield Part("another run", Verdict.NOTE, what)


def _size(connection: sqlite3.Connection) -> int:
    pages, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    return int(pages * size)
