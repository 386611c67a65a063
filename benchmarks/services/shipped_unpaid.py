"""The life of orders, which are named by absolute numbers."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, first, rule
from venomqa_hyp import action

ORDER = st.integers(1, 10)


def has_status(api: Any, order: int, *permitted: str) -> bool:
    return order in api["orders"] and api["orders"][order]["status"] in permitted


@action(arguments={"items": st.lists(st.integers(1, 99), min_size=1, max_size=4)})
def create(api: Any, context: Any, items: list[int]) -> None:
    number = len(api["orders"]) + 1
    api["orders"][number] = {"items": items, "status": "new", "paid": False, "money": 0}


@action(arguments={"order": ORDER})
def pay(api: Any, context: Any, order: int) -> None:
    if has_status(api, order, "new") and not api["orders"][order]["paid"]:
        found = api["orders"][order]
        found |= {"paid": True, "money": sum(found["items"])}


@action(arguments={"order": ORDER})
def cancel(api: Any, context: Any, order: int) -> None:
    if has_status(api, order, "new"):
        api["orders"][order] |= {"status": "cancelled", "money": 0}


@action(arguments={"order": ORDER})
def reopen(api: Any, context: Any, order: int) -> None:
    if has_status(api, order, "cancelled"):
        api["orders"][order]["status"] = "new"


@action(arguments={"order": ORDER})
def ship(api: Any, context: Any, order: int) -> None:
    if has_status(api, order, "new") and api["orders"][order]["paid"]:
        api["orders"][order]["status"] = "shipped"


@action(arguments={"order": ORDER})
def show(api: Any, context: Any, order: int) -> Any:
    return api["orders"].get(order)


@rule
def what_is_shipped_is_paid(store: Any) -> str | None:
    return first(
        f"order {number}: {order}"
        for number, order in store["orders"].items()
        if order["status"] == "shipped" and not order["money"]
    )


CASE = Case(
    "shipped_unpaid",
    "an order that was cancelled, and its money returned, still counts as paid when reopened",
    [create, pay, cancel, reopen, ship, show],
    [what_is_shipped_is_paid],
    minimum=5,
    alphabet={
        "create": {"items": [[1]]},
        **{name: {"order": [1, 2]} for name in ("pay", "cancel", "reopen", "ship", "show")},
    },
    data={"orders": {}},
)
