"""What a value is called: ``order`` for what stands under ``orders`` or ``order_id``."""

import re
from urllib.parse import urlsplit

_ENDINGS = re.compile(r"(?<=.)_?(?:ids?|uuids?|numbers?|keys?)$")
_LAST = re.compile(r"^(?:last|new|current|created|my)_(?=.)")
#: Says nothing about what the value is.
_GENERIC = frozenset({"id", "uuid", "key", "value", "result", "data", "number", "name"})
_SEGMENT = re.compile(r"[A-Za-z][A-Za-z_-]*")


def noun(text: str) -> str:
    """Return the singular noun of a Bundle, context key, table, field or argument.

    Empty where that says nothing about the value.
    """
    if not re.fullmatch(r"[\w .:-]+", text):
        return ""  # a key that is a value, as an address
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.split(r"[.:]", text)[-1])
    plain = re.sub(r"\W+", "_", plain).strip("_").lower()
    plain = _LAST.sub("", plain)
    stem = _ENDINGS.sub("", plain) if "_" in plain else plain
    stem = _singular(stem)
    return "" if stem in _GENERIC or not stem or not stem[0].isalpha() else stem


def is_plural(text: str) -> bool:
    """Return whether a field holds several, or counts them."""
    word = re.split(r"[\W_]|(?<=[a-z])(?=[A-Z])", text)[-1]
    return _singular(word) != word


def collection(url: str) -> str:
    """Return the noun of the last word in the path of a URL that is not its action."""
    words = [part for part in urlsplit(url).path.split("/") if _SEGMENT.fullmatch(part)]
    plural = [part for part in words if _singular(part) != part]
    return noun((plural or words)[-1]) if words else ""


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1]
