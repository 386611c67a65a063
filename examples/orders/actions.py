"""What a customer does with the order service, and what must hold whatever they do.

Each action takes the HTTP client, the context of the path and its own arguments, asserts that the
answer has a permitted status, and returns the response. The service refuses with 401 after a logout
and with 409 what the status of an order does not allow; both are correct answers.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from venomqa_hyp import Action, Severity, World, from_context, invariant
from venomqa_hyp.adapters import HttpClient, SQLiteAdapter
from venomqa_hyp.testing.process import ServerProcess, serve

REFUSALS = {401, 409}

MONEY = """
SELECT id, status,
    (SELECT COALESCE(SUM(amount), 0) FROM payments WHERE order_id = orders.id) AS paid,
    (SELECT COALESCE(SUM(amount), 0) FROM refunds WHERE order_id = orders.id) AS refunded
FROM orders ORDER BY id
"""


def login(api: Any, context: Any, name: str = "ada", password: str = "lovelace") -> Any:
    """Log in and send the session's token from now on."""
    response = api.post("/login", json={"name": name, "password": password})
    expect(response, {200})
    api.headers["Authorization"] = f"Bearer {response.json()['token']}"
    return response


def logout(api: Any, context: Any) -> Any:
    """Log out and send no token any more."""
    response = api.post("/logout")
    expect(response, {204, 401})
    api.headers.pop("Authorization", None)
    return response


def create_order(api: Any, context: Any, amount: int) -> Any:
    """Order something and remember the order's id."""
    response = api.post("/orders", json={"amount": amount})
    expect(response, {201, 401})
    if response.status_code == 201:
        context.set("orders", [*(context.get("orders") or []), response.json()["id"]])
    return response


def list_orders(api: Any, context: Any) -> Any:
    """List the orders; all that were created must be there."""
    response = api.get("/orders")
    expect(response, {200, 401})
    if response.status_code == 200:
        listed = [order["id"] for order in response.json()["orders"]]
        created = context.get("orders") or []
        assert len(listed) == len(created), f"created {created}, listed {listed}"
    return response


def pay(api: Any, context: Any, order: int) -> Any:
    """Pay an order."""
    return expect(api.post(f"/orders/{order}/payment"), {201} | REFUSALS)


def refund(api: Any, context: Any, order: int, amount: int) -> Any:
    """Ask for a part of the money back."""
    return expect(api.post(f"/orders/{order}/refunds", json={"amount": amount}), {201} | REFUSALS)


def cancel(api: Any, context: Any, order: int) -> Any:
    """Cancel an order."""
    return expect(api.post(f"/orders/{order}/cancel"), {200} | REFUSALS)


def reopen(api: Any, context: Any, order: int) -> Any:
    """Reopen a cancelled order."""
    return expect(api.post(f"/orders/{order}/reopen"), {200} | REFUSALS)


def pack(api: Any, context: Any, order: int) -> Any:
    """Pack an order."""
    return expect(api.post(f"/orders/{order}/pack"), {200} | REFUSALS)


def ship(api: Any, context: Any, order: int) -> Any:
    """Ship an order."""
    return expect(api.post(f"/orders/{order}/ship"), {200} | REFUSALS)


def expect(response: Any, permitted: set[int]) -> Any:
    """Return *response*, which must have a *permitted* status."""
    assert response.status_code in permitted, (
        f"answered {response.status_code}, permitted: {sorted(permitted)}; {response.text}"
    )
    return response


CENTS = st.integers(1, 10)
ORDER = from_context("orders")

# Who uses the service is logged in by open_world(), so no counterexample spends a step on it.
ACTIONS = [
    # Two orders are enough to mix them up, and they keep the number of states small.
    Action("create_order", create_order, arguments={"amount": CENTS}, max_calls=2),
    Action("list_orders", list_orders),
    Action("pay", pay, arguments={"order": ORDER}),
    Action("refund", refund, arguments={"order": ORDER, "amount": CENTS}),
    Action("cancel", cancel, arguments={"order": ORDER}),
    Action("reopen", reopen, arguments={"order": ORDER}),
    Action("pack", pack, arguments={"order": ORDER}),
    Action("ship", ship, arguments={"order": ORDER}),
]


@invariant(severity=Severity.CRITICAL)
def refunds_within_payments(world: World) -> str | None:
    """The refunds of an order never exceed its payments."""
    for order, _, paid, refunded in money(world):
        if refunded > paid:
            return f"order {order}: refunded {refunded} of {paid} paid"
    return None


@invariant(severity=Severity.CRITICAL)
def shipped_orders_are_paid(world: World) -> str | None:
    """Some money was kept for each order that is shipped."""
    for order, status, paid, refunded in money(world):
        if status == "shipped" and paid <= refunded:
            return f"order {order}: shipped, with {refunded} of {paid} paid returned"
    return None


INVARIANTS = [refunds_within_payments, shipped_orders_are_paid]


def money(world: World) -> Iterator[tuple[int, str, int, int]]:
    """Yield id, status, paid and refunded of each order, from the database itself."""
    yield from world.systems["db"].observe().data["queries"]["money"]["rows"]


def open_world(url: str, database: str | os.PathLike[str]) -> World:
    """Return the World of a customer who is logged in to the service at *url*."""
    api = HttpClient(url)
    db = SQLiteAdapter(database)
    db.add_observation_query("money", MONEY)
    login(api, {})
    return World(api, {"db": db})


def serve_orders(
    database: str | os.PathLike[str], *, fixed: bool = False
) -> AbstractContextManager[ServerProcess]:
    """Run the service in a process of its own for the length of a ``with`` block."""
    service = Path(__file__).with_name("service.py")
    command = [sys.executable, str(service), "--database", os.fspath(database), "--port", "{port}"]
    return serve([*command, "--fixed"] if fixed else command)
