"""The page of a run opens offline, escapes what it shows, and holds no secret."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from html_pages import Reader, result_of, shop, state
from hypothesis import strategies as st

from venomqa_hyp import (
    Action,
    ActionResult,
    Agent,
    ExplorationResult,
    Graph,
    Observation,
    Severity,
    State,
    Step,
    Transition,
    Violation,
    World,
)
from venomqa_hyp.adapters import HttpClient, MemoryAdapter, SQLiteAdapter
from venomqa_hyp.core import ActionCounts, Divergence, InvariantCounts
from venomqa_hyp.core.counterexample import (
    ADDED,
    Change,
    Counterexample,
    CounterexampleStep,
    Exchange,
)
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.reporters import page, to_html
from venomqa_hyp.testing.process import serve

SHOP = Path(__file__).with_name("uuid_shop.py")
MARKUP = "</script></style><img src=x onerror=alert(1)>\"'&amp;{{ 7 * 7 }}\ud800"
#: What stands in the template.
TAGS = """
a article body button canvas code dd details div dl dt h1 h2 h3 head header html i input li main
meta nav ol option p b pre script section select span style summary table tbody td th thead title tr
"""


def test_a_page_says_everything_without_scripts() -> None:
    """Verdict, figures, the steps of a finding with what they changed, coverage and notes."""
    text = Reader(to_html(shop(), name="Shop")).text
    for part in (
        "Shop: 1 violation found: 1 high.",
        "action coverage 75% (3 of 4 actions)",
        "high within_payment",
        "expected No more than was paid. seen refunded 10 of 5 paid 4 steps",
        "create() + store: order: new",
        "refund() ~ store: refunded: 5 -> 10",
        "[HIGH] within_payment",
        "action enabled executed recalled changed the state outcomes create",
        "x returned pay",
        "ship 0 of ",
        "invariant checked vacuous held did not hold kind within_payment",
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


def test_nothing_but_its_own_script_and_style_may_run() -> None:
    """The policy names both by the hash of what stands in the page; nothing is loaded."""
    read = Reader(to_html(shop(), name=MARKUP))
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
        actions={text: ActionCounts(executed=1, outcomes={text: 1})},
        invariants={text: InvariantCounts(checked=1, last=text)},
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


def test_a_page_is_made_of_the_record_alone() -> None:
    """Read back from JSON in another process, or written twice, it is the same page."""
    assert to_html(shop()) == to_html(shop())
    again = ExplorationResult.from_dict(json.loads(json.dumps(shop().to_dict())))
    assert Reader(to_html(again)).graph == Reader(to_html(shop())).graph


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


def test_without_jinja_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page._template.cache_clear()
    with pytest.raises(DefinitionError, match=r"pip install 'venomqa-hyp\[html\]'"):
        to_html(shop())


def test_the_other_reporters_do_not_need_jinja() -> None:
    code = "import sys, venomqa_hyp.reporters; print('jinja2' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
