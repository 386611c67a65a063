"""Find the shortest path to each service's bug by trying everything, breadth first.

    python benchmarks/minimal_paths.py [--quick]

prints for each service of ``services/`` the length and one path of that length, and how many states
were searched. Exits with 1 where a length is not the one stored with the service. The search knows
nothing of the minimiser: it calls the actions on a copy of the store, with each combination of the
values in the service's alphabet, and never enters a state twice. ``--quick`` is the same: it takes
seconds.
"""

import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import product
from typing import Any

import attrs
from hypothesis.stateful import Bundle, MultipleResults
from services import CASES, Case

from venomqa_hyp import Action
from venomqa_hyp.core import FromContext, Step
from venomqa_hyp.values import canonical_text
from venomqa_hyp.world import World


@attrs.frozen(eq=False)
class Node:
    """A state, with all that decides what may follow."""

    path: tuple[Step, ...]
    data: Mapping[str, Any]
    context: Mapping[str, Any]
    bundles: Mapping[str, tuple[Any, ...]]
    calls: Mapping[str, int]

    def key(self, counted: set[str]) -> str:
        """Return what tells this state from others, counting only calls that matter later."""
        calls = {name: count for name, count in self.calls.items() if name in counted}
        return canonical_text([self.data, self.context, self.bundles, calls])


def shortest_path(case: Case) -> tuple[tuple[Step, ...], int]:
    """Return a shortest path to the bug, and how many states were searched."""
    world = case.open_world()
    limited = {action.name for action in case.actions if action.max_calls}
    counted = limited.union(*(action.required for action in case.actions))
    start = Node((), deepcopy(dict(case.data)), {}, {}, {})
    layer, seen = [start], {start.key(counted)}
    while layer:
        following = []
        for node in layer:
            for action in case.actions:
                for arguments in choices(case, action, node):
                    reached = act(case, world, node, action, arguments)
                    if isinstance(reached, tuple):
                        return reached, len(seen)
                    if (key := reached.key(counted)) not in seen:
                        seen.add(key)
                        following.append(reached)
        layer = following
    raise AssertionError(f"{case.name}: no path leads to the bug")


def choices(case: Case, action: Action, node: Node) -> Iterator[dict[str, Any]]:
    """Yield the arguments with which an action may follow a state."""
    calls = node.calls
    if action.max_calls is not None and calls.get(action.name, 0) >= action.max_calls:
        return
    if not all(calls.get(name) for name in action.required):
        return
    values = [_values(case, action, name, node) for name in action.arguments]
    for chosen in product(*values):
        yield dict(zip(action.arguments, chosen, strict=True))


def act(
    case: Case, world: World, node: Node, action: Action, arguments: dict[str, Any]
) -> Node | tuple[Step, ...]:
    """Return the state after an action, or the whole path where it shows the bug."""
    store = world.systems["store"]
    store.data.clear()
    store.data.update(deepcopy(dict(node.data)))
    world.context.load(node.context)
    result = world.act(action, deepcopy(arguments))
    path = (*node.path, Step(action.name, arguments))
    if result.exception or not all(world.check(item).holds for item in case.invariants):
        return path
    return Node(
        path,
        deepcopy(store.data),
        world.context.save(),
        _bundles_after(action, arguments, node, result.value),
        {**node.calls, action.name: node.calls.get(action.name, 0) + 1},
    )


def _values(case: Case, action: Action, name: str, node: Node) -> list[Any]:
    strategy = action.arguments[name]
    if isinstance(strategy, FromContext):
        return list(node.context.get(strategy.key, ()))
    if isinstance(strategy, Bundle):
        return list(node.bundles.get(strategy.name, ()))
    return list(case.alphabet[action.name][name])


def _bundles_after(
    action: Action, arguments: dict[str, Any], node: Node, value: Any
) -> dict[str, tuple[Any, ...]]:
    bundles = {name: list(held) for name, held in node.bundles.items()}
    for name, strategy in action.arguments.items():
        if isinstance(strategy, Bundle) and strategy.consume:
            bundles[strategy.name].remove(arguments[name])
    if action.target is not None:
        made = value.values if isinstance(value, MultipleResults) else (value,)
        bundles.setdefault(action.target.name, []).extend(made)
    return {name: tuple(held) for name, held in bundles.items()}


def main() -> None:
    wrong = 0
    for case in CASES.values():
        path, searched = shortest_path(case)
        note = "" if len(path) == case.minimum else f", but {case.minimum} is stored: WRONG"
        print(f"{case.name}: {len(path)} steps, {searched} states searched{note}", flush=True)
        for step in path:
            print(f"    {step}")
        wrong += bool(note)
    sys.exit(f"{wrong} stored lengths are wrong" if wrong else 0)


if __name__ == "__main__":
    main()
