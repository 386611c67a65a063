"""What customers do in the shop of two stores, and what must hold after every request."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from venomqa_hyp import Context, Severity, World, action, from_context, invariant
from venomqa_hyp.adapters import HttpClient, MockMail, PostgresAdapter, RedisAdapter
from venomqa_hyp.testing.process import serve

GOODS = """
SELECT product, left_over, (
    SELECT coalesce(sum(pieces), 0) FROM orders
    WHERE orders.product = stock.product AND status = 'placed'
) FROM stock ORDER BY product
"""
CUSTOMERS = ("ada", "grace")
PRODUCTS = ("bowl", "cup")
PIECES = 6
SERVICE = Path(__file__).with_name("cart_service.py")

a_customer = st.sampled_from(CUSTOMERS)


@action(
    arguments={
        "customer": a_customer,
        "product": st.sampled_from(PRODUCTS),
        "pieces": st.integers(1, 3),
    }
)
def put_into_cart(
    api: HttpClient, context: Context, customer: str, product: str, pieces: int
) -> Any:
    return api.post(f"/cart/{customer}", json={"product": product, "pieces": pieces})


@action(arguments={"customer": a_customer})
def checkout(api: HttpClient, context: Context, customer: str) -> Any:
    response = api.post(f"/checkout/{customer}")
    if response.status_code == 201:
        context["orders"] = [*context.get("orders", []), *response.json()["orders"]]
    return response


@action(arguments={"order": from_context("orders")})
def cancel(api: HttpClient, context: Context, order: int) -> Any:
    return api.post(f"/orders/{order}/cancel")


@invariant(severity=Severity.CRITICAL)
def no_goods_appear(world: World) -> str | None:
    """What is in stock and what is ordered is what there was at the start."""
    goods = world.systems["db"].observe().data["queries"]["goods"]["rows"]
    for product, left_over, ordered in goods:
        if left_over + ordered != PIECES:
            return f"{left_over} {product}s in stock and {ordered} ordered, of {PIECES}"
    return None


@invariant
def every_order_is_confirmed(world: World) -> bool:
    """There is a mail for each checkout."""
    confirmed = " ".join(mail.subject for mail in world.systems["mail"].outbox)
    return all(str(order) in confirmed for order in world.context.get("orders", []))


ACTIONS = [put_into_cart, checkout, cancel]
INVARIANTS = [no_goods_appear, every_order_is_confirmed]


@contextmanager
def open_shop(
    database: str, cache: str, *, prefix: str = "shop:", fixed: bool = False
) -> Iterator[World]:
    """Start the service in a process of its own and yield a World of its stores and mails.

    :param database: the DSN of a PostgreSQL database.
    :param cache: the URL of a Redis server; only keys under the prefix are touched.
    """
    with MockMail() as mail:
        mail.serve()
        command = [sys.executable, str(SERVICE), "--database", database, "--redis", cache]
        command += ["--mail", f"{mail.host}:{mail.port}", "--prefix", prefix]
        command += ["--port", "{port}"]
        with serve([*command, "--fixed"] if fixed else command) as server:
            db = PostgresAdapter(database)
            db.add_observation_query("goods", GOODS)
            systems = {"db": db, "cache": RedisAdapter(cache, prefix=prefix), "mail": mail}
            with World(HttpClient(server.url), systems) as world:
                yield world
