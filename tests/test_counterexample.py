"""What people read of a failure: named values, requests, replies, changes, and no secrets."""

import re
import sys
import uuid
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import psycopg
import pytest
import redis
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import Bundle, multiple, rule, run_state_machine_as_test
from outcomes import CONFLICT, Outcome, by_agent, by_machine, store_of

from venomqa_hyp import (
    Action,
    Context,
    ExplorationResult,
    Invariant,
    Severity,
    World,
    from_context,
    venom_machine,
)
from venomqa_hyp.adapters import (
    HttpClient,
    MemoryAdapter,
    MockMail,
    PostgresAdapter,
    RedisAdapter,
    SQLiteAdapter,
)
from venomqa_hyp.cli.demo import DemoOptions, load_example
from venomqa_hyp.core import Change, Counterexample, CounterexampleStep
from venomqa_hyp.explore.counterexample import build
from venomqa_hyp.reporters import to_text
from venomqa_hyp.stateful.failure_files import FailureFolder, SavedFailure
from venomqa_hyp.testing.process import serve

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
SHOP = Path(__file__).with_name("uuid_shop.py")
PLANTED = {
    "password": "correct-horse-battery",
    "key in the URL": "url-secret-0815",
    "header": "header-secret-99",
    "cookie": "cookie-secret-4711",
    "initial context": "initial-secret-123",
}


def report_of(outcome: Outcome) -> Counterexample:
    """Return the only counterexample of a run."""
    (violation,) = outcome.violations
    assert violation.counterexample is not None
    return violation.counterexample


def calls(counterexample: Counterexample) -> list[str]:
    return [step.call for step in counterexample.steps]


def changes(counterexample: Counterexample) -> list[list[tuple[str, str, str]]]:
    return [
        [(item.kind, item.place, item.text) for item in step.changes]
        for step in counterexample.steps
    ]


# In memory: plain callables.


def create(api: Any, context: Context, amount: int) -> int:
    key = len(api["orders"]) + 1
    api["orders"] = {**api["orders"], key: {"amount": amount, "status": "new"}}
    return key


def pay(api: Any, context: Context, order: int) -> dict[str, Any]:
    api["orders"] = {**api["orders"], order: {**api["orders"][order], "status": "paid"}}
    api["log"] = [*api["log"], "paid"]
    return {"order": order, "ok": True}


def memory_machine(**options: Any) -> Outcome:
    orders = Bundle("orders")
    actions = [
        Action("create_order", create, arguments={"amount": st.just(1)}, target=orders),
        Action("pay", pay, arguments={"order": orders}),
    ]
    unpaid = Invariant("unpaid", lambda world: not world.api["log"], severity=Severity.LOW)
    return by_machine(store_of(orders={}, log=[]), actions, [unpaid], **options)


@pytest.mark.parametrize("rollback", [True, False])
def test_a_path_without_requests_shows_results_and_changes(rollback: bool) -> None:
    """A number has its name where it is a key; the amount 1 is no order."""
    report = report_of(memory_machine(rollback=rollback))
    assert calls(report) == ["order_1 = create_order(amount=1)", "pay(order=order_1)"]
    assert [step.result for step in report.steps] == ["1", "{'order': order_1, 'ok': True}"]
    assert [step.exchanges for step in report.steps] == [(), ()]
    assert changes(report) == [
        [("added", "orders.order_1", "{'amount': 1, 'status': 'new'}")],
        [("changed", "orders.order_1.status", "new -> paid"), ("added", "log", "paid")],
    ]


def test_the_text_is_one_note_of_what_is_raised() -> None:
    """Hypothesis's own lines stay beside it."""
    outcome = memory_machine()
    assert outcome.raised is not None
    notes = outcome.raised.__notes__
    assert notes.count(to_text(report_of(outcome))) == 1
    assert "state.pay(order=orders_0)" in notes
    assert not any("Shortest path found" in note for note in notes)


