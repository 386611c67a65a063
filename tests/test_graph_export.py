"""A graph and the record of a run can be written, drawn, read back and sent to other processes."""

import json
import pickle
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import (
    Action,
    ActionCounts,
    ActionResult,
    ExplorationResult,
    Graph,
    Invariant,
    InvariantCounts,
    Observation,
    Severity,
    State,
    Step,
    Transition,
    Violation,
    World,
    venom_machine,
)
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.core import Differing, Divergence
from venomqa_hyp.reporters import to_dot, to_mermaid
from venomqa_hyp.values.encoding import Undecodable, Unsaved

DIVERGENCE = Divergence("pay()", "it differs", (Differing("db", "db.a", "db.a: 1, 2"),), "look")
NASTY = 'a "quoted" \\ <b>`x`</b> [1] {x} | #35; %% \n\ud800 é'


def state(name: str, **context: Any) -> State:
    table = {"columns": ("id",), "key": ("id",), "rows": [(1,), (2,)]}
    data = {"tables": {"orders": table, "refunds": {**table, "rows": []}}, "queries": {}}
    return State(name, {"db": Observation.create("db", data)}, context)


def graph_of(*edges: tuple[str, str, str, dict[str, Any]]) -> Graph:
    """Build a graph of (from, action, to, arguments); actions named ``no_...`` are refused."""
    graph = Graph(state(edges[0][0]))
    for source, action, target, arguments in edges:
        step = Step(action, arguments)
        refused = action.startswith("no_")
        result = ActionResult(not refused, object(), 409 if refused else 201, "answered 409")
        key = step.key or "opaque"
        graph.add(Transition(source, step, target, result), key, state(target, last=action))
    return graph


GRAPH = graph_of(
    ("a", "create", "b", {"amount": 3}),
    ("b", "pay", "c", {"order": (1, b"x"), "note": NASTY}),
    ("b", "no_ship", "b", {}),
    ("c", "back", "a", {"to": object()}),
    ("a", "jump", "c", {}),
    ("a", "leap", "c", {}),
)
BROKEN = Violation(
    "money kept",
    Severity.CRITICAL,
    "refunded 2 of 1",
    (Step("create", {"amount": 3}), Step("jump", {})),
    AssertionError("x"),
)


CREATED = ActionCounts(3, 2, 2, 1, {"201": 2, "returned": 1}, 3, 2)


def result(**changes: Any) -> ExplorationResult:
    given_: dict[str, Any] = {
        "graph": GRAPH,
        "violations": (BROKEN,),
        "duration": 1.25,
        "actions": {"create": CREATED, "pay": ActionCounts()},
        "invariants": {"money kept": InvariantCounts(2, 1, 0, 1, at_end=True, last=NASTY)},
        "volatile": ("db.orders.at",),
        "divergence": DIVERGENCE,
    }
    return ExplorationResult(**given_ | changes)


def test_a_graph_survives_json() -> None:
    """States, arrivals, transitions and their results are the same after a round trip."""
    text = json.dumps(GRAPH.to_dict(), allow_nan=False)
    again = Graph.from_dict(json.loads(text))
    assert again.to_dict() == GRAPH.to_dict()
    assert list(again.states) == ["a", "b", "c"]
    assert dict(again.depths()) == {"a": 0, "b": 1, "c": 2}
    assert [item.action for item in again.path_to("c")] == ["create", "pay"]
    create, pay, ship, back, *_ = again.transitions
    assert (create.result.success, create.result.status) == (True, 201)
    assert (ship.result.success, ship.result.error) == (False, "answered 409")
    assert pay.step.arguments == {"order": (1, b"x"), "note": NASTY}
    assert isinstance(back.step.arguments["to"], Unsaved)
    assert again.find("a", Step("create", {"amount": 3}).key or "") is create


def test_states_are_written_with_a_digest_and_a_summary() -> None:
    """What was observed is left out; how many rows there were is told, empty tables are not."""
    (first, *_) = Graph.from_dict(GRAPH.to_dict()).states.values()
    seen = first.observations["db"]
    assert (seen.digest, seen.summary) == (state("a").observations["db"].digest, "orders 2")
    assert seen.data == {}
    assert seen.without_data().summary == "orders 2"


TABLE = {
    "columns": ("id", "status", "by"),
    "rows": [(1, "new", "a7"), (2, "new", "b"), (3, "paid", "c")],
}


