"""What counts as a secret, by the name of its field and by its form."""

import pytest

from venomqa_hyp.core import Redaction

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk"


@pytest.mark.parametrize(
    "name",
    ["password", "passwordHash", "new-password", "client_secret", "X-Api-Key", "apiKey", "token"],
)
def test_a_field_is_secret_by_a_part_of_its_name(name: str) -> None:
    assert Redaction().hides(name)


@pytest.mark.parametrize("name", ["id", "status", "pass_count", "key", "author"])
def test_other_fields_are_shown(name: str) -> None:
    assert not Redaction().hides(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2 for ada", "password=[redacted] for ada"),
        ('{"api_key": "k-1", "n": 1}', '{"api_key": [redacted], "n": 1}'),
        ("Authorization: Bearer abcdef", "Authorization: Bearer [redacted]"),
        (f"got {JWT}!", "got [redacted]!"),
        ("postgresql://app:s3cret@db/x", "postgresql://app:[redacted]@db/x"),
        ("redis://:s3cret@db:6379/0", "redis://:[redacted]@db:6379/0"),
        ("password='cut in the mid...", "password=[redacted]"),
        (r'"{\"password\": \"x\", \"n\": 1}"', r'"{\"password\": [redacted], \"n\": 1}"'),
        ("nothing to hide: 3 of 2 paid", "nothing to hide: 3 of 2 paid"),
    ],
)
def test_free_text_is_shown_without_secrets(text: str, shown: str) -> None:
    assert Redaction().text(text) == shown


def test_patterns_can_be_added() -> None:
    own = Redaction([*Redaction().patterns, "iban"])
    assert own.hides("customer_iban")
    assert own.text("iban=DE00") == "iban=[redacted]"
    assert not Redaction().hides("customer_iban")


def test_secrets_are_found_at_any_depth() -> None:
    value = {"user": {"password": "hunter22"}, "tokens": ["first-token"], "name": "ada"}
    assert set(Redaction().secrets(value)) == {"hunter22", "first-token"}


def test_secrets_are_found_in_json_texts() -> None:
    value = {"note": '{"body": "{\\"password\\": \\"hunter22\\"}"}'}
    assert set(Redaction().secrets(value)) == {"hunter22"}


def test_secrets_of_a_system_are_in_its_columns_and_headers() -> None:
    """A header holds words beside the secret, as a scheme or the attributes of a cookie."""
    table = {"columns": ("id", "password"), "rows": [(1, "hunter22")]}
    data = {"tables": {"users": table}, "headers": {"Authorization": "Bearer abcdefghi"}}
    assert set(Redaction().secrets_of_system(data)) == {"hunter22", "Bearer abcdefghi", "abcdefghi"}
