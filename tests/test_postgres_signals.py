"""Ctrl-C and SIGTERM, whenever they come, leave the database as it was."""

import signal
import subprocess
import sys
import time
from random import Random

import pytest
from postgres_database import THREE_ORDERS, Database

CODE = """
import signal, sys, psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from venomqa_hyp import Action, World, venom_machine
from venomqa_hyp.adapters import PostgresAdapter

signal.signal(signal.SIGINT, signal.default_int_handler)
dsn = sys.argv[1]

def make():
    application = psycopg.connect(dsn, autocommit=True)
    return World(application, {"db": PostgresAdapter(dsn, mode="journal")})

def insert(api, context, total):
    api.execute("INSERT INTO orders (total) VALUES (%s)", [total])

def update(api, context, total):
    api.execute("UPDATE orders SET total = total + 1 WHERE total = %s", [total])

actions = [Action(item.__name__, item, arguments={"total": st.integers(0, 9)})
    for item in (insert, update)]
machine = venom_machine(make, actions)
print("ready", flush=True)
run_state_machine_as_test(machine, settings=settings(max_examples=10_000, database=None))
"""


@pytest.mark.parametrize("number", range(12))
def test_the_run_is_rolled_back_and_the_journal_removed(
    module_database: Database, number: int
) -> None:
    db = module_database
    db.clear(THREE_ORDERS)
    rows, catalog = db.dump(), db.catalog()
    chance = Random(number)
    with subprocess.Popen(
        [sys.executable, "-c", CODE, db.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == b"ready\n"
        time.sleep(0.4 + chance.random())
        sent = [signal.SIGINT, signal.SIGTERM][number % 2]
        run.send_signal(sent)
        if number % 3 == 0:
            time.sleep(chance.random() / 20)
            run.send_signal(sent)
        told = run.stderr.read().decode()
        run.wait(30)
    assert run.returncode, told
    assert db.dump() == rows, told
    assert db.catalog() == catalog, told
