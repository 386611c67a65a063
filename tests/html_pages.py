"""Pages of runs, read without a browser, and records to write them of."""

import base64
import functools
import gzip
import json
from html.parser import HTMLParser
from typing import Any

from venomqa_hyp import (
    Action,
    ActionResult,
    Agent,
    ExplorationResult,
    Graph,
    Invariant,
    Observation,
    Severity,
    State,
    Step,
    Transition,
    Violation,
    World,
)
from venomqa_hyp.adapters import MemoryAdapter


class Reader(HTMLParser):
    """Reads a page as a browser without scripts does."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, str] = {}
        self.texts: list[str] = []
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._within = tag + (dict(attributes).get("id") or "")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "scriptdata", "style"):
            self.raw[self._within] = self.raw.get(self._within, "") + data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def graph(self) -> dict[str, Any]:
        packed = base64.b64decode(self.raw["scriptdata"], validate=True)
        document: dict[str, Any] = json.loads(gzip.decompress(packed))
        return document


def create(api: Any, context: Any) -> None:
    api["order"] = "new"


def pay(api: Any, context: Any) -> None:
    api["order"], api["paid"] = "paid", 5


def refund(api: Any, context: Any) -> None:
    api["refunded"] = api.get("refunded", 0) + 5


def within_payment(world: Any) -> bool | str:
    seen = world.api.get("refunded", 0), world.api.get("paid", 0)
    return seen[0] <= seen[1] or f"refunded {seen[0]} of {seen[1]} paid"


ACTIONS = [
    Action("create", create, max_calls=1),
    Action("pay", pay, preconditions=["create"], max_calls=1),
    Action("refund", refund, preconditions=["pay"], max_calls=2),
    Action("ship", create, preconditions=[lambda context: False]),
]


@functools.cache
def shop() -> ExplorationResult:
    store = MemoryAdapter({})
    rule = Invariant("within_payment", within_payment, description="No more than was paid.")
    return Agent(World(store, {"store": store}), ACTIONS, [rule], max_steps=200, seed=1).explore()


def state(name: str, summary: str = "empty", **context: Any) -> State:
    return State(name, {"db": Observation("db", {}, {}, name, summary)}, context)


def result_of(graph: Graph, *violations: Violation, **given_: Any) -> ExplorationResult:
    return ExplorationResult(graph, violations, 1.0, **given_)


def tree(size: int, kinds: int = 5) -> Graph:
    """Return a graph in which each state leads to three others, and one step is refused."""
    graph = Graph(state("n0"))
    for number in range(1, size):
        arrived = state(
            f"n{number}", f"orders {number}; kind_{'x' * (number % kinds)} 1", at=number
        )
        step = Step("go", {"to": number})
        transition = Transition(f"n{(number - 1) // 3}", step, arrived.id, ActionResult(True))
        graph.add(transition, step.key or "", arrived)
        refused = ActionResult(False, status=409, error="answered 409")
        graph.add(Transition(arrived.id, Step("no", {}), arrived.id, refused), "no", arrived)
    return graph


def violation_at(graph: Graph, state_id: str) -> Violation:
    path = tuple(Step("go", dict(item.step.arguments)) for item in graph.path_to(state_id))
    return Violation("rule", Severity.HIGH, "it broke", path)
