"""What a killed run changed in a SQLite file is undone by the next run, and said."""

import os
import random
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlite_runs
from sqlite_runs import create, dump

from venomqa_hyp.adapters.recovery import RecoveryWarning
from venomqa_hyp.adapters.sqlite import SQLiteAdapter, clean
from venomqa_hyp.cli import main
from venomqa_hyp.errors import SystemUnavailable

KILLS = int(os.environ.get("VENOMQA_KILLS", "15"))
MODES = pytest.mark.parametrize("mode", ["journal", "copy"])
ENDLESS = Path(sqlite_runs.__file__)


@pytest.fixture(params=["delete", "wal"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    create(tmp_path / "shop.db", request.param)
    return tmp_path / "shop.db"


@contextmanager
def running(path: Path, mode: str, seed: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, once it has begun; it is killed at the end."""
    command = [sys.executable, str(ENDLESS), str(path), mode, str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def killed(path: Path, mode: str, seconds: float, seed: int = 0) -> None:
    """Kill a run after some time, counted from its first step."""
    with running(path, mode, seed):
        time.sleep(seconds)


def left_beside(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir() if "venomqa" in found.name)


@MODES
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_content_after_a_kill_is_that_of_the_beginning(
    tmp_path: Path, mode: Any, journal_mode: str
) -> None:
    chance, exact, changed = random.Random(f"{mode} {journal_mode}"), 0, 0
    kills = max(1, KILLS // 2)
    for seed in range(kills):
        path = tmp_path / f"{seed}.db"
        create(path, journal_mode)
        beginning = dump(path)
        killed(path, mode, chance.uniform(0, 0.3), seed)
        changed += dump(path)[1] != beginning[1]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            SQLiteAdapter(path, mode=chance.choice(["journal", "copy"])).close()
        assert all(warning.category is RecoveryWarning for warning in caught)
        exact += dump(path) == beginning and left_beside(path) == []
    print(f"{mode}, {journal_mode}: {exact} of {kills} exact, {changed} had other rows")
    assert exact == kills
    assert changed


@MODES
def test_recovery_is_said_with_the_rows(path: Path, mode: Any) -> None:
    beginning = dump(path)
    script = (
        "import os, signal, sqlite3, sys; from venomqa_hyp.adapters.sqlite import SQLiteAdapter\n"
        "system = SQLiteAdapter(sys.argv[1], mode=sys.argv[2])\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('DELETE FROM log WHERE rowid > 1')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path, mode], check=False).returncode == -9
    assert dump(path) != beginning
    with pytest.warns(RecoveryWarning, match=r"shop\.db was killed; 2 rows were removed or put"):
        SQLiteAdapter(path, mode=mode).close()
    assert dump(path) == beginning
    SQLiteAdapter(path, mode=mode).close()


@MODES
def test_recovery_that_is_killed_is_done_by_the_next_run(path: Path, mode: Any) -> None:
    beginning, chance = dump(path), random.Random(7)
    killed(path, mode, 0.2)
    script = "import sys; from venomqa_hyp.adapters.sqlite import clean; clean(sys.argv[1])"
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", script, path])
        time.sleep(chance.uniform(0.05, 0.4))
        child.kill()
        child.wait()
    clean(path)
    assert dump(path) == beginning
    assert left_beside(path) == []
    assert clean(path) is None


@MODES
def test_connections_of_the_application_live_through_a_recovery(path: Path, mode: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.execute("SELECT * FROM log").fetchall()
        beginning = dump(path)
        killed(path, mode, 0.2)
        clean(path)
        rows = application.execute("SELECT line FROM log").fetchall()
        assert rows == [("a",), ("b",), ("a",)]
        assert dump(path) == beginning
        application.execute("INSERT INTO log VALUES ('goes on')")


@MODES
def test_live_run_is_not_rolled_back(path: Path, mode: Any) -> None:
    with running(path, mode):
        for attempt in (lambda: SQLiteAdapter(path), lambda: clean(path)):
            with pytest.raises(SystemUnavailable, match="another process is rolling it back"):
                attempt()


@MODES
def test_forked_process_does_not_keep_a_run_alive(path: Path, mode: Any) -> None:
    script = (
        "import os, signal, sqlite3, sys, time\n"
        "from venomqa_hyp.adapters.sqlite import SQLiteAdapter\n"
        "system = SQLiteAdapter(sys.argv[1], mode=sys.argv[2])\n"
        "child = os.fork()\n"
        "if not child:\n    time.sleep(5)\n    os._exit(0)\n"
        "print(child, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    command = [sys.executable, "-c", script, str(path), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        assert run.wait() == -9
        assert clean(path) is None
        os.kill(child, 9)


def test_file_that_was_created_again_is_not_overwritten(path: Path) -> None:
    """Its inode may be the same, as file systems use one again at once."""
    killed(path, "copy", 0.1)
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
    create(path, "delete")
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE more (a)")
    beginning = dump(path)
    assert clean(path) is None
    assert dump(path) == beginning
    assert left_beside(path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP TABLE log", "the schema was changed|triggers of the journal are gone"),
        ("VACUUM", "VACUUM was executed"),
        ("DELETE FROM venomqa_journal", "was emptied"),
    ],
)
def test_journal_that_cannot_be_undone_is_said(path: Path, change: str, words: str) -> None:
    killed(path, "journal", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(change)
    with pytest.warns(RecoveryWarning, match=f"cannot be rolled back: .*({words})"):
        SQLiteAdapter(path).close()
    with closing(sqlite3.connect(path)) as db:
        names = db.execute("SELECT name FROM sqlite_master WHERE name GLOB 'venomqa*'").fetchall()
    assert names == []
    SQLiteAdapter(path).close()


@MODES
def test_nothing_is_left_beside_a_file(path: Path, mode: Any) -> None:
    with closing(SQLiteAdapter(path, mode=mode)), closing(SQLiteAdapter(path, mode="copy")):
        assert left_beside(path) == ["shop.db-venomqa"]
    assert left_beside(path) == []


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_clean_undoes_a_killed_run(
    path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    beginning = dump(path)
    killed(path, "journal", 0.2)
    assert main(["clean", form.format(path)]) == 0
    assert "what it was when that run began" in capsys.readouterr().out
    assert dump(path) == beginning
    assert main(["clean", form.format(path)]) == 0
    assert capsys.readouterr().out == "nothing was left behind\n"
    assert main(["clean", form.format(path.parent / "none.db")]) == 1
