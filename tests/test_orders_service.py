"""The example order service, served by its own process and asked over HTTP."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from venomqa_hyp.testing.process import serve

pytest.importorskip("flask")
pytest.importorskip("waitress")

EXAMPLE = Path(__file__).parent.parent / "examples" / "orders"
sys.path.insert(0, str(EXAMPLE))

import actions  # noqa: E402

REFUNDED_MORE_THAN_PAID = """
SELECT id FROM orders
WHERE (SELECT COALESCE(SUM(amount), 0) FROM refunds WHERE order_id = orders.id)
    > (SELECT COALESCE(SUM(amount), 0) FROM payments WHERE order_id = orders.id)
"""

SHIPPED_FOR_NOTHING = """
SELECT id FROM orders
WHERE status = 'shipped'
    AND (SELECT COALESCE(SUM(amount), 0) FROM payments WHERE order_id = orders.id)
     <= (SELECT COALESCE(SUM(amount), 0) FROM refunds WHERE order_id = orders.id)
"""


class Service:
    """A served database, a client that may be logged in, and a connection of its own."""

    def __init__(self, url: str, database: Path) -> None:
        """Open a client that is not logged in yet."""
        self.api = httpx.Client(base_url=url)
        self.database = database

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what a second connection reads from the database file."""
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()

    def create(self, amount: int = 100) -> int:
        """Return the id of a new order."""
        return int(self.api.post("/orders", json={"amount": amount}).json()["id"])

    def post(self, order: int, *requests: str) -> list[int]:
        """Return the status codes of these requests about *order*, sent one after the other."""
        return [self.api.post(f"/orders/{order}/{name}").status_code for name in requests]

    def refund(self, order: int, amount: int) -> int:
        """Return the status code of asking for *amount* back."""
        response = self.api.post(f"/orders/{order}/refunds", json={"amount": amount})
        return response.status_code

    def status(self, order: int) -> str:
        """Return the status of *order*."""
        return str(self.api.get(f"/orders/{order}").json()["status"])


