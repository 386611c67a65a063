"""Bodies of messages and requests, as observations show them."""

import json
from typing import Any


def observed_body(body: bytes, charset: str | None = None) -> Any:
    """Return a JSON body as its value, other text as text, anything else as it is.

    The spaces of JSON and the order of its keys do not count.
    """
    try:
        text = body.decode(charset or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return body
    try:
        return {"json": json.loads(text)}
    except (ValueError, RecursionError):  # no JSON, or none that could be compared
        return text
