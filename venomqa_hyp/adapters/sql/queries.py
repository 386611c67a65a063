"""The observation queries of the author of a test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from venomqa_hyp.errors import DefinitionError, SystemUnavailable
from venomqa_hyp.values.digest import canonical_text

#: Columns and rows of one statement; no columns where it answers with no rows.
Answer = tuple[tuple[str, ...], list[tuple[Any, ...]]]


class Queries:
    """Named queries and their answers; one round trip for all.

    :param read: statements -> what each answers, without a chance to change anything.
    :param system: its name, for errors.
    :param database: the product, for errors, such as ``PostgreSQL``.
    :param failure: what ``read`` raises where the database refuses a statement.
    :param is_sorted: sort the rows: after a rollback a table may be in another order.
    :ivar sql: name -> query.
    """

    def __init__(
        self,
        read: Callable[[list[str]], Sequence[Answer]],
        system: str,
        database: str,
        failure: type[Exception],
        *,
        is_sorted: bool = True,
    ) -> None:
        self.sql: dict[str, str] = {}
        self._read = read
        self._system = system
        self._database = database
        self._failure = failure
        self._is_sorted = is_sorted

    def add(self, name: str, sql: str) -> None:
        """Try a query, and execute it at each observation from now on.

        :raises DefinitionError: the database refuses it, it is not one statement that answers with
            rows, or the name is used.
        """
        if name in self.sql:
            raise DefinitionError(
                f"{self._system}: there is an observation query {name!r} already; choose another "
                "name."
            )
        query = sql.strip().rstrip(";")
        try:
            answers = self._read([query])
        except self._failure as error:
            raise DefinitionError(
                f"{self._system}: {self._database} refuses the observation query {name!r}: "
                f"{_sentence(error)} The query: {sql}"
            ) from error
        if len(answers) != 1 or not answers[0][0]:
            raise DefinitionError(
                f"{self._system}: the observation query {name!r} is not one statement that answers "
                f"with rows: {sql}. Write a SELECT."
            )
        self.sql[name] = query

    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return name -> ``{"columns": ..., "rows": ...}``.

        :raises SystemUnavailable: a query fails.
        """
        if not self.sql:
            return {}
        try:
            found = self._read(list(self.sql.values()))
        except self._failure as error:
            raise SystemUnavailable(
                f"{self._system}: an observation query fails: {_sentence(error)} The queries: "
                f"{', '.join(self.sql)}."
            ) from error
        return {
            name: {
                "columns": columns,
                "rows": sorted(rows, key=canonical_text) if self._is_sorted else rows,
            }
            for name, (columns, rows) in zip(self.sql, found, strict=True)
        }


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith((".", "?")) else f"{text}."