def run_service(database: Path, *flags: str) -> Iterator[Service]:
    command = [sys.executable, str(EXAMPLE / "service.py"), "--database", str(database)]
    with serve([*command, "--port", "{port}", *flags]) as server:
        service = Service(server.url, database)
        with service.api:
            actions.login(service.api, {})
            yield service


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Service]:
    yield from run_service(tmp_path / "orders.sqlite")


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve all tests whose requests are refused whatever the database holds."""
    yield from run_service(tmp_path_factory.mktemp("shop") / "orders.sqlite")


@pytest.fixture
def fixed_shop(tmp_path: Path) -> Iterator[Service]:
    yield from run_service(tmp_path / "orders.sqlite", "--fixed")


def test_refunds_may_exceed_the_payment(shop: Service) -> None:
    """Create, pay, refund, refund: each refund alone is within the payment, both are not."""
    order = shop.create(100)
    assert shop.post(order, "payment") == [201]
    assert shop.refund(order, 60) == 201
    assert shop.rows(REFUNDED_MORE_THAN_PAID) == []
    assert shop.refund(order, 60) == 201
    assert shop.rows(REFUNDED_MORE_THAN_PAID) == [(order,)]


def test_an_order_ships_whose_money_was_returned(shop: Service) -> None:
    """Create, pay, cancel, reopen, pack, ship: the customer has the money and the goods."""
    order = shop.create(100)
    assert shop.post(order, "payment", "cancel", "reopen", "pack") == [201, 200, 200, 200]
    assert shop.rows(SHIPPED_FOR_NOTHING) == []
    assert shop.post(order, "ship") == [200]
    assert shop.rows(SHIPPED_FOR_NOTHING) == [(order,)]


def test_fixed_service_refuses_to_refund_more_than_is_left(fixed_shop: Service) -> None:
    """The second refund may have what the first left, not more."""
    order = fixed_shop.create(100)
    fixed_shop.post(order, "payment")
    assert [fixed_shop.refund(order, amount) for amount in (60, 60, 40)] == [201, 409, 201]
    assert fixed_shop.status(order) == "refunded"
    assert fixed_shop.rows(REFUNDED_MORE_THAN_PAID) == []


def test_fixed_service_wants_a_new_payment_after_reopening(fixed_shop: Service) -> None:
    """A reopened order whose money was returned is new again, and ships once it is paid again."""
    order = fixed_shop.create(100)
    assert fixed_shop.post(order, "payment", "cancel", "reopen", "pack") == [201, 200, 200, 409]
    assert fixed_shop.status(order) == "new"
    assert fixed_shop.post(order, "payment", "pack", "ship") == [201, 200, 200]
    assert fixed_shop.rows(SHIPPED_FOR_NOTHING) == []


def test_a_partly_refunded_order_still_ships(shop: Service) -> None:
    """A partial refund is goodwill: some money was kept, so the order goes on."""
    order = shop.create(100)
    shop.post(order, "payment")
    assert shop.refund(order, 99) == 201
    assert shop.post(order, "pack", "ship") == [200, 200]
    assert shop.rows(SHIPPED_FOR_NOTHING) == []


def test_cancelling_returns_what_was_not_refunded_yet(shop: Service) -> None:
    """The money a cancellation returns is a row of refunds like any other."""
    order = shop.create(100)
    shop.post(order, "payment")
    shop.refund(order, 30)
    shop.post(order, "cancel")
    assert shop.rows("SELECT order_id, amount FROM refunds") == [(order, 30), (order, 70)]


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ((), ("reopen", "pack", "ship")),
        (("payment",), ("payment", "reopen", "ship")),
        (("payment", "pack"), ("payment", "reopen", "pack")),
        (("payment", "pack", "ship"), ("payment", "cancel", "reopen", "pack", "ship")),
        (("cancel",), ("payment", "cancel", "pack", "ship")),
    ],
)
def test_a_request_the_status_does_not_allow_is_refused_and_changes_nothing(
    shop: Service, before: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    """Whatever is not a transition from the order's status answers 409."""
    order = shop.create()
    shop.post(order, *before)
    status = shop.status(order)
    for request in refused:
        assert shop.post(order, request) == [409]
        assert shop.status(order) == status


@pytest.mark.parametrize("before", [(), ("cancel",), ("payment", "pack", "ship")])
def test_only_money_of_an_order_in_the_house_is_refunded(
    shop: Service, before: tuple[str, ...]
) -> None:
    """A refund needs an order that is paid and not yet shipped."""
    order = shop.create()
    shop.post(order, *before)
    assert shop.refund(order, 1) == 409


def test_a_fully_refunded_order_is_closed(shop: Service) -> None:
    """Nothing can be done with an order once all its money went back."""
    order = shop.create(100)
    shop.post(order, "payment")
    assert shop.refund(order, 100) == 201
    assert shop.status(order) == "refunded"
    assert shop.refund(order, 1) == 409
    requests = ("payment", "cancel", "reopen", "pack", "ship")
    assert shop.post(order, *requests) == [409] * len(requests)


def test_customers_do_not_see_each_other(shop: Service) -> None:
    """Another customer's order is neither listed, nor shown, nor changed."""
    order = shop.create()
    actions.login(shop.api, {}, name="charles", password="babbage")
    assert shop.api.get("/orders").json() == {"orders": []}
    assert shop.api.get(f"/orders/{order}").status_code == 403
    assert shop.post(order, "payment", "cancel") == [403, 403]
    assert shop.refund(order, 1) == 403


def test_a_token_ends_with_its_session(shop: Service) -> None:
    """After a logout the token opens nothing, and the next login gives another."""
    old = shop.api.headers["Authorization"]
    assert actions.logout(shop.api, {}).status_code == 204
    assert shop.api.get("/orders").status_code == 401
    actions.login(shop.api, {})
    assert shop.api.headers["Authorization"] != old
    assert shop.api.get("/orders", headers={"Authorization": old}).status_code == 401


