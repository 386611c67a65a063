"""A file store with a quota; files and the trash are Bundles that are consumed."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple

from services.case import Case, rule
from venomqa_hyp import action

QUOTA = 100
FILES: Bundle[int] = Bundle("files")
TRASHED: Bundle[int] = Bundle("trashed")


def used(api: Any) -> int:
    return sum(item["size"] for item in api["files"].values() if not item["trashed"])


@action(arguments={"name": st.text(max_size=10), "size": st.integers(1, 50)}, target=FILES)
def upload(api: Any, context: Any, name: str, size: int) -> Any:
    if used(api) + size > QUOTA:
        return multiple()
    number = api["uploads"] = api["uploads"] + 1
    api["files"][number] = {"name": name, "size": size, "trashed": False}
    return number


@action(arguments={"file": consumes(FILES)}, target=TRASHED)
def trash(api: Any, context: Any, file: int) -> int:
    api["files"][file]["trashed"] = True
    return file


@action(arguments={"file": consumes(TRASHED)}, target=FILES)
def restore(api: Any, context: Any, file: int) -> Any:
    if used(api) > QUOTA:
        return multiple()
    api["files"][file]["trashed"] = False
    return file


@action(arguments={"file": consumes(TRASHED)})
def purge(api: Any, context: Any, file: int) -> None:
    del api["files"][file]


@action(arguments={"file": FILES, "name": st.text(max_size=10)})
def rename(api: Any, context: Any, file: int, name: str) -> None:
    api["files"][file]["name"] = name


@action()
def show_usage(api: Any, context: Any) -> int:
    return used(api)


@rule
def the_quota_holds(store: Any) -> str | None:
    return None if used(store) <= QUOTA else f"{used(store)} of {QUOTA} are used"


CASE = Case(
    "quota_after_restore",
    "a restore asks whether the quota is exceeded, not whether it would be",
    [upload, trash, restore, purge, rename, show_usage],
    [the_quota_holds],
    minimum=5,
    alphabet={
        "upload": {"name": [""], "size": [1, 25, 50]},
        "rename": {"name": ["x"]},
    },
    data={"files": {}, "uploads": 0},
)
