"""Texts and bodies in a form that random parts can be left out of.

What differs each time the same thing is done is left out of a state as a whole value: a random id
in the middle of a mail would take the mail with it. So a text is told as what stands between its
tokens, and the tokens: ``{"between": ["Reset: https://shop/", ""], "tokens": ["9f8e7d6c5b4a"]}``.
"""

import json
import re
from typing import Any

#: With a digit in it, this may be a random id or a time.
_RUN = re.compile(r"[\w.:+-]{8,}(?:={1,2}(?!\w))?", re.ASCII)
_DIGIT = re.compile(r"\d", re.ASCII)


def observed_text(text: str) -> Any:
    """Return a text, split where it holds tokens that may be random."""
    between, tokens, start = [], [], 0
    for run in _RUN.finditer(text):
        if _DIGIT.search(run[0]):
            between.append(text[start : run.start()])
            tokens.append(run[0])
            start = run.end()
    if not tokens or tokens == [text]:
        return text
    return {"between": [*between, text[start:]], "tokens": tokens}


def observed_value(value: Any) -> Any:
    """Return a JSON value with its texts split."""
    if isinstance(value, str):
        return observed_text(value)
    if isinstance(value, dict):
        return {key: observed_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [observed_value(item) for item in value]
    return value


def observed_body(body: bytes, charset: str | None = None) -> Any:
    """Return a JSON body as its value, a text split at its tokens, anything else as it is.

    The spaces of JSON and the order of its keys do not count.
    """
    try:
        text = body.decode(charset or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return body
    try:
        return {"json": observed_value(json.loads(text))}
    except (ValueError, RecursionError):  # no JSON, or none that could be compared
        return observed_text(text)
