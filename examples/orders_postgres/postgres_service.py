"""The order service of ``examples/orders``, over PostgreSQL with SQLAlchemy and a pool of five.

    python postgres_service.py --database postgresql://user@127.0.0.1/orders_test --port 8000

Requests, answers, rules and bugs are those of ``examples/orders/service.py``. Here they run in
several threads, each with a connection of the pool, and each request is one transaction.
"""

import argparse
import hmac
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection
from werkzeug.exceptions import HTTPException

sys.path.insert(0, str(Path(__file__).parent.parent / "orders"))

from service import (
    CUSTOMERS,
    LARGEST_BODY,
    FixedMoneyChecks,
    IdConverter,
    MoneyChecks,
    Order,
    body,
    error_as_json,
    money_checks,
    password_hash,
    refuse,
    require_status,
    sent_amount,
    sent_text,
    signed_session_id,
    token_of,
)

THREADS = 5

schema = MetaData()
customers = Table(
    "customers",
    schema,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
)
sessions = Table(
    "sessions",
    schema,
    Column("id", Integer, primary_key=True),
    Column("customer_id", ForeignKey(customers.c.id), nullable=False, index=True),
)
orders = Table(
    "orders",
    schema,
    Column("id", Integer, primary_key=True),
    Column("customer_id", ForeignKey(customers.c.id), nullable=False, index=True),
    Column("amount", Integer, CheckConstraint("amount > 0"), nullable=False),
    Column("status", Text, nullable=False, server_default="new"),
    CheckConstraint("status IN ('new', 'paid', 'packed', 'shipped', 'cancelled', 'refunded')"),
)


def money_table(name: str) -> Table:
    """Return a table of amounts that moved for orders."""
    return Table(
        name,
        schema,
        Column("id", Integer, primary_key=True),
        Column("order_id", ForeignKey(orders.c.id), nullable=False, index=True),
        Column("amount", Integer, CheckConstraint("amount > 0"), nullable=False),
    )


payments, refunds = money_table("payments"), money_table("refunds")


def moved(table: Table) -> Any:
    """Return the expression for the sum of a table of amounts, for the order of a row."""
    total = select(func.coalesce(func.sum(table.c.amount), 0)).where(
        table.c.order_id == orders.c.id
    )
    return total.scalar_subquery()


SELECT_ORDERS = select(orders, moved(payments).label("paid"), moved(refunds).label("refunded"))

api = Blueprint("api", __name__)


def create_app(engine: Engine, *, fixed: bool = False) -> Flask:
    """Return the service over a database, whose tables are created if they are missing."""
    app = Flask(__name__)
    app.config["ENGINE"] = engine
    app.config["MONEY_CHECKS"] = FixedMoneyChecks() if fixed else MoneyChecks()
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.url_map.converters["id"] = IdConverter
    app.register_blueprint(api)
    app.register_error_handler(HTTPException, error_as_json)
    with engine.begin() as connection:
        schema.create_all(connection)
        if connection.scalar(select(func.count()).select_from(customers)) == 0:
            hashed = [
                {"id": id_, "name": name, "password_hash": password_hash(name, password)}
                for id_, name, password in CUSTOMERS
            ]
            connection.execute(insert(customers), hashed)
    return app


def transaction() -> Any:
    """Open a transaction on a connection of the pool for the length of a block."""
    engine: Engine = current_app.config["ENGINE"]
    return engine.begin()


def customer_of_request(connection: Connection) -> int:
    """Return the customer who sent this request, or answer 401."""
    session = sessions.c.id == signed_session_id()
    customer = connection.scalar(select(sessions.c.customer_id).where(session))
    if customer is None:
        refuse(401, "log in first")
    return int(customer)


@api.post("/login")
def login() -> ResponseReturnValue:
    """Open a session and answer with its token."""
    sent = body()
    name, password = sent_text(sent, "name"), sent_text(sent, "password")
    with transaction() as connection:
        customer = connection.execute(select(customers).where(customers.c.name == name)).first()
        hashed = password_hash(name, password)
        if customer is None or not hmac.compare_digest(customer.password_hash, hashed):
            refuse(401, "wrong name or password")
        made = connection.execute(insert(sessions).values(customer_id=customer.id))
        return {"token": token_of(str(made.inserted_primary_key[0]))}


@api.post("/logout")
def logout() -> ResponseReturnValue:
    """Close the session of this request."""
    with transaction() as connection:
        customer_of_request(connection)
        connection.execute(sessions.delete().where(sessions.c.id == signed_session_id()))
    return "", 204


def own_order(connection: Connection, customer: int, order_id: int) -> Order:
    """Return an order of *customer*, or answer 404 or 403."""
    row = connection.execute(SELECT_ORDERS.where(orders.c.id == order_id)).mappings().first()
    if row is None:
        refuse(404, f"there is no order {order_id}")
    order = Order(**row)
    if order.customer_id != customer:
        refuse(403, f"order {order_id} is another customer's")
    return order


