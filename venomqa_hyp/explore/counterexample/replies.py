"""What is kept of replies for a script: without secrets, and what is the same each time."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from venomqa_hyp.core.redaction import REDACTED, Redaction
from venomqa_hyp.core.script import Binding, Expected
from venomqa_hyp.explore.counterexample.names import ID_FIELD, unique_text

#: Characters of a reply that are kept; parts of a reply that are compared.
_LONGEST_REPLY, _MOST_EXPECTED = 20_000, 40
_SHORTEST_SECRET = 5


class Replies:
    """Writes replies down.

    :param secrets: texts that stand under the name of a secret somewhere.
    :ivar secrets: those that are hidden, the longest first.
    """

    def __init__(self, redaction: Redaction, secrets: Iterable[str]) -> None:
        self._redaction = redaction
        known = {text for text in secrets if len(text) >= _SHORTEST_SECRET}
        self.secrets = sorted(known, key=lambda text: (-len(text), text))

    def headers(self, request: Any) -> tuple[tuple[str, str], ...]:
        """Return the headers of a reply."""
        return tuple(
            (name, REDACTED if self._redaction.hides(name) else self.hidden(value))
            for name, value in pairs(request, "response_headers")
        )

    def body(self, request: Any) -> str:
        """Return the body of a reply as text."""
        body = request.response_body
        if isinstance(body, bytes):
            return f"({len(body):,} bytes)"
        if isinstance(body, (Mapping, list)):
            return json.dumps(self._tree(body), ensure_ascii=False)[:_LONGEST_REPLY]
        return "" if body is None else self.hidden(str(body))[:_LONGEST_REPLY]

    def binding(self, binding: Binding) -> Binding:
        """Return a binding whose value may be shown."""
        is_secret = self._redaction.hides(str(binding.place[-1])) or binding.value in self.secrets
        return attrs.evolve(
            binding,
            value=REDACTED if is_secret else self.hidden(binding.value),
            before=self.hidden(binding.before),
            after=self.hidden(binding.after),
        )

    def expected(self, request: Any, bound: set[str]) -> tuple[Expected, ...]:
        """Return what of a reply is the same each time, as far as can be known.

        :param bound: texts that a reply made and a request sent.
        """
        return tuple(self._stable(request.response_body, bound))[:_MOST_EXPECTED]

    def hidden(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, REDACTED)
        return self._redaction.text(text)

    def _tree(self, value: Any, field: str = "") -> Any:
        if isinstance(value, Mapping):
            return {
                self.hidden(str(key)): self._tree(item, str(key)) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._tree(item, field) for item in value]
        if value is not None and self._redaction.hides(field):
            return REDACTED
        return self.hidden(value) if isinstance(value, str) else value

    def _stable(
        self, value: Any, bound: set[str], place: tuple[str | int, ...] = ()
    ) -> Iterator[Expected]:
        field = next((key for key in reversed(place) if isinstance(key, str)), "")
        if self._redaction.hides(field):
            return
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from self._stable(item, bound, (*place, str(key)))
        elif isinstance(value, list):
            yield Expected(place, len(value), True)
            for at, item in enumerate(value):
                yield from self._stable(item, bound, (*place, at))
        elif isinstance(value, bool) or (place and self._is_content(value, field, bound)):
            yield Expected(place, value)

    def _is_content(self, value: Any, field: str, bound: set[str]) -> bool:
        """Return whether a value is no id, clock or secret."""
        if ID_FIELD.search(field) or str(value) in bound or unique_text(value):
            return False
        return value is None or self.hidden(str(value)) == str(value)


def pairs(request: Any, headers: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request or a reply; none where its client keeps none."""
    return tuple(getattr(request, headers, None) or ())
