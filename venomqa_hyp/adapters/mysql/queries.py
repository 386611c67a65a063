"""The observation queries of the author of a test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from venomqa_hyp.adapters.mysql.driver import Failed, Result
from venomqa_hyp.errors import DefinitionError, SystemUnavailable
from venomqa_hyp.values.digest import canonical_text

#: Queries -> what each answered, without a chance to change anything.
Ask = Callable[[list[str]], Sequence[Result]]


class Queries:
    """Named queries and their answers."""

    def __init__(self, ask: Ask, system: str) -> None:
        self._ask = ask
        self._system = system
        self._sql: dict[str, str] = {}

    def add(self, name: str, sql: str) -> None:
        """Try a query, and ask it from now on.

        :raises DefinitionError: the server refuses it, it is not one query, or the name is used.
        """
        if name in self._sql:
            raise DefinitionError(
                f"{self._system}: there is an observation query {name!r} already; choose another "
                "name."
            )
        query = sql.strip().rstrip(";")
        try:
            results = self._ask([query])
        except Failed as error:
            raise DefinitionError(
                f"{self._system}: MySQL refuses the observation query {name!r}: {error}. "
                f"The query: {sql}"
            ) from error
        if len(results) != 1 or not results[0].columns:
            raise DefinitionError(
                f"{self._system}: the observation query {name!r} is not one statement that answers "
                f"with rows: {sql}. Write a SELECT."
            )
        self._sql[name] = query

    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the rows of each query, sorted: after a rollback a table may be in other order.

        :raises SystemUnavailable: a query fails.
        """
        if not self._sql:
            return {}
        try:
            results = self._ask(list(self._sql.values()))
        except Failed as error:
            raise SystemUnavailable(
                f"{self._system}: an observation query fails: {error}. The queries: "
                f"{', '.join(self._sql)}."
            ) from error
        return {
            name: {"columns": result.columns, "rows": sorted(result.rows, key=canonical_text)}
            for name, result in zip(self._sql, results, strict=True)
        }
