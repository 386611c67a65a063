"""An order service over SQLite: log in, order, pay, refund, cancel, reopen, pack, ship.

    python service.py --database orders.sqlite --port 8000 [--fixed]

Amounts are integer cents. An order goes ``new -> paid -> packed -> shipped``; before it is shipped
it may be cancelled, which returns the money kept for it, and a cancelled order may be reopened. An
order whose whole payment was refunded is ``refunded`` and stays so.

Two rules about money must hold after every request, for each order:

1. its refunds never exceed its payments;
2. if it is shipped, some money was kept for it: payments - refunds > 0.

The service as shipped breaks both (``MoneyChecks``); ``--fixed`` starts it with
``FixedMoneyChecks`` instead. No row holds a time or a random value, so the same requests always
lead to the same database.
"""

import argparse
import hashlib
import hmac
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Never

from flask import Blueprint, Flask, Response, current_app, g, make_response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, abort
from werkzeug.routing import IntegerConverter

SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id)
);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    status TEXT NOT NULL DEFAULT 'new'
        CHECK (status IN ('new', 'paid', 'packed', 'shipped', 'cancelled', 'refunded'))
);
CREATE TABLE IF NOT EXISTS payments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    amount INTEGER NOT NULL CHECK (amount > 0)
);
CREATE TABLE IF NOT EXISTS refunds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    amount INTEGER NOT NULL CHECK (amount > 0)
);
CREATE INDEX IF NOT EXISTS sessions_of_customer ON sessions (customer_id);
CREATE INDEX IF NOT EXISTS orders_of_customer ON orders (customer_id);
CREATE INDEX IF NOT EXISTS payments_of_order ON payments (order_id);
CREATE INDEX IF NOT EXISTS refunds_of_order ON refunds (order_id);
"""

SELECT_ORDERS = """
SELECT id, customer_id, amount, status,
    (SELECT COALESCE(SUM(amount), 0) FROM payments WHERE order_id = orders.id) AS paid,
    (SELECT COALESCE(SUM(amount), 0) FROM refunds WHERE order_id = orders.id) AS refunded
FROM orders
"""

CUSTOMERS = ((1, "ada", "lovelace"), (2, "charles", "babbage"))
LARGEST_AMOUNT = 100_000_000
LARGEST_BODY = 64 * 1024
BUSY_TIMEOUT = 30.0
SECRET = os.environ.get("ORDERS_SECRET", "a secret for development only")


@dataclass(frozen=True)
class Order:
    """An order and the money that moved for it, in cents."""

    id: int
    customer_id: int
    amount: int
    status: str
    paid: int
    refunded: int

    @property
    def kept(self) -> int:
        """Return the payments less the refunds."""
        return self.paid - self.refunded

    def as_json(self) -> dict[str, Any]:
        """Return what its customer sees."""
        return {
            "id": self.id,
            "amount": self.amount,
            "status": self.status,
            "paid": self.paid,
            "refunded": self.refunded,
        }


class MoneyChecks:
    """Decide about money by what was paid for an order."""

    def refundable(self, order: Order) -> int:
        """Return the largest amount the next refund may have."""
        return order.paid

    def is_paid(self, order: Order) -> bool:
        """Return whether a reopened order needs no further payment."""
        return order.paid > 0


class FixedMoneyChecks(MoneyChecks):
    """Decide about money by what is left of the payments."""

    def refundable(self, order: Order) -> int:
        """Return the largest amount the next refund may have."""
        return order.kept

    def is_paid(self, order: Order) -> bool:
        """Return whether a reopened order needs no further payment."""
        return order.kept > 0


class IdConverter(IntegerConverter):
    """Match row ids only; longer numbers fit neither SQLite nor ``int()``."""

    regex = "[1-9][0-9]{0,14}"


api = Blueprint("api", __name__)


def create_app(database_path: str | os.PathLike[str], *, fixed: bool = False) -> Flask:
    """Return the service over the database at *database_path*, created if it is missing."""
    app = Flask(__name__)
    app.config["DATABASE"] = os.fspath(database_path)
    app.config["MONEY_CHECKS"] = FixedMoneyChecks() if fixed else MoneyChecks()
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.url_map.converters["id"] = IdConverter
    app.register_blueprint(api)
    app.register_error_handler(HTTPException, error_as_json)
    app.register_error_handler(sqlite3.OperationalError, database_unavailable)
    app.teardown_appcontext(close_database)
    create_schema(app.config["DATABASE"])
    return app


# Database


def connect(database_path: str) -> sqlite3.Connection:
    """Open a connection on which the caller begins and ends transactions."""
    connection = sqlite3.connect(database_path, timeout=BUSY_TIMEOUT, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # Safe together with WAL: a power cut may lose the last commits, never the database.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def create_schema(database_path: str) -> None:
    """Create the tables and the first customers where they are missing."""
    with closing(connect(database_path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
        connection.executemany(
            "INSERT OR IGNORE INTO customers (id, name, password_hash) VALUES (?, ?, ?)",
            [(id_, name, password_hash(name, password)) for id_, name, password in CUSTOMERS],
        )
        connection.execute("COMMIT")


def database() -> sqlite3.Connection:
    """Return the connection of this request."""
    if "connection" not in g:
        g.connection = connect(current_app.config["DATABASE"])
    connection: sqlite3.Connection = g.connection
    return connection


def close_database(_error: BaseException | None) -> None:
    """Close the connection of this request, if it opened one."""
    connection = g.pop("connection", None)
    if connection is not None:
        connection.close()


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Commit what the block did, or none of it if it raises."""
    connection = database()
    # A transaction that first reads and then writes cannot wait for another writer in WAL mode,
    # it fails at once; taking the write lock at the start waits.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


