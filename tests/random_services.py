"""Services made from a seed, with ids of many kinds, and what brute force finds out about them."""

import itertools
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle

from venomqa_hyp import Action, Context, Invariant, Observation, Step, World, from_context
from venomqa_hyp.adapters.handles import Handle
from venomqa_hyp.adapters.memory import MemoryAdapter

DEEPEST = 5
MOST_STATES = 20_000
IDS = ("len", "sequence", "uuid", "token", "snowflake")


@attrs.frozen
class Reply:
    """What a client library returns."""

    status_code: int


@attrs.frozen
class Rule:
    """Broken where the variables have these values, and so many items that status.

    :ivar by: ``invariant``, or the name of the action that raises.
    """

    name: str
    variables: tuple[tuple[int, int], ...]
    status: int | None
    by: str


@attrs.frozen
class Operation:
    """Where it is allowed, sets a variable, and the status of an item.

    :ivar guard: variable -> the value it must have.
    :ivar sets: variable -> ``("set" | "add" | "chosen", operand)``.
    :ivar wants: the status that the item must have; ``None`` for any.
    :ivar gives: its new status; ``None`` deletes it.
    :ivar choices: how many values the drawn argument has; 0 for none.
    """

    name: str
    guard: tuple[tuple[int, int], ...]
    sets: tuple[tuple[int, str, int], ...]
    on_item: bool
    wants: int | None
    gives: int | None
    choices: int
    max_calls: int | None
    required: str | None


@attrs.frozen
class Model:
    """The state of a service, without ids and clocks. ``None`` is an item that is deleted."""

    variables: tuple[int, ...]
    items: tuple[int | None, ...] = ()
    hidden: int = 0

    def shows(self, before: "Model") -> bool:
        """Return whether something changed that is observed."""
        return (self.variables, self.items) != (before.variables, before.items)


@attrs.frozen
class Service:
    """A service.

    :ivar ids: how ids are made.
    :ivar by: whether ids are passed on in a ``bundle`` or in the ``context``.
    :ivar leak: ``none``; ``hidden`` state that nobody observes and that rolls back; ``kept`` state
        that nobody observes and that does not.
    """

    number: int
    sizes: tuple[int, ...]
    operations: tuple[Operation, ...]
    rules: tuple[Rule, ...]
    most_items: int
    ids: str
    by: str
    clocks: bool
    leak: str

    def broken(self, model: Model) -> list[Rule]:
        return [rule for rule in self.rules if self.breaks(rule, model)]

    def seen(self, model: Model, action: str) -> list[Rule]:
        """Return what is seen to be broken: where an action raises, no invariant is checked."""
        broken = self.broken(model)
        raised = [rule for rule in broken if rule.by == action]
        return raised or [rule for rule in broken if rule.by == "invariant"]

    def breaks(self, rule: Rule, model: Model) -> bool:
        held = all(model.variables[at] == value for at, value in rule.variables)
        return held and (rule.status is None or rule.status in model.items)

    def create(self, model: Model) -> Model:
        if sum(item is not None for item in model.items) >= self.most_items:
            return model
        return attrs.evolve(model, items=(*model.items, 0))

    def operate(self, operation: Operation, model: Model, item: int | None, chosen: int) -> Model:
        model = self.turn(model)
        if any(model.variables[at] != value for at, value in operation.guard):
            return model
        if self.leak != "none" and model.hidden % 3 == 2:
            return model  # what nobody observes decides
        items = list(model.items)
        if operation.on_item:
            # An id that names nothing any more may be of a path with more items.
            if item is None or item >= len(items) or items[item] is None:
                return model
            if operation.wants not in (None, items[item]):
                return model
            items[item] = operation.gives
        variables = list(model.variables)
        for at, kind, operand in operation.sets:
            value = {"set": operand, "add": variables[at] + operand}.get(kind, chosen)
            variables[at] = value % self.sizes[at]
        return attrs.evolve(model, variables=tuple(variables), items=tuple(items))

    def turn(self, model: Model) -> Model:
        return model if self.leak == "none" else attrs.evolve(model, hidden=model.hidden + 1)

    def permits(self, operation: Operation, called: Counter[str]) -> bool:
        if operation.max_calls is not None and called[operation.name] >= operation.max_calls:
            return False
        return operation.required is None or bool(called[f"{operation.required} succeeded"])

    def shortest(self) -> dict[str, int]:
        """Return rule -> the length of the shortest path that breaks it, up to ``DEEPEST``."""
        found: dict[str, int] = {}
        start = Model((0,) * len(self.sizes))
        layer = {(start, frozenset[tuple[str, int]]())}
        seen = set(layer)
        for depth in range(1, DEEPEST + 1):
            following = set()
            for model, counted in layer:
                called = Counter(dict(counted))
                for name, after in self.moves(model, called):
                    broken = self.seen(after, name)
                    for rule in broken:
                        found.setdefault(rule.name, depth)
                    if not broken:
                        following.add((after, self.counted(called, name, model, after)))
            layer = following - seen
            seen |= layer
            if len(seen) > MOST_STATES:
                break
        return found

    def moves(self, model: Model, called: Counter[str]) -> Iterator[tuple[str, Model]]:
        yield "create", self.create(model)
        yield "look", model
        for operation in self.operations:
            if self.permits(operation, called):
                items = range(len(model.items)) if operation.on_item else [None]
                for item, chosen in itertools.product(items, range(max(operation.choices, 1))):
                    yield operation.name, self.operate(operation, model, item, chosen)

    def counted(
        self, called: Counter[str], name: str, before: Model, after: Model
    ) -> frozenset[tuple[str, int]]:
        matters = {f"{item.required} succeeded" for item in self.operations}
        matters |= {item.name for item in self.operations if item.max_calls is not None}
        counts = called + Counter([name, *([f"{name} succeeded"] if after.shows(before) else [])])
        return frozenset((key, min(count, 3)) for key, count in counts.items() if key in matters)

    def breaks_at_the_end_of(self, path: tuple[Step, ...], name: str, numbers: Any) -> bool:
        """Return whether the last step of a path is the first that breaks a rule."""
        model, called = Model((0,) * len(self.sizes)), Counter[str]()
        operations = {item.name: item for item in self.operations}
        for number, step in enumerate(path, 1):
            before = model
            if step.action == "create":
                model = self.create(model)
            elif step.action != "look":
                operation = operations[step.action]
                if not self.permits(operation, called):
                    return False
                item = numbers.get(step.arguments.get("item"))
                model = self.operate(operation, model, item, step.arguments.get("chosen", 0))
            called[step.action] += 1
            called[f"{step.action} succeeded"] += model.shows(before)
            broken = [rule.name for rule in self.seen(model, step.action)]
            if broken:
                return number == len(path) and name in broken
        return False


