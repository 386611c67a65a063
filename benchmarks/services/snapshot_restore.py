"""A configuration of which snapshots are taken and restored."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case
from venomqa_hyp import action, from_context

KEYS = st.sampled_from(["colour", "limit", "region", "timeout"])
SNAPSHOT = from_context("snapshots")


@action(arguments={"values": st.dictionaries(KEYS, st.integers(), max_size=3)})
def change(api: Any, context: Any, values: dict[str, int]) -> None:
    api["config"].update(values)


@action(arguments={"key": KEYS})
def unset(api: Any, context: Any, key: str) -> None:
    api["config"].pop(key, None)


@action(arguments={"label": st.text(max_size=10)})
def take_snapshot(api: Any, context: Any, label: str) -> None:
    number = len(api["snapshots"]) + 1
    api["snapshots"][number] = {"label": label, "config": dict(api["config"])}
    context["snapshots"] = [*context.get("snapshots", []), number]


@action(arguments={"snapshot": SNAPSHOT})
def restore(api: Any, context: Any, snapshot: int) -> None:
    saved = api["snapshots"][snapshot]["config"]
    api["config"].update(saved)
    assert api["config"] == saved, f"restored {saved}, got {api['config']}"


@action(arguments={"key": KEYS, "default": st.one_of(st.none(), st.integers())})
def read(api: Any, context: Any, key: str, default: int | None) -> int | None:
    value: int | None = api["config"].get(key, default)
    return value


CASE = Case(
    "snapshot_restore",
    "restoring a snapshot keeps the keys that were added after it",
    [change, unset, take_snapshot, restore, read],
    [],
    minimum=3,
    alphabet={
        "change": {"values": [{}, {"limit": 0}, {"limit": 1}, {"colour": 0}]},
        "unset": {"key": ["limit", "colour"]},
        "take_snapshot": {"label": [""]},
        "read": {"key": ["limit"], "default": [None]},
    },
    data={"config": {}, "snapshots": {}},
)
