"""The page of a run opens offline, escapes what it shows, holds no secret, and lays a graph out."""

import base64
import gzip
import hashlib
import json
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from venomqa_hyp.adapters import HttpClient, MemoryAdapter, SQLiteAdapter
from venomqa_hyp.core import Divergence
from venomqa_hyp.core.counterexample import (
    ADDED,
    Change,
    Counterexample,
    CounterexampleStep,
    Exchange,
)
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.reporters import page, to_html
from venomqa_hyp.reporters.layout import Block, lay_out
from venomqa_hyp.reporters.state_graph import FOLDED_ABOVE
from venomqa_hyp.testing.process import serve

SHOP = Path(__file__).with_name("uuid_shop.py")
MARKUP = "</script></style><img src=x onerror=alert(1)>\"'&amp;{{ 7 * 7 }}\ud800"
#: What stands in the template.
TAGS = """
a article body button canvas code dd details div dl dt h1 h2 h3 head header html i input li main
meta nav ol option p b pre script section select span style summary table tbody td th thead title tr
"""


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


@pytest.fixture(scope="module")
def shop() -> ExplorationResult:
    store = MemoryAdapter({})
    rule = Invariant("within_payment", within_payment, description="No more than was paid.")
    return Agent(World(store, {"store": store}), ACTIONS, [rule], max_steps=200, seed=1).explore()


def state(name: str, summary: str = "empty", **context: Any) -> State:
    return State(name, {"db": Observation("db", {}, {}, name, summary)}, context)


def result_of(graph: Graph, *violations: Violation, **given_: Any) -> ExplorationResult:
    return ExplorationResult(graph, violations, 0.5, 1.0, {}, **given_)


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


def test_a_page_says_everything_without_scripts(shop: ExplorationResult) -> None:
    """Verdict, figures, the steps of a finding with what they changed, coverage and notes."""
    text = Reader(to_html(shop, name="Shop")).text
    for part in (
        "Shop: 1 violation found: 1 high.",
        "action coverage 75% (3 of 4 actions)",
        "high within_payment",
        "expected No more than was paid. seen refunded 10 of 5 paid 4 steps",
        "create() + store: order: new",
        "refund() ~ store: refunded: 5 -> 10",
        "[HIGH] within_payment",
        " 1 1 succeeded \N{MULTIPLICATION SIGN} 1 pay",
        "ship never executed",
        "within_payment 1",
        "Notes Actions that were never executed ship",
    ):
        text_before, found, text = text.partition(part)
        assert found, f"{part!r} is not in {text_before!r}"


def test_requests_and_replies_are_shown() -> None:
    step = CounterexampleStep(
        "order_1 = pay()",
        "Refused: yes",
        (Exchange("POST /pay {}", "201 {}"),),
        (Change("db", ADDED, "orders order_1", ""), Change("db", ADDED, "", "2 more rows")),
    )
    known = Counterexample("rule", "low", "seen", "expected", (step,))
    found = Violation("rule", Severity.LOW, "seen", (Step("pay", {}),), counterexample=known)
    text = Reader(to_html(result_of(Graph(state("a")), found))).text
    assert (
        "order_1 = pay() > POST /pay {} < 201 {} -> Refused: yes "
        "+ db: orders order_1 + db: 2 more rows"
    ) in text


def test_sections_without_content_are_left_out() -> None:
    read = Reader(to_html(result_of(Graph(state("a")))))
    headings = re.findall("Findings|State graph|Coverage|Notes", read.text)
    assert headings == ["State graph", "Coverage"] * 2
    assert "No violation found." in read.text
    assert ("title", {}) in read.tags
    assert "h1" not in dict(read.tags)


