"""Content that a database has for the length of a run."""

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_database import THREE_ORDERS, Database, journal

from venomqa_hyp.adapters.postgres import PostgresAdapter
from venomqa_hyp.errors import DefinitionError, RollbackError

ROWS = "INSERT INTO orders (total, note) VALUES (10, 'seed'), (11, 'seed');\n-- twice\n"
CHANGES = "UPDATE orders SET total = 0 WHERE id = 1; DELETE FROM orders WHERE id = 2;"


@pytest.fixture
def db(module_database: Database) -> Database:
    module_database.clear(THREE_ORDERS)
    return module_database


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    path = tmp_path / "seed.sql"
    path.write_text(ROWS + CHANGES)
    return path


def by_function(connection: "psycopg.Connection[Any]") -> None:
    connection.execute(ROWS + CHANGES)


def test_a_seed_is_there_for_the_run_and_no_longer(db: Database, seed_file: Path) -> None:
    rows, catalog = db.dump(), db.catalog()
    identities = set()
    for seed in (seed_file, str(seed_file), by_function, seed_file):
        with closing(journal(db, seed=seed)) as system:
            assert len(db.rows("SELECT FROM orders")) == 4
            start = system.checkpoint("start")
            assert system.observe().data["tables"]["orders"]["rows"] == []
            identities.add(system.observe().digest)
            seeded = db.dump()
            db.execute("DELETE FROM orders", "INSERT INTO orders (total) VALUES (99)")
            system.rollback(start)
            assert db.dump() == seeded
            db.execute("DELETE FROM orders WHERE note = 'seed'")
        assert db.dump() == rows
        assert db.catalog() == catalog
    assert len(identities) == 1, "the same seed is the same beginning"
    with closing(journal(db)) as system:
        assert system.observe().digest not in identities


def test_a_killed_run_leaves_no_seed(db: Database, seed_file: Path) -> None:
    rows = db.dump()
    system = journal(db, seed=seed_file)
    system._mode._store._connection.close()  # type: ignore[attr-defined]
    assert db.dump() != rows
    with pytest.warns(match="was killed"):
        journal(db).close()
    assert db.dump() == rows


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("INSERT INTO nowhere VALUES (1)", r'"nowhere" does not exist.* pg_dump --data-only'),
        ("INSERT INTO orders (id) VALUES (1)", "duplicate key"),
        ("COPY orders FROM stdin;\n1\t2\t\\N\n\\.\n", "COPY"),
    ],
)
def test_a_seed_that_does_not_fit(db: Database, tmp_path: Path, content: str, told: str) -> None:
    rows, catalog = db.dump(), db.catalog()
    path = tmp_path / "seed.sql"
    path.write_text(content)
    with pytest.raises(DefinitionError, match=f"(?s)seed='.*seed.sql' was refused by .*{told}"):
        journal(db, seed=path)
    assert db.dump() == rows
    assert db.catalog() == catalog


def test_a_function_that_fails_is_undone(db: Database) -> None:
    rows, catalog = db.dump(), db.catalog()

    def fails(connection: "psycopg.Connection[Any]") -> None:
        by_function(connection)
        connection.commit()
        raise OSError("no fixtures")

    with pytest.raises(OSError, match="no fixtures"):
        journal(db, seed=fails)
    assert db.dump() == rows
    assert db.catalog() == catalog


def test_what_cannot_be_a_seed(db: Database, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"cannot be read: .*No such file"):
        journal(db, seed=tmp_path / "missing.sql")
    with pytest.raises(DefinitionError, match=r"seed=\.\.\. needs mode='journal'"):
        PostgresAdapter(db.url, mode="template", seed=by_function)


def test_a_seed_that_changes_the_schema_is_refused(db: Database) -> None:
    def migrates(connection: "psycopg.Connection[Any]") -> None:
        connection.execute("ALTER TABLE orders ADD COLUMN extra int")

    with pytest.raises(RollbackError, match=r"column public\.orders\.extra: new"):
        journal(db, seed=migrates)
