"""A shop that pays money back."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, first, rule
from venomqa_hyp import action, from_context

ORDER = from_context("orders")
AMOUNTS = st.integers(1, 100_000)


@action(arguments={"amount": AMOUNTS, "note": st.text(max_size=20)})
def create_order(api: Any, context: Any, amount: int, note: str) -> None:
    order = len(api["orders"]) + 1
    api["orders"][order] = {"amount": amount, "note": note, "status": "new", "refunds": []}
    context["orders"] = [*context.get("orders", []), order]


@action(arguments={"order": ORDER, "method": st.sampled_from(["card", "transfer", "cash"])})
def pay(api: Any, context: Any, order: int, method: str) -> None:
    if api["orders"][order]["status"] == "new":
        api["orders"][order] |= {"status": "paid", "method": method}


@action(arguments={"order": ORDER, "amount": AMOUNTS})
def refund(api: Any, context: Any, order: int, amount: int) -> None:
    found = api["orders"][order]
    if found["status"] == "paid" and amount <= found["amount"]:
        found["refunds"].append(amount)


@action(arguments={"order": ORDER})
def cancel(api: Any, context: Any, order: int) -> None:
    if api["orders"][order]["status"] == "new":
        api["orders"][order]["status"] = "cancelled"


@action(arguments={"order": ORDER, "note": st.text(max_size=20)})
def change_note(api: Any, context: Any, order: int, note: str) -> None:
    api["orders"][order]["note"] = note


@action(arguments={"paid_only": st.booleans()})
def list_orders(api: Any, context: Any, paid_only: bool) -> list[int]:
    orders = api["orders"].items()
    return [number for number, order in orders if order["status"] == "paid" or not paid_only]


@rule
def refunds_never_exceed_the_payment(store: Any) -> str | None:
    return first(
        f"order {number}: {order}"
        for number, order in store["orders"].items()
        if sum(order["refunds"]) > order["amount"]
    )


CASE = Case(
    "double_refund",
    "a refund is compared with the payment, not with what earlier refunds left of it",
    [create_order, pay, refund, cancel, change_note, list_orders],
    [refunds_never_exceed_the_payment],
    minimum=4,
    alphabet={
        "create_order": {"amount": [1, 2, 100_000], "note": [""]},
        "pay": {"method": ["card"]},
        "refund": {"amount": [1, 2, 100_000]},
        "change_note": {"note": ["x"]},
        "list_orders": {"paid_only": [False]},
    },
    data={"orders": {}},
)