def make_service(number: int) -> Service:
    random = Random(number)
    sizes = tuple(random.choice([2, 2, 3, 4]) for _ in range(random.randint(1, 3)))
    most_items = random.choice([0, 1, 2, 2, 3])

    def equalities(most: int) -> tuple[tuple[int, int], ...]:
        places = random.sample(range(len(sizes)), min(random.randint(0, most), len(sizes)))
        return tuple((at, random.randrange(sizes[at])) for at in places)

    operations: list[Operation] = []
    for index in range(random.randint(2, 5)):
        choices = random.choice([0, 0, 2, 3])
        on_item = bool(most_items) and random.random() < 0.5
        kinds = ["set", "add", *(["chosen"] * 2 if choices else [])]
        touched = random.sample(range(len(sizes)), random.choice([0, 1] if on_item else [1]))
        operations.append(
            Operation(
                f"operation_{index}",
                equalities(1),
                tuple((at, random.choice(kinds), random.randint(1, 3)) for at in touched),
                on_item,
                random.choice([None, 0, 0, 1, 2]),
                random.choice([None, 1, 1, 2, 3]),
                choices,
                random.choice([None, None, None, 1, 2]),
                operations[-1].name if operations and random.random() < 0.15 else None,
            )
        )
    rules = []
    for index in range(random.choice([1, 1, 2])):
        status = random.choice([1, 2, 3]) if most_items and random.random() < 0.6 else None
        variables = equalities(2) or (() if status else ((0, 1),))
        if status is None and not any(value for _, value in variables):
            variables = ((0, 1),)
        by = random.choice(["invariant", "invariant", "look", operations[-1].name])
        rules.append(Rule(f"rule_{index}", variables, status, by))
    return Service(
        number,
        sizes,
        tuple(operations),
        tuple(rules),
        most_items,
        random.choice(IDS),
        random.choice(["bundle", "context"]),
        random.random() < 0.5,
        random.choice(["none", "none", "none", "none", "hidden", "kept"]),
    )


