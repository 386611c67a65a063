"""The observation queries of the author of a test."""

from collections.abc import Mapping
from typing import Any

from venomqa_hyp.adapters.postgres.driver import Failed, Session
from venomqa_hyp.adapters.postgres.rows import load_of
from venomqa_hyp.errors import DefinitionError, SystemUnavailable
from venomqa_hyp.values.digest import canonical_text


class Queries:
    """Named queries and their answers; one round trip for all."""

    def __init__(self, connection: Session, system: str) -> None:
        self._connection = connection
        self._system = system
        self._sql: dict[str, str] = {}

    def add(self, name: str, sql: str) -> None:
        """Try a query, and ask it from now on.

        :raises DefinitionError: PostgreSQL refuses it, it answers with no rows, or the name is
            used.
        """
        if name in self._sql:
            raise DefinitionError(
                f"{self._system}: there is an observation query {name!r} already; choose another "
                "name."
            )
        try:
            ((columns, _),) = self._connection.read([sql], load_of)
        except Failed as error:
            raise DefinitionError(
                f"{self._system}: PostgreSQL refuses the observation query {name!r}: {error} "
                f"The query: {sql}"
            ) from error
        if not columns:
            raise DefinitionError(
                f"{self._system}: the observation query {name!r} answers with no rows: {sql}. "
                "Write a SELECT."
            )
        self._sql[name] = sql

    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the rows of each query, sorted: after a rollback a table may be in other order.

        :raises SystemUnavailable: a query fails.
        """
        if not self._sql:
            return {}
        try:
            found = self._connection.read(list(self._sql.values()), load_of)
        except Failed as error:
            raise SystemUnavailable(
                f"{self._system}: an observation query fails: {error} The queries: "
                f"{', '.join(self._sql)}."
            ) from error
        return {
            name: {"columns": columns, "rows": sorted(rows, key=canonical_text)}
            for name, (columns, rows) in zip(self._sql, found, strict=True)
        }
