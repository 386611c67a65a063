"""Where a path is: everything that decides what it can do next.

A path holds values: in Bundles, and in the context. They are those of the World it was executed in
last. Two paths that meet in one state hold other random ids, clocks and tokens; what they have in
common are the numbers of these in the state, by which :func:`translated` exchanges them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Never

import attrs
from hypothesis.stateful import Bundle, MultipleResults

from venomqa_hyp.core import Action, ActionResult, FromContext, State, Step
from venomqa_hyp.errors import DigestError
from venomqa_hyp.explore.given import Chosen, Drawn, Given, Literal, Owner, Picked
from venomqa_hyp.values import Knowledge, Name, Sealed, canonical_text, rename, text_of
from venomqa_hyp.world import Context, World, values_under

#: Identifies the steps of a path, in their order.
Chain = int
ROOT: Chain = 0
#: The number of the step that made what was there at the start.
INITIAL = -1


@attrs.frozen(eq=False)
class Entry:
    """A value in a pool, and the step that made it."""

    value: Any
    owner: Owner


Pools = Mapping[str, tuple[Entry, ...]]
_NOTHING: Mapping[str, Never] = MappingProxyType({})


@attrs.frozen(eq=False)
class Draft:
    """What to do: an action, and how each argument comes about.

    :ivar number: identifies the step among those of one path.
    """

    action: Action
    given: Mapping[str, Given]
    number: int = 0


@attrs.frozen(eq=False)
class Taken:
    """What was done.

    :ivar step: the action with the arguments it had.
    :ivar picks: argument -> how many newer values there were than the one picked from a pool.
    :ivar when: the seconds since 1970 before and after it was executed.
    """

    draft: Draft
    step: Step
    picks: Mapping[str, int]
    result: ActionResult
    when: tuple[float, float] = (0.0, 0.0)


@attrs.frozen(eq=False)
class Position:
    """A path at one point.

    :ivar state: the state, with the names that its fresh atoms have here.
    :ivar pools: the values that arguments can be picked from.
    :ivar calls: action -> executions, of the actions that have a limit.
    :ivar succeeded: the actions that did, of those that others require.
    :ivar chain: the same for paths of the same steps.
    :ivar parent: the position before, and ``taken`` the step between; ``None`` at the start.
    """

    state: State
    pools: Pools = _NOTHING
    calls: Mapping[str, int] = _NOTHING
    succeeded: frozenset[str] = frozenset()
    chain: Chain = ROOT
    depth: int = 0
    parent: "Position | None" = None
    taken: Taken | None = None

    @property
    def moved(self) -> bool:
        """Whether the last step led to another state."""
        return self.parent is None or self.parent.state.id != self.state.id

    @property
    def path(self) -> tuple["Position", ...]:
        """The positions after each step, from the first on."""
        found: list[Position] = []
        at: Position | None = self
        while at is not None and at.taken is not None:
            found.append(at)
            at = at.parent
        return tuple(reversed(found))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps from the initial state."""
        return tuple(at.taken.step for at in self.path if at.taken is not None)

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """What to do to get here from the initial state."""
        return tuple(at.taken.draft for at in self.path if at.taken is not None)

    @property
    def drafts_by_owner(self) -> tuple[Draft, ...]:
        """The drafts, each picking its values by the step that made them.

        So they stay the same values where steps in between are removed.
        """
        return tuple(
            attrs.evolve(at.taken.draft, given={**at.taken.draft.given, **at.chosen})
            for at in self.path
            if at.taken is not None
        )

    @property
    def chosen(self) -> Mapping[str, Chosen]:
        """Argument -> the value that the last step picked from a pool.

        Of two from one pool the first only: it may have taken its value out.
        """
        if self.taken is None or self.parent is None:
            return {}
        found: dict[str, tuple[str, Chosen]] = {}
        for name, newer in reversed(list(self.taken.picks.items())):
            given = self.taken.draft.given[name]
            if isinstance(given, Chosen | Picked):
                entries = self.parent.pools.get(given.pool, ())
                if newer < len(entries):
                    owner = entries[len(entries) - 1 - newer].owner
                    found[given.pool] = name, Chosen(given.pool, owner)
        return dict(found.values())


@attrs.frozen
class Source:
    """The pool that an argument is picked from.

    :ivar consumes: whether picking a value takes it out.
    :ivar plain: whether the argument is the value itself, and not something made of it.
    """

    pool: str
    consumes: bool = False
    plain: bool = True


def source_of(given: object) -> Source | None:
    """Return the pool that an argument is picked from, if it is; by public means only."""
    if isinstance(given, FromContext):
        return Source(f"context:{given.key}")
    return Source(f"bundle:{given.name}") if isinstance(given, Bundle) else None


