"""A registry of releases: drafts, approval, and an installer that wants the newest."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case
from venomqa_hyp import action

MAJOR, MINOR = st.integers(0, 3), st.integers(0, 30)


@action(arguments={"major": MAJOR, "minor": MINOR, "notes": st.text(max_size=20)})
def draft(api: Any, context: Any, major: int, minor: int, notes: str) -> None:
    api["releases"].setdefault(f"{major}.{minor}", {"notes": notes, "approved": False})


@action(arguments={"major": MAJOR})
def approve(api: Any, context: Any, major: int) -> None:
    for version, release in api["releases"].items():
        if version.startswith(f"{major}."):
            release["approved"] = True


@action(arguments={"major": MAJOR, "minor": MINOR})
def withdraw(api: Any, context: Any, major: int, minor: int) -> None:
    api["releases"].pop(f"{major}.{minor}", None)


@action(arguments={"dry_run": st.booleans()})
def install_newest(api: Any, context: Any, dry_run: bool) -> None:
    approved = [version for version, release in api["releases"].items() if release["approved"]]
    if not approved:
        return
    newest = max(approved)
    expected = max(approved, key=lambda version: tuple(map(int, version.split("."))))
    assert newest == expected, f"installs {newest} where {expected} is there"
    if not dry_run:
        api["installed"] = newest


CASE = Case(
    "version_order",
    "versions are compared as text",
    [draft, approve, withdraw, install_newest],
    [],
    minimum=4,
    alphabet={
        "draft": {"major": [0, 1], "minor": [0, 2, 9, 10], "notes": [""]},
        "approve": {"major": [0, 1]},
        "withdraw": {"major": [0], "minor": [2, 10]},
        "install_newest": {"dry_run": [False, True]},
    },
    data={"releases": {}, "installed": None},
)