def test_a_drawn_value_keeps_its_place() -> None:
    """What a strategy drew is a constant, also when it comes from the context later."""

    def put(api: Any, context: Context, book: str) -> None:
        context["books"] = [book]

    def drop(api: Any, context: Context, book: str) -> None:
        raise ValueError(f"dropped {book}")

    actions = [
        Action("put", put, arguments={"book": st.just("dune-1965")}),
        Action("drop", drop, arguments={"book": from_context("books")}),
    ]
    report = report_of(by_machine(store_of(), actions))
    assert calls(report) == ["put(book='dune-1965')", "drop(book='dune-1965')"]
    assert report.message == "ValueError: dropped dune-1965"


def test_an_assertion_without_a_message_shows_its_line() -> None:
    """The line says what was expected."""

    def check(api: Any, context: Context) -> None:
        assert api["n"] > 0, ""

    report = report_of(by_machine(store_of(n=0), [Action("check", check)]))
    assert report.expected == 'assert api["n"] > 0, ""'
    assert "AssertionError" in report.message


def test_a_refusal_shows_its_status() -> None:
    """What is no exchange of this client is shown by what it returned."""

    def refuse(api: Any, context: Context) -> Any:
        api["n"] += 1
        return CONFLICT

    below = Invariant("below", lambda world: world.api["n"] < 1)
    report = report_of(by_machine(store_of(n=0), [Action("refuse", refuse)], [below]))
    assert report.steps[0].result == "status 409" or "409" in report.steps[0].result


def test_an_initial_state_that_is_broken_has_no_steps() -> None:
    """The note of that case stays."""
    outcome = by_machine(store_of(n=0), [Action("x", lambda api, context: None)], [_FALSE])
    assert report_of(outcome).steps == ()
    assert "The initial state is like that" in outcome.text
    assert to_text(report_of(outcome)).startswith("Broken in the initial state")


_FALSE = Invariant("never", lambda world: False)


