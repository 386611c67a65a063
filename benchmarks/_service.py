"""A service whose items have values of some kind, and a model of it that has no values."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import attrs
import httpx
from _kinds import BESIDE, CONTENTS, ID, KINDS
from _redis_stores import STATUSES, Item, Place
from _stores import CONTAINERS
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes

from venomqa_hyp import Action, Invariant, World, from_context
from venomqa_hyp.adapters import HttpClient

CONTENT, COUNTER = "content", "counter"
CLIENT = ("cookie", "header")
#: Items of the model, in the order of creation: slot, status, choice, whether the client holds it.
ModelItem = tuple[int, str, int, bool]
#: What a state is apart from its values: items as the container shows them, and whether there was
#: a request, where the client holds something from the first one on.
Seen = tuple[tuple[ModelItem, ...], bool]
Edge = tuple[Seen, str, Seen]


@attrs.frozen
class Reply:
    """What a client library returns."""

    status_code: int


@attrs.frozen
class Plan:
    """A kind of value, its role, and the container it is in."""

    kind: str
    role: str
    container: str

    @property
    def is_possible(self) -> bool:
        """A Bundle holds what requests name, and nothing beside it; no client holds a hash."""
        held = CONTAINERS[self.container].held
        is_hash = self.kind in KINDS and KINDS[self.kind].is_hash
        return self.role != BESIDE or not (held == "Bundle" or (held and is_hash))

    @property
    def numbered(self) -> bool:
        """Whether items have slots."""
        return self.role == BESIDE or CONTAINERS[self.container].slots


@attrs.frozen
class Rules:
    """What the model has to know of a service.

    :ivar most: items at a time.
    :ivar numbered: whether states show the slots of items.
    :ivar ordered: whether states show the order of creation.
    :ivar marked: whether the client holds the newest item, until it is deleted.
    :ivar stamped: whether the client holds something from the first request on.
    """

    most: int
    choices: int
    numbered: bool
    ordered: bool
    deletes: bool
    marked: bool
    stamped: bool

    def seen(self, items: tuple[ModelItem, ...], stamped: bool) -> Seen:
        shown = [(slot if self.numbered else 0, *rest) for slot, *rest in items]
        return tuple(shown if self.ordered else sorted(shown)), stamped and self.stamped

    def is_broken(self, seen: Seen) -> bool:
        done = [choice for _, status, choice, _ in seen[0] if status == STATUSES[-1]]
        return 1 in done if self.choices > 1 else len(done) > 1

    def moves(self, items: tuple[ModelItem, ...]) -> Iterator[tuple[str, tuple[ModelItem, ...]]]:
        if len(items) < self.most:
            slot = free_slot([item[0] for item in items])
            others = tuple((*item[:3], False) for item in items)
            for choice in range(self.choices):
                yield "create", (*others, (slot, STATUSES[0], choice, self.marked))
        for at, (slot, status, choice, held) in enumerate(items):
            before, after = items[:at], items[at + 1 :]
            if status != STATUSES[-1]:
                following = STATUSES[STATUSES.index(status) + 1]
                yield "advance", (*before, (slot, following, choice, held), *after)
            if self.deletes:
                yield "delete", (*before, *after)


@attrs.frozen
class Model:
    states: frozenset[Seen]
    edges: frozenset[Edge]


def free_slot(taken: list[int]) -> int:
    return next(slot for slot in range(len(taken) + 1) if slot not in taken)


@lru_cache
def searched(rules: Rules) -> Model:
    """Find all states and transitions; as in an exploration, none leaves a broken state."""
    start: tuple[tuple[ModelItem, ...], bool] = (), False
    waiting, met = [start], {start}
    states, edges = {rules.seen(*start)}, set[Edge]()
    while waiting:
        items, stamped = waiting.pop()
        before = rules.seen(items, stamped)
        for name, after in rules.moves(items):
            reached = rules.seen(after, True)
            states.add(reached)
            if before != reached:
                edges.add((before, name, reached))
            if (after, True) not in met and not rules.is_broken(reached):
                met.add((after, True))
                waiting.append((after, True))
    return Model(frozenset(states), frozenset(edges))


class Service:
    """A service in action.

    With an odd seed a Bundle loses the id that is deleted, and there are two items at most, so that
    every transition is executed. With others deleted ids stay in it, and there are up to three
    items: of more than two ids in a Bundle the exploration picks some, and may miss a state.

    :ivar is_exact: whether an exploration executes everything.
    :ivar edges: the transitions that were executed.
    :ivar wrong_ids: requests that named nothing, with an id that was never deleted.
    """

    def __init__(self, plan: Plan, place: Place, seed: int) -> None:
        self.plan, self._place = plan, place
        self._container = CONTAINERS[plan.container]
        self._strict = seed % 2 == 1
        self._two_actions = seed % 2 == 1
        self._kind = KINDS.get(plan.kind)
        self.in_seconds = self._kind is not None and self._kind.in_seconds
        counts = plan.kind == COUNTER
        held = self._container.held
        few = self._strict or plan.role != ID or plan.numbered or counts or held in CLIENT
        self.rules = Rules(
            most=2 if few else 3,
            choices=2 if plan.role == CONTENT else 1,
            numbered=plan.numbered or counts,
            ordered=self._container.ordered and not plan.numbered,
            deletes=self._container.deletes and plan.role != CONTENT,
            marked=held in CLIENT and plan.role == ID,
            stamped=bool(held) and plan.role == BESIDE,
        )
        self.is_exact = self._strict or plan.role == BESIDE
        self.edges: set[Edge] = set()
        self.wrong_ids = 0
        self._deleted: set[str] = set()
        self._choices: dict[str, int] = {}
        self._items: Bundle[Any] = Bundle("items")

    @property
    def model(self) -> Model:
        return searched(self.rules)

    @contextmanager
    def opened(self) -> Iterator[World]:
        kind = str if self._kind is None else type(self._kind.make())
        if self.plan.kind == COUNTER:
            kind = int
        self._store = self._container.open(self._place, kind, self.plan.numbered)
        api = HttpClient(
            "http://testserver", transport=httpx.MockTransport(lambda _: httpx.Response(200))
        )
        holds_ids = self._container.held == "context" and self.plan.role != BESIDE
        context = {"items": []} if holds_ids else {}
        world = World(api, {"store": self._store.system}, context=context)
        try:
            yield world
        finally:
            world.close()
            self._store.close()

    @property
    def actions(self) -> list[Action]:
        creating = [self._creating()]
        if self.rules.choices > 1 and self._two_actions:
            creating = [self._creating(choice) for choice in range(self.rules.choices)]
        elif self.rules.choices > 1:
            chosen = {"choice": st.integers(0, self.rules.choices - 1)}
            creating = [attrs.evolve(creating[0], arguments=chosen)]
        gone: Any = self._argument
        if isinstance(gone, Bundle) and self._strict:
            gone = consumes(gone)
        advance = Action("advance", self._advance, arguments={"item": self._argument})
        delete = Action("delete", self._delete, arguments={"item": gone})
        return [*creating, advance, *([delete] if self.rules.deletes else [])]

    @property
    def invariant(self) -> Invariant:
        def holds(world: World) -> bool:
            return not self.rules.is_broken(self._seen(world.api, world.context))

        return Invariant("not_broken", holds)

    @property
    def _argument(self) -> Any:
        if self.plan.role == BESIDE:
            return st.integers(0, self.rules.most - 1)
        return from_context("items") if self._container.held == "context" else self._items

    def _creating(self, choice: int | None = None) -> Action:
        def execute(api: HttpClient, context: Any, **given: int) -> Any:
            return self._create(api, context, given.get("choice", choice or 0))

        name = "create" if choice is None else f"create_{choice}"
        target = self._items if isinstance(self._argument, Bundle) else None
        return Action(name, execute, target=target)

    def _create(self, api: HttpClient, context: Any, choice: int) -> Any:
        before, items = self._seen(api, context), self._store.read()
        if len(items) >= self.rules.most:
            return Reply(409)
        slot = free_slot([item.slot for item in items if item.slot is not None])
        value = self._new_value(items, slot, choice)
        made = Item(value, STATUSES[0], slot if self.plan.numbered else None)
        handle = self._handle(made)
        if self.plan.role != BESIDE and self._container.held == "context":
            context["items"] = [*context["items"], value]
            made = attrs.evolve(made, value=handle)
        else:
            self._hold(api, context, value)
        self._store.add(made)
        self._note(before, "create", api, context)
        return handle

    def _advance(self, api: HttpClient, context: Any, item: Any) -> Any:
        before, found = self._seen(api, context), self._find(item)
        if found is None:
            return self._missing(item)
        if found.status == STATUSES[-1]:
            return Reply(409)
        following = attrs.evolve(found, status=STATUSES[STATUSES.index(found.status) + 1])
        if self.plan.role == BESIDE:
            value = self._renewed(found)
            following = attrs.evolve(following, value=value)
            self._hold(api, context, value)
        self._store.replace(found, following)
        return self._note(before, "advance", api, context)

    def _delete(self, api: HttpClient, context: Any, item: Any) -> Any:
        before, found = self._seen(api, context), self._find(item)
        if found is None:
            return self._missing(item)
        self._store.drop(found)
        self._deleted.add(str(item))
        if self.plan.role == BESIDE:
            self._hold(api, context, self._renewed(found))
        elif self._container.held == "context":
            context["items"] = [one for one in context["items"] if one != item]
        elif self._current(api) == str(item):
            api.cookies.clear()
            api.headers.pop("Authorization", None)
        return self._note(before, "delete", api, context)

    def _new_value(self, items: list[Item], slot: int, choice: int) -> Any:
        if self.plan.role == CONTENT:
            made = str(uuid.uuid4())
            self._choices[made] = choice
            return {"id": made, "content": CONTENTS[self.plan.kind].make(choice)}
        if self.plan.role == BESIDE:
            return self._beside(slot)
        if self._kind is None:
            return free_slot([int(item.value) - 1 for item in items]) + 1
        taken = {str(item.value) for item in items}
        return next(made for made in iter(self._kind.make, None) if str(made) not in taken)

    def _renewed(self, item: Item) -> Any:
        return self._beside(item.slot or 0) if self._container.renews else item.value

    def _beside(self, slot: int) -> Any:
        if self._kind is None:
            return 1 if self._container.held else slot + 1
        return self._kind.make()

    def _hold(self, api: HttpClient, context: Any, value: Any) -> None:
        """Let the client hold a value."""
        held = self._container.held
        if held == "context":
            context["stamp"] = value
        elif held == "cookie":
            api.cookies.set("ref", str(value))
        elif held == "header":
            api.headers["Authorization"] = str(value)

    def _current(self, api: HttpClient) -> str | None:
        return api.cookies.get("ref") or api.headers.get("Authorization")

    def _handle(self, item: Item) -> Any:
        if self.plan.role == BESIDE:
            return item.slot
        return item.value["id"] if isinstance(item.value, dict) else item.value

    def _find(self, handle: Any) -> Item | None:
        if isinstance(handle, dict):
            handle = handle["id"]
        items = self._store.read()
        return next((item for item in items if str(self._handle(item)) == str(handle)), None)

    def _missing(self, handle: Any) -> Reply:
        may_be_deleted = self.plan.role == BESIDE or (
            not self._strict and self._container.held != "context" and str(handle) in self._deleted
        )
        self.wrong_ids += not may_be_deleted
        return Reply(404)

    def _note(self, before: Seen, name: str, api: HttpClient, context: Any) -> None:
        after = self._seen(api, context)
        if before != after:
            self.edges.add((before, name, after))

    def _seen(self, api: HttpClient, context: Any) -> Seen:
        items, current = self._store.read(), self._current(api)
        shown = []
        for item in items:
            handle = self._handle(item)
            slot = item.slot or 0
            if self._kind is None and self.plan.role == ID:
                slot = int(item.value) - 1
            held = self.rules.marked and str(handle) == current
            shown.append((slot, item.status, self._choices.get(str(handle), 0), held))
        return self.rules.seen(tuple(shown), current is not None or "stamp" in context)
