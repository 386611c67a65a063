"""Time as a part of the World, for an application in this process."""

import datetime
import threading
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from venomqa_hyp.adapters.mocks.snapshots import SnapshotSystem
from venomqa_hyp.errors import DefinitionError, SystemUnavailable

_OLDEST = 3
#: Only one clock can rule a process.
_ruling = threading.Lock()
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


class ClockAdapter(SnapshotSystem):
    """Hold the time of this process still, and move it on by :meth:`advance` only.

    From now until :meth:`close`, ``datetime.now()``, ``time.time()`` and all that comes from them
    (``date.today()``, ``uuid1()``, cookies, log records) show the time of this clock, in every
    thread. Monotonic clocks, ``sleep``, timeouts and the time zone are left as they are, and so are
    other processes: a database's ``now()`` is not moved.

    The ``data`` of an observation::

        {"advanced": timedelta(hours=1)}

    :param start: the time at the start, with a time zone. The same in each run, so that what the
        application writes down is the same too.
    :param tick: let the time run on in between. What is written down then differs each time.
    :raises DefinitionError: ``start`` has no time zone, or another clock is open.
    :raises SystemUnavailable: time-machine is not installed.
    """

    def __init__(
        self, start: datetime.datetime = _START, *, tick: bool = False, name: str = "clock"
    ) -> None:
        super().__init__(name)
        if not isinstance(start, datetime.datetime) or start.tzinfo is None:
            raise DefinitionError(
                f"{name}: start is {start!r}, but it is a datetime with a time zone. "
                "Write ClockAdapter(datetime(2030, 1, 1, tzinfo=UTC))."
            )
        travel = _time_machine(name)
        if not _ruling.acquire(blocking=False):
            raise DefinitionError(
                f"{name}: another ClockAdapter is open, and a process has one time. Close it "
                "first: closing its World does so."
            )
        self._start = start
        self._advanced = datetime.timedelta()
        # Given a datetime, time-machine changes the time zone of the process too; given a float, it
        # is not exact. A step is both right.
        self._travel = travel(0, tick=tick)
        try:
            self._traveller = self._travel.start()
        except BaseException:
            _ruling.release()
            raise
        self._traveller.shift(start - _EPOCH)
        self._open = True

    def now(self) -> datetime.datetime:
        """Return the time that the application sees, in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def advance(self, by: float | datetime.timedelta) -> None:
        """Move the time on.

        :param by: seconds, or a timedelta; not negative.
        :raises DefinitionError: it is negative, or the clock was closed.
        """
        step = by if isinstance(by, datetime.timedelta) else datetime.timedelta(seconds=by)
        if step < datetime.timedelta():
            raise DefinitionError(
                f"{self.name}: cannot advance by {by!r}: time only goes on. To go back, roll back."
            )
        if not self._open:
            raise DefinitionError(f"{self.name}: this ClockAdapter was closed; create a new one.")
        self._traveller.shift(step)
        self._advanced += step

    def close(self) -> None:
        """Give the process its own time back."""
        super().close()
        if self._open:
            self._open = False
            self._travel.stop()
            _ruling.release()

    def _save(self) -> tuple[datetime.timedelta, datetime.datetime]:
        return self._advanced, self.now()

    def _load(self, content: tuple[datetime.timedelta, datetime.datetime]) -> None:
        self._advanced, moment = content
        self._traveller.shift(moment - self.now())

    def _describe(self) -> Mapping[str, Any]:
        return {"advanced": self._advanced}

    def __repr__(self) -> str:
        return f"<ClockAdapter {self.name!r}: {self._start} + {self._advanced}>"


def _time_machine(name: str) -> Any:
    try:
        from time_machine import travel
    except ImportError as error:
        raise SystemUnavailable(
            f"{name}: the clock needs time-machine, which is not installed. "
            "Run: pip install 'venomqa-hyp[clock]'"
        ) from error
    if int((found := version("time-machine")).partition(".")[0]) < _OLDEST:
        raise SystemUnavailable(
            f"{name}: time-machine {found} holds the monotonic clock too, so that no timeout would "
            "ever pass. Run: pip install --upgrade 'venomqa-hyp[clock]'"
        )
    return travel