def test_a_failure_is_not_lost_where_it_cannot_be_described(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The steps are listed as they are, with the reason."""

    def broken(*_: object) -> None:
        raise TypeError("not today")

    monkeypatch.setattr(build, "names_of", broken)
    outcome = memory_machine()
    assert "pay(order=1)" in outcome.text
    assert "What the steps did is not shown: TypeError: not today" in outcome.text
    assert [item.counterexample for item in outcome.violations] == [None]


# Over HTTP, with UUIDs and secrets.


@attrs.frozen
class Shop:
    url: str
    database: Path

    def open(self) -> World:
        systems = {"db": SQLiteAdapter(self.database)}
        return World(
            HttpClient(self.url), systems, context={"db_password": PLANTED["initial context"]}
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    database = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with serve([sys.executable, str(SHOP), str(database), "{port}"]) as server:
        yield Shop(server.url, database)


def sign_up(api: HttpClient, context: Context) -> Any:
    body = {"name": "ada", "password": PLANTED["password"]}
    answer = api.post(f"/customers?api_key={PLANTED['key in the URL']}", json=body)
    context["token"] = answer.json()["token"]
    api.headers["Authorization"] = f"Bearer {context['token']}"
    api.headers["X-Api-Key"] = PLANTED["header"]
    return answer


def order_something(api: HttpClient, context: Context, amount: int) -> Any:
    answer = api.post("/orders", json={"amount": amount})
    return answer.json()["id"] if answer.status_code == 201 else multiple()


def refund(api: HttpClient, context: Context, order: str) -> Any:
    return api.post(f"/orders/{order}/refunds", json={"amount": 1})


def money(world: World) -> str | None:
    """No more is refunded than was paid."""
    tables = world.systems["db"].observe().data["tables"]
    customers = tables["customers"]["rows"]
    for key, _, amount, _ in tables["orders"]["rows"]:
        back = sum(row[2] for row in tables["refunds"]["rows"] if row[1] == key)
        if back > amount:
            secrets = f"password={PLANTED['password']}, {customers}"
            return f"order {key}: {back} of {amount} refunded ({secrets})"
    return None


ORDERS = Bundle("orders")
ACTIONS = [
    Action("sign_up", sign_up, max_calls=1),
    Action(
        "create_order",
        order_something,
        arguments={"amount": st.just(1)},
        target=ORDERS,
        preconditions=["sign_up"],
    ),
    Action("refund", refund, arguments={"order": ORDERS}),
]


@pytest.fixture(scope="module")
def outcome(shop: Shop) -> Outcome:
    return by_machine(shop.open, ACTIONS, [Invariant("money", money)], examples=15)


def test_a_violation_names_the_states_of_its_path(outcome: Outcome) -> None:
    """They are in the graph, although each execution has other ids as arguments."""
    assert outcome.record is not None
    (violation,) = outcome.violations
    graph = outcome.record.graph
    assert graph.along(violation) == (graph.initial.id, *violation.states)
    assert len(violation.states) == len(violation.reproduction_path)
    again = outcome.record.portable()
    assert again.graph.along(again.violations[0]) == graph.along(violation)


def test_names_stand_for_random_ids_in_every_line(outcome: Outcome) -> None:
    """Those that a Bundle holds, and those that only rows and replies show."""
    report = report_of(outcome)
    assert calls(report) == [
        "token_1 = sign_up()",
        "order_1 = create_order(amount=1)",
        "refund(order=order_1)",
        "refund(order=order_1)",
    ]
    made = report.steps[1]
    assert made.exchanges[0].request == 'POST /orders {"amount": 1}'
    assert '"id": order_1, "customer_id": customer_1' in made.exchanges[0].reply
    assert '{"self": "/orders/order_1"' in made.exchanges[0].reply
    assert changes(report)[1] == [
        ("added", "orders order_1", "customer_id customer_1, amount 1, status new")
    ]
    assert report.steps[3].exchanges[0].request == 'POST /orders/order_1/refunds {"amount": 1}'
    assert report.message.startswith("order_1: 2 of 1 refunded")
    assert not UUID.search(repr(report))


def test_secrets_are_in_neither_record_nor_text(outcome: Outcome) -> None:
    """Planted in headers, bodies, URL, context, rows and the message; the token has a name."""
    report = report_of(outcome)
    shown = repr(report) + to_text(report)
    assert [name for name, secret in PLANTED.items() if secret in shown] == []
    assert "$2b$12$" not in shown
    first = report.steps[0]
    assert first.exchanges[0].request == (
        'POST /customers?api_key=[redacted] {"name": "ada", "password": [redacted]}'
    )
    assert '"token": token_1, "password": [redacted]' in first.exchanges[0].reply
    assert first.changes[0].text == "name ada, password_hash [redacted], api_token token_1"


def test_a_long_text_is_cut_in_the_middle(outcome: Outcome) -> None:
    """And says how long it is; no line of the text is longer than 100 columns."""
    report = report_of(outcome)
    assert "x ... (3,000 characters) ... x" in report.steps[0].exchanges[0].reply
    assert max(map(len, to_text(report).splitlines())) <= 100


def test_an_agent_has_the_same(shop: Shop, outcome: Outcome) -> None:
    """But for what depends on how the path was found."""
    found = by_agent(shop.open, ACTIONS, [Invariant("money", money)], max_steps=200)
    assert to_text(report_of(found)) == to_text(report_of(outcome))


def test_it_is_part_of_the_record_as_json(outcome: Outcome) -> None:
    """A portable result has it, one of an older version does not."""
    assert outcome.record is not None
    document = outcome.record.to_dict()
    (again,) = ExplorationResult.from_dict(document).violations
    assert again.counterexample == report_of(outcome)
    del document["violations"][0]["counterexample"]  # type: ignore[index, call-overload, union-attr]
    (older,) = ExplorationResult.from_dict(document).violations
    assert older.counterexample is None


def test_it_is_in_the_failure_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged one is no obstacle: the steps are what counts."""
    monkeypatch.chdir(tmp_path)
    orders = Bundle("orders")
    actions = [
        Action("create_order", create, arguments={"amount": st.just(1)}, target=orders),
        Action("pay", pay, arguments={"order": orders}),
    ]
    machine = venom_machine(
        store_of(orders={}, log=[]), actions, [Invariant("unpaid", lambda w: not w.api["log"])]
    )
    kept = settings(
        database=DirectoryBasedExampleDatabase("examples"),
        suppress_health_check=list(HealthCheck),
    )

    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=kept)
    folder, identity = FailureFolder(), machine.venom_definition.identity
    ((path, saved),) = folder.load(identity).failures
    assert machine.last_run is not None
    assert saved.counterexample == machine.last_run.violations[0].counterexample
    text = path.read_text()
    assert '"call": "order_1 = create_order(amount=1)"' in text
    path.write_text(text.replace('"changes"', '"exchanges"'))
    loaded = folder.load(identity)
    ((_, damaged),) = loaded.failures
    assert (damaged.steps, damaged.counterexample) == (saved.steps, None)
    assert loaded.unreadable == ()


