"""Where the nodes of a layered graph stand.

A node stands in the layer that it is given, so most edges point down. Nodes of one layer and group
share a *block*, a square that can be drawn as one thing; blocks are ordered by barycentres
(Sugiyama, Tagawa, Toda: "Methods for Visual Understanding of Hierarchical System Structures",
1981), and a wide layer continues in further rows.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from math import ceil, sqrt

import attrs

_SWEEPS = 4
#: Width of a picture by its height.
_ASPECT = 1.6
#: Columns that a layer may have in any case.
_NARROWEST = 8
#: Rows left free between two layers.
_GAP = 1.0


@attrs.frozen
class Block:
    """Nodes of one layer and group.

    :ivar nodes: by number, at least one.
    :ivar x: of the centre, in columns; 0 is the middle of the picture.
    :ivar y: of the centre, in rows; the first row is 0.
    """

    layer: int
    nodes: tuple[int, ...]
    x: float = 0.0
    y: float = 0.0

    @property
    def columns(self) -> int:
        """The width."""
        return ceil(sqrt(len(self.nodes)))

    @property
    def rows(self) -> int:
        """The height."""
        return ceil(len(self.nodes) / self.columns)

    @property
    def places(self) -> Iterator[tuple[float, float]]:
        """Yield (x, y) of each node."""
        left, top = self.x - (self.columns - 1) / 2, self.y - (self.rows - 1) / 2
        for at in range(len(self.nodes)):
            yield left + at % self.columns, top + at // self.columns


def lay_out(
    layers: Sequence[int], groups: Sequence[Hashable], edges: Iterable[tuple[int, int]]
) -> tuple[Block, ...]:
    """Return the blocks, placed; no two nodes stand at one place.

    :param layers: node -> its layer, from 0.
    :param groups: node -> its group.
    :param edges: (source, target), by numbers of nodes.
    """
    members: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
    for node, key in enumerate(zip(layers, groups, strict=True)):
        members[key].append(node)
    blocks = [Block(layer, tuple(nodes)) for (layer, _), nodes in members.items()]
    by_layer: dict[int, list[int]] = defaultdict(list)
    for at, block in enumerate(blocks):
        by_layer[block.layer].append(at)
    order = _ordered([by_layer[layer] for layer in sorted(by_layer)], _neighbours(blocks, edges))
    return tuple(_placed([[blocks[at] for at in layer] for layer in order]))


def _neighbours(
    blocks: Sequence[Block], edges: Iterable[tuple[int, int]]
) -> Mapping[bool, Mapping[int, Sequence[int]]]:
    """Return whether above -> block -> blocks of other layers that it has an edge with."""
    holds = {node: at for at, block in enumerate(blocks) for node in block.nodes}
    found: dict[bool, dict[int, list[int]]] = {True: defaultdict(list), False: defaultdict(list)}
    for pair in edges:
        one, other = sorted((holds[node] for node in pair), key=lambda at: blocks[at].layer)
        if blocks[one].layer != blocks[other].layer:
            found[False][one].append(other)
            found[True][other].append(one)
    return found


def _ordered(
    layers: list[list[int]], neighbours: Mapping[bool, Mapping[int, Sequence[int]]]
) -> list[list[int]]:
    """Return the layers with their blocks near those they have edges with."""
    share = {at: share for layer in layers for at, share in _shares(layer)}
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = neighbours[down]

        def barycentre(at: int, near: Mapping[int, Sequence[int]] = near) -> float:
            found = near.get(at)
            return sum(share[other] for other in found) / len(found) if found else share[at]

        for layer in layers if down else reversed(layers):
            layer.sort(key=barycentre)
            share.update(_shares(layer))
    return layers


def _shares(layer: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Yield (block, how far to the right it stands, 0.0 to 1.0)."""
    for position, at in enumerate(layer):
        yield at, (position + 0.5) / len(layer)


def _placed(layers: Sequence[Sequence[Block]]) -> Iterator[Block]:
    """Yield the blocks with their places, from the top."""
    width = _width(layers)
    top = 0.0
    for layer in layers:
        for row in _rows(layer, width):
            left = -sum(block.columns for block in row) / 2
            for block in row:
                yield attrs.evolve(
                    block, x=left + block.columns / 2, y=top + (_height(row) - 1) / 2
                )
                left += block.columns
            top += _height(row)
        top += _GAP


def _width(layers: Sequence[Sequence[Block]]) -> int:
    """Return how many columns make the picture as wide as it should be."""
    width = max(_NARROWEST, *(block.columns for layer in layers for block in layer))
    widest = max(sum(block.columns for block in layer) for layer in layers)
    while width < min(widest, _ASPECT * _whole_height(layers, width)):
        width = ceil(1.1 * width)
    return width


def _whole_height(layers: Sequence[Sequence[Block]], width: int) -> float:
    return sum(_GAP + sum(map(_height, _rows(layer, width))) for layer in layers)


def _height(row: Iterable[Block]) -> int:
    return max(block.rows for block in row)


def _rows(layer: Iterable[Block], width: int) -> Iterator[list[Block]]:
    row: list[Block] = []
    for block in layer:
        if row and sum(item.columns for item in row) + block.columns > width:
            yield row
            row = []
        row.append(block)
    if row:
        yield row
