"""`venomqa run` and `explore`: what is discovered, printed and written, and the exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import FIXED, SHOP, folder, run  # noqa: F401  # a fixture

from venomqa_hyp import ExplorationResult
from venomqa_hyp.cli import main, outputs

pytestmark = pytest.mark.usefixtures("folder")
CALLS = re.compile(r"^ +\d+\. (\w+)\(", re.MULTILINE)

DRAWING = """
from hypothesis import strategies as st

@action(arguments={"n": st.integers(0, 10**9)})
def pay(api, context, n):
    with open("drawn", "a") as file:
        print(n, file=file)
"""


def calls(text: str) -> list[str]:
    return CALLS.findall(text)


def test_a_bug_is_printed_step_by_step() -> None:
    """The counterexample, what was run, the command that repeats it, and exit code 1."""
    Path("test_shop.py").write_text(SHOP)
    found = run("run", "test_shop.py", "--seed", "7")
    assert found.exit_code == 1
    assert calls(found.stdout) == ["pay", "refund", "refund"]
    assert "[HIGH] within_payment" in found.stdout
    assert "seen:     refunded 10 of 5 paid" in found.stdout
    assert "again       venomqa run test_shop.py::TestShop --seed 7\n" in found.stdout
    assert re.search(r"kept +venomqa replay \.venomqa/failures/test_shop_Shop-", found.stdout)
    assert found.stdout.isascii()
    assert "\x1b" not in found.stdout


def test_nothing_found_is_exit_code_0() -> None:
    Path("test_shop.py").write_text(FIXED)
    found = run("run")
    assert (found.exit_code, found.stderr) == (0, "")
    assert "Nothing found: no action failed and every rule held." in found.stdout
    assert "3 of 3 called" in found.stdout


def test_a_seed_repeats_the_choices_of_a_run() -> None:
    """The first values that are drawn; how often a step is executed depends on its time."""
    Path("test_shop.py").write_text(
        FIXED.replace("@action\ndef pay(api, context):", DRAWING)
        + "\nTestShop.settings = settings(max_examples=5, database=None)\n"
    )
    drawn = []
    for seed in ("3", "3", "4"):
        Path("drawn").unlink(missing_ok=True)
        assert run("run", "--seed", seed).exit_code == 0
        drawn.append(list(dict.fromkeys(Path("drawn").read_text().split()))[:5])
    assert drawn[0] == drawn[1] != drawn[2]


def test_without_a_seed_the_one_that_was_chosen_is_printed() -> None:
    Path("test_shop.py").write_text(FIXED)
    found = run("run", "--max-examples", "1")
    assert re.search(r"again +venomqa run \S+ --seed \d+ --max-examples 1\n", found.stdout)


def test_a_folder_is_searched_as_pytest_does() -> None:
    """Its test files, in the order of their names; a machine and its TestCase are one target."""
    for name in (
        "tests/test_b.py",
        "tests/deeper/a_test.py",
        "tests/helpers.py",
        ".venv/test_x.py",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(FIXED)
    found = run("run", "--max-examples", "2")
    assert found.exit_code == 0
    run_ = re.findall(r"^(\S+): 3 actions", found.stdout, re.MULTILINE)
    assert run_ == ["tests/deeper/a_test.py::TestShop", "tests/test_b.py::TestShop"]
    assert "  ok      tests/test_b.py::TestShop\n" in found.stdout


@pytest.mark.parametrize("target", ["shop.tests.test_shop:TestShop", "shop.tests.test_shop"])
def test_a_module_is_found_by_its_dotted_name(target: str) -> None:
    Path("shop/tests").mkdir(parents=True)
    for package in ("shop", "shop/tests"):
        Path(package, "__init__.py").touch()
    Path("shop/tests/test_shop.py").write_text(SHOP)
    found = run("run", target)
    assert found.exit_code == 1
    # The same identity as by its file, and so the same failure file, which is replayed.
    assert run("run", "shop/tests/test_shop.py").exit_code == 1
    assert len(list(Path(".venomqa/failures").iterdir())) == 1


def test_an_agent_is_run_with_its_own_limits() -> None:
    Path("test_shop.py").write_text(
        SHOP + "\nagent = Agent(open_shop, [pay, look], max_steps=30, seed=1)\n"
    )
    found = run("run", "test_shop.py::agent")
    assert found.exit_code == 0
    assert re.search(r"ended by +max_steps", found.stdout)
    assert re.search(r"steps +30 executed", found.stdout)


def test_a_machine_is_explored_by_an_agent() -> None:
    """With the limits and the strategy of the command."""
    Path("test_shop.py").write_text(SHOP)
    found = run("explore", "--max-steps", "60", "--strategy", "bfs", "--seed", "2")
    assert found.exit_code == 1
    assert calls(found.stdout) == ["pay", "refund", "refund"]
    assert (
        "again       venomqa explore test_shop.py::TestShop --seed 2 --max-steps 60" in found.stdout
    )
    assert run("explore", "--strategy", "breadth").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope.py"], "'nope.py' is not there. Write a file or folder"),
        (["a b"], "'a b' is no file, folder or module"),
        (["test_shop.py::Nope"], "no machine or Agent named 'Nope'. It has Shop, TestShop."),
        (["empty"], "there is no machine of venom_machine(...) and no Agent in empty."),
        (["test_broken.py"], "test_broken.py cannot be imported: ZeroDivisionError"),
        (["notes.txt"], "'notes.txt' is no Python file"),
        (["no_such_module"], "no_such_module cannot be imported: ModuleNotFoundError"),
        (["--max-examples", "0"], "'0' is no whole number above 0"),
        (["--time", "soon"], "'soon' is no time above 0; write 90, 90s, 5m or 2h"),
        (["--time", "-1"], "'-1' is no time above 0"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["--report", "x.pdf"], "the suffix '.pdf', which names no form. Write one of .json"),
        (["--reprot", "x"], "--report"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], words: str) -> None:
    """With the value, what to write instead, exit code 2, and no traceback."""
    Path("test_shop.py").write_text(SHOP)
    Path("test_broken.py").write_text("\n1 / 0\n")
    Path("notes.txt").touch()
    Path("empty").mkdir()
    found = run("run", *arguments)
    assert found.exit_code == 2
    assert words in found.stderr
    assert "Traceback" not in found.output
    if arguments == ["test_broken.py"]:
        assert "test_broken.py:2)" in found.stderr


def test_a_world_that_cannot_be_used_does_not_hide_the_others() -> None:
    """Exit code 3 where it is all, 1 where something was found in another target."""
    broken = FIXED.replace("def open_shop():", "def open_shop():\n    raise OSError('no disk')")
    Path("test_a.py").write_text(broken)
    found = run("run", "test_a.py")
    assert found.exit_code == 3
    assert "WorldError: the callable given as world failed: OSError: no disk" in found.stdout
    Path("test_b.py").write_text(SHOP)
    found = run("run", "test_a.py", "test_b.py")
    assert found.exit_code == 1
    assert "  NOT RUN test_a.py::TestShop\n" in found.stdout
    assert "  FAILED  test_b.py::TestShop: within_payment\n" in found.stdout


def test_what_a_rule_of_the_user_raises_is_printed() -> None:
    """It is no invariant of ours, and a finding all the same."""
    Path("test_shop.py").write_text(
        FIXED
        + """
