"""A server that answers from what was rolled back is found at once, and named by the request."""

import json
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from venomqa_hyp import Action, Agent, Context, Invariant, World
from venomqa_hyp.adapters import MemoryAdapter, WsgiClient
from venomqa_hyp.errors import DivergenceError


class Service:
    """Counts its rows, and may answer from the count that it made first after the last write."""

    def __init__(self, rows: MemoryAdapter, *, caches: bool) -> None:
        self.rows = rows
        self.caches = caches
        self.cached: int | None = None

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body: dict[str, Any] = {"request": uuid.uuid4().hex, "at": time.time()}
        if environ["REQUEST_METHOD"] == "POST":
            self.rows.data[str(uuid.uuid4())] = "row"
            self.cached = None
        else:
            if self.cached is None or not self.caches:
                self.cached = len(self.rows.data)
            body["count"] = self.cached
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]


def add(api: WsgiClient, context: Context) -> None:
    if len(context.world.systems["rows"].data) < 3:
        api.post("/rows")


def read(api: WsgiClient, context: Context) -> Any:
    return api.get("/count")


def is_right(world: World) -> bool:
    count = world.api.get("/count").json()["count"]
    return bool(count == len(world.systems["rows"].data))


def agent(caches: bool, invariants: Iterable[Invariant] = (), **options: Any) -> Agent:
    def open_world() -> World:
        rows = MemoryAdapter()
        return World(WsgiClient(Service(rows, caches=caches)), {"rows": rows}, **options)

    actions = [Action("add", add), Action("read", read)]
    return Agent(open_world, actions, invariants, max_steps=100, seed=1)


@pytest.mark.parametrize("invariants", [[], [Invariant("is_right", is_right)]])
def test_a_cache_is_found_and_named(invariants: list[Invariant]) -> None:
    """Whether actions read, or invariants do; the remedy is said."""
    with pytest.raises(DivergenceError) as caught:
        agent(True, invariants).explore()
    told = str(caught.value)
    assert "after add() was rolled back a request is answered as if it was not" in told
    assert "GET http://testserver/count.body.count: 0 the first time, 1 the second time" in told
    assert "World(..., after_rollback=...)" in told


@pytest.mark.parametrize("invariants", [[], [Invariant("is_right", is_right)]])
def test_a_server_that_caches_nothing_passes(invariants: list[Invariant]) -> None:
    """Clocks and ids in its answers differ each time, and say nothing."""
    found = agent(False, invariants).explore()
    assert (found.divergence, found.violations) == (None, ())
    assert found.exhausted == "all 4 states explored"


def test_a_cache_that_is_emptied_passes() -> None:
    """The hook is called after each rollback."""

    def empty(world: World) -> None:
        world.api.app.cached = None

    def open_world() -> World:
        rows = MemoryAdapter()
        service = Service(rows, caches=True)
        client = WsgiClient(service)
        client.app = service  # type: ignore[attr-defined]
        return World(client, {"rows": rows}, after_rollback=empty)

    actions = [Action("add", add), Action("read", read)]
    right = [Invariant("is_right", is_right)]
    found = Agent(open_world, actions, right, max_steps=100, seed=1).explore()
    assert (found.divergence, found.violations) == (None, ())
    assert found.exhausted == "all 4 states explored"


def test_a_read_that_only_fails_in_between_says_nothing() -> None:
    """It is sent after a write, where no action reads: an error there is no answer."""

    class Fails(Service):
        def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] == "GET" and len(self.rows.data) == 1:
                raise ValueError("one row is too few")
            return super().__call__(environ, start)

    def open_world() -> World:
        rows = MemoryAdapter()
        return World(WsgiClient(Fails(rows, caches=False)), {"rows": rows})

    def has_no_rows(world: World) -> bool:
        return not world.systems["rows"].data

    begins_empty = Invariant("begins_empty", is_right, when=has_no_rows)
    found = Agent(open_world, [Action("add", add)], [begins_empty], seed=1).explore()
    assert (found.divergence, found.violations) == (None, ())
    assert found.exhausted == "all 4 states explored"


def test_a_client_with_a_history_of_its_own_is_left_alone() -> None:
    """Only one that can ask again takes part."""
    rows = MemoryAdapter()

    class Client:
        history: tuple[str, ...] = ()

    def add_row(api: Any, context: Context) -> None:
        api.history += ("not a request",)
        rows["count"] = min(rows.get("count", 0) + 1, 2)

    found = Agent(World(Client(), {"rows": rows}), [Action("add_row", add_row)], seed=1).explore()
    assert found.exhausted == "all 3 states explored"