def test_the_same_requests_lead_to_the_same_rows(tmp_path: Path) -> None:
    """Nothing in the database is random or a time, the token included."""
    seen = []
    for name in ("first", "second"):
        for shop in run_service(tmp_path / name):
            order = shop.create()
            shop.post(order, "payment", "cancel")
            with closing(sqlite3.connect(shop.database)) as connection:
                seen.append([shop.api.headers["Authorization"], *connection.iterdump()])
    assert seen[0] == seen[1]


def test_a_restart_keeps_the_database(tmp_path: Path) -> None:
    """Starting over an existing database changes none of its rows."""
    dumps = []
    for _ in range(2):
        for shop in run_service(tmp_path / "orders.sqlite"):
            actions.logout(shop.api, {})
            with closing(sqlite3.connect(shop.database)) as connection:
                dumps.append([line for line in connection.iterdump() if "sqlite_seq" not in line])
    assert dumps[0] == dumps[1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"amount": null}',
        b'{"amount": true}',
        b'{"amount": "1"}',
        b'{"amount": 1.5}',
        b'{"amount": NaN}',
        b'{"amount": 0}',
        b'{"amount": -1}',
        b'{"amount": 100000001}',
        b'{"amount": 1e400}',
        b'{"amount": %s}' % (b"9" * 30),
        b'{"amount": %s}' % (b"9" * 5000),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_an_amount_that_is_none_is_answered_with_400(open_shop: Service, content: bytes) -> None:
    """Whatever was sent, the client is told that it is at fault."""
    order = open_shop.create()
    open_shop.post(order, "payment")
    headers = {"Content-Type": "application/json"}
    for path in ("/orders", f"/orders/{order}/refunds"):
        response = open_shop.api.post(path, content=content, headers=headers)
        assert response.status_code == 400
        assert response.json()["error"]


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (b'{"name": "ada", "password": "wrong"}', 401),
        (b'{"name": "nobody", "password": "lovelace"}', 401),
        (b'{"name": "ada"}', 400),
        (b'{"name": 1, "password": 2}', 400),
        (b'{"name": "\\ud800", "password": "x"}', 400),
        (b'{"name": "ada", "password": "\\udfff"}', 400),
        (b'{"name": "ada\\u0000", "password": "lovelace"}', 400),
    ],
)
def test_a_failed_login_is_answered_with_its_cause(
    open_shop: Service, credentials: bytes, code: int
) -> None:
    """Credentials that cannot be any are a bad request, wrong ones are refused."""
    headers = {"Content-Type": "application/json"}
    assert open_shop.api.post("/login", content=credentials, headers=headers).status_code == code


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Bearer", b"Bearer 1", b"Bearer 1.x", b"Basic YQ==", b"Bearer \xe9.\xe9"],
)
def test_a_token_that_is_none_opens_nothing(open_shop: Service, authorization: bytes) -> None:
    """A header that no login has given is answered with 401."""
    headers = {b"Authorization": authorization}
    for path in ("/orders", "/orders/1/payment", "/orders/1/refunds", "/logout"):
        assert open_shop.api.post(path, headers=headers).status_code == 401


@pytest.mark.parametrize("order", ["0", "-1", "x", "1.5", "9" * 15, "9" * 30, "9" * 5000, "%00"])
def test_an_order_that_is_none_is_answered_with_404(open_shop: Service, order: str) -> None:
    """An id that cannot be one is not found, like one that could."""
    response = open_shop.api.get(f"/orders/{order}")
    assert response.status_code == 404
    assert response.json()["error"]


def test_a_wrong_method_and_a_large_body_are_refused_as_json(open_shop: Service) -> None:
    """Errors found before the endpoint have the same shape as its own."""
    wrong_method = open_shop.api.delete("/orders")
    assert (wrong_method.status_code, "POST" in wrong_method.headers["Allow"]) == (405, True)
    too_large = open_shop.api.post("/orders", json={"amount": 1, "note": "x" * 100_000})
    assert too_large.status_code == 413
    assert wrong_method.json()["error"]
    assert too_large.json()["error"]
