"""Every block of README and documentation runs, and prints what the text says it prints.

A ```python block is executed; the blocks of a file share one namespace and one empty directory. One
that begins with the comment `# name.py` is written to that file as well. A ```text block after it
is what it prints. In a ```console block each `$ pytest ...` and `$ venomqa ...` is run in
that directory and prints the lines below it; other commands stand in `RUN_ELSEWHERE`. `...` stands
for anything left out.
"""

import io
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

import attrs
import pytest
from hypothesis import settings
from plugin_options import PLUGIN

from venomqa_hyp import World

for needed in ("aiosmtpd", "boto3", "flask", "time_machine", "waitress"):
    pytest.importorskip(needed)

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\w+\.py)\n")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
VENOMQA = [sys.executable, "-c", "import sys; from venomqa_hyp.cli import main; sys.exit(main())"]
#: Program of a console block -> what runs it.
RUNS = {
    "pytest": [sys.executable, "-m", "pytest", "--color=no", "--hypothesis-seed=0", *PLUGIN],
    "venomqa": VENOMQA,
}

#: Command -> the file that holds what runs it, and the words it runs it with.
RUN_ELSEWHERE = {
    "pip install '.[demo]' && venomqa demo": ("tests/test_docs.py", 'VENOMQA, "demo"'),
    "pip install nox && nox -s tests": (".ci/run", "pip install nox && nox -s tests"),
    "python benchmarks/exploration.py": (".ci/run", "nox -s bench"),
    "python benchmarks/orders_http.py": (".ci/run", "nox -s bench"),
    "python benchmarks/overhead.py": (".ci/run", "nox -s bench"),
    "python benchmarks/seed_table.py": (".ci/run", "nox -s bench"),
    "python benchmarks/shrinking.py": (".ci/run", "nox -s bench"),
}


@attrs.frozen
class Block:
    """A fenced block.

    :ivar line: of the fence, from 1.
    """

    kind: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(text)
    ]


def told(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pattern(expected: str) -> str:
    """Return a pattern for what is printed, where `...` stands for anything."""
    return ".*?".join(re.escape(part.strip("\n")) for part in expected.split("..."))


def assert_printed(printed: str, expected: str, where: str) -> None:
    lines = "\n".join(line.rstrip() for line in printed.splitlines())
    found = re.search(pattern(expected), lines, re.DOTALL)
    assert found is not None, f"{where} prints\n{printed}\nand not\n{expected}"


@pytest.fixture(autouse=True)
def repeatable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty directory, with the same random choices each time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # a block may import a file that one before it wrote
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)  # that of the job that runs this
    before = settings.get_current_profile_name()
    settings.register_profile("documentation", database=None, derandomize=True)
    settings.load_profile("documentation")
    yield
    settings.load_profile(before)


@pytest.fixture
def module(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Return a module for the blocks of one page; what it opens is closed."""
    made = ModuleType(re.sub(r"\W", "_", f"docs_{request.node.name}"))
    sys.modules[made.__name__] = made  # Hypothesis looks modules up by name
    yield made
    del sys.modules[made.__name__]
    for value in vars(made).values():
        if isinstance(value, World | sqlite3.Connection):
            value.close()


@pytest.mark.parametrize("page", PAGES, ids=told)
def test_the_blocks_run_and_print_what_is_shown(page: Path, module: ModuleType) -> None:
    """In order, in one namespace; a command of a console block sees the files written so far."""
    found = blocks(page)
    for block, following in zip(found, [*found[1:], None], strict=False):
        where = f"{told(page)}:{block.line}"
        if block.kind == "python":
            printed = execute(block, module, where)
            shown = following.text if following and following.kind == "text" else ""
            assert printed == "" or shown, f"{where} prints\n{printed}and nothing is shown"
            assert_printed(printed, shown, where)
        elif block.kind == "console":
            run_commands(block, where)


def execute(block: Block, module: ModuleType, where: str) -> str:
    """Execute a block, and return what it printed."""
    if name := FILE_NAME.match(block.text):
        Path(name[1]).write_text(block.text, encoding="utf-8")
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(block.text, where, "exec"), vars(module))
    return printed.getvalue()


def run_commands(block: Block, where: str) -> None:
    for part in block.text.split("$ ")[1:]:
        command, _, expected = part.partition("\n")
        if command not in RUN_ELSEWHERE:
            program, *arguments = command.split()
            assert program in RUNS, f"{where}: nothing runs {command!r}"
            assert_printed(run_printing(program, arguments), expected, f"{where}: {command}")


def run_printing(program: str, arguments: list[str]) -> str:
    return subprocess.run(
        [*RUNS[program], *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


def test_the_readme_shows_what_the_demo_prints() -> None:
    """The lines under the command are those of a run, with parts left out and other numbers."""
    command = "$ pip install '.[demo]' && venomqa demo\n"
    (shown,) = [item.text for item in blocks(PAGES[0]) if item.text.startswith(command)]
    run = [*VENOMQA, "demo", "--seed", "11", "--max-examples", "10"]
    printed = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout
    printed, shown = (re.sub(r"\d+", "1", text) for text in (printed, shown))
    assert_printed(printed, shown.partition("\n")[2], "the demo")


@pytest.mark.parametrize("command", RUN_ELSEWHERE)
def test_what_is_run_elsewhere_is_run_there(command: str) -> None:
    """A file that is not shipped, as those of continuous integration, cannot be looked at."""
    name, words = RUN_ELSEWHERE[command]
    if not (ROOT / name).exists():
        pytest.skip(f"there is no {name} here")
    assert words in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=told)
def test_no_code_escapes(page: Path) -> None:
    """All code is in fences of the three kinds, and each text block follows a Python block."""
    found = blocks(page)
    kinds = [block.kind for block in found]
    assert set(kinds) <= {"python", "text", "console"}
    assert all(kinds[at - 1] == "python" for at, kind in enumerate(kinds) if kind == "text" and at)
    assert kinds[:1] != ["text"]
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert "```" not in prose
    assert not re.search(r"\n\n {4,}\S", prose), "indented code"


@pytest.mark.parametrize("page", PAGES, ids=told)
def test_links_lead_to_files(page: Path) -> None:
    """A relative link names a file of the repository."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert [to for to in LINK.findall(prose) if not (page.parent / to).exists()] == []
