"""The example of a published server: Kinto, unmodified, over PostgreSQL and Redis."""

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp import Agent

pytest.importorskip("kinto", reason="pip install 'kinto[postgresql,redis]'")
pytest.importorskip("psycopg2", reason="pip install 'kinto[postgresql,redis]'")

EXAMPLE = Path(__file__).parent.parent / "examples" / "kinto"
MODULES = ("actions", "server")


@pytest.fixture(scope="module")
def example() -> Iterator[dict[str, Any]]:
    """Its modules by name; another example has one of the same name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        for name in MODULES:
            patch.delitem(sys.modules, name, raising=False)
        yield {name: importlib.import_module(name) for name in MODULES}
        for name in MODULES:
            del sys.modules[name]


def test_kinto_repeats_itself(example: dict[str, Any], postgres_url: str, redis_url: str) -> None:
    """Nothing is reported of a server that is right, states meet, and the record holds."""
    actions = example["actions"]
    with example["server"].serve_kinto(postgres_url, redis_url) as kinto:
        world = partial(actions.open_kinto, kinto)
        agent = Agent(world, actions.ACTIONS, actions.INVARIANTS, max_steps=120, seed=1)
        result = agent.explore()
    assert (result.violations, result.divergence) == ((), None)
    assert result.states_visited < result.transitions_taken
    assert result.volatile