def test_nothing_but_its_own_script_and_style_may_run(shop: ExplorationResult) -> None:
    """The policy names both by the hash of what stands in the page; nothing is loaded."""
    read = Reader(to_html(shop, name=MARKUP))
    (policy,) = (
        item["content"]
        for tag, item in read.tags
        if tag == "meta" and item.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest(read.raw['style'])}'",
        "script-src": f"'sha256-{digest(read.raw['script'])}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    for tag, attributes in read.tags:
        assert not {"src", "style", "action", "srcset"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("href") or "#").startswith("#"), tag


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def full_of(text: str) -> ExplorationResult:
    """Return a record in which every text is this one."""
    initial = State("a", {text: Observation(text, {text: text})}, {text: [text]})
    graph = Graph(initial)
    step = Step(text, {"note": text})
    raised = ActionResult(False, status=None, error=text)
    graph.add(Transition("a", step, "b", raised), text, state("b", text, note=text))
    exchange = CounterexampleStep(
        text, text, (Exchange(text, text),), (Change(text, ADDED, text, text),)
    )
    known = Counterexample(text, "high", text, text, (exchange,))
    return result_of(
        graph,
        Violation(text, Severity.HIGH, text, (step,), counterexample=known),
        Violation(text, Severity.LOW, text, (step, step)),
        actions=(text,),
        invariants=(text,),
        divergence=Divergence(text, text),
        loops=(text,),
        volatile=(text,),
        ended_by=text,
        exhausted=text,
        skipped=text,
    )


def test_what_a_service_says_is_never_markup() -> None:
    """Names, messages, rows and notes are text, in the page and in the data of the graph."""
    html = to_html(full_of(MARKUP), name=MARKUP)
    html.encode()
    read = Reader(html)
    assert {tag for tag, _ in read.tags} <= {*TAGS.split()}
    assert [tag for tag, _ in read.tags].count("script") == 2
    shown = MARKUP.replace("\ud800", "\ufffd")
    assert read.text.count(shown) > 15
    assert "49" not in read.text
    assert re.fullmatch("[A-Za-z0-9+/=]+", read.raw["scriptdata"])


def test_a_page_is_made_of_the_record_alone(shop: ExplorationResult) -> None:
    """Read back from JSON in another process, or written twice, it is the same page."""
    assert to_html(shop) == to_html(shop)
    again = ExplorationResult.from_dict(json.loads(json.dumps(shop.to_dict())))
    assert Reader(to_html(again)).graph == Reader(to_html(shop)).graph


PLANTED = {
    "password in a body": "correct-horse-battery",
    "password in a column": "lovelace",
    "header": "header-secret-99",
    "context": "context-secret-123",
    "nested in the context": "nested-secret-456",
    "JSON text in the context": "json-secret-789",
    "argument": "argument-secret-321",
    "message": "message-secret-654",
    "password of a URL": "url-secret-987",
    "long, so that it is cut": "long-secret-" + "x" * 300,
}


def sign_up(api: Any, context: Any, password: str, options: Any) -> Any:
    answer = api.post("/customers", json={"name": "ada", "password": PLANTED["password in a body"]})
    context["token"] = answer.json()["token"]
    context["profile"] = {"name": "ada", "api_key": PLANTED["nested in the context"]}
    context["text"] = json.dumps([json.dumps({"secret": PLANTED["JSON text in the context"]})])
    context["store"] = f"postgresql://app:{PLANTED['password of a URL']}@localhost/db"
    api.headers["Authorization"] = f"Bearer {context['token']}"
    api.headers["X-Api-Key"] = PLANTED["header"]
    return answer


def complain(api: Any, context: Any) -> None:
    held = context["token"], PLANTED["header"], PLANTED["nested in the context"]
    raise RuntimeError(f"refused {held}, password={PLANTED['message']!r}")


@pytest.fixture(scope="module")
def with_secrets(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExplorationResult, list[str]]:
    """Return a run over a service in another process, and the tokens that it made."""
    database = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    options = {"password": PLANTED["long, so that it is cut"]}
    actions = [
        Action(
            "sign_up",
            sign_up,
            arguments={"password": st.just(PLANTED["argument"]), "options": st.just(options)},
            max_calls=1,
        ),
        Action("complain", complain, preconditions=["sign_up"], max_calls=1),
    ]
    with serve([sys.executable, str(SHOP), str(database), "{port}"]) as server:
        store = MemoryAdapter({"admin_password": PLANTED["password in a column"]})
        systems = {"db": SQLiteAdapter(database), "store": store}
        context = {"db_password": PLANTED["context"]}
        with World(HttpClient(server.url), systems, context=context) as world:
            result = Agent(world, actions, [], max_steps=20, seed=1).explore()
    tokens = [
        item.context["token"] for item in result.graph.states.values() if "token" in item.context
    ]
    return result, tokens


