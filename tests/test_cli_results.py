"""`venomqa replay`, `report`, `graph` and `merge`: what becomes of what a run has found."""

import json
import re
from pathlib import Path

import pytest
from cli_runs import FIXED, SHOP, folder, run  # noqa: F401  # a fixture

pytestmark = pytest.mark.usefixtures("folder")


_KEPT: dict[str, str] = {}


def failed() -> str:
    """Leave what a run that failed leaves, and return its failure file."""
    Path("test_shop.py").write_text(SHOP)
    if not _KEPT:
        assert run("run", "--seed", "1", "--report", "r.json").exit_code == 1
        (file,) = Path(".venomqa/failures").iterdir()
        _KEPT.update({str(path): path.read_text() for path in (file, Path("r.json"))})
    for name, text in _KEPT.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    return next(iter(_KEPT))


def test_a_failure_is_replayed_with_the_machine_that_wrote_it() -> None:
    found = run("replay", failed())
    assert found.exit_code == 1
    assert "within_payment, replayed with test_shop.py::TestShop" in found.stdout
    assert re.findall(r"^ \d\. (\w+)", found.stdout, re.MULTILINE) == ["pay", "refund", "refund"]
    assert "seen:     refunded 10 of 5 paid" in found.stdout


def test_a_replay_stops_before_a_step_and_names_the_stores() -> None:
    """What is there is the state before it; a secret of an address is not printed."""
    file = failed()
    Path("test_shop.py").write_text(
        SHOP.replace(
            "    return World(shop,",
            '    shop.location = "postgresql://ada:lovelace@127.0.0.1/shop_test"\n'
            "    return World(shop,",
        )
    )
    found = run("replay", file, "--until", "3", "--target", "test_shop.py")
    assert found.exit_code == 0
    assert "Stopped before step 3 of 3:" in found.stdout
    assert "  >  3. refund()" in found.stdout
    assert re.search(r"shop +MemoryAdapter +postgresql://ada:\[redacted\]@127", found.stdout)
    assert "lovelace" not in found.stdout
    assert "Press Enter to roll back and end." in found.stdout


def test_a_shell_has_the_world_of_that_moment() -> None:
    """Looked at through the names that the banner gives."""
    code = 'print("paid", api["paid"], "refunded", api["refunded"], len(steps), list(systems))\n'
    found = run("replay", failed(), "--until", "3", "--shell", input=code)
    assert found.exit_code == 0
    assert "paid 5 refunded 5 2 ['shop']" in found.stdout


def test_a_repaired_service_is_exit_code_0() -> None:
    file = failed()
    Path("other").mkdir()
    Path("other/test_fixed.py").write_text(FIXED)
    found = run("replay", file, "--target", "other/test_fixed.py")
    assert found.exit_code == 0
    assert "It does not fail any more: within_payment holds after these steps." in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope.json"], "'nope.json' cannot be read as a failure: No such file"),
        (["r.json"], "'r.json' cannot be read as a failure: it has no 'steps'"),
        (["FILE", "--until", "9"], "--until 9 is no step of"),
        (["FILE", "--target", "two.py"], "Name it: --target tests/test_shop.py::TestShop"),
        (["FILE", "--target", "less.py"], "there is no action 'refund', only look, pay"),
    ],
)
def test_what_cannot_be_replayed_is_said(arguments: list[str], words: str) -> None:
    """With exit code 2, and without a traceback."""
    file = failed()
    two = (f"{name} = venom_machine(open_shop, [pay], name={name!r})\n" for name in "AB")
    Path("two.py").write_text(SHOP + "".join(two))
    Path("less.py").write_text(SHOP.replace("[pay, refund, look]", "[pay, look]"))
    found = run("replay", *(file if item == "FILE" else item for item in arguments))
    assert found.exit_code == 2
    assert words in " ".join(found.stderr.split())


def test_a_machine_that_is_gone_is_named() -> None:
    file = failed()
    Path("test_shop.py").unlink()
    found = run("replay", file)
    assert found.exit_code == 2
    assert "the failure is of the machine 'test_shop.Shop', which is not in" in found.stderr


def test_reports_are_made_of_a_saved_result() -> None:
    failed()
    found = run("report", "r.json", "--to", "junit,markdown,dot", "--output", "out", "--name", "Me")
    assert found.exit_code == 0
    assert found.stdout.splitlines() == [f"written: out/r{end}" for end in (".xml", ".md", ".dot")]
    assert '<testsuite name="Me"' in Path("out/r.xml").read_text()
    assert Path("out/r.md").read_text().startswith("## `Me`")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["r.json", "--to", "pdf"], "'pdf' is no form of a report. Write json, junit, markdown"),
        (["test_shop.py", "--to", "junit"], "'test_shop.py' cannot be read as a result: it is no"),
        (["old.json", "--to", "junit"], "it has format 99, but this version reads format"),
        (["list.json", "--to", "junit"], "cannot be read as a result: "),
        (["r.json"], "Missing option '--to'"),
    ],
)
def test_what_is_no_result_is_refused(arguments: list[str], words: str) -> None:
    failed()
    Path("old.json").write_text('{"format": 99}')
    Path("list.json").write_text("[1]")
    found = run("report", *arguments)
    assert found.exit_code == 2
    assert words in found.stderr


def test_a_graph_is_drawn_of_a_result_or_a_target() -> None:
    """Of a target standard output is the picture alone, so that it can be piped."""
    failed()
    assert run("graph", "r.json", "--to", "mermaid").stdout.startswith("flowchart TD\n")
    found = run("graph", "test_shop.py::TestShop", "--max-steps", "20")
    assert found.exit_code == 0
    assert found.stdout.startswith("digraph {\n")
    assert found.stdout.endswith("}\n")
    assert "What was run" in found.stderr
    assert run("graph", "r.json", "--output", "g.dot").stdout == "written: g.dot\n"


def test_results_are_merged_and_nothing_is_lost() -> None:
    """Findings, states and notes of each; one that began elsewhere is said."""
    failed()
    Path("test_shop.py").write_text(FIXED)
    assert run("explore", "--max-steps", "40", "--report", "s.json").exit_code == 0
    other = json.loads(Path("s.json").read_text()) | {
        key: {"$tuple": ["seen once"]} for key in ("refuted", "fixed")
    }
    Path("s.json").write_text(json.dumps(other))
    found = run("merge", "s.json", "r.json", "--output", "all.json")
    assert found.exit_code == 1
    assert "worker 2 is r.json" in found.stdout
    merged = json.loads(Path("all.json").read_text())
    parts = [json.loads(Path(name).read_text()) for name in ("s.json", "r.json")]
    assert [item["name"] for item in merged["violations"]] == ["within_payment"]
    executed = [
        {counts["name"]: counts["executed"] for counts in part["actions"]}["pay"]
        for part in (merged, *parts)
    ]
    assert executed[0] == sum(executed[1:])
    assert merged["fixed"] == {"$tuple": ["seen once"]}
    assert "Seen once, and not again" in found.stdout
    assert run("report", "all.json", "--to", "markdown").exit_code == 0


def test_parts_without_a_finding_are_exit_code_0() -> None:
    Path("test_shop.py").write_text(FIXED)
    assert run("explore", "--max-steps", "20", "--report", "s.json").exit_code == 0
    assert run("merge", "s.json").exit_code == 0
    assert Path("merged.json").exists()
    assert run("merge", "nope.json").exit_code == 2
