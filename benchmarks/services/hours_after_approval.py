"""A payroll whose steps require each other by name."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, rule
from venomqa_hyp import action

EMPLOYEE = st.integers(1, 5)


@action(arguments={"employee": EMPLOYEE, "hours": st.integers(1, 80), "sick": st.booleans()})
def add_hours(api: Any, context: Any, employee: int, hours: int, sick: bool) -> None:
    if not api["closed"]:
        api["hours"].setdefault(employee, []).append(hours)


@action(arguments={"employee": EMPLOYEE}, preconditions=["add_hours"])
def clear_hours(api: Any, context: Any, employee: int) -> None:
    if not api["closed"] and not api["approved"]:
        api["hours"].pop(employee, None)


@action(arguments={"comment": st.text(max_size=30)}, preconditions=["add_hours"])
def approve(api: Any, context: Any, comment: str) -> None:
    api["approved"] = {"comment": comment, "hours": sum(map(sum, api["hours"].values()))}


@action(preconditions=["approve"], max_calls=2)
def withdraw_approval(api: Any, context: Any) -> None:
    api["approved"] = None


@action(preconditions=["approve"], max_calls=1)
def pay_out(api: Any, context: Any) -> None:
    if api["approved"] and not api["closed"]:
        api["closed"] = True
        api["paid"] = sum(map(sum, api["hours"].values()))


@action(arguments={"employee": EMPLOYEE})
def show(api: Any, context: Any, employee: int) -> list[int]:
    return list(api["hours"].get(employee, []))


@rule
def only_approved_hours_are_paid(store: Any) -> str | None:
    if not store["closed"] or store["paid"] == store["approved"]["hours"]:
        return None
    return f"approved {store['approved']}, paid {store['paid']}"


CASE = Case(
    "hours_after_approval",
    "hours can be added after the approval and are paid",
    [add_hours, clear_hours, approve, withdraw_approval, pay_out, show],
    [only_approved_hours_are_paid],
    minimum=4,
    alphabet={
        "add_hours": {"employee": [1, 2], "hours": [1, 80], "sick": [False]},
        "clear_hours": {"employee": [1, 2]},
        "approve": {"comment": [""]},
        "show": {"employee": [1]},
    },
    data={"hours": {}, "approved": None, "closed": False, "paid": 0},
)
