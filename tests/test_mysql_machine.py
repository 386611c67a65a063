"""A run over MySQL: the application commits on its own connection, and a deep bug is found."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
import servers
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Invariant, World, from_context, venom_machine
from venomqa_hyp.adapters import MySQLAdapter
from venomqa_hyp.errors import InvariantViolated

SCHEMA = (
    "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, paid INT NOT NULL DEFAULT 0)",
    "CREATE TABLE refunds (id INT AUTO_INCREMENT PRIMARY KEY, order_id INT NOT NULL,"
    " amount INT NOT NULL, FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE)",
)


class Shop:
    """Refunds once too often, where a payment came between two refunds."""

    def __init__(self, connection: "pymysql.Connection[Any]") -> None:
        self._connection = connection

    def ask(self, sql: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.lastrowid or cursor.fetchall()

    def create(self, api: Any, context: Any) -> None:
        context["orders"] = [*context.get("orders", []), self.ask("INSERT INTO orders VALUES ()")]

    def pay(self, api: Any, context: Any, order: int) -> None:
        self.ask(f"UPDATE orders SET paid = paid + 10 WHERE id = {order} AND paid < 30")

    def refund(self, api: Any, context: Any, order: int) -> None:
        ((paid,),) = self.ask(f"SELECT paid FROM orders WHERE id = {order}") or ((0,),)
        if paid >= 10:
            self.ask(f"INSERT INTO refunds (order_id, amount) VALUES ({order}, {paid})")

    def cancel(self, api: Any, context: Any, order: int) -> None:
        self.ask(f"DELETE FROM orders WHERE id = {order}")

    def lost(self, world: World) -> str | None:
        found = self.ask(
            "SELECT id, paid, SUM(amount) FROM orders JOIN refunds ON order_id = orders.id"
            " GROUP BY orders.id HAVING SUM(amount) > paid + 10"
        )
        return f"refunded more than was paid: {found}" if found else None


@pytest.fixture
def shop(mysql_url: str) -> Iterator[tuple[str, Shop]]:
    with (
        servers.mysql_database(mysql_url) as url,
        closing(servers.mysql_connect(url)) as connection,
    ):
        shop = Shop(connection)
        for statement in SCHEMA:
            shop.ask(statement)
        yield url, shop


def test_a_bug_is_found_and_shrunk_without_a_divergence(shop: tuple[str, Shop]) -> None:
    """Ids are those of the record, since counters roll back; the database ends as it began."""
    url, service = shop
    order = {"order": from_context("orders")}
    actions = [
        Action("create", service.create, max_calls=3),
        *(
            Action(name, getattr(service, name), arguments=order)
            for name in ("pay", "refund", "cancel")
        ),
    ]
    invariants = [Invariant("no money is lost", service.lost)]
    machine = venom_machine(
        lambda: World(None, {"db": MySQLAdapter(url)}), actions, invariants, name="Shop"
    )
    quiet = settings(
        machine.TestCase.settings,
        max_examples=40,
        stateful_step_count=12,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(InvariantViolated) as caught:
        run_state_machine_as_test(seed(1)(machine), settings=quiet)
    notes = "\n".join(getattr(caught.value, "__notes__", []))
    assert notes.count("state.refund(") <= 3
    assert service.ask("SELECT COUNT(*) FROM orders") == ((0,),)
    assert service.ask("SHOW TRIGGERS") == ()


BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "mysql_rollback.py"


@pytest.mark.parametrize("url", [True, False])
def test_the_benchmark_runs(mysql_url: str, url: bool) -> None:
    """With a server its figures are printed, without one it says what to set."""
    environment = {**os.environ, "VENOMQA_TEST_MYSQL": mysql_url if url else ""}
    printed = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick"],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert ("(target: 2.0)" if url else "skipped: no server. Set VENOMQA_TEST_MYSQL") in printed
