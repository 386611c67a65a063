"""Texts told as what may be random and what stands between."""

import uuid
from typing import Any

import pytest

from venomqa_hyp.adapters.bodies import observed_body, observed_text
from venomqa_hyp.core import volatile_places


@pytest.mark.parametrize(
    ("text", "between", "tokens"),
    [
        ("code 0a1b2c3d.", ["code ", ""], ["0a1b2c3d."]),
        ("?key=0a1b2c3d&n=5", ["?key=", "&n=5"], ["0a1b2c3d"]),
        ("<1763.99.x@shop>", ["<", "@shop>"], ["1763.99.x"]),
        ("at 2026-11-21 03:10:00", ["at ", " ", ""], ["2026-11-21", "03:10:00"]),
        ("a MTIzNDU2Nzg= b", ["a ", " b"], ["MTIzNDU2Nzg="]),
    ],
)
def test_tokens_are_split_off(text: str, between: list[str], tokens: list[str]) -> None:
    """Put together again they are the text."""
    assert observed_text(text) == {"between": between, "tokens": tokens}
    assert "".join(a + b for a, b in zip(between, [*tokens, ""], strict=True)) == text


@pytest.mark.parametrize("text", ["", "no digits here", "1234", "nothing_random", "0a1b2c3d4e"])
def test_a_text_with_none_or_nothing_else_is_left(text: str) -> None:
    """What is left out whole needs no splitting."""
    assert observed_text(text) == text


def test_tokens_may_vary() -> None:
    """What is split off is what may be left out of a state."""
    texts = (f"order {uuid.uuid4()}0 of ada" for _ in range(2))
    places = volatile_places(*({"text": observed_text(text)} for text in texts))
    assert places == {("text", "tokens", "*")}


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


def test_long_runs_take_no_time() -> None:
    """A word of a million letters is looked at once."""
    assert observed_text("a" * 1_000_000) == "a" * 1_000_000