@pytest.mark.parametrize(
    ("data", "summary"),
    [
        ({"tables": {"orders": TABLE, "refunds": []}, "queries": {}}, "orders 3 (2 new, 1 paid)"),
        ({}, "empty"),
        ({"tables": {"orders": {"columns": (), "rows": []}}}, "empty"),
        ({"users": [1, 2], "name": "x", "none": {}, 3: 4}, "users 2; name='x'; 3=4"),
        ({f"k{n}": n for n in range(900)}, "k0=0; k1=1; k2=2; ..."),
        ({"long": "x" * 500}, "long='" + "x" * 76 + "..."),
    ],
)
def test_a_summary_is_one_short_line(data: dict[str, Any], summary: str) -> None:
    """Collections are counted, by their words where they are few; other values are shown, cut."""
    told = Observation.create("memory", data).summary
    assert len(told) <= 160
    assert re.fullmatch(re.escape(summary).replace(re.escape("; ..."), "; .*[.]{3}"), told)


PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["tables", "rows", "columns"]) | PLAIN, inner)
        | st.lists(inner).map(tuple)
    ),
)


@given(st.dictionaries(st.sampled_from(["tables", "orders"]) | PLAIN, ANYTHING))
def test_whatever_a_system_shows_has_a_summary(data: dict[Any, Any]) -> None:
    """It is made while a run goes on, which it must never end."""
    seen = Observation.create("memory", data)
    assert seen.without_data().summary == seen.summary
    assert 0 < len(seen.summary) <= 160


def test_a_summary_tells_no_credentials() -> None:
    """Of what the client holds, only counts and types are told."""
    seen = Observation.create("api", {"headers": {"Authorization": "s3cret"}, "auth": "s3cret"})
    assert seen.summary == "headers 1; auth=str"


def test_networkx_reads_a_graph() -> None:
    """The dict is networkx's node-link form, with parallel edges kept apart."""
    networkx = pytest.importorskip("networkx")
    read = networkx.node_link_graph(GRAPH.to_dict(), edges="edges")
    assert (read.number_of_nodes(), read.number_of_edges()) == (3, 6)
    assert networkx.shortest_path(read, read.graph["initial"], "c") == ["a", "c"]
    assert {edge["action"] for edge in read["a"]["c"].values()} == {"jump", "leap"}
    assert read.nodes["b"]["depth"] == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"nodes": []}, "reaches the state 'a'"),
        ({"edges": []}, "reaches the state 'b'"),
        ({"nodes": 3}, "'nodes' is 3"),
        ({"graph": {}}, "no 'initial'"),
        ({"edges": [{"action": 3}]}, "no 'success'"),
        ({"nodes": [{"$set": [[1]]}]}, "no value"),
    ],
)
def test_what_is_no_graph_is_refused(change: dict[str, Any], error: str) -> None:
    """Each error names what is wrong."""
    with pytest.raises(Undecodable, match=error):
        Graph.from_dict(GRAPH.to_dict() | change)


def test_a_result_survives_json_and_pickle() -> None:
    """A copy without data, values and exceptions crosses processes; the original is unchanged."""
    told = result()
    again = pickle.loads(pickle.dumps(told.portable()))
    assert again.to_dict() == told.to_dict() == json.loads(json.dumps(told.to_dict()))
    assert (again.states_visited, again.transitions_taken, again.steps_executed) == (3, 6, 2)
    assert (again.volatile, again.divergence, again.skipped) == (
        ("db.orders.at",),
        DIVERGENCE,
        None,
    )
    assert (again.actions, again.invariants) == (told.actions, told.invariants)
    assert again.action_coverage == 0.5
    (violation,) = again.critical_violations
    assert str(violation.reproduction_path[0]) == "create(amount=3)"
    assert violation.exception is None is not told.violations[0].exception


def test_a_result_of_another_format_is_refused() -> None:
    """So is one whose fields are of other types."""
    written = result().to_dict()
    for change, error in [
        ({"format": 99}, "format 99"),
        ({"duration": "x"}, "'duration' is 'x'"),
        ({"violations": [{"severity": "bad"}]}, "'severity' is 'bad'"),
        ({"actions": [{"name": "pay"}]}, "no 'tried'"),
        ({"invariants": {"paid": 1}}, "'invariants' is"),
    ]:
        with pytest.raises(Undecodable, match=error):
            ExplorationResult.from_dict(written | change)  # type: ignore[operator]


