"""The configuration file: what beats what, and what is said of mistakes."""

from pathlib import Path

import pytest
from cli_runs import FIXED, SHOP, folder, run  # noqa: F401  # a fixture

from venomqa_hyp import config
from venomqa_hyp.core import Redaction, redaction
from venomqa_hyp.errors import DefinitionError

pytestmark = pytest.mark.usefixtures("folder")

TOML = """\
[project]
name = "shop"

[tool.venomqa]
targets = ["tests"]
max_examples = 3
seed = 5

[tool.venomqa.profiles.ci]
max_examples = 2
reports = ["out/r.xml"]
"""


@pytest.fixture
def shop(folder: Path) -> None:  # noqa: F811  # the fixture
    Path("tests").mkdir()
    Path("tests/test_shop.py").write_text(FIXED)
    Path("pyproject.toml").write_text(TOML)


def again(*arguments: str) -> str:
    """Return the line that repeats a run, which names its limits."""
    found = run(*arguments)
    assert found.exit_code == 0, found.output
    return next(line for line in found.stdout.splitlines() if line.startswith("  again"))


@pytest.mark.usefixtures("shop")
def test_flags_beat_the_environment_and_that_beats_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert again("run").endswith("tests/test_shop.py::TestShop --seed 5 --max-examples 3")
    monkeypatch.setenv("VENOMQA_MAX_EXAMPLES", "4")
    assert again("run").endswith("--seed 5 --max-examples 4")
    assert again("run", "--max-examples", "6").endswith("--seed 5 --max-examples 6")
    Path("other.py").write_text(FIXED)
    assert "other.py::TestShop" in again("run", "other.py")
    monkeypatch.setenv("VENOMQA_TARGETS", "other.py::Shop")
    assert "other.py::Shop" in again("run")


@pytest.mark.usefixtures("shop")
def test_a_profile_beats_what_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chosen by the flag, the environment or the key `profile`."""
    assert again("--profile", "ci", "run").endswith("--seed 5 --max-examples 2")
    assert Path("out/r.xml").exists()
    monkeypatch.setenv("VENOMQA_PROFILE", "ci")
    assert again("run").endswith("--max-examples 2")
    monkeypatch.delenv("VENOMQA_PROFILE")
    Path("pyproject.toml").write_text(TOML.replace("seed = 5", 'seed = 5\nprofile = "ci"'))
    assert again("run").endswith("--max-examples 2")


def test_a_yaml_file_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With variables of the environment."""
    monkeypatch.setenv("LONG", "90")
    Path("venomqa.yaml").write_text("time: ${LONG}s\nreports: a-${LONG}.xml\nredact: [iban]\n")
    assert config.load() == config.Config({"time": 90.0, "reports": ["a-90.xml"]}, ("iban",))


def test_nothing_is_configured_where_there_is_no_file() -> None:
    Path("pyproject.toml").write_text('[project]\nname = "shop"\n')
    assert config.load() == config.Config({})


def test_ten_mistakes_get_ten_messages() -> None:
    """Each with file, line and key, and what to write."""
    Path("venomqa.yaml").write_text(
        """\
target: tests
max_examples: many
max_steps: 0
time: soon
seed: 1.5
reports: [1]
strategy: []
redact: ${NO_SUCH_VARIABLE}
colour: red
profiles:
  ci:
    tme: 5m
    profiles: {}
  nightly: 7
"""
    )
    found = run("run")
    assert found.exit_code == 2
    assert found.stderr.removeprefix("venomqa: ").splitlines() == [
        "venomqa.yaml:1: target is no key. Write targets.",
        "venomqa.yaml:2: max_examples is 'many', but it is a whole number above 0. Write 100.",
        "venomqa.yaml:3: max_steps is 0, but it is a whole number above 0. Write 100.",
        "venomqa.yaml:4: time is 'soon', but it is a time above 0. "
        'Write 90, "90s", "5m" or "2h".',
        "venomqa.yaml:5: seed is 1.5, but it is a whole number. Write 1, or leave it out.",
        'venomqa.yaml:6: reports is [1], but it is a list of texts, such as ["a", "b"].',
        "venomqa.yaml:7: strategy is [], but it is a name.",
        "venomqa.yaml:8: redact is '${NO_SUCH_VARIABLE}', but the environment has no "
        "NO_SUCH_VARIABLE. Set it, or write the value.",
        "venomqa.yaml:9: colour is no key. Write one of targets, max_examples, max_steps, time, "
        "seed, strategy, reports, redact, profile, profiles.",
        "venomqa.yaml:12: profiles.ci.tme is no key. Write time.",
        "venomqa.yaml:13: profiles.ci.profiles is no key. Write one of targets, max_examples, "
        "max_steps, time, seed, strategy, reports, redact.",
        "venomqa.yaml:14: profiles.nightly is 7, but it has keys.",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.venomqa]\nmax_example = 3", "pyproject.toml:2: max_example is no key. Write max_"),
        (
            '[tool.venomqa]\n[tool.venomqa.profiles.ci]\n# a\ntime = "x"',
            "pyproject.toml:4: profiles.ci.time is 'x', but it is a time",
        ),
        ("[tool.venomqa\n", "pyproject.toml is no TOML"),
        ('[tool.venomqa]\nprofile = "ci"', "profile 'ci' is no profile of it. It has none."),
    ],
)
def test_mistakes_in_toml_are_named(text: str, words: str) -> None:
    Path("pyproject.toml").write_text(text)
    with pytest.raises(DefinitionError) as found:
        config.load()
    assert words in str(found.value)


def test_what_is_not_plain_is_refused() -> None:
    Path("venomqa.yaml").write_text("a: [")
    assert "venomqa.yaml is no YAML" in run("run").stderr
    Path("venomqa.yaml").write_text("[1]")
    assert "venomqa.yaml:1: file is [1], but it has keys." in run("run").stderr
    Path("pyproject.toml").write_text(TOML)
    assert "are both here" in run("run").stderr
    assert "nope.yaml cannot be read" in run("--config", "nope.yaml", "run").stderr
    Path("venomqa.yaml").unlink()
    Path("pyproject.toml").unlink()
    assert "the profile 'ci' was asked for" in run("--profile", "ci", "run").stderr


def test_a_wrong_strategy_of_the_file_is_refused() -> None:
    Path("venomqa.yaml").write_text("strategy: breadth\n")
    Path("test_shop.py").write_text(FIXED)
    found = run("explore", "test_shop.py")
    assert found.exit_code == 2
    assert "'breadth' is not one of" in found.stderr


def test_configured_fields_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In everything that is written from then on."""
    monkeypatch.setattr(redaction, "_added", [])
    text = "iban: DE02120300000000202051"
    assert Redaction().text(text) == text
    Path("venomqa.yaml").write_text("redact: [iban]\n")
    Path("test_shop.py").write_text(SHOP.replace('f"refunded {refunded}', f'f"{text} {{refunded}}'))
    found = run("run", "test_shop.py", "--report", "r.xml")
    assert found.exit_code == 1
    assert "DE0212" not in found.output + Path("r.xml").read_text()
    assert "iban: [redacted]" in found.stdout