# Errors


def error_as_json(error: HTTPException) -> Response:
    """Return *error* with its status and headers, and a JSON body."""
    response = make_response(error.get_response())
    response.data = current_app.json.dumps({"error": error.description})
    response.content_type = "application/json"
    return response


def database_unavailable(error: sqlite3.OperationalError) -> ResponseReturnValue:
    """Ask the client to come back: another process holds the database."""
    current_app.logger.warning("database unavailable: %s", error)
    return {"error": "the database is busy, try again"}, 503


def refuse(status: int, reason: str) -> Never:
    """End the request with an error."""
    abort(status, description=reason)


# Requests


def body() -> dict[str, Any]:
    """Return the JSON object that was sent, or answer 400."""
    try:
        value = request.get_json(silent=True)
    except RecursionError:  # thousands of nested brackets
        value = None
    if not isinstance(value, dict):
        refuse(400, "the body must be a JSON object")
    return value


def sent_amount() -> int:
    """Return the amount that was sent, or answer 400."""
    amount = body().get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool):
        refuse(400, "amount must be an integer number of cents")
    if not 0 < amount <= LARGEST_AMOUNT:
        refuse(400, f"amount must be between 1 and {LARGEST_AMOUNT}")
    return amount


def sent_text(sent: dict[str, Any], name: str) -> str:
    """Return the text sent under *name*, or answer 400."""
    value = sent.get(name)
    # isprintable() is false for lone surrogates, which JSON can carry and UTF-8 cannot.
    if not isinstance(value, str) or not value.isprintable():
        refuse(400, f"{name} must be printable text")
    return value


# Sessions


def password_hash(name: str, password: str) -> str:
    """Return the hash a password is stored as, salted with the customer's name."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), name.encode(), 10_000).hex()


def token_of(session_id: str) -> str:
    """Return the token of a session: its id, signed.

    Signed rather than random, so that the rows alone decide which tokens are valid: after the
    database was set back to an earlier state, the same login gives the same token again.
    """
    signature = hmac.new(SECRET.encode(), session_id.encode(), "sha256").hexdigest()
    return f"{session_id}.{signature}"


def signed_session_id() -> int:
    """Return the session named by the request's token, or answer 401."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    session_id = token.partition(".")[0]
    if scheme != "Bearer" or not hmac.compare_digest(token.encode(), token_of(session_id).encode()):
        refuse(401, "log in first")
    return int(session_id)


def customer_id() -> int:
    """Return the customer who sent this request, or answer 401."""
    row = (
        database()
        .execute("SELECT customer_id FROM sessions WHERE id = ?", (signed_session_id(),))
        .fetchone()
    )
    if row is None:
        refuse(401, "log in first")
    return int(row["customer_id"])


@api.post("/login")
def login() -> ResponseReturnValue:
    """Open a session and answer with its token."""
    sent = body()
    name, password = sent_text(sent, "name"), sent_text(sent, "password")
    customer = database().execute("SELECT * FROM customers WHERE name = ?", (name,)).fetchone()
    hashed = password_hash(name, password)
    if customer is None or not hmac.compare_digest(customer["password_hash"], hashed):
        refuse(401, "wrong name or password")
    with transaction() as connection:
        session = connection.execute(
            "INSERT INTO sessions (customer_id) VALUES (?)", (customer["id"],)
        )
    return {"token": token_of(str(session.lastrowid))}


