"""Which keys, and which fields of hashes, are left out of what is observed."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

import attrs

from venomqa_hyp.adapters.redis.values import text
from venomqa_hyp.errors import DefinitionError


@attrs.frozen
class Ignored:
    """Patterns with ``*``, ``?`` and ``[...]``, as for KEYS. What they name is still rolled back.

    :ivar keys: patterns of whole names.
    :ivar fields: patterns of fields, in hashes of any name.
    """

    keys: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, keys: Iterable[str], fields: Iterable[str]) -> "Ignored":
        """Return what is ignored.

        :raises DefinitionError: an argument is no list of patterns.
        """
        return cls(_patterns("ignore_keys", keys), _patterns("ignore_fields", fields))

    def hides(self, key: bytes) -> bool:
        """Return whether a key is left out."""
        return bool(self.keys) and _matches(key, self.keys)

    def observed(self, kind: bytes, raw: Any) -> Any:
        """Return a value, as it was read, without the fields that are left out."""
        if not self.fields or kind != b"hash":
            return raw
        pairs: Iterable[Sequence[bytes]] = zip(raw[::2], raw[1::2], strict=True)
        return [*chain.from_iterable(pair for pair in pairs if not _matches(pair[0], self.fields))]


def _matches(name: bytes, patterns: Iterable[str]) -> bool:
    shown = str(text(name))
    return any(fnmatchcase(shown, pattern) for pattern in patterns)


def _patterns(argument: str, given: Iterable[str]) -> tuple[str, ...]:
    found = () if isinstance(given, str | bytes) else tuple(given)
    if isinstance(given, str | bytes) or not all(isinstance(item, str) for item in found):
        raise DefinitionError(
            f"{argument}={given!r:.60} must be a list of patterns, such as [{'stats:*'!r}]."
        )
    return found
