"""Bodies as observations show them."""

from typing import Any

import pytest

from venomqa_hyp.adapters.mocks.bodies import observed_body


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b"", ""),
        (b'{"a": 1}', {"json": {"a": 1}}),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"[" * 100_000, "[" * 100_000),
        ("Grüße".encode(), "Grüße"),
    ],
)
def test_bodies(body: bytes, seen: Any) -> None:
    """JSON is a value, text is text, the rest is bytes."""
    assert observed_body(body) == seen