def test_secrets_are_nowhere_in_a_page(
    with_secrets: tuple[ExplorationResult, list[str]],
) -> None:
    """Planted in headers, bodies, rows, context, arguments and messages; tokens of the service."""
    result, tokens = with_secrets
    assert result.violations
    assert tokens
    for record in (result, result.portable()):
        read = Reader(to_html(record))
        graph = json.dumps(read.graph, ensure_ascii=False)
        assert "[redacted]" in graph
        assert "sign_up(" in graph
        for name, secret in [*PLANTED.items(), *(("token", token) for token in tokens)]:
            for start in (secret, secret[:16]):
                assert start not in read.text, name
                assert start not in graph, name


def test_secrets_of_rows_are_not_in_summaries() -> None:
    """A summary counts words of small tables, but not those of a column of passwords."""
    table = {"columns": ("name", "password"), "rows": [("ada", "lovelace")]}
    seen = Observation("db", {"tables": {"users": table}})
    graph = Graph(State("a", {"db": seen}, {"note": "she wrote lovelace, not lovelaces"}))
    text = json.dumps(Reader(to_html(result_of(graph))).graph)
    assert "users 1 (1 ada)" in text
    assert "she wrote [redacted], not lovelaces" in text


def test_the_data_hold_every_state_and_transition(shop: ExplorationResult) -> None:
    graph = Reader(to_html(shop)).graph
    assert len(graph["states"]) == shop.states_visited
    steps = [step for edge in graph["edges"] for step in edge["steps"]]
    assert len(steps) == shop.transitions_taken
    assert ["create()", "succeeded", True] in steps
    assert graph["blocks"] == []
    first = graph["states"][0]
    assert first["depth"] == 0
    assert ["store", "empty"] in first["parts"]


def test_a_finding_has_its_path(shop: ExplorationResult) -> None:
    """From the initial state to the one that breaks the rule, and only that one is marked."""
    graph = Reader(to_html(shop)).graph
    (path,) = graph["paths"]
    assert path["steps"] == ["create()", "pay()", "refund()", "refund()"]
    assert path["states"][0] == 0
    between = {(edge["from"], edge["to"]) for edge in graph["edges"]}
    assert set(zip(path["states"], path["states"][1:], strict=False)) <= between
    assert [at for at, item in enumerate(graph["states"]) if item["broken"]] == path["states"][-1:]


def test_an_edge_says_how_its_steps_ended() -> None:
    """A status where there was a reply; of an exception the type, not its message."""
    graph = Graph(state("a"))
    ends = [
        ActionResult(True, status=201),
        ActionResult(False, status=409, error="answered 409"),
        ActionResult(False, error="RuntimeError: with abcdefgh"),
        ActionResult(True),
    ]
    for number, end in enumerate(ends):
        graph.add(Transition("a", Step(f"do_{number}", {}), "a", end), str(number), state("a"))
    (edge,) = Reader(to_html(result_of(graph))).graph["edges"]
    assert edge["steps"] == [
        ["do_0()", "201", True],
        ["do_1()", "409", False],
        ["do_2()", "raised RuntimeError", False],
        ["do_3()", "succeeded", True],
    ]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_path_is_as_long_as_it_is_recorded(lost: int) -> None:
    """What raised may not be recorded: then it is marked where it began, if that is known."""
    graph = tree(5)
    known = violation_at(graph, "n4")
    raised = (Step("raise", {}),) * lost
    found = attrs.evolve(known, reproduction_path=(*known.reproduction_path, *raised))
    document = Reader(to_html(result_of(graph, found))).graph
    (path,) = document["paths"]
    assert path["steps"][-lost:] == ["raise()"] * lost
    assert len(path["states"]) == len(path["steps"]) + 1 - lost
    marked = [at for at, item in enumerate(document["states"]) if item["broken"]]
    assert marked == (path["states"][-1:] if lost == 1 else [])