def test_a_file_is_not_written_anew_for_another_value(tmp_path: Path) -> None:
    """Clocks in what the steps did differ each time; a file in a repository is to stay as it is."""
    folder = FailureFolder(tmp_path)
    first, second = (
        SavedFailure("M", "n", "high", "m", (), counterexample=_shown_at(time))
        for time in ("1", "2")
    )
    path = folder.save(first)
    text = path.read_text()
    assert folder.save(second) == path
    assert path.read_text() == text
    path.unlink()
    large = SavedFailure("M", "n", "high", "m", (), counterexample=_shown_at("x" * 2_000_000))
    assert folder.save(large).read_text().count("x" * 100) == 0


def _shown_at(time: str) -> Counterexample:
    change = Change("db", "changed", "orders 1", f"updated_at {time}")
    return Counterexample("n", "high", "m", "", (CounterexampleStep("touch()", changes=(change,)),))


# Rows of PostgreSQL, and one text as a whole.


def test_rows_of_postgres_are_shown(postgres_url: str) -> None:
    """Added, changed and removed; a number is an order where a column says so."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP TABLE IF EXISTS shop_lines, shop_orders")
        admin.execute("CREATE TABLE shop_orders (id serial PRIMARY KEY, status text)")
        admin.execute(
            "CREATE TABLE shop_lines (id serial PRIMARY KEY, order_id int, n int, api_key text)"
        )

    def create(api: Any, context: Context) -> None:
        sql = "INSERT INTO shop_orders (status) VALUES ('new') RETURNING id"
        context["orders"] = [api.execute(sql).fetchone()[0]]

    def fill(api: Any, context: Context, order: int) -> None:
        api.execute("UPDATE shop_orders SET status = 'full' WHERE id = %s", [order])
        sql = "INSERT INTO shop_lines (order_id, n, api_key) VALUES (%s, 1, 'row-secret')"
        api.execute(sql, [order])

    def clear(api: Any, context: Context) -> None:
        api.execute("DELETE FROM shop_lines")
        assert not api.execute("SELECT 1 FROM shop_orders WHERE status = 'full'").fetchone()

    actions = [
        Action("create", create, max_calls=1),
        Action("fill", fill, arguments={"order": from_context("orders")}, max_calls=1),
        Action("clear", clear, preconditions=["fill"]),
    ]

    def open_world() -> World:
        connection = psycopg.connect(postgres_url, autocommit=True)
        return World(connection, {"db": PostgresAdapter(postgres_url)})

    report = report_of(by_machine(open_world, actions))
    assert calls(report) == ["order_1 = create()", "fill(order=order_1)", "clear()"]
    line = "order_id order_1, n 1, api_key [redacted]"
    assert [[(kind, text) for kind, _, text in step] for step in changes(report)] == [
        [("added", "status new")],
        [("added", line), ("changed", "status new -> full")],
        [("removed", line)],
    ]


def test_keys_of_redis_and_mails_are_shown(redis_url: str, redis_prefix: str) -> None:
    """By the name of the key; of a mail what people read of it."""

    def open_world() -> World:
        client = redis.Redis.from_url(redis_url)
        systems = {"cache": RedisAdapter(redis_url, prefix=redis_prefix), "mail": MockMail()}
        return World(client, systems)

    def begin(api: Any, context: Context) -> None:
        context["sessions"] = [str(uuid.uuid4())]
        api.set(f"{redis_prefix}session:{context['sessions'][0]}", "new")

    def end(api: Any, context: Context, session: str) -> None:
        api.set(f"{redis_prefix}session:{session}", "over")
        message = EmailMessage()
        message["Subject"] = "Good bye"
        message.set_content(f"You were {session}")
        context.world.systems["mail"].deliver("shop@x.org", ["ada@x.org"], message.as_bytes())
        raise ValueError("over")

    actions = [
        Action("begin", begin, max_calls=1),
        Action("end", end, arguments={"session": from_context("sessions")}),
    ]
    report = report_of(by_machine(open_world, actions, examples=10))
    assert calls(report) == ["session_1 = begin()", "end(session=session_1)"]
    key = f"{redis_prefix}session:session_1"
    assert changes(report)[0] == [("added", key, "new")]
    (cached, mail) = changes(report)[1]
    assert cached == ("changed", key, "new -> over")
    assert mail[:2] == ("added", "outbox")
    assert "'to': ['ada@x.org'], 'subject': 'Good bye'" in mail[2]
    assert "You were session_1" in mail[2]


ORDERS_TEXT = """\
4 steps, the shortest sequence found:
 1. order_1 = create_order(amount=2)
     > POST /orders {"amount": 2}
     < 201 {"amount": 2, "id": order_1, "paid": 0, "refunded": 0, "status": "new"}
     db: + orders order_1: customer_id 1, amount 2, status new
 2. pay(order=order_1)
     > POST /orders/order_1/payment
     < 201 {"amount": 2, "id": order_1, "paid": 2, "refunded": 0, "status": "paid"}
     db: ~ orders order_1: status new -> paid
     db: + payments 1: order_id order_1, amount 2
 3. refund(amount=1, order=order_1)
     > POST /orders/order_1/refunds {"amount": 1}
     < 201 {"amount": 2, "id": order_1, "paid": 2, "refunded": 1, "status": "paid"}
     db: + refunds 1: order_id order_1, amount 1
 4. refund(amount=2, order=order_1)
     > POST /orders/order_1/refunds {"amount": 2}
     < 201 {"amount": 2, "id": order_1, "paid": 2, "refunded": 3, "status": "refunded"}
     db: ~ orders order_1: status paid -> refunded
     db: + refunds 2: order_id order_1, amount 2

