"""The keys that differ between two versions, as plain data that is made when it is looked at."""

from collections.abc import Iterator, Mapping
from typing import Any

from venomqa_hyp.adapters.redis.mirror import Version, same_data
from venomqa_hyp.adapters.redis.values import Place, text


class Databases(Mapping[str, Mapping[str, Mapping[Any, Any]]]):
    """Database number -> part of the name up to its last colon -> rest of the name -> value.

    Keys are held by the part up to the last colon, so that where names are random (``session:...``)
    only the others of that kind cannot be told apart by name.
    """

    def __init__(self, start: Version, now: Version) -> None:
        self._versions: tuple[Version, Version] | None = (start, now)
        self._shown: dict[str, dict[str, dict[Any, Any]]] = {}

    def __getitem__(self, database: str) -> Mapping[str, Mapping[Any, Any]]:
        return self._made()[database]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def __repr__(self) -> str:
        return repr(self._made())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._made(),)

    def _made(self) -> dict[str, dict[str, dict[Any, Any]]]:
        if self._versions is not None:
            start, now = self._versions
            for place, before, after in start.entries.differences(now.entries):
                if not same_data(before, after):
                    group, name = _split(place[1])
                    in_database = self._shown.setdefault(str(place[0]), {})
                    in_database.setdefault(group, {})[name] = after and after.data
            self._versions = None
        return self._shown


def place_name(place: Place) -> str:
    """Return what a key is called in an error."""
    return f"{text(place[1])!r} (database {place[0]})"


def _split(key: bytes) -> tuple[str, Any]:
    name = text(key)
    if isinstance(name, bytes):
        return "", name
    group, colon, rest = name.rpartition(":")
    return group + colon, rest
