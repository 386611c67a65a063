"""An Agent with a cache does not repeat an exploration of which nothing has changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp import Action, Agent, ExplorationResult, Invariant, World
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.agent import explore_parallel
from venomqa_hyp.agent.cache import CacheWarning

calls: list[str] = []


def put(api: Any, context: Any) -> None:
    calls.append("put")
    api["n"] += 1


def put_twice(api: Any, context: Any) -> None:
    calls.append("put_twice")
    api["n"] += 2


def world(start: int = 0) -> World:
    store = MemoryAdapter({"n": start})
    return World(store, {"store": store})


Explore = Callable[..., ExplorationResult]


@pytest.fixture
def explore(tmp_path: Path) -> Explore:
    """Return a function that explores with a cache, and counts the calls of actions."""
    (tmp_path / "service.py").write_text("1")

    def run(execute: Any = put, *, start: int = 0, **options: Any) -> ExplorationResult:
        calls.clear()
        given = {"cache_dir": tmp_path / "cache", "watch": [tmp_path / "service.py"]} | options
        given = {"max_steps": 5, "max_depth": 5} | given
        return Agent(lambda: world(start), [Action("put", execute)], **given).explore()

    return run


def test_an_unchanged_exploration_is_skipped(explore: Explore) -> None:
    """Nothing is executed; the record is that of the first, and says so."""
    first = explore()
    assert calls
    assert first.skipped is None
    second = explore()
    assert calls == []
    assert second.skipped is not None
    assert second.skipped.startswith("nothing changed since 2")
    assert list(second.graph.states) == list(first.graph.states)
    assert second.states_visited == first.states_visited > 3


@pytest.mark.parametrize(
    "change",
    [
        {"execute": put_twice},
        {"start": 1},
        {"max_steps": 6},
        {"max_depth": 4},
        {"seed": 1},
        {"invariants": [Invariant("holds", lambda world: True)]},
    ],
)
def test_a_change_is_explored(explore: Explore, change: dict[str, Any]) -> None:
    """Code, content of the World, settings and rules: each can lead to a finding."""
    explore()
    assert explore(**change).skipped is None
    assert calls


def test_a_change_of_the_service_is_explored(explore: Explore, tmp_path: Path) -> None:
    """Its code is watched, for it is another process."""
    explore()
    (tmp_path / "service.py").write_text("2")
    assert explore().skipped is None
    assert explore().skipped is not None


def test_without_a_watched_file_nothing_is_skipped(explore: Explore) -> None:
    """A warning says why, and what to write."""
    for _ in range(2):
        with pytest.warns(CacheWarning, match=r"is not skipped.*watch=\[\"src/\"\]"):
            assert explore(watch=()).skipped is None


def test_a_finding_is_found_again(explore: Explore) -> None:
    """A violation must show in every run until it is repaired."""
    few = Invariant("few", lambda world: world.api["n"] < 3)
    for _ in range(2):
        result = explore(invariants=[few])
        assert [item.name for item in result.violations] == ["few"]
        assert result.skipped is None


def test_a_world_that_is_shared_stays_usable(tmp_path: Path) -> None:
    """A skipped exploration leaves the World as it found it, free for others."""
    shared = world()
    for expected in (False, True, True):
        calls.clear()
        agent = Agent(
            shared, [Action("put", put)], max_steps=3, cache_dir=tmp_path, watch=[__file__]
        )
        assert bool(agent.explore().skipped) is expected
        assert shared.api["n"] == 0


cache_of_workers: list[Path] = []


def make_agent(worker_id: int) -> Agent:
    calls.clear()  # `put` refers to them: what they hold is part of the fingerprint
    return Agent(
        world,
        [Action("put", put)],
        max_steps=3,
        cache_dir=cache_of_workers[0],
        watch=[__file__],
    )


def test_parallel_runs_are_skipped_as_a_whole(tmp_path: Path) -> None:
    """Each worker keeps a record of its own, and the merged one says when all were skipped."""
    from test_parallel import InProcess

    cache_of_workers[:] = [tmp_path]
    first, second = (explore_parallel(make_agent, 2, InProcess()) for _ in range(2))
    assert first.skipped is None
    assert second.skipped is not None
    assert second.skipped.count("nothing changed since") == 2
    assert explore_parallel(make_agent, 3, InProcess()).skipped is None