[CRITICAL] refunds_within_payments
  expected: The refunds of an order never exceed its payments.
  seen:     order_1: refunded 3 of 2 paid"""


def test_the_text_of_the_orders_example(tmp_path: Path) -> None:
    """Printed as a whole."""
    pytest.importorskip("flask")
    pytest.importorskip("waitress")
    example = load_example(DemoOptions("", False, 0, 1, True))
    database = tmp_path / "orders.sqlite"
    amounts = {"create_order": st.just(2), "refund": st.integers(1, 2)}
    actions = [
        attrs.evolve(
            item,
            arguments={
                name: amounts[item.name] if name == "amount" else given
                for name, given in item.arguments.items()
            },
        )
        for item in example.ACTIONS
        if item.name in ("create_order", "pay", "refund")
    ]
    with example.serve_orders(database) as server:
        outcome = by_machine(
            lambda: example.open_world(server.url, database), actions, example.INVARIANTS[:1]
        )
    assert to_text(report_of(outcome)) == ORDERS_TEXT


# A client of one's own, and secrets in places of every kind.


@attrs.define
class OwnClient:
    """Keeps a history as the HTTP clients do, of what it made up."""

    store: MemoryAdapter
    history: list[Any] = attrs.field(factory=list)

    def answer(self, url: str, sent: Any, reply: Any, **headers: str) -> None:
        self.history.append(
            SimpleNamespace(
                method="POST",
                url=url,
                request_body=sent,
                status=200,
                response_body=reply,
                error=None,
                request_headers=tuple((k.replace("_", "-"), v) for k, v in headers.items()),
            )
        )


@attrs.frozen
class User:
    password: str


def enter(api: OwnClient, context: Context) -> User:
    key = str(uuid.uuid4())
    context["users"] = [{"id": key, "password": "in-the-context"}]
    api.store["users"] = {key: {"password": "in-the-store", "orders": 1}}
    api.store["dsn"] = "postgresql://app:in-a-dsn@db/shop"
    api.answer(
        "http://a:in-the-authority@h/login?password=in-the-query",
        "password=in-the-form&name=ada",
        'token: in-a-text {"secret": "in-quotes"}',
        Authorization="Basic YTppbi10aGUtYmFzaWM=",
        X_Auth_Token="in-the-header",
    )
    return User("in-an-object")


def leak(api: OwnClient, context: Context, user: dict[str, str], given: Any) -> None:
    echo = {"said": ["in-the-header", "in-the-basic"], "as": user["id"].replace("-", "")}
    api.answer(f"/users/{user['id'].upper()}", {"deep": {"apiKey": ["in-a-list"]}}, echo)
    raise ValueError(f"user {user['id']}: {User('in-the-message')}, \x1b[31m{user}")


def test_no_place_shows_a_secret_or_a_raw_id() -> None:
    """Not under another name either, nor decoded; nor what would colour a terminal."""

    def open_world() -> World:
        store = MemoryAdapter({})
        return World(OwnClient(store), {"store": store})

    actions = [
        Action("enter", enter, max_calls=1),
        Action(
            "leak",
            leak,
            arguments={
                "user": from_context("users"),
                "given": st.just({"api-key": "in-an-argument", "n": 1}),
            },
        ),
    ]
    report = report_of(by_machine(open_world, actions))
    assert re.findall(r"\bin-(?:the|an?)-\w+|in-quotes", repr(report)) == []
    assert calls(report) == [
        "user_1 = enter()",
        "leak(given={'api-key': [redacted], 'n': 1}, user=user_1)",
    ]
    assert (
        report.steps[1].exchanges[0].request
        == 'POST /users/user_1 {"deep": {"apiKey": [[redacted]]}}'
    )
    assert '"as": user_1' in report.steps[1].exchanges[0].reply
    assert changes(report)[0] == [
        ("added", "users", "{user_1: {'password': [redacted], 'orders': 1}}"),
        ("added", "dsn", "'postgresql://app:[redacted]@db/shop'"),
    ]
    assert report.message.startswith("ValueError: user_1: User(password=[redacted]), \\x1b[31m{")


# Rules of the user.


def test_what_a_users_rule_did_is_not_left_out_silently() -> None:
    """A path with such a rule has Hypothesis's lines only; one without has all of it."""
    count = Action("count", lambda api, context: api.update(n=api["n"] + 1))
    below = Invariant("below", lambda world: world.api["n"] + world.api["marks"] < 4)

    def outcome(by: int) -> tuple[str, Counterexample | None]:
        machine = venom_machine(store_of(n=0, marks=0), [count], [below])

        class Own(machine):  # type: ignore[misc, valid-type]
            @rule()
            def mark(self) -> None:
                if by:
                    self.world.api["marks"] += by

        with pytest.raises(AssertionError) as caught:
            run_state_machine_as_test(seed(0)(Own), settings=settings(max_examples=200))
        (violation,) = Own.last_run.violations
        return "\n".join(caught.value.__notes__), violation.counterexample

    text, counterexample = outcome(3)
    assert "state.mark()" in text
    assert counterexample is None
    assert " 1. count()" not in text
    text, counterexample = outcome(0)
    assert counterexample is not None
    assert " 4. count()" in text