def renamed(draft: "Draft", names: Mapping[Name, Name]) -> "Draft":
    """Return a draft whose literal values have other names, but for those that are sealed."""
    given: dict[str, Given] = {}
    for name, item in draft.given.items():
        given[name] = item
        if isinstance(item, Literal) and names:
            try:
                given[name] = Literal(rename(item.value, names))
            except Sealed:
                continue
    return attrs.evolve(draft, given=given)


def results(value: object) -> tuple[object, ...]:
    """Return the values that a result adds to a Bundle."""
    return tuple(value.values) if isinstance(value, MultipleResults) else (value,)


class Rules:
    """What the actions of one exploration say about each other.

    :param sources: argument -> its pool; where it comes from Hypothesis.
    """

    def __init__(self, actions: Iterable[Action], sources: Any = source_of) -> None:
        self.actions: Mapping[str, Action] = MappingProxyType({item.name: item for item in actions})
        self.sources: Mapping[str, Mapping[str, Source]] = {
            item.name: {
                name: found
                for name, given in item.arguments.items()
                if (found := sources(given)) is not None
            }
            for item in self.actions.values()
        }
        used = {item for own in self.sources.values() for item in own.values()}
        self._keys = sorted({item.pool[8:] for item in used if item.pool.startswith("context:")})
        self._consumed = {item.pool for item in used if item.consumes}
        self._bundles = sorted({item.pool for item in used if item.pool.startswith("bundle:")})
        self._limited = {item.name for item in self.actions.values() if item.max_calls is not None}
        self._required = {name for item in self.actions.values() for name in item.required}

    def start(self, state: State) -> Position:
        """Return the position at the start of every path."""
        pools = {f"context:{key}": _entries(state, key, (), INITIAL) for key in self._keys}
        return Position(state, pools)

    def permits(self, action: Action, at: Position) -> bool:
        """Return whether calls, successes and pools so far permit the action."""
        limit = action.max_calls
        if limit is not None and at.calls.get(action.name, 0) >= limit:
            return False
        sources = self.sources[action.name].values()
        return at.succeeded.issuperset(action.required) and all(
            at.pools.get(s.pool) for s in sources
        )

    def enables(self, at: Position, action: Action, find_world: Callable[[], World]) -> bool:
        """Return whether an action may be executed at a position.

        :param find_world: returns the World at that position, for guards that ask for it.
        """
        if not self.permits(action, at):
            return False
        if not action.guards:
            return True
        # A copy: guards are the user's, and the record is not to be changed.
        context = Context(find_world=find_world)
        context.load(at.state.context)
        return all(guard(context) for guard in action.guards)

    def resolve(self, at: Position, draft: Draft) -> tuple[Step, Mapping[str, int], Pools] | None:
        """Return the step, the picks, and the pools without what the step consumes.

        ``None`` where a pool is empty.
        """
        arguments: dict[str, Any] = {}
        picks: dict[str, int] = {}
        pools = dict(at.pools)
        # Hypothesis draws the arguments of a rule in the order of their names.
        for name, given in sorted(draft.given.items()):
            if isinstance(given, (Drawn, Literal)):
                arguments[name] = given.value
                continue
            entries = pools.get(given.pool, ())
            if not entries:
                return None
            place = _place(entries, given)
            arguments[name], picks[name] = entries[place].value, len(entries) - 1 - place
            source = self.sources[draft.action.name].get(name)
            if source is not None and source.consumes:
                pools[given.pool] = entries[:place] + entries[place + 1 :]
        return Step(draft.action.name, arguments), picks, pools

    def after(
        self, at: Position, left: Pools, taken: Taken, arrived: State, key: object
    ) -> Position:
        """Return the position after a step.

        :param left: the pools without what the step consumed.
        """
        action, number = taken.draft.action, taken.draft.number
        pools = dict(left)
        for context_key in self._keys:
            pool = f"context:{context_key}"
            pools[pool] = _entries(arrived, context_key, at.pools.get(pool, ()), number)
        if action.target is not None and taken.result.success:
            pool = f"bundle:{action.target.name}"
            added = enumerate(results(taken.result.value))
            made = tuple(Entry(value, (number, index)) for index, value in added)
            pools[pool] = (*pools.get(pool, ()), *made)
        calls, succeeded = at.calls, at.succeeded
        if action.name in self._limited:
            calls = {**calls, action.name: calls.get(action.name, 0) + 1}
        if taken.result.success and action.name in self._required:
            succeeded = succeeded | {action.name}
        chain = hash((at.chain, key))
        return Position(arrived, pools, calls, succeeded, chain, at.depth + 1, at, taken)

    def drafted(self, at: Position, step: Step, knowledge: Knowledge) -> Draft:
        """Find out how the arguments of a step came about."""
        given: dict[str, Given] = {}
        for name, value in step.arguments.items():
            source = self.sources[step.action].get(name)
            if source is not None:
                given[name] = _chosen(at.pools.get(source.pool, ()), source, value)
            elif knowledge.holds_fresh(value):
                given[name] = Literal(value)  # a strategy made it of what a Bundle holds
            else:
                given[name] = Drawn(value)
        return Draft(self.actions[step.action], given, at.depth)

    def bundled(self, at: Position) -> Iterator[object]:
        """Yield the values in Bundles that some action takes."""
        for pool in self._bundles:
            yield from (entry.value for entry in at.pools.get(pool, ()))

    def ability(self, at: Position, knowledge: Knowledge) -> tuple[object, ...]:
        """Return what decides about everything that can be done next.

        Values are told apart by what they name in the state; those that name nothing any more are
        all alike. How many there are of a value matters only where picking takes one out.
        """
        held: list[object] = []
        for pool in self._bundles:
            texts = [
                held_text(entry.value, at.state, knowledge) for entry in at.pools.get(pool, ())
            ]
            held.append(tuple(sorted(texts)) if pool in self._consumed else frozenset(texts))
        return at.state.id, frozenset(at.calls.items()), at.succeeded, tuple(held)


