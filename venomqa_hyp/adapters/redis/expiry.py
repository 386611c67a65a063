"""When keys expire, by the server's clock and by the mirror's.

Both questions that are asked again and again, whether a key has expired and whether one has to be
set again, are answered without looking at every key as long as the nearest bound is not reached.
"""

import math
from collections.abc import Iterator

from venomqa_hyp.adapters.redis.values import Place

#: A key that did not change is set again where its expiry is wrong by more than one part in so many
#: of the time it has left.
_EXACTNESS = 1000


class Expiry:
    """The keys that expire, with the moments that the server knows, in milliseconds."""

    def __init__(self) -> None:
        # Place -> moment by the server's clock, moment by the mirror's.
        self._keys: dict[Place, tuple[int, int]] = {}
        # Place -> the first moment by the server's clock at which the key or a field of it expires.
        self._first: dict[Place, int] = {}
        self._nearest: float = math.inf
        # As long as the clocks are apart by this much, and the mirror's is before that, no key has
        # to be set again.
        self._apart: tuple[float, float] = (-math.inf, math.inf)
        self._until: float = math.inf

    def of(self, place: Place) -> int | None:
        """Return when a key expires by the server's clock."""
        found = self._keys.get(place)
        return None if found is None else found[0]

    def forget(self, place: Place) -> None:
        """Note that a key is gone, or does not expire any more, and no field of it does."""
        self._keys.pop(place, None)
        self._first.pop(place, None)

    def note(self, place: Place, server: int, own: int, now: int) -> None:
        """Note when a key expires by both clocks; the mirror's shows ``now``."""
        self._keys[place] = server, own
        self._narrow(server, own, now)
        self.note_first(place, server)

    def note_first(self, place: Place, server: int) -> None:
        """Note that a key, or a field of it, expires then, and not before."""
        self._first[place] = server
        self._nearest = min(self._nearest, server)

    def passed(self, server_time: int) -> set[Place]:
        """Return the keys that have expired by then, or had a field that has."""
        if server_time <= self._nearest:
            return set()
        found = {place for place, first in self._first.items() if first < server_time}
        for place in found:
            del self._first[place]
        self._nearest = min(self._first.values(), default=math.inf)
        return found

    def wrong(self, apart: int, now: int) -> Iterator[tuple[Place, int]]:
        """Yield the keys that have to be set again, and to which moment of the server's clock.

        :param apart: what the server's clock is ahead of the mirror's from now on.
        :param now: what the mirror's clock shows from now on.
        """
        if self._apart[0] <= apart <= self._apart[1] and now <= self._until:
            return
        self._apart, self._until = (-math.inf, math.inf), math.inf
        for place, (server, own) in self._keys.items():
            if abs(own + apart - server) > _half_left(own, now) // _EXACTNESS:
                yield place, own + apart
            else:
                self._narrow(server, own, now)

    def _narrow(self, server: int, own: int, now: int) -> None:
        # Half of the time that is left now is left at least until then.
        half = _half_left(own, now)
        low, high = self._apart
        slack = half // _EXACTNESS
        self._apart = max(low, server - own - slack), min(high, server - own + slack)
        self._until = min(self._until, now + half)


def _half_left(own: int, now: int) -> int:
    return max(own - now, 0) // 2
