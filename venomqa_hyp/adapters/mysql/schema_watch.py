"""Noticing at each step that the schema may have been changed.

The server counts the statements that it has executed, of each kind and for all databases. Where no
count moved, nothing was changed. Else the parts of the schema that such a statement can change are
read again, so a statement in another database costs time and nothing else.
"""

import re
from collections.abc import Collection, Mapping

from venomqa_hyp.adapters.mysql import schema
from venomqa_hyp.adapters.mysql.driver import Connection, text
from venomqa_hyp.adapters.mysql.schema_catalogs import Part, parts
from venomqa_hyp.errors import RollbackError

_VERBS = "alter|create|drop|rename|truncate|grant|revoke|optimize|repair|import"
#: Asks how many statements of each kind the server has executed so far.
COUNTS = f"SHOW GLOBAL STATUS WHERE Variable_name RLIKE '^Com_({_VERBS})'"
_ALTER_TABLE = "Com_alter_table"
#: These build a table anew, in another file, and lose no row.
_REBUILDING = re.compile("optimize|repair")


class SchemaWatch:
    """The schema at the beginning, and what the server had executed when it was last compared.

    :param name: of the system, for errors.
    :param known: the schema at the beginning; that of now where it is not given.
    :ivar schema: the schema at the beginning, with the files in which tables are now.
    """

    def __init__(
        self, connection: Connection, name: str, known: schema.Schema | None = None
    ) -> None:
        self._connection = connection
        self._name = name
        self._parts = parts(connection)
        # Nothing counts as compared yet: what comes while this is read is found at the first look.
        self._executed: Mapping[str, str] = {}
        self.schema = schema.read(connection, self._parts) if known is None else known

    def refuse_changes(self, executed: Mapping[str, str]) -> bool:
        """Look closer if the server has executed statements that change some schema.

        :param executed: what :data:`COUNTS` answered before.
        :return: whether tables were rebuilt, so that ``schema`` is another one.
        :raises RollbackError: the schema of the database was changed; names what, and the remedy.
        """
        moved = {kind for kind, count in executed.items() if count != self._executed.get(kind)}
        if not moved:
            return False
        # The server counts a statement when it begins, so one in progress may be seen only later.
        is_settled = not self._is_executing()
        found = schema.read(self._connection, self._changed_by(moved))
        files = found.get(schema.STORAGE)
        rebuilt = bool(files) and files != self.schema[schema.STORAGE] and self._rebuilds(moved)
        if rebuilt:
            self.schema = {**self.schema, schema.STORAGE: found[schema.STORAGE]}
        if lines := schema.differences(self.schema, found):
            raise RollbackError(f"{self._name}: {schema.explained(lines)}")
        if is_settled:
            self._executed = executed
        return rebuilt

    def expect_altered(self, tables: int) -> None:
        """Leave statements ALTER TABLE out that our own connection has executed."""
        if _ALTER_TABLE in self._executed:
            count = int(self._executed[_ALTER_TABLE]) + tables
            self._executed = {**self._executed, _ALTER_TABLE: str(count)}

    def _changed_by(self, kinds: Collection[str]) -> dict[str, Part]:
        # Temporary tables are in no part.
        kinds = [kind for kind in kinds if "temporary" not in kind]
        return {
            name: part
            for name, part in self._parts.items()
            if any(part.after.search(kind) for kind in kinds)
        }

    def _rebuilds(self, kinds: Collection[str]) -> bool:
        storing = self._parts[schema.STORAGE].after
        return all(_REBUILDING.search(kind) for kind in kinds if storing.search(kind))

    def _is_executing(self) -> bool:
        ((number,),) = self._connection.rows(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
            f" AND COMMAND NOT IN ('Sleep', 'Daemon') AND (DB = {text(self._connection.database)}"
            f" OR INFO RLIKE '{_VERBS}')"
        )
        return bool(number)
