"""The graph in the page of a run: its data, what is folded, and where the states stand."""

import random
import re
from collections.abc import Sequence

import attrs
import pytest
from html_pages import Reader, result_of, shop, state, tree, violation_at
from hypothesis import given, settings
from hypothesis import strategies as st

from venomqa_hyp import ActionResult, Graph, Step, Transition
from venomqa_hyp.reporters import to_html
from venomqa_hyp.reporters.layout import Block, lay_out
from venomqa_hyp.reporters.state_graph import FOLDED_ABOVE


def test_the_data_hold_every_state_and_transition() -> None:
    graph = Reader(to_html(shop())).graph
    assert len(graph["states"]) == shop().states_visited
    steps = [step for edge in graph["edges"] for step in edge["steps"]]
    assert len(steps) == shop().transitions_taken
    assert ["create()", "succeeded", True] in steps
    assert graph["blocks"] == []
    first = graph["states"][0]
    assert first["depth"] == 0
    assert ["store", "empty"] in first["parts"]


def test_a_finding_has_its_path() -> None:
    """From the initial state to the one that breaks the rule, and only that one is marked."""
    graph = Reader(to_html(shop())).graph
    (path,) = graph["paths"]
    assert path["steps"] == ["create()", "pay()", "refund()", "refund()"]
    assert path["states"][0] == 0
    between = {(edge["from"], edge["to"]) for edge in graph["edges"]}
    assert set(zip(path["states"], path["states"][1:], strict=False)) <= between
    assert [at for at, item in enumerate(graph["states"]) if item["broken"]] == path["states"][-1:]


def test_a_path_is_known_by_its_states() -> None:
    """Where steps have random ids as arguments, they are not found in the graph by those."""
    graph = tree(5)
    found = attrs.evolve(
        violation_at(graph, "n4"),
        reproduction_path=(Step("go", {"to": "an id"}), Step("go", {"to": "another"})),
        states=("n1", "n4"),
    )
    document = Reader(to_html(result_of(graph, found))).graph
    assert document["paths"][0]["states"] == [0, 1, 4]
    assert [at for at, item in enumerate(document["states"]) if item["broken"]] == [4]


def test_the_label_of_a_state_is_what_is_new_there() -> None:
    graph = Graph(state("a", "orders 1; users 1"))
    graph.add(
        Transition("a", Step("pay", {}), "b", ActionResult(True)),
        "pay",
        state("b", "orders 2; users 1", key=1),
    )
    labels = [item["label"] for item in Reader(to_html(result_of(graph))).graph["states"]]
    assert labels == ["orders 1", "orders 2; key = 1"]


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
