"""Kinto, tested: actions and rules are in ``actions.py``, how it is started in ``server.py``.

    pytest examples/kinto

needs ``pip install 'venomqa-hyp[postgres,redis]' 'kinto[postgresql,redis]'`` and the two servers,
at the URLs of the variables below.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from actions import ACTIONS, INVARIANTS, open_kinto
from hypothesis import settings
from server import serve_kinto

from venomqa_hyp import Agent, World, venom_machine

POSTGRES = os.environ.get("KINTO_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("KINTO_REDIS", "redis://127.0.0.1:6379/0")

open_running: list[Callable[[], World]] = []


@pytest.fixture(scope="module", autouse=True)
def running_kinto() -> Iterator[None]:
    """Run Kinto for the tests of this module."""
    with serve_kinto(POSTGRES, REDIS) as kinto:
        open_running.append(partial(open_kinto, kinto))
        yield
        open_running.clear()


def open_world() -> World:
    """Return a World of the running Kinto; a machine opens one for each run."""
    return open_running[0]()


TestKinto = venom_machine(open_world, ACTIONS, INVARIANTS, name="Kinto").TestCase
TestKinto.settings = settings(max_examples=10)


def test_kinto_repeats_itself() -> None:
    """Rolled back and asked again, Kinto answers the same: the record of the run holds."""
    result = Agent(open_world, ACTIONS, INVARIANTS, max_steps=100, seed=1).explore()
    assert (result.violations, result.divergence) == ((), None)
    assert result.states_visited < result.transitions_taken
