"""Which kinds of arguments an action has, so that an exploration can try one of each."""

from collections.abc import Mapping
from random import Random
from typing import Protocol

import attrs

from venomqa_hyp.core import Action
from venomqa_hyp.errors import DigestError
from venomqa_hyp.explore.given import Drawn, Given, Picked
from venomqa_hyp.explore.position import Pools, Rules
from venomqa_hyp.explore.shape import kind_of
from venomqa_hyp.values import canonical_text

#: Draws to find out which kinds there are, and the most kinds that are told apart.
SAMPLES = 32
MOST_KINDS = 8
#: Draws to find another value of a kind.
ATTEMPTS = 8


class Draws(Protocol):
    """Draws the arguments of actions from their strategies."""

    def draw(self, action: str, argument: str, random: Random | None) -> Drawn | None:
        """Return a draw; the simplest one without ``random``; ``None`` where it cannot be made."""
        ...

    def size(self, action: str, argument: str) -> int | None:
        """Return how many values a strategy has, where that is known."""
        ...


@attrs.frozen(eq=False)
class Kind:
    """Arguments that a test need not tell apart.

    :ivar example: argument -> a draw of this kind.
    :ivar is_exact: whether the example is all there is of this kind.
    :ivar picks: ``"newest"``, ``"oldest"`` or ``"any"`` value of Bundles and of the context.
    """

    key: object
    example: Mapping[str, Drawn]
    is_exact: bool = True
    picks: str = "newest"


class ArgumentKinds:
    """The kinds of arguments of each action.

    Of the strategies with few values each value is a kind of its own, of others the kinds are told
    apart by sign and magnitude, or length. Of the values held by Bundles and the context, the
    newest, the oldest and any other are tried.
    """

    def __init__(self, rules: Rules, draws: Draws, random: Random) -> None:
        self._sources = rules.sources
        self._draws = draws
        self._random = random
        self._known: dict[str, tuple[Kind, ...]] = {}
        #: Action -> the argument that cannot be drawn outside of a test case.
        self.undrawable: dict[str, str] = {}
        #: Whether every value of every argument is one of the kinds so far.
        self.all_exact = True

    def of(self, action: Action, pools: Pools) -> tuple[Kind, ...]:
        """Return the kinds there are, with what the pools hold."""
        kinds = self._plain(action)
        names = [source.pool for source in self._sources[action.name].values()]
        most = max((len(pools.get(name, ())) for name in names), default=0)
        if most < 2:
            return kinds
        self.all_exact &= most <= 2 and len(names) == 1
        ways = ("newest", "oldest", "any") if most > 2 or len(names) > 1 else ("newest", "oldest")
        return tuple(attrs.evolve(kind, picks=way) for way in ways for kind in kinds)

    def arguments(
        self, action: Action, kind: Kind, pools: Pools, random: Random
    ) -> Mapping[str, Given]:
        """Return arguments of a kind."""
        given: dict[str, Given] = dict(self._drawn(action, kind, random))
        for name, source in self._sources[action.name].items():
            oldest = len(pools.get(source.pool, ())) - 1
            newer = {"newest": 0, "oldest": oldest}.get(kind.picks)
            given[name] = Picked(source.pool, random.randint(0, oldest) if newer is None else newer)
        return given

    def _drawn(self, action: Action, kind: Kind, random: Random) -> Mapping[str, Drawn]:
        if kind.is_exact:
            return kind.example
        for _ in range(ATTEMPTS):
            drawn = self._sample(action, random)
            if drawn is not None and _kind_key(drawn) == kind.key:
                return drawn
        return kind.example

    def _plain(self, action: Action) -> tuple[Kind, ...]:
        known = self._known.get(action.name)
        if known is None:
            known = self._known[action.name] = self._find(action)
        return known

    def _find(self, action: Action) -> tuple[Kind, ...]:
        sources, strategies = self._sources[action.name], action.arguments
        transformed = [name for name, source in sources.items() if not source.plain]
        if transformed:
            self.undrawable[action.name] = transformed[0]
            return ()
        if sources.keys() == strategies.keys():
            return (Kind((), {}),)
        size = self._size(action)
        samples = SAMPLES * (MOST_KINDS if size is not None and size <= MOST_KINDS else 1)
        drawn = [self._sample(action, None)]
        drawn += [self._sample(action, self._random) for _ in range(samples)]
        made = [item for item in drawn if item is not None]
        try:
            values = {_text(one): one for one in made}
        except DigestError:
            values = {}
        if not values:
            self.undrawable.setdefault(action.name, self._undrawable(action))
            return ()
        self.all_exact &= len(values) == size
        if len(values) <= MOST_KINDS:
            return tuple(Kind(text, example) for text, example in values.items())
        kinds: dict[object, Mapping[str, Drawn]] = {}
        for one in values.values():
            kinds.setdefault(_kind_key(one), one)
        listed = list(kinds.items())[:MOST_KINDS]
        return tuple(Kind(key, example, is_exact=False) for key, example in listed)

    def _size(self, action: Action) -> int | None:
        size = 1
        for name in action.arguments.keys() - self._sources[action.name].keys():
            size *= self._draws.size(action.name, name) or 0
        return size or None

    def _undrawable(self, action: Action) -> str:
        """Return the argument that cannot be drawn, or has no digest."""
        names = [name for name in action.arguments if name not in self._sources[action.name]]
        for name in names:
            drawn = self._draws.draw(action.name, name, None)
            try:
                if drawn is None or not _text({name: drawn}):
                    return name
            except DigestError:
                return name
        return names[0]

    def _sample(self, action: Action, random: Random | None) -> Mapping[str, Drawn] | None:
        made = {}
        for name in action.arguments:
            if name not in self._sources[action.name]:
                drawn = self._draws.draw(action.name, name, random)
                if drawn is None:
                    return None
                made[name] = drawn
        return made


def _text(drawn: Mapping[str, Drawn]) -> str:
    return canonical_text([item.value for item in drawn.values()])


def _kind_key(drawn: Mapping[str, Drawn]) -> tuple[object, ...]:
    return tuple(kind_of(item.value) for item in drawn.values())
