"""Which kinds of arguments an action has, so that an exploration can try one of each."""

from collections.abc import Mapping
from random import Random
from typing import Protocol

import attrs

from venomqa_hyp.core import Action, canonical_text
from venomqa_hyp.core.shape import kind_of
from venomqa_hyp.errors import DigestError
from venomqa_hyp.explore.rehearsal import Drawn, Given, Picked, Pools, is_plain, pool_of

#: Draws to find out which kinds there are, and the most kinds that are told apart.
SAMPLES = 32
MOST_KINDS = 8
#: Draws to find another value of a kind.
ATTEMPTS = 8


class Draw(Protocol):
    """Draws an argument of an action from its strategy."""

    def __call__(self, action: str, argument: str, random: Random | None) -> Drawn | None:
        """Return a draw; the simplest one without ``random``; ``None`` where it cannot be made."""
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

    def __init__(self, draw: Draw, random: Random) -> None:
        self._draw = draw
        self._random = random
        self._known: dict[str, tuple[Kind, ...]] = {}
        #: Action -> the argument that cannot be drawn outside of a test case.
        self.undrawable: dict[str, str] = {}

    @property
    def all_exact(self) -> bool:
        """Whether every kind of argument has one value only."""
        return all(kind.is_exact for kinds in self._known.values() for kind in kinds)

    def of(self, action: Action, pools: Pools) -> tuple[Kind, ...]:
        """Return the kinds there are, with what the pools hold."""
        kinds = self._plain(action)
        names = [name for name in map(pool_of, action.arguments.values()) if name is not None]
        most = max((len(pools.values(name)) for name in names), default=0)
        if most < 2:
            return kinds
        ways = ("newest", "oldest", "any") if most > 2 or len(names) > 1 else ("newest", "oldest")
        return tuple(attrs.evolve(kind, picks=way) for way in ways for kind in kinds)

    def arguments(
        self, action: Action, kind: Kind, pools: Pools, random: Random
    ) -> Mapping[str, Given]:
        """Return arguments of a kind."""
        given: dict[str, Given] = dict(self._drawn(action, kind, random))
        for name, strategy in action.arguments.items():
            if (pool := pool_of(strategy)) is not None:
                oldest = len(pools.values(pool)) - 1
                newer = {"newest": 0, "oldest": oldest}.get(kind.picks)
                given[name] = Picked(pool, random.randint(0, oldest) if newer is None else newer)
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
        strategies = action.arguments
        if any(not is_plain(strategy) for strategy in strategies.values()):
            self.undrawable[action.name] = next(n for n, s in strategies.items() if not is_plain(s))
            return ()
        if all(pool_of(strategy) is not None for strategy in strategies.values()):
            return (Kind((), {}),)
        drawn = [self._sample(action, None)]
        drawn += [self._sample(action, self._random) for _ in range(SAMPLES)]
        made = [item for item in drawn if item is not None]
        try:
            values = {canonical_text([item.value for item in one.values()]): one for one in made}
        except DigestError:
            values = {}
        if not values:
            self.undrawable.setdefault(action.name, next(iter(strategies)))
            return ()
        if len(values) <= MOST_KINDS:
            return tuple(Kind(text, example) for text, example in values.items())
        kinds: dict[object, Mapping[str, Drawn]] = {}
        for one in values.values():
            kinds.setdefault(_kind_key(one), one)
        listed = list(kinds.items())[:MOST_KINDS]
        return tuple(Kind(key, example, is_exact=False) for key, example in listed)

    def _sample(self, action: Action, random: Random | None) -> Mapping[str, Drawn] | None:
        made = {}
        for name, strategy in action.arguments.items():
            if pool_of(strategy) is None:
                drawn = self._draw(action.name, name, random)
                if drawn is None:
                    return None
                made[name] = drawn
        return made


def _kind_key(drawn: Mapping[str, Drawn]) -> tuple[object, ...]:
    return tuple(kind_of(item.value) for item in drawn.values())
