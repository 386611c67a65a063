"""What a customer and the warehouse do, and what must hold after each step.

Each action takes the HTTP client, the context of the path and its own arguments, asserts that the
answer has a permitted status, and returns the response.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
from hypothesis import strategies as st
from models import PRODUCTS, STOCK

from venomqa_hyp import Action, Context, Severity, World, from_context, invariant
from venomqa_hyp.adapters import HttpClient, PostgresAdapter, RedisAdapter
from venomqa_hyp.testing.process import serve

FOLDER = Path(__file__).parent
WAREHOUSE = {"X-Warehouse-Key": "key of the warehouse"}

GOODS = """
SELECT sku, stock, (
    SELECT coalesce(sum(quantity - cancelled - returned), 0)::int FROM orders
    WHERE product_id = products.id
) FROM products
"""
MONEY = """
SELECT id, status, price * (shipped - returned),
    (SELECT coalesce(sum(amount), 0) FROM payments WHERE order_id = orders.id AND kind = 'charge'),
    (SELECT coalesce(sum(amount), 0) FROM payments WHERE order_id = orders.id AND kind = 'refund')
FROM orders
"""
EVENTS = """
SELECT id, jsonb_array_length(history)::int,
    (SELECT count(*) FROM audit_log WHERE order_id = orders.id)::int,
    (SELECT count(*) FROM outbox WHERE payload ->> 'order' = orders.id::text)::int
FROM orders
"""
COUNTS = """
SELECT (SELECT count(*) FROM orders WHERE user_id = users.id)::int,
    coalesce((SELECT orders_placed FROM customer_statistics WHERE user_id = users.id), 0)
