"""The graph of a run as plain data, which the script of the HTML report draws."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import attrs

from venomqa_hyp.core import Graph, State, Transition, Violation
from venomqa_hyp.reporters.layout import Block, lay_out
from venomqa_hyp.reporters.texts import Texts

#: With more states than this, those of one depth and shape are drawn as one.
FOLDED_ABOVE = 300
_LONGEST_LABEL = 60

_Document = dict[str, Any]
_Parts = tuple[tuple[str, str], ...]
_Edges = Mapping[tuple[int, int], Sequence[Transition]]


@attrs.frozen
class _Shown:
    """A state as it is shown.

    :ivar parts: (system, part of its summary); the context counts as a system.
    :ivar before: the parts of the state from which it was first reached.
    """

    depth: int
    parts: _Parts
    before: _Parts = ()


@attrs.frozen
class _Path:
    """What is recorded of the path of a violation.

    :ivar states: by number, from the initial one.
    :ivar calls: its steps, recorded or not.
    """

    violation: str
    states: tuple[int, ...]
    calls: tuple[str, ...]

    @property
    def broken(self) -> int | None:
        """The state where the rule is broken; ``None`` where it is not recorded."""
        # The last step may be one that raised, and then is not recorded.
        return self.states[-1] if len(self.states) >= len(self.calls) else None


def graph_document(graph: Graph, violations: Sequence[Violation]) -> _Document:
    """Describe a graph as JSON, without secrets.

    The label of a state is what it shows and the one from which it was reached did not. States are
    numbered by their depth, then by their order in the graph. A block is a group of
    states that are drawn as one until they are unfolded::

        {"states": [{"depth", "x", "y", "label", "parts": [[system, text], ...], "broken": [rule]}],
         "edges": [{"from", "to", "steps": [[call, outcome, whether it succeeded], ...]}],
         "blocks": [{"x", "y", "label", "states": [number, ...], "alike": of one shape}],
         "paths": [{"states": [number, ...], "steps": [call, ...]}]}

    ``x`` and ``y`` are those of :mod:`venomqa_hyp.reporters.layout`, in columns and rows.

    :param violations: in the order of ``paths``.
    """
    texts = Texts.of(graph, (item.reproduction_path for item in violations))
    depths = graph.depths()
    numbers = {item: at for at, item in enumerate(sorted(depths, key=depths.__getitem__))}
    parts = {item: _parts(graph.states[item], texts) for item in numbers}
    shown = [
        _Shown(depths[item], parts[item], parts[arrival.from_id] if arrival else ())
        for item, arrival in ((item, graph.arrival(item)) for item in numbers)
    ]
    paths = [_path(item, graph, numbers, texts) for item in violations]
    edges = _edges(graph.transitions, numbers)
    apart = {0, *(state for path in paths for state in path.states)}
    groups = _groups(shown, apart)
    blocks = lay_out([item.depth for item in shown], groups, edges)
    common = _common(shown)
    return {
        "states": _states(shown, blocks, paths, common),
        "edges": [
            {"from": source, "to": target, "steps": [_step(item, texts) for item in steps]}
            for (source, target), steps in edges.items()
        ],
        "blocks": [
            {**_block(item, shown, common), "alike": groups[item.nodes[0]] is not None}
            for item in blocks
            if len(item.nodes) > 1
        ],
        "paths": [{"states": path.states, "steps": path.calls} for path in paths],
    }


def _parts(state: State, texts: Texts) -> _Parts:
    shows = [
        (texts.plain(system), part)
        for system, seen in state.observations.items()
        for part in texts.plain(seen.summary).split("; ")
    ]
    context = (
        ("context", f"{texts.plain(key)} = {texts.value(key, held)}")
        for key, held in state.context.items()
    )
    return (*shows, *context)


def _path(violation: Violation, graph: Graph, numbers: Mapping[str, int], texts: Texts) -> _Path:
    states = tuple(numbers[item] for item in graph.along(violation))
    return _Path(violation.name, states, tuple(map(texts.call, violation.reproduction_path)))


def _edges(transitions: Iterable[Transition], numbers: Mapping[str, int]) -> _Edges:
    """Return (from, to) -> all steps from one state to the other."""
    edges: dict[tuple[int, int], list[Transition]] = defaultdict(list)
    for item in transitions:
        edges[numbers[item.from_id], numbers[item.to_id]].append(item)
    return edges


def _states(
    shown: Sequence[_Shown],
    blocks: Iterable[Block],
    paths: Iterable[_Path],
    common: frozenset[tuple[str, str]],
) -> list[_Document]:
    broken: dict[int | None, list[str]] = defaultdict(list)
    for path in paths:
        broken[path.broken].append(path.violation)
    places = {
        at: place for block in blocks for at, place in zip(block.nodes, block.places, strict=True)
    }
    return [
        {
            "depth": item.depth,
            "x": places[at][0],
            "y": places[at][1],
            "label": _label(item.parts, {*item.before, *common}) or _label(item.parts, common),
            "parts": item.parts,
            "broken": broken.get(at, ()),
        }
        for at, item in enumerate(shown)
    ]


def _block(block: Block, shown: Sequence[_Shown], common: frozenset[tuple[str, str]]) -> _Document:
    members = [shown[at] for at in block.nodes]
    same = _common(members)
    parts = [part for part in members[0].parts if part in same]
    return {"x": block.x, "y": block.y, "label": _label(parts, common), "states": block.nodes}


def _common(shown: Sequence[_Shown]) -> frozenset[tuple[str, str]]:
    """Return the parts that several states share, which do not tell them apart."""
    first, *others = (frozenset(item.parts) for item in shown)
    return first.intersection(*others) if others else frozenset()


def _label(parts: Iterable[tuple[str, str]], known: Set[tuple[str, str]]) -> str:
    """Return the parts that are not known; those of the client say nothing of the service."""
    new = (part for part in parts if part not in known and part[0] != "api")
    label = "; ".join(text for _, text in new)
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 3]}..."


def _step(transition: Transition, texts: Texts) -> tuple[str, str, bool]:
    result = transition.result
    outcome = "succeeded" if result.success else _reason(result.error or "")
    return texts.call(transition.step), str(result.status or texts.plain(outcome)), result.success


def _reason(error: str) -> str:
    """Return of an exception only its type: a message may hold secrets that have no name there.

    What can be shown of the message is in the counterexample.
    """
    found = re.match(r"[\w.]+(?=:|$)", error)
    return f"raised {found[0]}" if found else "failed"


def _groups(shown: Sequence[_Shown], apart: Iterable[int]) -> list[object]:
    """Return the group of each state: all of one group and depth are drawn as one.

    Summaries are compared as they are, else without the size of their numbers, else by what they
    name; the first is taken that leaves few enough groups. Where none does, the rarest shapes of a
    depth are one group.

    :param apart: states that are drawn by themselves.
    """
    if len(shown) <= FOLDED_ABOVE:
        return list(range(len(shown)))
    groups: list[object] = []
    for shape in _SHAPES:
        keys = [(item.depth, _shape(item, shape)) for item in shown]
        groups = list(keys)
        if len(set(keys)) <= FOLDED_ABOVE:
            break
    else:
        common = _most_common(keys)
        groups = [key if key in common else None for key in keys]
    for at in apart:
        groups[at] = at
    return groups


def _shape(state: _Shown, shape: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (system, shape(text)) for system, text in state.parts if system not in ("api", "context")
    )


_SHAPES: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    lambda text: re.sub(r"\d+", lambda number: "#" * len(number[0]), text),
    lambda text: re.sub(r"=.*|\d+", "#", text),
)


def _most_common(keys: Sequence[tuple[int, object]]) -> set[tuple[int, object]]:
    """Return the most common shapes of each depth, as many as there is room for."""
    by_depth: dict[int, Counter[object]] = defaultdict(Counter)
    for depth, shape in keys:
        by_depth[depth][shape] += 1
    room = max(0, FOLDED_ABOVE // len(by_depth) - 1)
    return {
        (depth, shape) for depth, found in by_depth.items() for shape, _ in found.most_common(room)
    }
