"""What a killed run changed is rolled back by the next one, or by ``venomqa clean``.

``VENOMQA_KILLS`` sets how many runs are killed.
"""

import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from postgres_database import Database, journal
from postgres_killed import CONTENT, WRITES

from venomqa_hyp.adapters.postgres import PostgresAdapter, recovery, remove_journal
from venomqa_hyp.adapters.recovery import RecoveryWarning
from venomqa_hyp.cli import main
from venomqa_hyp.errors import SystemUnavailable

KILLS = int(os.environ.get("VENOMQA_KILLS", "12"))
RUN = Path(__file__).parent / "postgres_killed.py"


@pytest.fixture
def db(module_database: Database) -> Database:
    module_database.clear(CONTENT)
    return module_database


def killed(db: Database, seed: int, operations: int, seconds: float) -> None:
    """Begin a run, and kill it some time after it has done as many operations."""
    command = [sys.executable, str(RUN), db.url, str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        for _ in range(operations):
            assert run.stdout.readline() == b"done\n"
        time.sleep(seconds)
        assert run.poll() is None
        run.send_signal(signal.SIGKILL)


def recovered_by_the_next_run(db: Database) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecoveryWarning)
        journal(db).close()


def test_the_beginning_is_restored_whenever_a_run_is_killed(db: Database) -> None:
    rows, catalog = db.dump(), db.catalog()
    middles = 0
    for seed in range(KILLS):
        chance = Random(seed)
        killed(db, seed, chance.choice([0, chance.randint(1, 80)]), chance.uniform(0, 0.3))
        middles += db.dump() != rows
        if seed % 2:
            recovered_by_the_next_run(db)
        else:
            remove_journal(db.url)
        assert db.dump() == rows, seed
        assert db.catalog() == catalog, seed
    assert middles, "no run was killed in its middle"


def abandoned(db: Database, *statements: str) -> None:
    """Leave a journal as a killed run does."""
    code = (
        "import os, sys, psycopg\nfrom venomqa_hyp.adapters.postgres import PostgresAdapter\n"
        "system = PostgresAdapter(sys.argv[1], mode='journal')\n"
        "with psycopg.connect(sys.argv[1], autocommit=True) as application:\n"
        "    for number, statement in enumerate(sys.argv[2:]):\n"
        "        application.execute(statement)\n"
        "        if number % 2: system.observe()\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, db.url, *statements], check=False)


def test_the_next_run_says_what_it_did(db: Database) -> None:
    rows = db.dump()
    abandoned(db, "INSERT INTO log (what) VALUES ('a')", "DELETE FROM events", "TRUNCATE lines")
    with pytest.warns(RecoveryWarning, match=r"postgres: an earlier run on .* was killed; 92 rows"):
        system = journal(db)
    with closing(system):
        assert db.dump() == rows
        assert not system.observe().data["tables"]["log"]["rows"]


def test_the_command_says_what_it_did(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    rows = db.dump()
    abandoned(db, "DELETE FROM events WHERE day = '2026-01-01'")
    assert main(["clean", db.url]) == 0
    assert "was killed; 1 row was removed or put back" in capsys.readouterr().out
    assert db.dump() == rows
    assert main(["clean", db.url]) == 0
    assert capsys.readouterr().out == "nothing was left behind\n"


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1])
def test_recovering_may_be_killed_too(db: Database, seconds: float) -> None:
    rows, catalog = db.dump(), db.catalog()
    abandoned(db, *WRITES)
    code = (
        "import sys\nfrom venomqa_hyp.adapters.postgres import remove_journal\n"
        "print('ready', flush=True)\nremove_journal(sys.argv[1])"
    )
    with subprocess.Popen([sys.executable, "-c", code, db.url], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        run.kill()
    remove_journal(db.url)
    assert db.dump() == rows
    assert db.catalog() == catalog


def test_what_is_kept_does_not_grow_with_the_run(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "SUMMED_AFTER", 200)
    rows = db.dump()
    with closing(journal(db)) as system:
        start = system.checkpoint("start")
        for _ in range(30):
            db.execute("UPDATE orders SET total = total + 1")
            system.observe()
            ((kept,),) = db.rows("SELECT count(*) FROM venomqa_journal.kept")
            assert kept < 600
        system.rollback(start)
        assert db.dump() == rows


def test_a_schema_that_was_changed_since_is_named(db: Database) -> None:
    abandoned(db, "DELETE FROM events WHERE day = '2026-01-01'")
    db.execute("DROP TABLE events")
    for look in (lambda: remove_journal(db.url), lambda: journal(db)):
        with pytest.raises(SystemUnavailable, match=r"cannot be put back .* DROP SCHEMA"):
            look()
    db.execute("DROP SCHEMA venomqa_journal CASCADE")


def test_a_server_that_crashed_too_is_said(db: Database) -> None:
    """It empties what is not logged; here that is done by hand."""
    abandoned(db, "DELETE FROM events WHERE day = '2026-01-01'")
    db.execute("TRUNCATE venomqa_journal.kept, venomqa_journal.entry")
    with pytest.warns(RecoveryWarning, match="and so was the server"):
        journal(db).close()


def test_what_was_written_while_the_adapter_opened_counts(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from venomqa_hyp.adapters.postgres import schema_catalogs

    asked = schema_catalogs.snapshot_query

    def writes_first(connection: Any) -> str:
        db.execute("INSERT INTO log (what) VALUES ('early')")
        return asked(connection)

    monkeypatch.setattr(schema_catalogs, "snapshot_query", writes_first)
    with closing(PostgresAdapter(db.url, mode="journal")) as system:
        assert len(system.observe().data["tables"]["log"]["rows"]) == 1
