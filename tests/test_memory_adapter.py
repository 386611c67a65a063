"""The in-process store: copies are deep, the dict keeps its identity, errors say what to do."""

import random
import threading
from typing import Any

import pytest

from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.errors import DefinitionError, RollbackError
from venomqa_hyp.testing import check_rollbackable


def add(store: MemoryAdapter, chance: random.Random) -> None:
    store[f"key{len(store)}"] = chance.choice([1, "1", 1.0, None, [chance.random()]])


def nest(store: MemoryAdapter, chance: random.Random) -> None:
    store.setdefault("orders", {}).setdefault("open", []).append({"id": chance.random()})


def test_keeps_the_contract() -> None:
    """Every rule of Rollbackable holds."""
    check_rollbackable(MemoryAdapter, [add, nest])
    check_rollbackable(lambda: MemoryAdapter({"first": 1}), [add, nest, add])


def test_uses_the_given_dict_in_place() -> None:
    """The application's own dict is emptied and filled; it is never replaced."""
    shop: dict[str, Any] = {"paid": [1]}
    adapter = MemoryAdapter(shop, name="shop")
    handle = adapter.checkpoint("start")
    shop["paid"].append(2)
    shop["new"] = True
    adapter.rollback(handle)
    assert adapter.data is shop
    assert shop == {"paid": [1]}
    assert adapter.observe().system == "shop"


def test_observation_does_not_follow_the_store() -> None:
    """An observation whose digest was not asked for yet still shows the moment it was taken."""
    adapter = MemoryAdapter({"a": {"b": [1]}})
    early, same = adapter.observe(), adapter.observe()
    expected = same.digest
    adapter["a"]["b"].append(2)
    assert early.digest == expected
    assert adapter.observe().digest != expected


def test_type_of_a_value_counts() -> None:
    """1, True, 1.0 and "1" are four states."""
    digests = {MemoryAdapter({"a": value}).observe().digest for value in (1, True, 1.0, "1")}
    assert len(digests) == 4


def test_order_of_keys_is_restored() -> None:
    """An application that iterates over the dict sees the old order again."""
    adapter = MemoryAdapter({"a": 1, "b": 2})
    handle = adapter.checkpoint("start")
    adapter["a"] = adapter.pop("a")
    adapter.rollback(handle)
    assert list(adapter) == ["a", "b"]


def test_dead_handles_are_refused() -> None:
    """A forgotten, foreign or outlived handle is not live, and rolling back to it is an error."""
    adapter, other = MemoryAdapter(), MemoryAdapter()
    forgotten, foreign, kept = (
        adapter.checkpoint("a"),
        other.checkpoint("b"),
        adapter.checkpoint("c"),
    )
    adapter.forget(forgotten)
    for handle in (forgotten, foreign):
        assert not adapter.is_live(handle)
        with pytest.raises(RollbackError, match="Take a new checkpoint"):
            adapter.rollback(handle)
    adapter.close()
    with pytest.raises(RollbackError, match="closed"):
        adapter.rollback(kept)


def test_close_leaves_the_content() -> None:
    """Closing frees the handles only."""
    adapter = MemoryAdapter({"a": 1})
    adapter.close()
    assert adapter.data == {"a": 1}


def test_value_that_cannot_be_copied_is_named() -> None:
    """The error names key and type of the culprit."""
    adapter = MemoryAdapter({"fine": 1, "lock": threading.Lock()})
    with pytest.raises(DefinitionError, match="the lock under 'lock' cannot be copied"):
        adapter.checkpoint("start")


def test_data_that_is_no_dict_is_refused() -> None:
    """Only a dict can be emptied and filled in place."""
    with pytest.raises(DefinitionError, match=r"got a list.*MemoryAdapter\(dict"):
        MemoryAdapter([("a", 1)])  # type: ignore[arg-type]
