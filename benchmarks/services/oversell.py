"""A warehouse with a stock of three products."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, first, rule
from venomqa_hyp import action, from_context

PRODUCTS = st.sampled_from(["bowl", "cup", "plate"])
RESERVATION = from_context("reservations")


@action(arguments={"product": PRODUCTS, "quantity": st.integers(1, 20)})
def reserve(api: Any, context: Any, product: str, quantity: int) -> None:
    if api["stock"][product] < quantity:
        return
    api["stock"][product] -= quantity
    number = len(api["reservations"]) + 1
    api["reservations"][number] = {"product": product, "quantity": quantity, "shipped": False}
    context["reservations"] = [*context.get("reservations", []), number]


@action(arguments={"reservation": RESERVATION})
def cancel(api: Any, context: Any, reservation: int) -> None:
    found = api["reservations"][reservation]
    if not found["shipped"]:
        found["cancelled"] = True
        api["stock"][found["product"]] += found["quantity"]


@action(arguments={"reservation": RESERVATION, "express": st.booleans()})
def ship(api: Any, context: Any, reservation: int, express: bool) -> None:
    found = api["reservations"][reservation]
    if not found["shipped"] and not found.get("cancelled"):
        found["shipped"] = True
        api["shipped"][found["product"]] += found["quantity"]


@action(arguments={"product": PRODUCTS, "quantity": st.integers(1, 50)})
def restock(api: Any, context: Any, product: str, quantity: int) -> None:
    api["stock"][product] += quantity
    api["received"][product] += quantity


@action(arguments={"product": PRODUCTS})
def available(api: Any, context: Any, product: str) -> int:
    return int(api["stock"][product])


@rule
def ships_no_more_than_was_received(store: Any) -> str | None:
    return first(
        f"{product}: shipped {count} of {store['received'][product]}"
        for product, count in store["shipped"].items()
        if count > store["received"][product]
    )


CASE = Case(
    "oversell",
    "cancelling a reservation again gives its quantity back again",
    [reserve, cancel, ship, restock, available],
    [ships_no_more_than_was_received],
    minimum=5,
    alphabet={
        "reserve": {"product": ["bowl"], "quantity": [1, 10, 11, 20]},
        "ship": {"express": [False]},
        "restock": {"product": ["bowl"], "quantity": [1, 50]},
        "available": {"product": ["bowl"]},
    },
    data={
        "stock": {"bowl": 10, "cup": 10, "plate": 10},
        "received": {"bowl": 10, "cup": 10, "plate": 10},
        "shipped": {"bowl": 0, "cup": 0, "plate": 0},
        "reservations": {},
    },
)
