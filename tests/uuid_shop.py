"""A shop in a process of its own: every id is a UUID, each customer has a password and a token.

``python uuid_shop.py DATABASE PORT [--fixed]``. A refund is compared with what was refunded before
only with ``--fixed``.
"""

import json
import secrets
import sqlite3
import sys
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TABLES = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, password_hash TEXT, api_token TEXT);
CREATE TABLE orders (id TEXT PRIMARY KEY, customer_id TEXT, amount INT, status TEXT);
CREATE TABLE refunds (id TEXT PRIMARY KEY, order_id TEXT, amount INT);
"""


def execute(sql: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)) as db:
        return db.execute(sql, values).fetchall()


class Shop(BaseHTTPRequestHandler):
    """Answers with JSON."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        match self.path.partition("?")[0].strip("/").split("/"):
            case ["customers"]:
                self.answer(201, self.sign_up(body))
            case ["orders"]:
                customer = execute(
                    "SELECT id FROM customers WHERE api_token = ?",
                    self.headers.get("Authorization", "").removeprefix("Bearer "),
                )
                self.answer(*self.order(customer[0][0], body) if customer else (401, {}))
            case ["orders", order, "refunds"]:
                self.answer(*self.refund(order, body["amount"]))
            case _:
                self.answer(404, {})

    def sign_up(self, body: dict[str, Any]) -> dict[str, Any]:
        token, key = secrets.token_urlsafe(24), str(uuid.uuid4())
        values = (key, body["name"], f"$2b$12${secrets.token_urlsafe(40)}", token)
        execute("INSERT INTO customers VALUES (?, ?, ?, ?)", *values)
        return {"id": key, "token": token, "password": body["password"], "bio": "x" * 3000}

    def order(self, customer: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        key = str(uuid.uuid4())
        sql = "INSERT INTO orders VALUES (?, ?, ?, 'new')"
        execute(sql, key, customer, body["amount"])
        links = {"self": f"/orders/{key}", "customer": f"/customers/{customer}"}
        return 201, {"id": key, "customer_id": customer, "links": links}

    def refund(self, order: str, amount: int) -> tuple[int, dict[str, Any]]:
        paid = execute("SELECT amount FROM orders WHERE id = ?", order)
        before = execute("SELECT total(amount) FROM refunds WHERE order_id = ?", order)[0][0]
        back = amount + (before if "--fixed" in sys.argv else 0)
        if not paid or back > paid[0][0]:
            return 409, {"error": f"order {order} is not worth {amount}"}
        key = str(uuid.uuid4())
        execute("INSERT INTO refunds VALUES (?, ?, ?)", key, order, amount)
        execute("UPDATE orders SET status = 'refunded' WHERE id = ?", order)
        return 201, {"id": key, "order": order}

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "session=cookie-secret-4711; HttpOnly")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    with closing(sqlite3.connect(sys.argv[1])) as db:
        db.executescript(TABLES)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Shop).serve_forever()
