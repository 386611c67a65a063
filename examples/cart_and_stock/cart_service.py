"""A shop over two stores: carts and order states in Redis, stock and orders in PostgreSQL.

    python cart_service.py --database postgresql://... --redis redis://... --mail 127.0.0.1:8025 \
        --port 8000 [--fixed]

Each order is confirmed by mail. One rule holds after every request: what is in stock and what is
ordered is what there was at the start. To spare PostgreSQL a query, ``cancel`` looks the state of
an order up in Redis, where ``checkout`` puts it; but ``cancel`` does not put it there again. So an
order that is cancelled twice returns its goods twice. ``--fixed`` asks PostgreSQL.
"""

import argparse
import smtplib
from email.message import EmailMessage
from typing import Any

import redis
import waitress
from flask import Flask, request
from flask.typing import ResponseReturnValue
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (
    product text PRIMARY KEY,
    left_over integer NOT NULL CHECK (left_over >= 0)
);
CREATE TABLE IF NOT EXISTS orders (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    product text NOT NULL REFERENCES stock (product),
    pieces integer NOT NULL CHECK (pieces > 0),
    status text NOT NULL CHECK (status IN ('placed', 'cancelled'))
);
INSERT INTO stock VALUES ('bowl', 6), ('cup', 6) ON CONFLICT DO NOTHING;
"""


def make_app(database: str, cache: str, mail: str, *, prefix: str, fixed: bool) -> Flask:
    """Return the application, with a pool of connections to each store.

    :param prefix: how its keys in Redis begin.
    """
    app = Flask(__name__)
    pool = ConnectionPool(
        database, min_size=2, max_size=5, open=True, kwargs={"row_factory": dict_row}
    )
    carts = redis.Redis.from_url(cache, decode_responses=True)
    with pool.connection() as connection:
        connection.execute(SCHEMA)

    @app.post("/cart/<customer>")
    def put_into_cart(customer: str) -> ResponseReturnValue:
        sent: dict[str, Any] = request.get_json()
        pieces = carts.hincrby(f"{prefix}cart:{customer}", sent["product"], sent["pieces"])
        return {"product": sent["product"], "pieces": pieces}, 201

    @app.post("/checkout/<customer>")
    def checkout(customer: str) -> ResponseReturnValue:
        cart: dict[str, str] = carts.hgetall(f"{prefix}cart:{customer}")
        if not cart:
            return {"error": "the cart is empty"}, 409
        placed = []
        with pool.connection() as connection:
            for product, pieces in sorted(cart.items()):
                taken = connection.execute(
                    "UPDATE stock SET left_over = left_over - %s"
                    " WHERE product = %s AND left_over >= %s",
                    (int(pieces), product, int(pieces)),
                )
                if not taken.rowcount:
                    connection.rollback()
                    return {"error": f"not enough {product}s in stock"}, 409
                row = connection.execute(
                    "INSERT INTO orders (customer, product, pieces, status)"
                    " VALUES (%s, %s, %s, 'placed') RETURNING id",
                    (customer, product, int(pieces)),
                ).fetchone()
                assert row is not None
                placed.append(row["id"])
        for order in placed:
            carts.set(f"{prefix}order:{order}", "placed")
        carts.delete(f"{prefix}cart:{customer}")
        confirm(mail, customer, placed)
        return {"orders": placed}, 201

    @app.post("/orders/<int:order>/cancel")
    def cancel(order: int) -> ResponseReturnValue:
        with pool.connection() as connection:
            row = connection.execute(
                "SELECT product, pieces, status FROM orders WHERE id = %s FOR UPDATE", (order,)
            ).fetchone()
            if row is None:
                return {"error": "no such order"}, 404
            status = row["status"] if fixed else carts.get(f"{prefix}order:{order}")
            if status != "placed":
                return {"error": f"the order is {status}"}, 409
            connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = %s", (order,))
            connection.execute(
                "UPDATE stock SET left_over = left_over + %s WHERE product = %s",
                (row["pieces"], row["product"]),
            )
        return {"status": "cancelled"}

    return app


def confirm(mail: str, customer: str, orders: list[int]) -> None:
    """Send the customer the numbers of what was ordered."""
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.com", f"{customer}@example.com"
    message["Subject"] = f"Your orders {', '.join(map(str, orders))}"
    message.set_content("Thank you.")
    host, _, port = mail.partition(":")
    with smtplib.SMTP(host, int(port)) as server:
        server.send_message(message)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--mail", required=True)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--prefix", default="shop:", help="how its keys in Redis begin")
    parser.add_argument("--fixed", action="store_true")
    given = parser.parse_args()
    app = make_app(given.database, given.redis, given.mail, prefix=given.prefix, fixed=given.fixed)
    waitress.serve(app, host="127.0.0.1", port=given.port, threads=5)


if __name__ == "__main__":
    main()
