"""A course with two seats and a waiting list."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, rule
from venomqa_hyp import action, from_context

SEATS = 2
REGISTRATION = from_context("registrations")


@action(arguments={"name": st.text(min_size=1, max_size=20), "age": st.integers(0, 120)})
def register(api: Any, context: Any, name: str, age: int) -> None:
    number = api["registered"] = api["registered"] + 1
    seated = api["taken"] < SEATS
    api["people"][number] = {"name": name, "age": age, "seated": seated}
    api["taken"] += seated
    context["registrations"] = [*context.get("registrations", []), number]


@action(arguments={"registration": REGISTRATION})
def cancel(api: Any, context: Any, registration: int) -> None:
    del api["people"][registration]
    api["taken"] -= 1
    context["registrations"] = [item for item in context["registrations"] if item != registration]


@action()
def move_up(api: Any, context: Any) -> None:
    waiting = [number for number, person in api["people"].items() if not person["seated"]]
    if waiting and api["taken"] < SEATS:
        api["people"][min(waiting)]["seated"] = True
        api["taken"] += 1


@action(arguments={"registration": REGISTRATION, "age": st.integers(0, 120)})
def correct_age(api: Any, context: Any, registration: int, age: int) -> None:
    api["people"][registration]["age"] = age


@action(arguments={"adults_only": st.booleans()})
def count(api: Any, context: Any, adults_only: bool) -> int:
    return sum(item["age"] >= 18 or not adults_only for item in api["people"].values())


@rule
def nobody_sits_on_the_floor(store: Any) -> str | None:
    seated = sum(person["seated"] for person in store["people"].values())
    return None if seated <= SEATS else f"{seated} people on {SEATS} seats"


CASE = Case(
    "seats_and_waiting_list",
    "who cancels frees a seat, also from the waiting list",
    [register, cancel, move_up, correct_age, count],
    [nobody_sits_on_the_floor],
    minimum=5,
    alphabet={
        "register": {"name": ["x"], "age": [0, 18]},
        "correct_age": {"age": [0]},
        "count": {"adults_only": [False]},
    },
    data={"people": {}, "registered": 0, "taken": 0},
)
