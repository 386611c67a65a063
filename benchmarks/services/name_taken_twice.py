"""User names that are the same in upper and lower case."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, rule
from venomqa_hyp import action, from_context

NAMES = st.text(alphabet="abAB", min_size=1, max_size=3)
USER = from_context("users")


@action(arguments={"name": NAMES, "newsletter": st.booleans()})
def sign_up(api: Any, context: Any, name: str, newsletter: bool) -> None:
    if any(user["name"].lower() == name.lower() for user in api["users"].values()):
        return
    number = len(api["users"]) + 1
    api["users"][number] = {"name": name, "newsletter": newsletter, "confirmed": False}
    context["users"] = [*context.get("users", []), number]


@action(arguments={"user": USER})
def confirm(api: Any, context: Any, user: int) -> None:
    api["users"][user]["confirmed"] = True


@action(arguments={"user": USER, "name": NAMES})
def rename(api: Any, context: Any, user: int, name: str) -> None:
    names = [other["name"] for other in api["users"].values()]
    if api["users"][user]["confirmed"] and name not in names:
        api["users"][user]["name"] = name


@action(arguments={"name": NAMES})
def find(api: Any, context: Any, name: str) -> list[int]:
    users = api["users"].items()
    return [number for number, user in users if user["name"].lower() == name.lower()]


@rule
def names_are_unique(store: Any) -> str | None:
    names = [user["name"].lower() for user in store["users"].values()]
    return None if len(names) == len(set(names)) else f"names {names}"


CASE = Case(
    "name_taken_twice",
    "renaming a user compares the new name with the others in its case",
    [sign_up, confirm, rename, find],
    [names_are_unique],
    minimum=4,
    alphabet={
        "sign_up": {"name": ["a", "A", "b"], "newsletter": [False]},
        "rename": {"name": ["a", "A", "b"]},
        "find": {"name": ["a"]},
    },
    data={"users": {}},
)
