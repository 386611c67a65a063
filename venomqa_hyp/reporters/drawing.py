"""Pictures of a graph, as text for Graphviz and for Mermaid."""

import re
from collections.abc import Iterable, Sequence

import attrs

from venomqa_hyp.core import Graph, State, Transition, Violation
from venomqa_hyp.values.encoding import shown

_LABELS_PER_EDGE = 3
_LONGEST_LABEL = 80

_Lines = tuple[str, ...]


@attrs.frozen
class Node:
    """One state.

    :ivar violations: the names of the rules that are broken here.
    """

    name: str
    lines: _Lines
    violations: tuple[str, ...]


@attrs.frozen
class Edge:
    """All steps from one state to another.

    :ivar refused: whether none of them succeeded.
    """

    source: str
    target: str
    lines: _Lines
    refused: bool


@attrs.frozen
class Drawing:
    """What is to be drawn, and a note on what is not."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    note: str | None


def to_dot(graph: Graph, violations: Iterable[Violation] = (), *, limit: int = 200) -> str:
    """Return a graph in the language of Graphviz.

    :param violations: the states they end in are marked.
    :param limit: of more states than this, those nearest to the initial one and those on the paths
        of violations are drawn, and a note says how many are not.
    """
    return _dot(_draw(graph, violations, limit))


def to_mermaid(graph: Graph, violations: Iterable[Violation] = (), *, limit: int = 60) -> str:
    """Return a graph as a flowchart of Mermaid; see :func:`to_dot`."""
    return _mermaid(_draw(graph, violations, limit))


def _draw(graph: Graph, violations: Iterable[Violation], limit: int) -> Drawing:
    """Choose at most ``limit`` states, and more where the paths of violations need them."""
    depths = graph.depths()
    violated: dict[str, list[str]] = {}
    left_out: list[str] = []
    chosen = {graph.initial.id}
    for item in violations:
        path = graph.along(item)
        # The last step may be one that raised, and then is not recorded.
        if len(path) < len(item.reproduction_path):
            left_out.append(f"where {item.name} was violated")
            continue
        violated.setdefault(path[-1], []).append(item.name)
        chosen.update(path)
    nearest = sorted(depths, key=depths.__getitem__)
    chosen.update([item for item in nearest if item not in chosen][: max(0, limit - len(chosen))])
    between: dict[tuple[str, str], list[Transition]] = {}
    others = 0
    for transition in graph.transitions:
        if transition.from_id in chosen and transition.to_id in chosen:
            between.setdefault((transition.from_id, transition.to_id), []).append(transition)
        else:
            others += 1
    names = {state_id: f"s{at}" for at, state_id in enumerate(nearest) if state_id in chosen}
    parts = {item: _parts(graph.states[item]) for item in names}
    same = set.intersection(*(set(part) for part in parts.values())) if len(parts) > 1 else set()
    nodes = [
        Node(name, _lines(name, parts[item], same), tuple(violated.get(item, ())))
        for item, name in names.items()
    ]
    edges = [
        _edge(names[source], names[target], all_) for (source, target), all_ in between.items()
    ]
    if len(depths) > len(chosen):
        left_out.append(f"{len(depths) - len(chosen):,} more states")
    if others:
        left_out.append(f"{others:,} more transitions")
    note = f"not drawn: {', '.join(left_out)}" if left_out else None
    return Drawing(tuple(nodes), tuple(edges), note)


def _dot(drawing: Drawing) -> str:
    """Return the picture in the language of Graphviz."""
    lines = ["digraph {", '  node [shape=box, fontname="sans-serif"];']
    lines += ['  edge [fontname="sans-serif", fontsize=10];']
    for node in drawing.nodes:
        style = ", color=red, penwidth=2, style=filled, fillcolor=mistyrose" * bool(node.violations)
        lines.append(f"  {node.name} [label={_dot_text(_label(node))}{style}];")
    for edge in drawing.edges:
        style = ", style=dashed, color=gray40" * edge.refused
        lines.append(f"  {edge.source} -> {edge.target} [label={_dot_text(edge.lines)}{style}];")
    if drawing.note:
        lines.append(f"  note [shape=note, label={_dot_text([drawing.note])}];")
    return "\n".join([*lines, "}", ""])


def _mermaid(drawing: Drawing) -> str:
    """Return the picture as a flowchart of Mermaid."""
    lines = ["flowchart TD"]
    lines += [f'  {node.name}["{_mermaid_text(_label(node))}"]' for node in drawing.nodes]
    for edge in drawing.edges:
        arrow = "-.->" if edge.refused else "-->"
        lines.append(f'  {edge.source} {arrow}|"{_mermaid_text(edge.lines)}"| {edge.target}')
    if drawing.note:
        lines.append(f'  note["{_mermaid_text([drawing.note])}"]')
    if violated := [node.name for node in drawing.nodes if node.violations]:
        lines.append("  classDef violated fill:#ffe4e1,stroke:#ff0000,stroke-width:2px")
        lines.append(f"  class {','.join(violated)} violated")
    return "\n".join([*lines, ""])


def _label(node: Node) -> list[str]:
    return [*node.lines, *(f"violates {name}" for name in node.violations)]


def _parts(state: State) -> list[tuple[str, str]]:
    """Return what the state shows, as (system, part)."""
    shows = [
        (system, part)
        for system, seen in state.observations.items()
        for part in seen.summary.split("; ")
    ]
    return [*shows, *(("context", f"{key}={shown(held)}") for key, held in state.context.items())]


def _lines(name: str, parts: Iterable[tuple[str, str]], same: set[tuple[str, str]]) -> _Lines:
    """Return the lines of a label; what all states share does not tell them apart."""
    by_system: dict[str, list[str]] = {}
    for system, part in parts:
        if (system, part) not in same:
            by_system.setdefault(system, []).append(part)
    return (name, *(_short(f"{at}: {'; '.join(shows)}") for at, shows in by_system.items()))


def _edge(source: str, target: str, transitions: Sequence[Transition]) -> Edge:
    lines = [_short(_step_text(item)) for item in transitions[:_LABELS_PER_EDGE]]
    if len(transitions) > _LABELS_PER_EDGE:
        lines.append(f"and {len(transitions) - _LABELS_PER_EDGE:,} more")
    refused = not any(item.result.success for item in transitions)
    return Edge(source, target, tuple(lines), refused)


def _step_text(transition: Transition) -> str:
    result = transition.result
    return str(transition.step) if result.success else f"{transition.step}: {result.error}"


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST_LABEL else f"{line[: _LONGEST_LABEL - 3]}..."


def _dot_text(lines: Iterable[str]) -> str:
    escaped = (_visible(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def _mermaid_text(lines: Iterable[str]) -> str:
    """Escape what is markup to Mermaid, to Markdown or to HTML, which a label may hold."""
    return "<br/>".join(
        re.sub(r"[^\w ,.:=()'+-]", lambda sign: f"#{ord(sign[0])};", _visible(line))
        for line in lines
    )


def _visible(text: str) -> str:
    """Spell out what cannot be seen: line breaks, and surrogates, which no file can hold."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
