"""Reads that are asked again after a rollback, since a server may answer from a cache of its own.

A rollback does not reach what the server keeps in its process. Where a recorded read is answered
as it was before the rollback, and not as it was in the state that is there now, the server keeps
what was undone.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from time import sleep
from typing import Any

import attrs

from venomqa_hyp.core import State
from venomqa_hyp.core.divergence import Differing
from venomqa_hyp.values import Place, canonical_text, differences, pattern_of
from venomqa_hyp.world import World

#: So many reads are asked again, after so many rollbacks of an action.
READS, LOOKS = 5, 2
#: Seconds after which a clock of the server shows another time.
A_CLOCK_MOVES = 1.1
STATES = 1_000
_READING = frozenset({"GET", "HEAD"})


@attrs.frozen(eq=False)
class Read:
    """One request that reads, as the client recorded it.

    :ivar action: which sent it; empty for an invariant.
    """

    action: str
    record: Any

    @property
    def request(self) -> str:
        """The request in words."""
        return f"{self.record.method} {self.record.url}"

    @property
    def answer(self) -> dict[str, object]:
        """Status and body."""
        return {"status": self.record.status, "body": self.record.response_body}

    def says(self, other: "Read") -> bool:
        """Return whether both answers are the same, but for ids and clocks."""
        return _same(self.answer, other.answer, ())

    def differs_from(self, other: "Read") -> tuple[Differing, ...]:
        """Return where two answers differ."""
        where = (self.request,)
        return tuple(map(Differing.of, differences(self.answer, other.answer, where, _same)))


class Reads:
    """The reads of one run, by the state in which they were answered.

    The API client takes part where it has a ``history`` and can ``ask_again``, as
    :class:`~venomqa_hyp.adapters.HttpClient`.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, dict[str, Read]] = OrderedDict()
        self._looked: Counter[str] = Counter()
        self._seen: dict[str, set[str]] = {}

    def begin(self, world: World) -> int:
        """Return how many requests there were; :meth:`note` takes those that follow."""
        return len(_history(world))

    def note(self, action: str, world: World, state: State, since: int) -> None:
        """Note what an action, or an invariant, read in a state where nothing was written."""
        records = _history(world)[since:]
        if not records or not all(item.method in _READING for item in records):
            return
        known = self._known.setdefault(state.exact, {})
        for record in records:
            if record.status is not None and record.status < 500:
                read = Read(action, record)
                known[read.request] = read
        if len(self._known) > STATES:
            self._known.popitem(last=False)

    def to_ask(self, action: str, state: State) -> tuple[Read, ...]:
        """Return the reads to ask again when an action that leaves a state is rolled back.

        Those with which it was not rolled back before.
        """
        known, seen = self._known.get(state.exact, {}), self._seen.setdefault(action, set())
        new = [read for request, read in known.items() if request not in seen][:READS]
        seen.update(read.request for read in new)
        return tuple(new)

    def wants(self, action: str, state: State) -> bool:
        """Return whether an action that writes is to be rolled back once more, for further reads.

        So often at most, whatever comes of it.
        """
        seen = self._seen.get(action)
        known = self._known.get(state.exact, {})
        if seen is None or self._looked[action] >= LOOKS or seen.issuperset(known):
            return False
        self._looked[action] += 1
        return True


def answers(world: World, reads: Sequence[Read]) -> tuple[Read | None, ...]:
    """Ask reads again in the World as it is; ``None`` where no answer came."""
    return tuple([_asked(world, read) for read in reads])


def stale(
    world: World,
    reads: Sequence[Read],
    undone: Sequence[Read | None],
    now: Sequence[Read | None],
) -> tuple[Read, tuple[Differing, ...]] | None:
    """Return a read whose answer is still what it was before a rollback, and how it differs.

    :param reads: as they were answered in the state that is there now.
    :param undone: as they were answered in the state that was rolled back.
    :param now: as they were answered after that.
    """
    for read, before, after in zip(reads, undone, now, strict=True):
        if before is None or after is None or after.says(read) or not after.says(before):
            continue
        sleep(A_CLOCK_MOVES)
        later = _asked(world, read)
        if later is not None and later.says(after):
            return read, read.differs_from(after)
    return None


def _history(world: World) -> Sequence[Any]:
    # A client of the user's own may have a history of another kind.
    api = world.api
    return api.history if callable(getattr(api, "ask_again", None)) else ()


def _asked(world: World, read: Read) -> Read | None:
    record = world.api.ask_again(read.record)
    return None if record.status is None else Read(read.action, record)


def _same(one: object, other: object, where: Place) -> bool:
    return canonical_text(one) == canonical_text(other) or pattern_of(one) == pattern_of(other)
