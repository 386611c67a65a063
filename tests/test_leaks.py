"""Each assumption about the World, broken on purpose: a run says so, and still tells the truth."""

import datetime
import itertools
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import Bundle, run_state_machine_as_test

from venomqa_hyp import (
    Action,
    Context,
    ExplorationResult,
    Invariant,
    Novelty,
    Observation,
    World,
    from_context,
    venom_machine,
)
from venomqa_hyp.errors import InvariantViolated, RollbackError, WorldError
from venomqa_hyp.explore import Draft, Picked, Position, Recorder
from venomqa_hyp.stateful import DivergenceWarning
from venomqa_hyp.world import Mover

SEEDS = range(10)
COLUMNS = {
    "orders": ("id", "status", "made"),
    "audit": ("number", "what"),
    "mail": ("number", "to"),
}
Row = dict[str, Any]


class Database:
    """Tables of rows; ``leaks`` are not rolled back, ``hides`` are not observed."""

    def __init__(self, leaks: tuple[str, ...] = (), hides: tuple[str, ...] = ()) -> None:
        self.tables: dict[str, dict[Any, Row]] = {name: {} for name in COLUMNS}
        self.leaks = leaks
        self.hides = hides

    def checkpoint(self, name: str) -> dict[str, dict[Any, Row]]:
        return deepcopy(self.tables)

    def rollback(self, handle: dict[str, dict[Any, Row]]) -> None:
        for name, rows in deepcopy(handle).items():
            if name not in self.leaks:
                self.tables[name] = rows

    def observe(self) -> Observation:
        tables = {
            name: {
                "columns": columns,
                "key": columns[:1],
                "rows": [
                    tuple(row[column] for column in columns)
                    for row in self.tables[name].copy().values()
                ],
            }
            for name, columns in COLUMNS.items()
            if name not in self.hides
        }
        return Observation.create("db", {"tables": tables})


class Shop:
    """At most two orders, each of them paid or cancelled.

    :ivar is_broken: whether a paid order can be cancelled, too, which is the planted bug.
    """

    def __init__(self, db: Database, is_broken: bool = False) -> None:
        self.db = db
        self.is_broken = is_broken

    def new_id(self) -> Any:
        return len(self.db.tables["orders"]) + 1

    def made_at(self) -> Any:
        return None

    def done(self, what: str) -> None:
        """Be called after each write."""

    def create(self) -> Any:
        orders = self.db.tables["orders"]
        if len(orders) == 2:
            return None
        key = self.new_id()
        orders[key] = {"id": key, "status": "new", "made": self.made_at()}
        self.done("create")
        return key

    def pay(self, key: Any) -> None:
        row = self.db.tables["orders"][key]
        if row["status"] == "new":
            row["status"] = "paid"
            self.done("pay")

    def cancel(self, key: Any) -> None:
        row = self.db.tables["orders"][key]
        if row["status"] == "new":
            row["status"] = "cancelled"
            self.done("cancel")
        elif row["status"] == "paid" and self.is_broken:
            row["status"] = "both"
            self.done("cancel")


def create(api: Shop, context: Context) -> Any:
    key = api.create()
    if key is not None:
        context["orders"] = [*context.get("orders", []), key]
    return key


def pay(api: Shop, context: Context, order: Any) -> None:
    api.pay(order)


def cancel(api: Shop, context: Context, order: Any) -> None:
    api.cancel(order)


def look(api: Shop, context: Context) -> None: ...


def paid_or_cancelled(world: World) -> bool:
    return all(row["status"] != "both" for row in world.api.db.tables["orders"].values())


@attrs.frozen
class Told:
    """What one run said."""

    error: Exception | None
    warning: str | None
    record: ExplorationResult

    @property
    def path(self) -> list[str]:
        (violation,) = self.record.violations
        return [step.action for step in violation.reproduction_path]


MakeWorld = Callable[[bool], World]


def world_of(
    shop: type[Shop], leaks: tuple[str, ...] = (), hides: tuple[str, ...] = (), **options: Any
) -> MakeWorld:
    def make(is_broken: bool) -> World:
        db = Database(leaks, hides)
        return World(shop(db, is_broken), {"db": db}, **options)

    return make


