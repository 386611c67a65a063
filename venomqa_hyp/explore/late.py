"""Writes that come after the reply: where they come, and waiting for them.

Which places an action writes late is learned by looking for a while at its first executions with
each status. From then on its reply is followed by waiting until these places have changed, so that
a slow machine makes no difference.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from time import monotonic, sleep

from venomqa_hyp.core import ActionResult, State
from venomqa_hyp.world import World

#: Seconds to look for late writes, and between two looks.
LOOK, PAUSE = 0.1, 0.005
#: An action is looked at so often with each status; once where it was refused.
LOOKS = 2
#: Seconds that late writes may take: at least, as a multiple of what was seen, and at most.
SHORTEST, SLOWER, LONGEST = 1.0, 10, 5.0
#: A place where so many waits were in vain is not always written.
IN_VAIN = 3

#: Action and status.
Key = tuple[str, int | None]
#: System, and what leads to a table or a family of keys within it.
Place = tuple[str, ...]
_DEEPEST = 3
Known = tuple[Mapping[Key, float], Mapping[Key, frozenset[Place]]]


class Latecomers:
    """Knows which actions write late and where, and waits for them.

    :ivar seconds: how long after the reply the last write was seen.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.seconds: dict[Key, float] = {}
        self._late: set[Place] = set()
        self._due: dict[Key, set[Place]] = {}
        self._looks: Counter[Key] = Counter()
        self._in_vain: Counter[tuple[Key, Place]] = Counter()

    @property
    def known(self) -> Known:
        """What is waited for."""
        return dict(self.seconds), {key: frozenset(due) for key, due in self._due.items()}

    def restore(self, known: Known) -> None:
        """Wait for what was known earlier."""
        self.seconds = dict(known[0])
        self._due = {key: set(due) for key, due in known[1].items()}

    def before(self) -> State | None:
        """Return what the World shows before an action, where that is needed afterwards."""
        return self.world.observe() if self._due or self.world.api_is_apart else None

    def observe(
        self, action: str, result: ActionResult, before: State | None, *, look: bool = False
    ) -> State:
        """Observe the World after a reply, when what usually comes late has come.

        :param before: what it showed before the action.
        :param look: whether to look for late writes in any case.
        """
        key = action, result.status
        seen = self._awaited(key, before)
        wanted = LOOKS if result.success else 1
        if look or (self.world.api_is_apart and self._looks[key] < wanted):
            return self._look(key, seen, before)
        return seen

    def look_again(self, seen: State) -> State:
        """Return what comes within a while after what was seen; that, where nothing does."""
        until = monotonic() + SHORTEST
        while self.world.api_is_apart and monotonic() < until:
            sleep(PAUSE)
            now = self.world.observe()
            if now.exact != seen.exact:
                return self._until_quiet(now)[0]
        return seen

    def _awaited(self, key: Key, before: State | None) -> State:
        """Observe the World, once the places where an action writes late have changed."""
        seen = self.world.observe()
        due = self._due.get(key)
        if not due or before is None:
            return seen
        until = monotonic() + min(max(SLOWER * self.seconds.get(key, 0.0), SHORTEST), LONGEST)
        missing = due - changed(before, seen)
        while missing and monotonic() < until:
            sleep(PAUSE)
            seen = self.world.observe()
            missing = due - changed(before, seen)
        for place in missing:
            self._in_vain[key, place] += 1
            if self._in_vain[key, place] >= IN_VAIN:
                due.discard(place)
        return seen

    def _look(self, key: Key, first: State, before: State | None) -> State:
        """Look whether an action writes late, and where; return what is there then."""
        self._looks[key] += 1
        seen, last = self._until_quiet(first)
        if last:
            self.seconds[key] = max(self.seconds.get(key, 0.0), last)
            self._late |= changed(first, seen)
        if before is not None and (due := self._late & changed(before, seen)):
            self._due[key] = self._due.get(key, set()) | due
        return seen

    def _until_quiet(self, seen: State) -> tuple[State, float]:
        """Return what is there when nothing changes any more, and after how long that was so."""
        start = monotonic()
        last, until = 0.0, start + LOOK
        while monotonic() < until:
            sleep(PAUSE)
            now = self.world.observe()
            if now.exact != seen.exact:
                seen, last = now, monotonic() - start
                until = start + min(max(3 * last, last + LOOK), LONGEST)
        return seen, last

    @property
    def described(self) -> tuple[str, ...]:
        """Say which actions write late, and how late."""
        worst: dict[str, float] = {}
        for (action, _), seconds in self.seconds.items():
            worst[action] = max(worst.get(action, 0.0), seconds)
        return tuple(
            f"{action} still wrote {seconds:.2f} s after its reply; the run waits for that"
            for action, seconds in sorted(worst.items())
        )


def changed(before: State, after: State) -> set[Place]:
    """Return the places in which two states with data differ."""
    one, other = dict(_places(before)), dict(_places(after))
    return {place for place in one.keys() | other.keys() if one.get(place) != other.get(place)}


def _places(state: State) -> Iterator[tuple[Place, object]]:
    for name, observation in state.observations.items():
        yield from _below((name,), observation.data)


def _below(at: Place, value: object) -> Iterator[tuple[Place, object]]:
    if isinstance(value, Mapping) and value and len(at) < _DEEPEST:
        for key, item in value.items():
            yield from _below((*at, str(key)), item)
    else:
        yield at, value
