"""Copies and descriptions of moto's objects, which are plain Python objects of many classes."""

import datetime
import io
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

#: Set from the clock, and no content: they would make every state a new one.
_TIMES = frozenset({"last_modified", "creation_date", "_time_progressed"})
#: Written by reading, too.
_UNOBSERVED = _TIMES | {"_pagination_tokens", "_tick", "disposed"}
_PLAIN = (type(None), bool, int, float, str, bytes)


def save(content: Any) -> bytes:
    """Return a copy of an object and of all that it refers to."""
    target = io.BytesIO()
    _Pickler(target, protocol=pickle.HIGHEST_PROTOCOL).dump(content)
    return target.getvalue()


def load(saved: bytes) -> Any:
    """Return a new object like the one that was saved."""
    return pickle.loads(saved)


class _Pickler(pickle.Pickler):
    """Takes dicts as they are: moto's dict of versions shows only the newest of each."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, dict) and type(value) is not dict:
            return _dict_again, (type(value), list(dict.items(value)), vars(value))
        return NotImplemented


def _dict_again(kind: Any, items: list[Any], attributes: dict[str, Any]) -> Any:
    made = kind.__new__(kind)
    for key, value in items:
        dict.__setitem__(made, key, value)
    vars(made).update(attributes)
    return made


def described(value: Any) -> Any:
    """Return what an object holds as dicts, lists and plain values.

    :raises TypeError: it holds something of an unknown kind, such as a file.
    """
    if isinstance(value, (*_PLAIN, datetime.datetime)):
        return value
    if isinstance(value, dict):
        items = list(dict.items(value))
        if type(value).__name__ == "MultipartDict":  # its keys are random
            return [described(item) for _, item in items]
        return {key: described(item) for key, item in items if key not in _UNOBSERVED}
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((described(item) for item in value), key=repr)
    return dict(_members(value))


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    yield "is", type(value).__name__
    state = value.__getstate__()
    if not isinstance(state, Mapping):
        raise TypeError(f"{type(value).__name__} holds {state!r:.80}, which is unknown here")
    for name, item in state.items():
        if name in _UNOBSERVED or (name == "id" and type(value).__name__ == "FakeMultipart"):
            continue
        if name == "_etag" and state.get("multipart") is None:
            continue  # follows from the body, and is set when it is first read
        yield name, described(item)