def run(
    make: MakeWorld,
    number: int,
    *others: Action,
    is_broken: bool = False,
    own_world: bool = True,
    by_bundle: bool = False,
    invariants: tuple[Invariant, ...] = (),
    strategy: Novelty | None = None,
) -> Told:
    """Run a machine; a warning says it ran without its record, an error is the finding."""
    made = Bundle("made")
    order: Any = made if by_bundle else from_context("orders")
    machine = venom_machine(
        (lambda: make(is_broken)) if own_world else make(is_broken),
        [
            Action("create", create, target=made if by_bundle else None, max_calls=2),
            Action("pay", pay, arguments={"order": order}),
            Action("cancel", cancel, arguments={"order": order}),
            Action("look", look),
            *others,
        ],
        [Invariant("paid_or_cancelled", paid_or_cancelled), *invariants],
        strategy=strategy,
        on_divergence="warn",
    )
    chosen = settings(
        max_examples=60 if is_broken else 15,
        stateful_step_count=8,
        suppress_health_check=list(HealthCheck),
    )
    error: Exception | None = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("error")
        warnings.simplefilter("always", DivergenceWarning)
        try:
            run_state_machine_as_test(seed(number)(machine), settings=chosen)
        except (InvariantViolated, RollbackError) as raised:
            error = raised
    assert machine.last_run is not None
    (warning,) = [str(item.message) for item in told] or [None]
    return Told(error, warning, machine.last_run)


def assert_passes(make: MakeWorld, *others: Action, **options: Any) -> list[Told]:
    """Run the correct service on ten seeds."""
    runs = [run(make, number, *others, **options) for number in SEEDS]
    for told in runs:
        assert told.error is None
        assert told.record.violations == ()
    return runs


def assert_found(make: MakeWorld, *others: Action, **options: Any) -> list[Told]:
    """Run the broken service: the rule that is broken is told, with the shortest path."""
    runs = [run(make, number, *others, is_broken=True, **options) for number in range(3)]
    for told in runs:
        assert isinstance(told.error, InvariantViolated)
        assert told.record.violations[0].name == "paid_or_cancelled"
        assert told.path[-1] == "cancel"
        assert "pay" in told.path
        # Without its record a run is shrunk by Hypothesis alone, which may keep a step too many.
        assert len(told.path) <= 3 + (told.record.divergence is not None)
    return runs


class Audited(Shop):
    """Writes down what it does."""

    def done(self, what: str) -> None:
        audit = self.db.tables["audit"]
        audit[len(audit) + 1] = {"number": len(audit) + 1, "what": what}


@pytest.mark.parametrize("own_world", [True, False])
@pytest.mark.parametrize("is_broken", [True, False])
def test_an_observed_table_that_does_not_roll_back_ends_the_run(
    is_broken: bool, own_world: bool
) -> None:
    """The error names step, system, table and row; it is told instead of any bug."""
    make = world_of(Audited, leaks=("audit",))
    for number in SEEDS:
        told = run(make, number, is_broken=is_broken, own_world=own_world)
        assert isinstance(told.error, RollbackError)
        text = str(told.error)
        assert text.startswith("rolling back did not undo create(): db.audit: ")
        assert "{'number': 1, 'what': 'create'} only the second time" in text
        assert told.record.violations == ()
        assert told.warning is None


@pytest.mark.parametrize("own_world", [True, False])
def test_a_table_nobody_looks_at_may_leak(own_world: bool) -> None:
    """What is neither observed nor read by the service makes no difference, and no warning."""
    make = world_of(Audited, leaks=("audit",), hides=("audit",))
    runs = assert_passes(make, own_world=own_world) + assert_found(make, own_world=own_world)
    assert [told.warning for told in runs] == [None] * len(runs)
    assert all(told.record.divergence is None for told in runs)


class Promoting(Audited):
    """Gives a present with an order where its audit table holds many rows."""

    def create(self) -> Any:
        key = super().create()
        if key is not None and len(self.db.tables["audit"]) % 2 == 0:
            self.db.tables["mail"][key] = {"number": key, "to": "winner"}
        return key