from hypothesis.stateful import rule

class Mine(Shop):
    @rule()
    def own(self):
        raise LookupError("of my own")

TestShop = Mine.TestCase
TestShop.settings = settings(max_examples=5, database=None)
"""
    )
    found = run("run", "test_shop.py::TestShop")
    assert found.exit_code == 1
    assert "LookupError: of my own" in found.stdout


def test_an_interrupted_run_says_what_was_found() -> None:
    """Exit code 130, no traceback, and the run up to then."""
    Path("test_shop.py").write_text(
        FIXED.replace('    return api.get("paid", 0)', "    raise KeyboardInterrupt")
    )
    found = run("run", "--seed", "1")
    assert found.exit_code == 130
    assert found.stderr == "venomqa: interrupted\n"
    assert "What was run" in found.stdout
    assert "Traceback" not in found.output


def test_a_time_limit_ends_each_target() -> None:
    """An action that makes a new state each time would be explored without end."""
    Path("test_shop.py").write_text(SHOP.replace("refunded <= paid", "refunded <= paid or True"))
    found = run("run", "--time", "0.3s", "--max-examples", "1000000", "--seed", "1")
    assert found.exit_code == 0
    assert "venomqa run test_shop.py::TestShop --seed 1 --max-examples 1000000 --time 0.3" in (
        " ".join(found.stdout.split())
    )


def test_reports_are_written_by_their_suffixes() -> None:
    Path("test_shop.py").write_text(SHOP)
    found = run("run", "--report", "out/r.json,out/r.xml", "--report", "out/r.md,r.dot,r.mmd")
    assert found.exit_code == 1
    result = ExplorationResult.from_dict(json.loads(Path("out/r.json").read_text()))
    assert [item.name for item in result.violations] == ["within_payment"]
    assert '<testcase classname="TestShop" name="within_payment"' in Path("out/r.xml").read_text()
    assert Path("out/r.md").read_text().startswith("## `TestShop`")
    assert Path("r.dot").read_text().startswith("digraph {")
    assert Path("r.mmd").read_text().startswith("flowchart TD")
    assert "written: out/r.json\n" in found.stdout


def test_several_targets_have_a_result_each() -> None:
    """JSON holds one result, so each has a file; JUnit holds them all."""
    Path("test_shop.py").write_text(SHOP + "\nother = Agent(open_shop, [pay], max_steps=9)\n")
    assert run("run", "--report", "r.json,r.xml").exit_code == 1
    assert sorted(path.name for path in Path().glob("r*")) == [
        "r-TestShop.json",
        "r-other.json",
        "r.xml",
    ]
    assert Path("r.xml").read_text().count("<testsuite ") == 2


def test_targets_of_the_same_name_do_not_replace_each_other() -> None:
    """Then the file is part of the name, in a report and in the name of one."""
    Path("test_a.py").write_text(SHOP)
    Path("test_b.py").write_text(FIXED)
    assert run("run", "--report", "r.json,r.xml").exit_code == 1
    assert Path("r-test_a.py_TestShop.json").exists()
    assert Path("r-test_b.py_TestShop.json").exists()
    assert 'name="test_a.py::TestShop"' in Path("r.xml").read_text()


def test_a_machine_that_generates_nothing_is_no_success() -> None:
    Path("test_shop.py").write_text(
        FIXED + "\nTestShop.settings = settings(phases=[], database=None)\n"
    )
    found = run("run")
    assert found.exit_code == 2
    assert "nothing was run: the phases in the settings of test_shop.py::TestShop" in found.stdout


def test_a_missing_html_report_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("test_shop.py").write_text(SHOP)
    with monkeypatch.context() as patched:
        patched.setattr(outputs, "find_spec", lambda name: None)
        found = run("run", "--report", "r.html")
    assert found.exit_code == 2
    assert "pip install 'venomqa-hyp[html]'" in found.stderr
    assert run("run", "--report", "r.html").exit_code == 1
    assert "<h1>TestShop" in Path("r.html").read_text()


def test_a_report_that_cannot_be_written_leaves_the_others_alone() -> None:
    Path("test_shop.py").write_text(FIXED)
    Path("taken").touch()
    found = run("run", "--report", "taken/r.json,r.xml")
    assert found.exit_code == 3
    assert "not written: taken/r.json: taken/r.json cannot be written" in found.stdout
    assert Path("r.xml").exists()
    Path("test_shop.py").write_text(SHOP)
    assert run("run", "--report", "taken/r.json").exit_code == 1


def test_lines_of_hypothesis_are_shown_on_demand() -> None:
    Path("test_shop.py").write_text(SHOP)
    assert "state.pay()" not in run("run", "--seed", "1").stdout
    assert "state.pay()" in run("run", "--seed", "1", "-v").stdout


def test_help_names_the_exit_codes() -> None:
    found = run("--help")
    assert found.exit_code == 0
    assert "3    the World, a server or a store could not be used" in found.stdout
    assert "130  interrupted by Ctrl-C or SIGTERM" in found.stdout


def test_the_module_is_the_command() -> None:
    """Under `python -m` too, as another distribution installs a `venomqa`."""
    found = subprocess.run(
        [sys.executable, "-m", "venomqa_hyp", "--version"], stdout=subprocess.PIPE, text=True
    )
    assert found.returncode == 0
    assert re.fullmatch(r"\d+\.\d+.*\n", found.stdout)


def test_without_click_the_install_line_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "venomqa_hyp.cli.command", raising=False)
    assert main(["demo"]) == 2
    assert "pip install 'venomqa-hyp[cli]'" in capsys.readouterr().err
