"""What a record holds, as text that may be printed: without secrets, on one line, and cut."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import attrs

from venomqa_hyp.core import Graph, Path, Redaction, Step
from venomqa_hyp.core.redaction import REDACTED
from venomqa_hyp.values import json_in
from venomqa_hyp.values.encoding import Unsaved

#: Characters of a value, and of any other text.
LONGEST_VALUE, LONGEST_TEXT = 160, 400
_DEEPEST = 30
#: Characters by which a secret is looked up; shorter ones are not secrets.
_HEAD = 5


@attrs.frozen
class Texts:
    """Writes texts and values of one record.

    :ivar secrets: texts that stand under the name of a secret somewhere, by their first characters.
    """

    secrets: Mapping[str, Sequence[str]]
    redaction: Redaction = attrs.field(factory=Redaction)

    @classmethod
    def of(cls, graph: Graph, paths: Iterable[Path]) -> Self:
        """Return what writes the texts of a graph, and shows none of the secrets in it.

        :param paths: of violations; their steps may not be in the graph.
        """
        redaction = Redaction()
        by_head: dict[str, list[str]] = defaultdict(list)
        for secret in sorted({*_secrets(graph, paths, redaction)}, key=len, reverse=True):
            by_head[secret[:_HEAD]].append(secret)
        return cls(dict(by_head), redaction)

    def plain(self, text: str, longest: int = LONGEST_TEXT) -> str:
        """Return a text without secrets, on one line."""
        text = self.redaction.text(self._without_known(text))
        text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
        return text if len(text) <= longest else f"{text[: longest - 3]}..."

    def value(self, name: str, value: object) -> str:
        """Return a value, which stands under a name, as Python would write it."""
        shown = _repr(self._tree(value, name)).replace(f"'{REDACTED}'", REDACTED)
        return self.plain(shown, LONGEST_VALUE)

    def call(self, step: Step) -> str:
        """Return a step as ``pay(order=1)``."""
        given = (f"{name}={self.value(name, item)}" for name, item in step.arguments.items())
        return f"{self.plain(step.action)}({', '.join(given)})"

    def _tree(self, value: Any, name: object = "", depth: int = 0) -> Any:
        """Return a value in which something else stands for secrets, also within JSON texts."""
        if depth > _DEEPEST:
            return "..."
        if value and not isinstance(value, bool) and self.redaction.hides(name):
            return REDACTED
        if isinstance(value, str) and (inner := json_in(value)) is not None:
            return json.dumps(self._tree(inner, "", depth + 1), ensure_ascii=False)
        if isinstance(value, Mapping):
            return {key: self._tree(item, key, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self._tree(item, name, depth + 1) for item in value)
        return value

    def _without_known(self, text: str) -> str:
        """Hide secrets where they stand as words of their own."""
        at = 0
        while at < len(text) and self.secrets:
            for secret in self.secrets.get(text[at : at + _HEAD], ()):
                end = at + len(secret)
                if text.startswith(secret, at) and not _within_word(text, at, end):
                    text = text[:at] + REDACTED + text[end:]
                    at += len(REDACTED) - 1
                    break
            at += 1
        return text


def _within_word(text: str, start: int, end: int) -> bool:
    around = text[start - 1 : start] + text[end : end + 1]
    return any(sign.isalnum() for sign in around)


def _secrets(graph: Graph, paths: Iterable[Path], redaction: Redaction) -> Iterator[str]:
    """Yield the secrets that the record of a graph holds."""
    for step in chain.from_iterable(paths):
        yield from redaction.secrets(step.arguments)
    for state in graph.states.values():
        yield from redaction.secrets(state.context)
        for seen in state.observations.values():
            yield from redaction.secrets_of_system(seen.data)
    for transition in graph.transitions:
        yield from redaction.secrets(transition.step.arguments)
        yield from redaction.secrets(transition.result.value)


def _repr(value: object) -> str:
    if isinstance(value, Unsaved):
        return value.shown
    try:
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    except Exception:  # a user's code, and only for people
        return f"<{type(value).__qualname__}>"
