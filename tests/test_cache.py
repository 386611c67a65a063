"""Clean explorations are kept under their fingerprint; nothing else is ever recalled."""

import json
import warnings
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from venomqa_hyp import ActionCounts, ExplorationResult, Graph, Severity, State, Violation
from venomqa_hyp.agent import cache
from venomqa_hyp.agent.cache import CacheWarning, load, store

CLEAN = ExplorationResult(
    Graph(State("a", {}, {})), (), 2.5, {"pay": ActionCounts(executed=3)}, ended_by="max_steps"
)


def test_a_clean_result_is_recalled_and_says_so(tmp_path: Path) -> None:
    """The record is that of the earlier run, with the reason why nothing was executed."""
    folder = tmp_path / "not" / "there"
    assert load(folder, "f00d") is None
    assert store(folder, "f00d", CLEAN)
    recalled = load(folder, "f00d")
    assert recalled is not None
    assert recalled.skipped is not None
    assert recalled.skipped.startswith("nothing changed since 2")
    assert recalled.skipped.endswith("(1 states, 3 steps); exploration skipped")
    assert attrs.evolve(recalled, skipped=None).to_dict() == CLEAN.to_dict()
    assert load(folder, "beef") is None
    assert [path.name for path in folder.iterdir()] == ["f00d.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"violations": (Violation("few", Severity.LOW, "no", ()),)},
        {"divergence": "another row"},
        {"worker_failures": ("worker 1 died",)},
        {"skipped": "nothing changed"},
        {"unmet": ("refund: 0 of 3 steps succeeded",)},
        {"ended_by": "time_limit"},
    ],
)
def test_only_clean_results_are_kept(tmp_path: Path, change: dict[str, Any]) -> None:
    """A finding must show again in the next run."""
    assert not store(tmp_path, "f00d", attrs.evolve(CLEAN, **change))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff", b'{"stored": "x", "result": {}}', b"[" * 100_000],
)
def test_a_corrupted_file_is_named_and_ignored(tmp_path: Path, content: bytes) -> None:
    """The exploration then runs, and its result takes the place of the file."""
    path = tmp_path / "f00d.json"
    path.write_bytes(content)
    with pytest.warns(CacheWarning, match=r"f00d\.json is not the record of an exploration"):
        assert load(tmp_path, "f00d") is None
    assert path.read_bytes() == content
    assert store(tmp_path, "f00d", CLEAN)
    assert load(tmp_path, "f00d") is not None


@given(st.data())
def test_no_damage_makes_a_record_raise(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Whatever a part of the JSON is replaced by, the file is read, or ignored with a warning."""
    folder = tmp_path_factory.getbasetemp() / "damaged"
    store(folder, "f00d", CLEAN)
    path = folder / "f00d.json"
    whole = json.loads(path.read_text())
    at = whole
    while isinstance(at, (dict, list)) and at:
        keys = sorted(at) if isinstance(at, dict) else range(len(at))
        key = data.draw(st.sampled_from(list(keys)))
        if data.draw(st.booleans()) or not isinstance(at[key], (dict, list)):
            at[key] = data.draw(st.none() | st.integers(0, 3) | st.text("$a") | st.just([]))
            break
        at = at[key]
    path.write_text(json.dumps(whole))
    with warnings.catch_warnings(record=True, action="always") as warned:
        recalled = load(folder, "f00d")
    assert [item.category for item in warned] == [CacheWarning] * (recalled is None)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The exploration was not in vain: its result is there, only not kept."""
    (tmp_path / "file").write_text("")
    with pytest.warns(CacheWarning, match="cannot be written"):
        assert not store(tmp_path / "file" / "cache", "f00d", CLEAN)


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is there whole or not at all."""

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", fail)
    with pytest.warns(CacheWarning, match="No space left"):
        assert not store(tmp_path, "f00d", CLEAN)
    assert list(tmp_path.iterdir()) == []


def test_old_records_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory does not grow for ever."""
    monkeypatch.setattr(cache, "KEPT", 3)
    for number in range(5):
        store(tmp_path, str(number), CLEAN)
    assert len(list(tmp_path.iterdir())) == 3
    assert load(tmp_path, "4") is not None
