"""Small services to explore: a lock, a workflow, and one that is all there is to see."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from venomqa_hyp import Action, Context, Invariant, World, from_context
from venomqa_hyp.adapters.memory import MemoryAdapter

Parts = tuple[Callable[[], World], list[Action], list[Invariant]]
WORKFLOW = ("open", "confirmed", "paid", "packed", "shipped", "delivered", "returned", "refunded")


def memory_world() -> World:
    store = MemoryAdapter()
    return World(store, {"store": store})


def lock(depth: int) -> Parts:
    """A combination lock: of six buttons one gets a step further, the others start again."""

    def button(number: int) -> Action:
        def press(api: Any, context: Context) -> None:
            at = api.get("at", 0)
            api["at"] = at + 1 if (7 * at + 3) % 6 == number else 0

        return Action(f"press_{number}", press)

    closed = Invariant("stays_closed", lambda world: world.api.get("at", 0) < depth)
    return memory_world, [button(number) for number in range(6)], [closed]


def workflow() -> Parts:
    """Orders with growing ids go through states one after the other, and never may be refunded."""

    def create(api: Any, context: Context, amount: int) -> None:
        number = len(api.get("orders", {})) + 1
        api["orders"] = {**api.get("orders", {}), number: {"amount": amount, "status": "open"}}
        context["orders"] = [*context.get("orders", []), number]

    def note(api: Any, context: Context) -> None:
        api["notes"] = [*api.get("notes", []), "seen"]

    def advance(before: str, after: str) -> Action:
        def move(api: Any, context: Context, order: int) -> None:
            known = api["orders"][order]
            if known["status"] == before:
                api["orders"] = {**api["orders"], order: {**known, "status": after}}

        return Action(f"to_{after}", move, arguments={"order": from_context("orders")})

    actions = [
        Action("create", create, arguments={"amount": st.integers(1, 10**6)}),
        Action("note", note),
        *(advance(*pair) for pair in pairwise(WORKFLOW)),
    ]

    def none_refunded(world: World) -> bool:
        orders = world.api.get("orders", {}).values()
        return all(order["status"] != "refunded" for order in orders)

    return memory_world, actions, [Invariant("none_refunded", none_refunded)]


def ring(size: int, *, limit: int | None = None) -> Parts:
    """A counter that begins anew after ``size``; it breaks a rule at ``limit``."""

    def step(api: Any, context: Context, back: bool) -> None:
        api["at"] = (api["at"] + (-1 if back else 1)) % size

    def make() -> World:
        world = memory_world()
        world.api["at"] = 0
        return world

    small = Invariant("small", lambda world: limit is None or world.api["at"] != limit)
    return make, [Action("step", step, arguments={"back": st.booleans()})], [small]