@api.post("/logout")
def logout() -> ResponseReturnValue:
    """Close the session of this request."""
    customer_id()
    with transaction() as connection:
        connection.execute("DELETE FROM sessions WHERE id = ?", (signed_session_id(),))
    return "", 204


# Orders


def own_order(connection: sqlite3.Connection, customer: int, order_id: int) -> Order:
    """Return an order of *customer*, or answer 404 or 403."""
    row = connection.execute(f"{SELECT_ORDERS} WHERE id = ?", (order_id,)).fetchone()
    if row is None:
        refuse(404, f"there is no order {order_id}")
    order = Order(**row)
    if order.customer_id != customer:
        refuse(403, f"order {order_id} is another customer's")
    return order


def require_status(order: Order, *permitted: str) -> None:
    """Answer 409 unless the order has one of the *permitted* statuses."""
    if order.status not in permitted:
        refuse(409, f"order {order.id} is {order.status}, not {' or '.join(permitted)}")


def set_status(connection: sqlite3.Connection, order: Order, status: str) -> None:
    """Move *order* to *status*."""
    connection.execute("UPDATE orders SET status = ? WHERE id = ?", (status, order.id))


def give_back(connection: sqlite3.Connection, order: Order, amount: int) -> None:
    """Record that *amount* went back to the customer."""
    connection.execute("INSERT INTO refunds (order_id, amount) VALUES (?, ?)", (order.id, amount))


def money_checks() -> MoneyChecks:
    """Return the checks this service was started with."""
    checks: MoneyChecks = current_app.config["MONEY_CHECKS"]
    return checks


@contextmanager
def changing(order_id: int, *permitted: str) -> Iterator[tuple[sqlite3.Connection, Order]]:
    """Open a transaction on the customer's order, which must have a *permitted* status."""
    customer = customer_id()
    with transaction() as connection:
        order = own_order(connection, customer, order_id)
        require_status(order, *permitted)
        yield connection, order


def changed(connection: sqlite3.Connection, order: Order) -> dict[str, Any]:
    """Return *order* as this transaction left it."""
    return own_order(connection, order.customer_id, order.id).as_json()


@api.post("/orders")
def create_order() -> ResponseReturnValue:
    """Create an order over an amount."""
    customer, amount = customer_id(), sent_amount()
    with transaction() as connection:
        inserted = connection.execute(
            "INSERT INTO orders (customer_id, amount) VALUES (?, ?)", (customer, amount)
        )
        order = own_order(connection, customer, inserted.lastrowid or 0)
    return order.as_json(), 201


@api.get("/orders")
def list_orders() -> ResponseReturnValue:
    """List the customer's orders, oldest first."""
    rows = database().execute(
        f"{SELECT_ORDERS} WHERE customer_id = ? ORDER BY id", (customer_id(),)
    )
    return {"orders": [Order(**row).as_json() for row in rows]}


@api.get("/orders/<id:order_id>")
def get_order(order_id: int) -> ResponseReturnValue:
    """Show one order."""
    return own_order(database(), customer_id(), order_id).as_json()


@api.post("/orders/<id:order_id>/payment")
def pay(order_id: int) -> ResponseReturnValue:
    """Pay the whole amount of a new order."""
    with changing(order_id, "new") as (connection, order):
        connection.execute(
            "INSERT INTO payments (order_id, amount) VALUES (?, ?)", (order.id, order.amount)
        )
        set_status(connection, order, "paid")
        return changed(connection, order), 201


@api.post("/orders/<id:order_id>/refunds")
def refund(order_id: int) -> ResponseReturnValue:
    """Give back a part of what was paid, or all of it."""
    customer_id()
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


def main() -> None:
    """Serve until the process is stopped."""
    # Here, so that a test may use create_app() with no server installed.
    from waitress import serve  # type: ignore[import-untyped]

    parser = argparse.ArgumentParser(description="An order service over SQLite.")
    parser.add_argument("--database", required=True, help="the SQLite file, created if missing")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--fixed", action="store_true", help="start with the corrected checks")
    arguments = parser.parse_args()
    app = create_app(arguments.database, fixed=arguments.fixed)
    # SQLite folds its WAL into the database, with an fsync, when the last connection closes. With a
    # connection per request that is after every request, unless one stays open.
    with closing(connect(arguments.database)) as kept_open:
        kept_open.execute("SELECT id FROM customers").fetchall()
        serve(app, host="127.0.0.1", port=arguments.port)


if __name__ == "__main__":
    main()
