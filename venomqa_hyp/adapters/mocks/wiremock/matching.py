"""Whether a request is the one that a stub waits for, in WireMock's words for it.

What is not in the tables here is refused when the stub is made: a stub that ignored half of its
conditions would answer what it should not.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from venomqa_hyp.adapters.mocks.loopback import Request


class UnsupportedStub(ValueError):
    """A stub uses something that this server does not speak."""


def _equal_to(expected: Any, found: str, options: Mapping[str, Any]) -> bool:
    if options.get("caseInsensitive"):
        return bool(found.lower() == expected.lower())
    return bool(found == expected)


def _equal_to_json(expected: Any, found: str, options: Mapping[str, Any]) -> bool:
    try:
        value = json.loads(found)
    except ValueError:
        return False
    wanted = json.loads(expected) if isinstance(expected, str) else expected
    any_order = bool(options.get("ignoreArrayOrder"))
    return _same_json(wanted, value, any_order, bool(options.get("ignoreExtraElements")))


#: The word of a condition -> whether a value fulfils it.
_CONDITIONS: Mapping[str, Callable[[Any, str, Mapping[str, Any]], bool]] = {
    "equalTo": _equal_to,
    "contains": lambda expected, found, _: expected in found,
    "doesNotContain": lambda expected, found, _: expected not in found,
    "matches": lambda expected, found, _: re.fullmatch(expected, found) is not None,
    "doesNotMatch": lambda expected, found, _: re.fullmatch(expected, found) is None,
    "equalToJson": _equal_to_json,
}
_OPTIONS: Mapping[str, frozenset[str]] = {
    "equalTo": frozenset({"caseInsensitive"}),
    "equalToJson": frozenset({"ignoreArrayOrder", "ignoreExtraElements"}),
}
_URLS = ("url", "urlPath", "urlPattern", "urlPathPattern")
_REQUEST = frozenset({"method", "queryParameters", "headers", "bodyPatterns", *_URLS})


def check(pattern: Any) -> None:
    """Raise :class:`UnsupportedStub` for what :func:`matches` could not decide."""
    check_words("request", pattern, _REQUEST)
    check_kinds("request", pattern, {"method": str, **dict.fromkeys(_URLS, str)})
    check_kinds("request", pattern, {"queryParameters": dict, "headers": dict})
    check_kinds("request", pattern, {"bodyPatterns": list})
    if len([word for word in _URLS if word in pattern]) > 1:
        raise UnsupportedStub(f"request has more than one of {', '.join(_URLS)}")
    for word in ("urlPattern", "urlPathPattern"):
        _check_expression(f"request.{word}", pattern.get(word, ""))
    for word in ("queryParameters", "headers"):
        for name, condition in pattern.get(word, {}).items():
            _check_condition(f"request.{word}.{name}", condition)
    for condition in pattern.get("bodyPatterns", ()):
        _check_condition("request.bodyPatterns", condition)


def check_kinds(where: str, given: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Raise :class:`UnsupportedStub` where a word stands for something of another type."""
    for word, kind in kinds.items():
        if word in given and not isinstance(given[word], kind):
            raise UnsupportedStub(f"{where}.{word} is {given[word]!r:.60}, not a {kind.__name__}")


def check_words(where: str, given: object, known: frozenset[str]) -> None:
    """Raise :class:`UnsupportedStub` unless ``given`` maps known words to something."""
    if not isinstance(given, Mapping):
        raise UnsupportedStub(f"{where} is {given!r:.60}, but it must be a JSON object")
    if unknown := sorted(set(given) - known):
        raise UnsupportedStub(
            f"{where} has {', '.join(map(repr, unknown))}, which the bundled server does not "
            f"speak; it knows {', '.join(sorted(known))}. For the rest run WireMock itself: "
            "WireMockAdapter(its URL)."
        )


def matches(pattern: Mapping[str, Any], request: Request) -> bool:
    """Return whether a request fulfils all conditions of a stub."""
    if pattern.get("method", "ANY") not in ("ANY", request.method):
        return False
    address = urlsplit(request.path)
    query = parse_qs(address.query, keep_blank_values=True)
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name.lower(), []).append(value)
    body = request.body.decode("utf-8", "replace")
    return (
        _matches_url(pattern, request.path, address.path)
        and all(
            _fulfilled(condition, query.get(name, []))
            for name, condition in pattern.get("queryParameters", {}).items()
        )
        and all(
            _fulfilled(condition, headers.get(name.lower(), []))
            for name, condition in pattern.get("headers", {}).items()
        )
        and all(_fulfilled(condition, [body]) for condition in pattern.get("bodyPatterns", ()))
    )


def _matches_url(pattern: Mapping[str, Any], url: str, path: str) -> bool:
    if "url" in pattern:
        return bool(pattern["url"] == url)
    if "urlPath" in pattern:
        return bool(pattern["urlPath"] == path)
    if "urlPattern" in pattern:
        return re.fullmatch(pattern["urlPattern"], url) is not None
    return "urlPathPattern" not in pattern or (
        re.fullmatch(pattern["urlPathPattern"], path) is not None
    )


def _check_condition(where: str, condition: object) -> None:
    if isinstance(condition, Mapping):
        if set(condition) == {"absent"}:
            return
        words = [word for word in condition if word in _CONDITIONS]
        if len(words) == 1:
            _check_options(where, words[0], condition)
            return
    raise UnsupportedStub(
        f"{where} is {condition!r:.80}, but the bundled server knows these conditions: "
        f"{', '.join([*_CONDITIONS, 'absent'])}, one at a time"
    )


def _check_options(where: str, word: str, condition: Mapping[str, Any]) -> None:
    check_words(where, condition, _OPTIONS.get(word, frozenset()) | {word})
    if word == "equalToJson":
        if isinstance(condition[word], str):
            json.loads(condition[word])
        return
    check_kinds(where, condition, {word: str})
    if word in ("matches", "doesNotMatch"):
        _check_expression(where, condition[word])


def _check_expression(where: str, expression: str) -> None:
    try:
        re.compile(expression)
    except re.error as error:
        raise UnsupportedStub(f"{where}: no regular expression: {error}") from error


def _fulfilled(condition: Mapping[str, Any], values: list[str]) -> bool:
    """Return whether one of the values fulfils a condition."""
    if "absent" in condition:
        return bool(condition["absent"]) != bool(values)
    word = next(word for word in condition if word in _CONDITIONS)
    return any(_CONDITIONS[word](condition[word], value, condition) for value in values)


def _same_json(wanted: Any, found: Any, any_order: bool, extra: bool) -> bool:
    if isinstance(wanted, dict) and isinstance(found, dict):
        if not (set(wanted) <= set(found) if extra else set(wanted) == set(found)):
            return False
        return all(_same_json(item, found[key], any_order, extra) for key, item in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return _same_list(wanted, list(found), any_order, extra)
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return bool(wanted == found)


def _same_list(wanted: list[Any], left: list[Any], any_order: bool, extra: bool) -> bool:
    if len(left) < len(wanted) or (len(left) > len(wanted) and not extra):
        return False
    if not any_order:
        return all(
            _same_json(item, other, any_order, extra)
            for item, other in zip(wanted, left, strict=False)
        )
    for item in wanted:
        same = [at for at, other in enumerate(left) if _same_json(item, other, any_order, extra)]
        if not same:
            return False
        del left[same[0]]
    return True