def test_a_hidden_table_that_steers_the_service_is_told_by_what_it_changes() -> None:
    """The divergence names the row that a table, neither observed nor rolled back, made appear."""
    make = world_of(Promoting, leaks=("audit",), hides=("audit",))
    for told in assert_passes(make) + assert_found(make):
        divergence = told.record.divergence
        assert divergence is not None
        assert "was executed twice from the same state" in divergence.what
        (place,) = divergence.places
        assert place.text.startswith("db.mail: {'number': 1, 'to': 'winner'} only")
        assert told.warning is not None
        assert str(divergence) in told.warning


class Timed(Shop):
    """Writes the time into each order, as a number."""

    def made_at(self) -> Any:
        return time.time_ns()


class Dated(Shop):
    """Writes the time into each order, as a text."""

    def made_at(self) -> Any:
        return datetime.datetime.now(datetime.UTC).isoformat()


@pytest.mark.parametrize("own_world", [True, False])
@pytest.mark.parametrize("shop", [Timed, Dated])
def test_a_clock_column_is_left_out(shop: type[Shop], own_world: bool) -> None:
    """The column, and nothing else, is listed as volatile; states meet as if it were not there."""
    runs = assert_passes(world_of(shop), own_world=own_world)
    for told in runs + assert_found(world_of(shop), own_world=own_world):
        assert told.record.volatile == ("db.orders.made",)
        assert told.warning is None
    timeless = [run(world_of(Shop), number, own_world=own_world) for number in SEEDS]
    assert [told.record.states_visited for told in runs] == [
        told.record.states_visited for told in timeless
    ]


class Random(Shop):
    """Draws the ids of orders at random."""

    def new_id(self) -> Any:
        return str(uuid.uuid4())


@pytest.mark.parametrize("own_world", [True, False])
@pytest.mark.parametrize("by_bundle", [True, False])
def test_random_keys_are_left_out(by_bundle: bool, own_world: bool) -> None:
    """Random ids name rows and are arguments, and nothing but their places is left out."""
    make, how = world_of(Random), {"own_world": own_world, "by_bundle": by_bundle}
    for told in assert_passes(make, **how):
        assert told.record.volatile == ("context.orders.*", "db.orders.id")
    assert_found(make, **how)


def test_random_keys_from_the_context_repeat() -> None:
    """A correct service that draws ids at random is explored with its record."""
    assert {told.warning for told in assert_passes(world_of(Random))} == {None}


def test_random_keys_from_a_bundle_repeat() -> None:
    """Also where the ids come from a Bundle, the record is used to the end."""
    runs = assert_passes(world_of(Random), by_bundle=True)
    assert {told.warning for told in runs} == {None}