@contextmanager
def changing(order_id: int, *permitted: str) -> Iterator[tuple[Connection, Order]]:
    """Open a transaction on the customer's order, which must have a *permitted* status."""
    with transaction() as connection:
        customer = customer_of_request(connection)
        # Two requests about one order wait for each other.
        connection.execute(text("SELECT FROM orders WHERE id = :id FOR UPDATE"), {"id": order_id})
        order = own_order(connection, customer, order_id)
        require_status(order, *permitted)
        yield connection, order


def set_status(connection: Connection, order: Order, status: str) -> None:
    """Move *order* to *status*."""
    connection.execute(update(orders).where(orders.c.id == order.id).values(status=status))


def give_back(connection: Connection, order: Order, amount: int) -> None:
    """Record that *amount* went back to the customer."""
    connection.execute(insert(refunds).values(order_id=order.id, amount=amount))


def changed(connection: Connection, order: Order) -> dict[str, Any]:
    """Return *order* as this transaction left it."""
    return own_order(connection, order.customer_id, order.id).as_json()


@api.post("/orders")
def create_order() -> ResponseReturnValue:
    """Create an order over an amount."""
    with transaction() as connection:
        customer, amount = customer_of_request(connection), sent_amount()
        made = connection.execute(insert(orders).values(customer_id=customer, amount=amount))
        order = own_order(connection, customer, made.inserted_primary_key[0])
    return order.as_json(), 201


@api.get("/orders")
def list_orders() -> ResponseReturnValue:
    """List the customer's orders, oldest first."""
    with transaction() as connection:
        own = orders.c.customer_id == customer_of_request(connection)
        rows = connection.execute(SELECT_ORDERS.where(own).order_by(orders.c.id)).mappings()
        return {"orders": [Order(**row).as_json() for row in rows]}


@api.get("/orders/<id:order_id>")
def get_order(order_id: int) -> ResponseReturnValue:
    """Show one order."""
    with transaction() as connection:
        return own_order(connection, customer_of_request(connection), order_id).as_json()


@api.post("/orders/<id:order_id>/payment")
def pay(order_id: int) -> ResponseReturnValue:
    """Pay the whole amount of a new order."""
    with changing(order_id, "new") as (connection, order):
        connection.execute(insert(payments).values(order_id=order.id, amount=order.amount))
        set_status(connection, order, "paid")
        return changed(connection, order), 201


@api.post("/orders/<id:order_id>/refunds")
def refund(order_id: int) -> ResponseReturnValue:
    """Give back a part of what was paid, or all of it."""
    amount = sent_amount()
    with changing(order_id, "paid", "packed") as (connection, order):
        if amount > money_checks().refundable(order):
            refuse(409, "the refund is larger than the payment")
        give_back(connection, order, amount)
        if order.kept - amount <= 0:
            set_status(connection, order, "refunded")
        return changed(connection, order), 201


@api.post("/orders/<id:order_id>/cancel")
def cancel(order_id: int) -> ResponseReturnValue:
    """Cancel an order that is not shipped, and give its money back."""
    with changing(order_id, "new", "paid", "packed") as (connection, order):
        if order.kept > 0:
            give_back(connection, order, order.kept)
        set_status(connection, order, "cancelled")
        return changed(connection, order)


@api.post("/orders/<id:order_id>/reopen")
def reopen(order_id: int) -> ResponseReturnValue:
    """Take a cancelled order up again where it was left."""
    with changing(order_id, "cancelled") as (connection, order):
        set_status(connection, order, "paid" if money_checks().is_paid(order) else "new")
        return changed(connection, order)


@api.post("/orders/<id:order_id>/pack")
def pack(order_id: int) -> ResponseReturnValue:
    """Pack a paid order."""
    with changing(order_id, "paid") as (connection, order):
        set_status(connection, order, "packed")
        return changed(connection, order)


@api.post("/orders/<id:order_id>/ship")
def ship(order_id: int) -> ResponseReturnValue:
    """Ship a packed order."""
    with changing(order_id, "packed") as (connection, order):
        set_status(connection, order, "shipped")
        return changed(connection, order)


def open_pool(database: str) -> Engine:
    """Return an engine whose connections are all open; requests take them in turn."""
    url = database.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, pool_size=THREADS, max_overflow=0)
    with ExitStack() as connected:
        for _ in range(THREADS):
            connected.enter_context(engine.connect())
    return engine


def main() -> None:
    """Serve until the process is stopped."""
    from waitress import serve

    parser = argparse.ArgumentParser(description="An order service over PostgreSQL.")
    parser.add_argument("--database", required=True, help="postgresql://user@host:port/database")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--fixed", action="store_true", help="start with the corrected checks")
    given = parser.parse_args()
    app = create_app(open_pool(given.database), fixed=given.fixed)
    serve(app, host="127.0.0.1", port=given.port, threads=THREADS)


if __name__ == "__main__":
    main()