class Store(MemoryAdapter):
    """Keeps the service's state; what is hidden stands under a key that is not shown."""

    def __init__(self, service: Service) -> None:
        super().__init__({"items": {}, "created": 0, "hidden": 0})
        self.data.update({f"v{at}": 0 for at in range(len(service.sizes))})
        self.service = service

    def rollback(self, handle: Handle) -> None:
        hidden = self.data["hidden"]
        super().rollback(handle)
        if self.service.leak == "kept":
            self.data["hidden"] = hidden

    def observe(self) -> Observation:
        shown = {key: value for key, value in self.data.items() if key != "hidden"}
        if self.service.ids not in ("len", "sequence"):
            shown.pop("created")
            shown["items"] = {
                key: {name: item for name, item in row.items() if name != "number"}
                for key, row in shown["items"].items()
            }
        return Observation.create("store", MemoryAdapter(shown).observe().data)

    @property
    def model(self) -> Model:
        items = {row["number"]: row["status"] for row in self.data["items"].values()}
        variables = tuple(self.data[f"v{at}"] for at in range(len(self.service.sizes)))
        every = tuple(items.get(number) for number in range(self.data["created"]))
        return Model(variables, every, self.data["hidden"])


class Shop:
    """A service in action.

    :ivar numbers: id -> how many items were created before it on the path.
    :ivar seen: rule -> how often it was seen to be broken.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.numbers: dict[Any, int] = {}
        self.seen: Counter[str] = Counter()
        self.items: Bundle[Any] = Bundle("items")

    def open_world(self) -> World:
        store = Store(self.service)
        return World(store, {"store": store})

    def new_id(self, store: Store) -> Any:
        made: dict[str, Callable[[], Any]] = {
            "len": lambda: store.data["created"] + 1,
            "sequence": lambda: 100 + store.data["created"],
            "uuid": lambda: str(uuid.uuid4()),
            "token": lambda: secrets.token_urlsafe(16),
            "snowflake": lambda: secrets.randbelow(10**18) + 10**18,
        }
        return made[self.service.ids]()

    def create(self, api: Store, context: Context) -> Any:
        after = self.service.create(api.model)
        if after == api.model:
            return Reply(409)
        made = self.new_id(api)
        self.numbers[made] = api.data["created"]
        row = {"number": api.data["created"], "status": 0}
        if self.service.clocks:
            row["at"] = time.time()
        api.data["items"] = {**api.data["items"], made: row}
        api.data["created"] += 1
        if self.service.by == "context":
            context["items"] = [*context.get("items", []), made]
        self.check("create", api)
        return made

    def check(self, action: str, api: Store) -> None:
        for rule in self.service.broken(api.model):
            if rule.by == action:
                self.seen[rule.name] += 1
                raise ValueError(rule.name) if rule.name == "rule_0" else AssertionError(rule.name)

    def operate(
        self, operation: Operation, api: Store, item: Any = None, chosen: int = 0
    ) -> Reply | None:
        before = api.model
        row = api.data["items"].get(item)
        number = None if row is None else row["number"]
        after = self.service.operate(operation, before, number, chosen)
        api.data.update({f"v{at}": value for at, value in enumerate(after.variables)})
        api.data["hidden"] = after.hidden
        rows = {}
        for key, row in api.data["items"].items():
            status = after.items[row["number"]]
            if status is not None:
                rows[key] = {**row, "status": status}
        api.data["items"] = rows
        self.check(operation.name, api)
        return None if after.shows(before) else Reply(409)

    @property
    def actions(self) -> list[Action]:
        item: Any = self.items if self.service.by == "bundle" else from_context("items")

        def bound(operation: Operation) -> Action:
            def execute(api: Store, context: Context, **arguments: Any) -> Any:
                return self.operate(operation, api, **arguments)

            arguments: dict[str, Any] = {"item": item} if operation.on_item else {}
            if operation.choices:
                arguments["chosen"] = st.integers(0, operation.choices - 1)
            return Action(
                operation.name,
                execute,
                arguments=arguments,
                preconditions=[operation.required] if operation.required else [],
                max_calls=operation.max_calls,
            )

        def look(api: Store, context: Context) -> None:
            self.check("look", api)

        target = self.items if self.service.by == "bundle" else None
        create = Action("create", lambda api, context: self.create(api, context), target=target)
        return [create, Action("look", look), *map(bound, self.service.operations)]

    @property
    def invariants(self) -> list[Invariant]:
        def holds(rule: Rule) -> Invariant:
            def check(world: World) -> bool:
                if not self.service.breaks(rule, world.api.model):
                    return True
                self.seen[rule.name] += 1
                return False

            return Invariant(rule.name, check)

        return [holds(rule) for rule in self.service.rules if rule.by == "invariant"]
