"""What mypy must accept of a user's test, in strict mode; checked with the rest of the tests."""

from typing import assert_type

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import Bundle

from venomqa_hyp import Action, Context, Invariant, Severity, World, action, from_context, invariant

orders: Bundle[int] = Bundle("orders")


@action
def list_orders(api: httpx.Client, context: Context) -> httpx.Response:
    return api.get("/orders")


@action(arguments={"amount": st.integers(1, 100)}, target=orders, max_calls=3)
def create(api: httpx.Client, context: Context, amount: int) -> int:
    number: int = api.post("/orders", json={"amount": amount}).json()["id"]
    context["orders"] = [number]
    return number


@action(arguments={"order": orders, "other": from_context("orders")}, preconditions=["create"])
def merge(api: httpx.Client, context: Context, order: int, other: int) -> None:
    api.post(f"/orders/{order}/merge", json={"other": other})


@invariant
def is_up(world: World) -> bool:
    rows = world.systems["db"].query("select 1")
    return world.api.get("/").status_code == 200 and bool(rows)


@invariant(severity=Severity.CRITICAL, when=lambda world: True)
def adds_up(world: World) -> str | None:
    return None


assert_type(list_orders, Action)
assert_type(create, Action)
assert_type(merge, Action)
assert_type(is_up, Invariant)
assert_type(adds_up, Invariant)