def test_states_differ_where_a_random_key_names_another_row() -> None:
    """The first order paid and the second order paid are two states: they go on differently."""
    arguments = {"order": from_context("orders")}
    actions = [Action("create", create), Action("pay", pay, arguments=arguments)]
    recorder = Recorder(world_of(Random)(False), actions)
    at: Position | None = recorder.executor.start
    for _ in range(2):
        assert at is not None
        at = recorder.take(at, Draft(actions[0], {}))
    assert at is not None
    given = [Picked("context:orders", newer) for newer in (0, 1)]
    reached = [recorder.take(at, Draft(actions[1], {"order": item})) for item in given]
    assert len({position.state.id for position in reached if position is not None}) == 2


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("by_bundle", [True, False])
def test_random_keys_make_the_same_states_as_numbers_do(
    by_bundle: bool, keeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States and steps are as many as where ids count up: ids are told apart, and nothing else.

    Also where steps are executed again, and the ids made anew, since no checkpoint is kept.
    """
    if not keeps:
        monkeypatch.setattr(Mover, "leave", lambda mover: None)
    walks = Novelty(walks=1.0)  # what looks rare depends on how ids look
    counts = [
        [
            (told.record.states_visited, told.record.transitions_taken)
            for told in assert_passes(world_of(shop), by_bundle=by_bundle, strategy=walks)
        ]
        for shop in (Random, Shop)
    ]
    assert counts[0] == counts[1]


class Located(Random):
    """Names orders by addresses that end in a random id."""

    def new_id(self) -> Any:
        return f"/orders/{super().new_id()}"


@pytest.mark.parametrize("by_bundle", [True, False])
def test_addresses_with_random_keys_repeat(by_bundle: bool) -> None:
    """An id within a text is the same id."""
    runs = assert_passes(world_of(Located), by_bundle=by_bundle)
    assert {told.warning for told in runs} == {None}
    assert_found(world_of(Located), by_bundle=by_bundle)


class Cached(Shop):
    """Answers from a cache in its process, which it keeps up to date."""

    def __init__(self, db: Database, is_broken: bool = False) -> None:
        super().__init__(db, is_broken)
        self.cache: dict[Any, str] = {}

    def done(self, what: str) -> None:
        self.cache.clear()

    def status(self, key: Any) -> str:
        if key not in self.cache:
            self.cache[key] = self.db.tables["orders"][key]["status"]
        return self.cache[key]


def read(api: Cached, context: Context, order: Any) -> None:
    """Fail as a user would, whose order is answered with another status than it has."""
    assert api.status(order) == api.db.tables["orders"][order]["status"]


READ = Action("read", read, arguments={"order": from_context("orders")})


def is_fresh(world: World) -> bool:
    orders = world.api.db.tables["orders"]
    return all(world.api.status(key) == orders[key]["status"] for key in orders)


def test_a_stale_cache_is_no_bug_of_the_service() -> None:
    """Wrong answers from a cache that did not roll back are told as a divergence, never as a bug.

    They are where an action asserts, and where an invariant reads through the cache.
    """
    runs = assert_passes(world_of(Cached), READ)
    runs += assert_passes(world_of(Cached), invariants=(Invariant("is_fresh", is_fresh),))
    texts = {str(item.record.divergence) for item in runs if item.record.divergence is not None}
    assert texts
    assert all("read" in text or "is_fresh" in text for text in texts)


def test_a_bug_is_found_behind_a_stale_cache() -> None:
    """The planted bug is told, and told with the shortest path."""
    assert_found(world_of(Cached), READ)
    assert_found(world_of(Cached), invariants=(Invariant("is_fresh", is_fresh),))


_clock = itertools.count().__next__


class Hourly(Shop):
    """Opens and closes with a clock that no rollback reaches: each order is late or early."""

    def made_at(self) -> Any:
        return "late" if _clock() % 2 else "early"


def test_an_action_that_depends_on_time_is_told_by_what_it_changes() -> None:
    """The divergence names row and column; a word is content, and not left out as a clock."""
    for told in assert_passes(world_of(Hourly)) + assert_found(world_of(Hourly)):
        divergence = told.record.divergence
        assert divergence is not None
        assert divergence.what.startswith("create() was executed twice from the same state")
        (place,) = divergence.places
        assert (place.system, place.place) == ("db", "db.orders.made")
        assert place.text.startswith("db.orders.made (id 1): '")
        assert told.record.volatile == ()
        assert told.warning is not None


class Refusing(Hourly):
    """Is closed every second time."""

    calls = itertools.count()

    def create(self) -> Any:
        if next(self.calls) % 2:
            raise TimeoutError("closed")
        return super().create()


def test_an_action_that_raises_only_at_times_is_told_as_a_divergence() -> None:
    """That it raised the first time, or the second, is said; it is not called flaky."""
    machine = venom_machine(
        lambda: world_of(Refusing)(False),
        [Action("create", create, max_calls=2)],
        on_divergence="warn",
    )
    told = r"create\(\) was executed twice .* TimeoutError"
    # A service that refuses is one that fails, and may be told as such.
    with pytest.warns(DivergenceWarning, match=told), suppress(TimeoutError):
        run_state_machine_as_test(seed(1)(machine), settings=settings(max_examples=1))


class Mailing(Shop):
    """Sends a mail in the background, some milliseconds after an order was made."""

    def __init__(self, db: Database, is_broken: bool = False) -> None:
        super().__init__(db, is_broken)
        self.pending: list[threading.Thread] = []

    def done(self, what: str) -> None:
        if what == "create":
            self.pending.append(threading.Thread(target=self.send))
            self.pending[-1].start()

    def send(self) -> None:
        time.sleep(0.003)
        mail = self.db.tables["mail"]
        mail[len(mail) + 1] = {"number": len(mail) + 1, "to": "customer"}

    def unsent(self) -> list[str]:
        return [thread.name for thread in self.pending if thread.is_alive()]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Let late writers end with the test that began them."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join()


class Held(Database):
    """Lets go of late writers after each rollback, and waits for them."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[tuple[threading.Event, threading.Thread]] = []

    def rollback(self, handle: dict[str, dict[Any, Row]]) -> None:
        super().rollback(handle)
        for gate, thread in self.gates:
            gate.set()
            thread.join()
        self.gates.clear()


class Late(Mailing):
    """Sends its mails just after the next rollback."""

    db: Held

    def done(self, what: str) -> None:
        if what == "create":
            gate = threading.Event()
            thread = threading.Thread(target=lambda: gate.wait(2) and self.send(), daemon=True)
            self.db.gates.append((gate, thread))
            thread.start()


def late_world(is_broken: bool) -> World:
    db = Held()
    return World(Late(db, is_broken), {"db": db})


def test_a_late_write_is_told_with_the_remedy() -> None:
    """What a thread wrote after the rollback is named, with the hook that waits for it."""
    for told in assert_passes(late_world) + assert_found(late_world):
        text = str(told.record.divergence)
        assert "db.mail: {'number': " in text
        assert "World(..., settle=...)" in text
        assert told.warning is not None


def test_a_free_running_thread_makes_no_false_bug() -> None:
    """Whenever its writes arrive, nothing but the planted bug is told, or that rollback failed."""
    for number, is_broken in itertools.product(SEEDS, (False, True)):
        told = run(world_of(Mailing), number, is_broken=is_broken)
        names = [violation.name for violation in told.record.violations]
        assert names in ([], ["paid_or_cancelled"][:is_broken])
        if not isinstance(told.error, RollbackError):
            assert bool(names) == is_broken


settled = world_of(Mailing, settle=lambda world: world.api.unsent())


@pytest.mark.parametrize("own_world", [True, False])
def test_a_world_that_settles_repeats_itself(own_world: bool) -> None:
    """With a hook that waits, the same service is explored with its record."""
    runs = assert_passes(settled, own_world=own_world)
    assert {(told.warning, told.record.volatile) for told in runs} == {(None, ())}


@pytest.mark.parametrize("own_world", [True, False])
def test_a_bug_is_found_in_a_world_that_settles(own_world: bool) -> None:
    """The planted bug is told, with a short path."""
    assert_found(settled, own_world=own_world)


@pytest.mark.parametrize("own_world", [True, False])
def test_a_world_that_settles_repeats_itself_after_a_failure(own_world: bool) -> None:
    """Confirming a failure leaves nothing behind that is written into the next test case."""
    for told in assert_found(settled, own_world=own_world):
        assert told.warning is None


def test_a_bug_of_the_work_in_the_background_is_found() -> None:
    """A rule that only a late write breaks is asked when the World has settled."""

    def no_mail(world: World) -> bool:
        return not world.api.db.tables["mail"]

    told = run(settled, 0, invariants=(Invariant("no_mail", no_mail),))
    assert isinstance(told.error, InvariantViolated)
    assert told.path == ["create"]
    assert told.warning is None


def test_a_world_that_never_settles_ends_the_run() -> None:
    """After the time to settle the run ends, with what was pending and the step before it."""
    make = world_of(
        Mailing,
        settle=lambda world: ["mail to 7"] if world.api.db.tables["orders"] else [],
        settle_timeout=0.05,
    )
    start = time.monotonic()
    with pytest.raises(WorldError) as caught:
        run(make, 0, is_broken=True)
    assert time.monotonic() - start < 2
    assert str(caught.value) == (
        "the World did not settle within 0.05 s; still going on: ['mail to 7']. "
        "Raise settle_timeout, or look at why it never ends."
    )
    assert "create()" in "\n".join(caught.value.__notes__)
