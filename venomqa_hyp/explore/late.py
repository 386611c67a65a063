"""Writes that come after the reply: how late they are, and waiting for them."""

from time import monotonic, sleep

from venomqa_hyp.core import ActionResult, State
from venomqa_hyp.world import World

#: Seconds to look for late writes when an action is executed the first time, and between looks.
LOOK, PAUSE = 0.1, 0.01
#: Seconds that late writes may take, as far as they are waited for.
LONGEST = 5.0


class Latecomers:
    """Knows which actions write late, and waits for them.

    :ivar seconds: action and status -> how long after the reply its last write was seen.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.seconds: dict[tuple[str, int | None], float] = {}

    @property
    def are_likely(self) -> bool:
        """Whether something else than this process may write."""
        return bool(getattr(self.world.api, "transport_errors", ()))

    def observe(self, action: str, result: ActionResult) -> State:
        """Observe the World after a reply, when what usually comes late has come.

        It has come as soon as the World changes once more; where it does not, the time is waited.
        """
        seen = self.world.observe()
        late = self.seconds.get((action, result.status))
        if late is None:
            return seen
        return self._changed(seen, min(2 * late + 2 * PAUSE, LONGEST), late)

    def wait(self, action: str, result: ActionResult) -> None:
        """Wait for what usually comes late."""
        if (action, result.status) in self.seconds:
            self.observe(action, result)

    def look(self, action: str, result: ActionResult, seen: State) -> State:
        """Look whether an action writes late, and for how long; return what is there then."""
        start = monotonic()
        last, until = 0.0, start + LOOK
        while monotonic() < until:
            sleep(PAUSE)
            now = self.world.observe()
            if now.exact != seen.exact:
                seen, last = now, monotonic() - start
                until = start + min(max(3 * last, last + LOOK), LONGEST)
        if last:
            known = self.seconds.get((action, result.status), 0.0)
            self.seconds[action, result.status] = max(known, last)
        return seen

    def _changed(self, seen: State, longest: float, quiet: float) -> State:
        """Return the World when it has changed, and then for a while not changed any more."""
        start = monotonic()
        until = start + longest
        while monotonic() < until:
            sleep(PAUSE)
            now = self.world.observe()
            if now.exact != seen.exact:
                seen = now
                until = min(until, monotonic() + quiet / 2 + PAUSE)
        return seen

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
