"""What the schema was and what it is now, and the difference in words."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from venomqa_hyp.adapters.mysql.driver import Connection, Failed
from venomqa_hyp.adapters.mysql.schema_catalogs import Part, filled
from venomqa_hyp.errors import SystemUnavailable

#: Part -> name of the object -> a digest of its definition.
Schema = Mapping[str, Mapping[str, str]]
STORAGE, TRIGGER, PRIVILEGES = "storage", "trigger", "privileges"
_NEEDS_PRIVILEGE = 1227
_AT_MOST = 5
_CODE = re.compile("@([0-9a-f]{4})")
_PARTITION = re.compile("#p#.*", re.IGNORECASE | re.DOTALL)
_EMPTIED = " was emptied by TRUNCATE, or rebuilt"


def read(connection: Connection, parts: Mapping[str, Part]) -> Schema:
    """Read parts of the schema.

    :raises SystemUnavailable: the role may not see it; names the GRANT.
    """
    queries = [filled(part, connection.database) for part in parts.values()]
    try:
        found = connection.run(*queries) if queries else []
    except Failed as error:
        if error.code != _NEEDS_PRIVILEGE:
            raise
        raise SystemUnavailable(
            f"MySQL: {connection.where}: this user may not look at the engine's tables ({error}), "
            "so a TRUNCATE by the application would go unnoticed. As an administrator: "
            "GRANT PROCESS ON *.* TO the user of the test."
        ) from error
    return {
        name: _digests(result.rows, is_storage=name == STORAGE)
        for name, result in zip(parts, found, strict=True)
    }


def _digests(rows: Iterable[Sequence[Any]], *, is_storage: bool) -> dict[str, str]:
    described: dict[str, list[str]] = defaultdict(list)
    for name, *definition in rows:
        described[_stored(name) if is_storage else name].append(repr(definition))
    return {
        name: hashlib.blake2b("\n".join(sorted(lines)).encode(), digest_size=12).hexdigest()
        for name, lines in described.items()
    }


def _stored(file: str) -> str:
    """Return what a file of the engine is of: names are encoded there, and partitions apart."""
    table = _CODE.sub(lambda code: chr(int(code[1], 16)), _PARTITION.sub("", file))
    return f"storage of table {table}"


def differences(before: Schema, after: Schema) -> list[str]:
    """Return what was changed, a line for each object; of new and lost tables just the table.

    Parts that are missing in one of them are not compared.
    """
    changes = {part: _changes(before[part], after[part]) for part in before.keys() & after.keys()}
    stored = changes.pop(STORAGE, {})
    verbs = {name: verb for found in changes.values() for name, verb in found.items()}
    tables = {_table(name) for name in verbs}
    # A sequence has the columns of a table.
    whole = {
        name.replace("sequence ", "table ", 1)
        for name, verb in verbs.items()
        if name.startswith(("table ", "sequence ")) and verb != "changed"
    }
    shown = [
        f"{name}: {verb}"
        for name, verb in sorted(verbs.items())
        if name == _table(name) or _table(name) not in whole
    ]
    # What changes the definition of a table may build it anew.
    emptied = {table for name in stored if (table := _table(name)) not in tables}
    return shown + [f"{table}{_EMPTIED}" for table in sorted(emptied)]


def _table(name: str) -> str:
    """Return the table that an object is of, or the object itself."""
    _, of_table, table = name.partition(" of table ")
    return f"table {table}" if of_table else name


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    found = dict.fromkeys(before.keys() - after.keys(), "gone")
    found |= dict.fromkeys(after.keys() - before.keys(), "new")
    common = before.keys() & after.keys()
    return found | {name: "changed" for name in common if before[name] != after[name]}


def in_words(lines: Sequence[str]) -> str:
    """Return the first lines, and the number of the others."""
    more = f"; and {len(lines) - _AT_MOST} more" if len(lines) > _AT_MOST else ""
    return "; ".join(lines[:_AT_MOST]) + more


def explained(lines: Sequence[str]) -> str:
    """Say what happened to the schema during a run, and what to do instead."""
    if all(line.endswith(_EMPTIED) for line in lines):
        return (
            f"{in_words(lines)}. That fires no trigger, so it cannot be rolled back. Let the "
            "application, or the action that resets it, use DELETE FROM instead."
        )
    return (
        f"the schema was changed during the run ({in_words(lines)}). MySQL cannot roll such a "
        "statement back, and it commits what was open. Let migrations run before the MySQLAdapter "
        "is made, and leave actions out that change tables."
    )