@pytest.mark.parametrize(("size", "kinds"), [(2000, 3), (1200, 400), (FOLDED_ABOVE + 1, 3)])
def test_many_states_are_folded(size: int, kinds: int) -> None:
    """Each state is in one block or alone; the path of a finding is never folded."""
    graph = tree(size, kinds)
    html = to_html(result_of(graph, violation_at(graph, f"n{size - 1}")))
    assert len(html) < 5_000_000
    document = Reader(html).graph
    folded = [at for block in document["blocks"] for at in block["states"]]
    assert len(folded) == len(set(folded))
    (path,) = document["paths"]
    assert not set(path["states"]) & set(folded)
    alone = size - len(folded)
    assert len(document["blocks"]) + alone <= FOLDED_ABOVE + len(path["states"])
    for block in document["blocks"]:
        assert len(block["states"]) > 1
        assert len({document["states"][at]["depth"] for at in block["states"]}) == 1


def test_few_states_are_not_folded() -> None:
    assert Reader(to_html(result_of(tree(FOLDED_ABOVE)))).graph["blocks"] == []


def test_states_that_look_alike_are_folded_together() -> None:
    """Of one depth and kind, whatever their ids and amounts."""
    document = Reader(to_html(result_of(tree(400, 2)))).graph
    states = document["states"]
    for block in document["blocks"]:
        assert block["alike"]
        kinds = {re.sub(r"\d+", "", states[at]["parts"][1][1]) for at in block["states"]}
        assert len(kinds) == 1


@st.composite
def layered(draw: st.DrawFn) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Draw layers, groups and edges between any nodes."""
    layers = draw(st.lists(st.integers(0, 6), min_size=1, max_size=60))
    nodes = st.integers(0, len(layers) - 1)
    groups = [draw(st.integers(0, 8)) for _ in layers]
    return layers, groups, draw(st.lists(st.tuples(nodes, nodes), max_size=80))


def places(blocks: Sequence[Block]) -> dict[int, tuple[float, float]]:
    return {
        node: place for one in blocks for node, place in zip(one.nodes, one.places, strict=True)
    }


@given(layered())
@settings(max_examples=60)
def test_no_two_nodes_stand_at_one_place(
    graph: tuple[list[int], list[int], list[tuple[int, int]]],
) -> None:
    """Layers follow each other downwards, with room between them, and blocks do not overlap."""
    layers, groups, edges = graph
    blocks = lay_out(layers, groups, edges)
    found = places(blocks)
    assert sorted(found) == list(range(len(layers)))
    for one, (x, y) in found.items():
        for other, (other_x, other_y) in found.items():
            if one != other:
                assert max(abs(x - other_x), abs(y - other_y)) >= 1
            if layers[one] < layers[other]:
                assert y + 1 < other_y
    assert {(layers[one], groups[one]) for one in found} == {
        (block.layer, groups[block.nodes[0]]) for block in blocks
    }


def test_edges_do_not_cross_where_they_need_not() -> None:
    """Two chains that begin the wrong way round stand beside each other."""
    layers = [0, 1, 1, 2, 2, 3, 3]
    edges = [(0, 1), (0, 2), (1, 4), (2, 3), (3, 6), (4, 5)]
    found = places(lay_out(layers, range(7), edges))
    left = found[1][0] < found[2][0]
    assert [found[4][0] < found[3][0], found[5][0] < found[6][0]] == [left, left]


def test_a_layout_depends_on_the_graph_alone() -> None:
    chance = random.Random(1)
    layers = [0, *(chance.randrange(1, 9) for _ in range(300))]
    edges = [(chance.randrange(301), chance.randrange(301)) for _ in range(900)]
    assert lay_out(layers, range(301), edges) == lay_out(layers, range(301), list(edges))


def test_a_wide_layer_goes_on_below() -> None:
    """A thousand states after one step make a picture that is not a line."""
    found = places(lay_out([0, *[1] * 1000], range(1001), []))
    width, height = (len({place[axis] for place in found.values()}) for axis in (0, 1))
    assert width < 120
    assert height > 10


def test_without_jinja_the_error_names_what_to_install(
    shop: ExplorationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page._template.cache_clear()
    with pytest.raises(DefinitionError, match=r"pip install 'venomqa-hyp\[html\]'"):
        to_html(shop)


def test_the_other_reporters_do_not_need_jinja() -> None:
    code = "import sys, venomqa_hyp.reporters; print('jinja2' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