def test_the_record_of_a_real_run_is_portable() -> None:
    """Also one whose values have no JSON, and whose states are more than keep their data."""
    store = MemoryAdapter()

    def put(api: Any, context: Any, item: Any) -> object:
        api[str(len(api))] = item
        context["thing"] = Severity.LOW
        assert len(api) < 6, "too many"
        return object()

    machine = venom_machine(
        World(store, {"store": store}),
        [Action("put", put, arguments={"item": st.sampled_from([1, Severity.HIGH, 2.0])})],
        [Invariant("few", lambda world: len(world.api) < 5)],
    )
    with pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(
            machine, settings=settings(suppress_health_check=list(HealthCheck))
        )
    told = machine.last_run
    again = pickle.loads(pickle.dumps(told.portable()))
    assert again.states_visited == told.states_visited > 5
    assert dict(again.graph.depths()) == dict(told.graph.depths())
    assert [item.name for item in again.violations] == [item.name for item in told.violations]
    assert "violates few" in to_dot(told.graph, told.violations)


def test_dot_marks_violations_and_refusals() -> None:
    """Steps between the same states share an edge, and what DOT would read is escaped."""
    text = to_dot(GRAPH, [BROKEN])
    (broken,) = (line for line in text.splitlines() if "violates money kept" in line)
    assert broken.startswith("  s1 [")  # the second step is not recorded there: drawn where it left
    assert "color=red" in broken
    assert 's0 -> s2 [label="jump()\\nleap()"]' in text
    assert 's1 -> s1 [label="no_ship(): answered 409", style=dashed' in text
    assert '\\"quoted\\"' in text


def test_mermaid_escapes_everything_but_words() -> None:
    """No sign that Mermaid, Markdown or HTML reads stands in a label."""
    text = to_mermaid(GRAPH, [BROKEN])
    assert text.startswith("flowchart TD\n")
    assert "class s1 violated" in text
    for line in text.splitlines()[1:]:
        if label := re.search(r'"(.*)"', line):
            plain = re.sub(r"#\d+;|<br/>", "", label[1])
            assert not set(plain) & set('"#;<>`[]{}|\\%*~&')


def test_a_violation_whose_path_is_not_recorded_is_noted() -> None:
    """No other state is marked in place of the one where it was seen."""
    lost = Violation("lost", Severity.LOW, "", (Step("create", {"amount": 9}), Step("pay", {})))
    text = to_dot(GRAPH, [lost])
    assert "not drawn: where lost was violated" in text
    assert "violates" not in text


def chain(length: int) -> Graph:
    return graph_of(*((f"n{at}", "go", f"n{at + 1}", {"at": at}) for at in range(length)))


def test_a_large_graph_is_cut_and_says_so() -> None:
    """The nearest states are drawn, and the paths of violations, whatever the limit."""
    graph = chain(50)
    text = to_dot(graph, limit=10)
    assert "not drawn: 41 more states, 41 more transitions" in text
    assert "s9 [" in text
    assert "s10 [" not in text
    assert "not drawn" not in to_dot(graph)
    path = tuple(Step("go", {"at": at}) for at in range(20))
    marked = to_mermaid(graph, [Violation("rule", Severity.LOW, "", path)], limit=10)
    assert "class s20 violated" in marked
    assert "not drawn: 30 more states, 30 more transitions" in marked


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@given(st.text(), st.text(st.characters(codec="utf-8")), st.integers(1, 9))
@settings(max_examples=15)
def test_graphviz_draws_any_label(name: str, value: str, limit: int) -> None:
    """Whatever stands in arguments and names, DOT stays DOT."""
    graph = graph_of(("a", "say", "b", {"text": value}), ("b", "say", "c", {"text": name}))
    path = (Step("say", {"text": value}),)
    for text in (to_dot(graph, [Violation(name, Severity.LOW, "", path)], limit=limit),):
        drawn = subprocess.run(
            ["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=True
        )
        assert drawn.stderr == b""
        assert b"<svg" in drawn.stdout


def test_a_picture_can_be_written_to_a_file(tmp_path: Path) -> None:
    """The text holds nothing that a file in UTF-8 cannot."""
    for name, text in (("a.dot", to_dot(GRAPH)), ("a.mmd", to_mermaid(GRAPH))):
        (tmp_path / name).write_text(text, encoding="utf-8")