def held_text(value: object, state: State, knowledge: Knowledge) -> str:
    """Return a value as text, with the numbers of the fresh atoms in place of these."""
    try:
        return text_of(knowledge.unit(value), knowledge.fresh, state.numbers)
    except DigestError:
        return f"object {id(value)}"


def translated(at: Position, to: Position, rules: Rules, knowledge: Knowledge) -> Position | None:
    """Return a position with the values that another path holds in the same state.

    ``None`` where one of the values cannot be exchanged.
    """
    if at.state.names == to.state.names:
        return attrs.evolve(at, state=to.state)
    if len(at.state.names) != len(to.state.names):
        return None
    pairs = zip(at.state.names, to.state.names, strict=True)
    names = {old: new for old, new in pairs if old != new}
    pools: dict[str, tuple[Entry, ...]] = {}
    for pool, entries in at.pools.items():
        if pool.startswith("context:"):
            values = [entry.value for entry in to.pools.get(pool, ())]
            if len(values) != len(entries):
                return None
        else:
            found = [_exchanged(e.value, at, to, pool, names, knowledge) for e in entries]
            if any(item is None for item in found):
                return None
            values = [item[0] for item in found if item is not None]
        pairs_of = zip(entries, values, strict=True)
        pools[pool] = tuple(Entry(value, entry.owner) for entry, value in pairs_of)
    return attrs.evolve(at, state=to.state, pools=pools)


def _exchanged(
    value: object,
    at: Position,
    to: Position,
    pool: str,
    names: Mapping[Name, Name],
    known: Knowledge,
) -> tuple[object] | None:
    """Return what another path holds in place of a value."""
    atoms = known.atoms_in(value)
    if not (atoms - at.state.numbers.keys()).isdisjoint(to.state.numbers):
        return None  # it names nothing any more, and something there
    if atoms.isdisjoint(names):
        return (value,)
    try:
        return (rename(value, names),)
    except Sealed:
        wanted = held_text(value, at.state, known)
        for entry in to.pools.get(pool, ()):
            if held_text(entry.value, to.state, known) == wanted:
                return (entry.value,)
        return None


def _entries(state: State, key: str, before: Sequence[Entry], number: int) -> tuple[Entry, ...]:
    """Return what a context holds under a key, each value with the step that put it there."""
    owners = {_text(entry.value): entry.owner for entry in before}
    found: list[Entry] = []
    fresh = 0
    for value in values_under(state.context, key):
        owner = owners.get(_text(value))
        if owner is None:
            owner = (number, fresh)
            fresh += 1
        found.append(Entry(value, owner))
    return tuple(found)


def _place(entries: Sequence[Entry], given: Chosen | Picked) -> int:
    """Return where the value meant is; where it is gone, the newest."""
    newest = len(entries) - 1
    if isinstance(given, Picked):
        return max(0, newest - given.newer)
    return next((at for at, entry in enumerate(entries) if entry.owner == given.owner), newest)


def _chosen(entries: Sequence[Entry], source: Source, value: object) -> Given:
    wanted = _text(value)
    owner = next((e.owner for e in reversed(entries) if _text(e.value) == wanted), None)
    return Literal(value) if owner is None or not source.plain else Chosen(source.pool, owner)


def _text(value: object) -> str:
    try:
        return canonical_text(value)
    except DigestError:
        return f"object {id(value)}"