FROM users
"""


def log_in(api: Any, context: Context) -> Any:
    """Log in on one more device, and go on there."""
    sent = {"email": context["email"], "password": context["password"]}
    response = expect(api.post("/sessions", json=sent), {201})
    token = response.json()["access_token"]
    context["tokens"] = [*context.values_under("tokens"), token]
    use(api, token)
    return response


def log_out(api: Any, context: Context) -> Any:
    """Log out; from now on the service refuses the token."""
    response = expect(api.delete("/sessions/current"), {204, 401})
    note_ended(context, [token_of(api)])
    return response


def change_password(api: Any, context: Context, password: str) -> Any:
    """Choose another password; that logs out all other devices."""
    sent = {"old": context["password"], "new": password}
    response = expect(api.put("/me/password", json=sent), {204, 401})
    if response.status_code == 204:
        context["password"] = password
        kept = token_of(api)
        note_ended(context, [token for token in context.values_under("tokens") if token != kept])
    return response


def switch_device(api: Any, context: Context, token: str) -> Any:
    """Look at the profile on another device, and go on there."""
    use(api, token)
    permitted = 401 if token in context.values_under("ended") else 200
    return expect(api.get("/me"), {permitted})


def place_order(api: Any, context: Context, sku: str, quantity: int) -> Any:
    """Order something and remember the order."""
    response = api.post("/orders", json={"sku": sku, "quantity": quantity})
    expect(response, {201, 401})
    if response.status_code == 201:
        order = response.json()["id"]
        context["orders"] = [*context.values_under("orders"), order]
        note_version(context, order, response)
    return response


def list_orders(api: Any, context: Context) -> Any:
    """List the orders; all that were placed must be there."""
    response = expect(api.get("/orders"), {200, 401})
    if response.status_code == 200:
        listed = [order["id"] for order in response.json()]
        assert listed == context.values_under("orders")
    return response


def annotate(api: Any, context: Context, order: str, behind: int) -> Any:
    """Change the note of an order, seen in the present version or in an earlier one."""
    version = versions_in(context)[order] - behind
    sent = {"headers": {"If-Match": f'"{version}"'}, "json": {"note": "Please hurry"}}
    response = api.patch(f"/orders/{order}", **sent)
    expect(response, {401, 412 if behind else 200})
    return note_version(context, order, response)


def pay(api: Any, context: Context, order: str) -> Any:
    """Pay an order."""
    return change(api, context, order, "payment")


def refund(api: Any, context: Context, order: str, amount: Decimal) -> Any:
    """Ask for a part of the money back."""
    return change(api, context, order, "refunds", amount=str(amount))


def cancel(api: Any, context: Context, order: str) -> Any:
    """Cancel what was not shipped."""
    return change(api, context, order, "cancellation")


def request_return(api: Any, context: Context, order: str) -> Any:
    """Announce a return."""
    return change(api, context, order, "return-request")


def ship(api: Any, context: Context, order: str, units: int) -> Any:
    """Ship some units of an order; the warehouse does."""
    path = f"/warehouse/orders/{order}/shipments"
    response = expect(api.post(path, headers=WAREHOUSE, json={"units": units}), {200, 409})
    return note_version(context, order, response)


def receive_return(api: Any, context: Context, order: str) -> Any:
    """Take a return in; the warehouse does."""
    response = api.post(f"/warehouse/orders/{order}/returns", headers=WAREHOUSE)
    return note_version(context, order, expect(response, {200, 409}))


def change(api: Any, context: Context, order: str, what: str, **sent: Any) -> Any:
    headers = {"If-Match": f'"{versions_in(context)[order]}"'}
    response = api.post(f"/orders/{order}/{what}", headers=headers, json=sent)
    return note_version(context, order, expect(response, {200, 401, 409}))


def note_ended(context: Context, tokens: list[Any]) -> None:
    """Remember tokens that the service has to refuse from now on."""
    ended = context.values_under("ended")
    context["ended"] = [*ended, *(token for token in tokens if token not in ended)]


def note_version(context: Context, order: str, response: Any) -> Any:
    """Remember the version that an answer names."""
    if "ETag" in response.headers:
        version = int(response.headers["ETag"].strip('"'))
        context["versions"] = versions_in(context) | {order: version}
    return response


def versions_in(context: Context) -> dict[str, int]:
    """Return order -> its version, as the customer saw it last."""
    versions: Any = context.get("versions", {})
    return dict(versions)


def use(api: Any, token: str) -> None:
    api.headers["Authorization"] = f"Bearer {token}"


def token_of(api: Any) -> str:
    return str(api.headers["Authorization"]).removeprefix("Bearer ")


def expect(response: Any, permitted: set[int]) -> Any:
    """Return *response*, which must have a *permitted* status."""
    assert response.status_code in permitted, (
        f"answered {response.status_code}, permitted: {sorted(permitted)}; {response.text}"
    )
    return response


ORDER = from_context("orders")
UNITS = st.integers(1, 3)
AMOUNT = st.decimals(Decimal("0.01"), Decimal("20.00"), places=2)

ACTIONS = [
    Action("log_in", log_in, max_calls=2),
    Action("log_out", log_out),
    Action(
        "change_password",
        change_password,
        arguments={"password": st.sampled_from(["lovelace", "babbage"])},
    ),
    Action("switch_device", switch_device, arguments={"token": from_context("tokens")}),
    # Two orders are enough to mix them up, and they keep the number of states small.
    Action(
        "place_order",
        place_order,
        arguments={"sku": st.sampled_from(sorted(PRODUCTS)), "quantity": UNITS},
        max_calls=2,
    ),
    Action("list_orders", list_orders),
    Action("annotate", annotate, arguments={"order": ORDER, "behind": st.integers(0, 1)}),
    Action("pay", pay, arguments={"order": ORDER}),
    Action("refund", refund, arguments={"order": ORDER, "amount": AMOUNT}),
    Action("cancel", cancel, arguments={"order": ORDER}),
    Action("request_return", request_return, arguments={"order": ORDER}),
    Action("ship", ship, arguments={"order": ORDER, "units": UNITS}),
    Action("receive_return", receive_return, arguments={"order": ORDER}),
]


@invariant(severity=Severity.CRITICAL)
def no_goods_appear(world: World) -> str | None:
    """What is in stock and what customers have or wait for is what there was at the start."""
    for sku, stock, ordered in rows(world, "goods"):
        if stock + ordered != STOCK:
            return f"{sku}: {stock} in stock and {ordered} ordered, of {STOCK}"
    return None


@invariant(severity=Severity.CRITICAL)
def refunds_within_payments(world: World) -> str | None:
    """The refunds of an order never exceed its payments."""
    for order, _, _, charged, refunded in rows(world, "money"):
        if refunded > charged:
            return f"order {order}: {refunded} refunded of {charged}"
    return None


@invariant
def every_event_is_recorded(world: World) -> str | None:
    """For each event of an order there is an audit entry and a mail."""
    for order, events, entries, mails in rows(world, "events"):
        if not events == entries == mails:
            return f"order {order}: {events} events, {entries} audit entries, {mails} mails"
    return None


@invariant
def statistics_are_right(world: World) -> str | None:
    """The number of orders on the profile page is the number of orders."""
    for orders, counted in rows(world, "counts"):
        if orders != counted:
            return f"{orders} orders, {counted} counted"
    return None


@invariant
def the_session_sees_its_orders(world: World) -> str | None:
    """As long as its session lasts, a customer sees the orders in the database, and no others."""
    response = world.api.get("/orders")
    if response.status_code == 200:
        seen = {order["id"] for order in response.json()}
        stored = {str(order) for order, *_ in rows(world, "money")}
        if seen != stored:
            return f"{sorted(seen)} are listed, {sorted(stored)} are stored"
    return None


INVARIANTS = [
    no_goods_appear,
    refunds_within_payments,
    every_event_is_recorded,
    statistics_are_right,
    the_session_sees_its_orders,
]


def rows(world: World, query: str) -> Iterator[Sequence[Any]]:
    """Yield the rows of a query, from the database itself."""
    yield from world.systems["db"].observe().data["queries"][query]["rows"]


@attrs.frozen
class Shop:
    """A running service.

    :ivar url: where it listens.
    :ivar database: the DSN of its database.
    :ivar redis: the URL of its Redis.
    :ivar prefix: how its keys there begin.
    """

    url: str
    database: str
    redis: str
    prefix: str

    def open_world(self) -> World:
        """Return the World of a new customer, who is logged in."""
        api = HttpClient(self.url)
        context = Context({"email": f"{uuid4()}@example.com", "password": "lovelace"})
        expect(api.post("/users", json=dict(context)), {201})
        log_in(api, context)
        db = PostgresAdapter(self.database)
        for name, query in QUERIES.items():
            db.add_observation_query(name, query)
        cache = RedisAdapter(self.redis, prefix=self.prefix)
        return World(api, {"db": db, "cache": cache}, context=context)


QUERIES = {"goods": GOODS, "money": MONEY, "events": EVENTS, "counts": COUNTS}


@contextmanager
def serve_shop(
    database: str, redis: str, *, prefix: str = "shop:", bugs: str = ""
) -> Iterator[Shop]:
    """Run the service with two workers for the length of a ``with`` block.

    :param database: the DSN of an empty PostgreSQL database.
    :param redis: the URL of a Redis server.
    :param bugs: the bugs to switch on, separated by commas.
    """
    variables = {
        "SHOP_DATABASE": database,
        "SHOP_REDIS": redis,
        "SHOP_PREFIX": prefix,
        "SHOP_SECRET": "secret of the tests, of 32 bytes and more",
        "SHOP_WAREHOUSE_KEY": WAREHOUSE["X-Warehouse-Key"],
        "SHOP_ARGON2_ROUNDS": "1",
        "SHOP_ARGON2_MEMORY": "64",
        "SHOP_BUGS": bugs,
    }
    migrate = [sys.executable, "models.py"]
    subprocess.run(migrate, cwd=FOLDER, env=os.environ | variables, check=True)
    command = [sys.executable, "-m", "uvicorn", "service:app", "--workers", "2"]
    command += ["--port", "{port}", "--log-level", "warning"]
    with serve(command, env=variables, cwd=FOLDER) as server:
        yield Shop(server.url, database, redis, prefix)
