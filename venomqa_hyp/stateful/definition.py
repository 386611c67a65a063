"""What a machine is made of, checked as a whole."""

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

import attrs

from venomqa_hyp.core import Action, Invariant
from venomqa_hyp.core.action import is_async
from venomqa_hyp.core.vacuity import Require
from venomqa_hyp.errors import DefinitionError, InvariantViolated, VenomError, WorldError
from venomqa_hyp.explore import Novelty, Strategy
from venomqa_hyp.world import Loop, World

WorldSource = World | Callable[[], World | Awaitable[World]]


@attrs.frozen(eq=False)
class Definition:
    """The parts of one machine.

    :ivar identity: module, calling function and name; tells machines apart in failure files.
    :ivar world: the World, or a callable that opens one for each run.
    :ivar strategy: what exploring executes next.
    :ivar rollback: false re-runs every step from a reset World, as plain Hypothesis would.
    :ivar require: action -> the least share of its steps that succeed, or the least number.
    :ivar on_divergence: ``"error"`` ends a run whose World does not repeat itself, ``"warn"`` goes
        on without the record.
    """

    identity: str
    world: WorldSource
    actions: Mapping[str, Action]
    invariants: tuple[Invariant, ...]
    strategy: Strategy
    rollback: bool
    on_divergence: str
    require: Require
    violations: Mapping[str, type[InvariantViolated]]

    def open_world(self) -> World:
        """Return the World of a run."""
        if isinstance(self.world, World):
            return self.world
        try:
            made = awaited_world(self.world) if is_async(self.world) else self.world()
        except VenomError:
            raise
        except Exception as error:
            raise WorldError(
                f"the callable given as world failed: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(made, World):
            raise DefinitionError(
                f"the callable given as world returned {made!r:.60} of type "
                f"{type(made).__name__}, but a run needs a World. Return World(api, systems)."
            )
        return made

    @property
    def owns_world(self) -> bool:
        """Whether the World is opened for each run, and so closed after it."""
        return not isinstance(self.world, World)


def awaited_world(make: Callable[[], Any]) -> Any:
    """Return what an async function makes; a World keeps the loop that it was made on."""
    loop = Loop("asyncio")
    made: Any = None
    try:
        made = loop.run(make(), "the function given as world", keep=True)
    finally:
        if isinstance(made, World):
            made.adopt(loop)
        else:
            loop.close()
    return made


def define(
    identity: str,
    world: Any,
    actions: Iterable[Action],
    invariants: Iterable[Invariant],
    *,
    strategy: Strategy | None,
    rollback: bool,
    on_divergence: str,
    require: Any,
    taken: Container[str],
) -> Definition:
    """Check the parts of a machine against each other.

    :param taken: the names that the machine itself uses.
    :raises DefinitionError: says what cannot work, and what to write instead.
    """
    if not isinstance(world, World) and not callable(world):
        raise DefinitionError(
            f"world is {world!r:.60} of type {type(world).__name__}, but it must be a World or a "
            "callable that returns one. Write venom_machine(World(api, systems), actions)."
        )
    if isinstance(world, type) and issubclass(world, World):
        raise DefinitionError(
            f"world is the class {world.__name__} itself, which does not know the API and its "
            "systems. Write a function that makes one: def open_world(): return World(api, "
            "systems)."
        )
    listed = _listed("actions", actions, Action)
    if not listed:
        raise DefinitionError(
            "there are no actions, so the machine could do nothing. "
            'Write venom_machine(world, [Action("create_order", create_order)]).'
        )
    by_name: dict[str, Action] = {}
    for action in listed:
        _check_name_is_free(action, by_name, taken)
        _check_argument_names(action)
        by_name[action.name] = action
    for action in listed:
        _check_required(action, by_name)
    listed_invariants = _listed("invariants", invariants, Invariant)
    _check_unique(listed_invariants)
    # Hypothesis checks invariants in the order of their methods' names.
    checked = tuple(sorted(listed_invariants, key=lambda item: check_name(item.name)))
    return Definition(
        identity,
        world,  # a callable's result is checked when it is called
        MappingProxyType(by_name),
        checked,
        _checked_strategy(strategy),
        bool(rollback),
        _checked_reaction(on_divergence),
        _checked_require(require, by_name),
        MappingProxyType({item.name: _violation_type(item.name) for item in checked}),
    )


def check_name(invariant: str) -> str:
    """Return the name of the method that checks an invariant."""
    return "check_" + "".join(letter if letter.isalnum() else "_" for letter in invariant)


def _listed(role: str, items: Any, kind: type) -> tuple[Any, ...]:
    try:
        listed = tuple(items)
    except TypeError:
        raise DefinitionError(
            f"{role} is {items!r:.60} of type {type(items).__name__}, but it is a list of "
            f"{kind.__name__}s. Write [{items!r:.40}]."
        ) from None
    for item in listed:
        if not isinstance(item, kind):
            raise DefinitionError(
                f"{role} holds {item!r:.60} of type {type(item).__name__}, but each must be an "
                f"{kind.__name__}. Write {kind.__name__}(name, function), or decorate the function "
                f"with @{kind.__name__.lower()}."
            )
    return listed


def _check_name_is_free(
    action: Action, by_name: Mapping[str, Action], taken: Container[str]
) -> None:
    if action.name in by_name:
        first, second = by_name[action.name].execute, action.execute
        raise DefinitionError(
            f"two actions are named {action.name!r} ({_where(first)} and {_where(second)}), so a "
            "report could not tell them apart. Give one of them another name: "
            f'Action("{action.name}_2", ...).'
        )
    if action.name in taken or action.name in _INSTANCE_NAMES:
        raise DefinitionError(
            f"an action is named {action.name!r}, but Hypothesis's state machine uses that name "
            f'itself. Give the action another one: Action("do_{action.name}", ...).'
        )


_RULE_NAMES = frozenset({"self", "target", "targets"})


def _check_argument_names(action: Action) -> None:
    for name in sorted(_RULE_NAMES.intersection(action.arguments)):
        raise DefinitionError(
            f"action {action.name!r} has an argument named {name!r}, but Hypothesis's rule() uses "
            f"that name itself. Give the argument another one: {name}_id."
        )


_INSTANCE_NAMES = frozenset(
    {"bundles", "context", "invariants", "names_counters", "names_list", "names_to_values"}
    | {"rules", "settings", "venom_definition", "world"}
)


def _check_required(action: Action, by_name: Mapping[str, Action]) -> None:
    for name in action.required:
        if name not in by_name:
            raise DefinitionError(
                f"action {action.name!r} has the precondition {name!r}, but no action has that "
                f"name, so it could never run. Known actions: {', '.join(sorted(by_name))}."
            )
        if name == action.name:
            raise DefinitionError(
                f"action {action.name!r} has itself as a precondition, so it could never run the "
                "first time. Leave it out."
            )


def _check_unique(invariants: tuple[Invariant, ...]) -> None:
    seen: set[str] = set()
    for item in invariants:
        if item.name in seen:
            raise DefinitionError(
                f"two invariants are named {item.name!r}, so a report could not tell them apart. "
                f'Give one of them another name: Invariant("{item.name}_2", ...).'
            )
        seen.add(item.name)


def _violation_type(name: str) -> type[InvariantViolated]:
    """Make an exception type of its own: Hypothesis tells failures apart by type and line."""
    words = "".join(letter if letter.isalnum() else " " for letter in name).split()
    camel = "".join(word[:1].upper() + word[1:] for word in words)
    return type(f"{camel or 'Rule'}Violated", (InvariantViolated,), {"__module__": __name__})


def _checked_strategy(strategy: object) -> Strategy:
    if strategy is None:
        return Novelty()
    if isinstance(strategy, type) or not callable(getattr(strategy, "pick", None)):
        raise DefinitionError(
            f"strategy is {strategy!r:.60}, but it is an object with a method pick(graph, random). "
            "Write strategy=BFS(), or leave it out. Hypothesis's strategies, for arguments, are "
            "given to Action(arguments=...)."
        )
    return cast(Strategy, strategy)


def _checked_reaction(on_divergence: object) -> str:
    if on_divergence not in ("error", "warn"):
        raise DefinitionError(
            f"on_divergence is {on_divergence!r:.60}, but it says what happens where the World "
            'does not repeat itself: "error" ends the run, "warn" goes on without its record. '
            'Write on_divergence="warn".'
        )
    return str(on_divergence)


def _checked_require(require: Any, actions: Mapping[str, Action]) -> Require:
    if not isinstance(require, Mapping):
        raise DefinitionError(
            f"require is {require!r:.60} of type {type(require).__name__}, but it maps names of "
            f'actions to what they must reach. Write require={{"{next(iter(actions))}": 0.01}}.'
        )
    for name, least in require.items():
        if name not in actions:
            raise DefinitionError(
                f"require names {name!r:.60}, but no action has that name, so it could never be "
                f"reached. Known actions: {', '.join(sorted(actions))}."
            )
        is_count = isinstance(least, int) and not isinstance(least, bool) and least >= 1
        if not is_count and not (isinstance(least, float) and 0 < least <= 1):
            raise DefinitionError(
                f"require has {least!r:.60} for {name!r}, but it is a share of its steps, above "
                "0.0 and up to 1.0, or a whole number of successes from 1. "
                f'Write require={{"{name}": 0.01}} for 1 %, or {{"{name}": 1}} for one success.'
            )
    return MappingProxyType(dict(require))


def _where(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
