"""The Redis system: checkpoints, rollback and observation of the keys of a server."""

import gc
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from venomqa_hyp.adapters.handles import Handle, HandleOwner
from venomqa_hyp.adapters.redis.arguments import (
    checked_databases,
    checked_prefix,
    refuse_other_machine,
)
from venomqa_hyp.adapters.redis.ignored import Ignored
from venomqa_hyp.adapters.redis.marker import Marker
from venomqa_hyp.adapters.redis.mirror import Mirror, Plan, Version, same_data
from venomqa_hyp.adapters.redis.protocol import Command, ConnectionLost, milliseconds
from venomqa_hyp.adapters.redis.reading import Reader
from venomqa_hyp.adapters.redis.server import checked_server, info
from venomqa_hyp.adapters.redis.showing import Databases, place_name
from venomqa_hyp.adapters.redis.tracking import News, Tracker
from venomqa_hyp.adapters.redis.values import Place, Reading
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError, SystemUnavailable

if TYPE_CHECKING:
    from redis import Redis

    from venomqa_hyp.adapters.redis.connection import Connection

_WITH_EXPIRETIME = (7, 0)
_SHOWN = 5
#: More names are read without transactions, where the server says what changed meanwhile.
_MANY = 200

_Readings = dict[Place, Reading | None]
#: Number of a database, and names to be read there.
_Waiting = list[tuple[int, Set[bytes]]]


class RedisAdapter(HandleOwner):
    """Observe and roll back the keys of a Redis or Valkey server that other processes use.

    It opens two connections of its own; the application's stay as they are. Since Redis 6 the
    server says which keys were changed, so a checkpoint, an observation and a rollback cost what
    changed. Where it may not (``tracking=False``, or the rights of the user), all keys are read
    each time. A rollback is one transaction, and reads what it wrote.

    Only keys that changed since the checkpoint are written or deleted; nothing is ever flushed.
    Whatever else writes to these keys is rolled back too: give the service a prefix, a database or
    a server of its own.

    A key that had 5 seconds left at the checkpoint has 5 seconds left after a rollback, to the
    millisecond where it was changed, else to a thousandth of the time left. A key that expired
    meanwhile comes back.

    The ``data`` of an observation holds the keys that differ from those there were when the adapter
    was created, by the part of the name up to its last colon; None where one is gone::

        {"start": "32 digits that identify the keys at the start",
         "databases": {"0": {"cart:": {"7": {"hash": {"apple": "2"}, "expires": "about:66s"}},
                             "": {"queue": {"list": ["a", "b"]}, "gone": None}}}}

    What is UTF-8 is text, the rest bytes. ``expires`` is the power of two nearest to the time that
    the key was given. The digest is of all keys and values, however they came about.

    A run that is killed cannot be undone. While the adapter is open there is a key in a database
    that is not observed, by which the next run warns of that.

    Not covered: functions and scripts, messages of publish and subscribe, users, the time that
    stream entries have been pending and that keys have not been used.

    :param source: a URL, or a ``redis.Redis`` whose settings are used.
    :param prefix: what the names of the keys begin with; None means all keys.
    :param ignore_keys: patterns of keys that make no difference to the service, as ``"stats:*"``:
        they are rolled back, and not observed.
    :param ignore_fields: the same for the fields of hashes, as ``"last_seen"``.
    :param databases: numbers of the databases; the one of ``source`` by default.
    :param tracking: let the server say what changed, where it can.
    :param allow_destructive: the name of a host that is not this machine, to use it all the same.
    :param timeout: seconds to wait for an answer of the server.
    :ivar location: how a person connects to look at it: a command for a terminal.
    :raises DefinitionError: an argument is wrong, redis-py is missing, or the server is a cluster,
        a replica, on another machine, or older than 6.0.
    :raises SystemUnavailable: the server does not answer, or refuses what is needed.
    """

    def __init__(
        self,
        source: "str | Redis",
        *,
        prefix: str | bytes | None = None,
        databases: Iterable[int] | None = None,
        ignore_keys: Iterable[str] = (),
        ignore_fields: Iterable[str] = (),
        tracking: bool = True,
        allow_destructive: str | None = None,
        timeout: float = 30.0,
        name: str = "redis",
    ) -> None:
        # Imported here, so that this package can be without redis-py until it is used.
        from venomqa_hyp.adapters.redis.connection import Address

        super().__init__(name)
        self._address = Address(source, timeout)
        address = self._address
        where = f"-s {address.path}" if address.path else f"-h {address.host} -p {address.port}"
        self.location = f"redis-cli {where} -n {address.database}"
        refuse_other_machine(self._address, source, allow_destructive)
        self._prefix = checked_prefix(prefix)
        self._databases = checked_databases(databases, self._address.database)
        self._wanted = tracking
        self._mirror = Mirror(Ignored.of(ignore_keys, ignore_fields))
        self._unknown = True
        self._marker = Marker(self._prefix, self._databases)
        self._tracker = Tracker(self._address, self._prefix, tracking)
        try:
            self._server = checked_server(self._info(), self._address)
            self._base = self._look()
            killed = self._marker.leave(self._tracker.commands, self._base.digest)
            if killed is not None:
                self._marker.warn(name, str(self._address), killed)
        except BaseException:
            self._tracker.close()
            raise

    def checkpoint(self, name: str) -> Handle:
        """Remember the present keys.

        :raises SystemUnavailable: the server does not answer, or refuses.
        """
        return self._handle(name, self._look())

    def rollback(self, handle: Handle) -> None:
        """Restore the keys of ``handle``, and read what was restored.

        :raises RollbackError: the handle is not live; the server refused, or failed on a key;
            something else wrote meanwhile.
        """
        target = self._content(handle)
        try:
            self._look()
            connection = self._tracker.commands
            plan = self._mirror.plan(target, milliseconds(connection.call("TIME")))
            self._write(plan)
            self._verify(plan)
        except SystemUnavailable as error:
            self._unknown = True
            raise RollbackError(f"{self.name}: cannot roll back to {handle!r}. {error}") from error

    def observe(self) -> Observation:
        """Return the keys that differ from those at the start, with a digest of all keys.

        :raises SystemUnavailable: the server does not answer, or refuses.
        """
        version = self._look()
        data = {"start": self._base.digest, "databases": Databases(self._base, version)}
        how = self._tracker.without
        told = {"read": "what changed" if how is None else f"every key each time: {how}"}
        return Observation.create(self.name, data, told, known_digest=version.digest)

    def close(self) -> None:
        """Leave the keys as they are, and close the connections."""
        if not self._closed:
            self._marker.remove(self._tracker.commands)
        super().close()
        self._tracker.close()

    def _look(self) -> Version:
        """Bring the mirror up to date."""
        self._refuse_closed()
        try:
            self._read_changes()
        except ConnectionLost:
            self._connect_again()
            self._read_changes()
        return self._mirror.version

    def _read_changes(self) -> None:
        unknown, self._unknown = self._unknown, True
        readings: _Readings = {}
        news = self._tracker.news()
        waiting = self._changed(news, unknown, readings)
        are_many = sum(len(names) for _, names in waiting) > _MANY
        with _nothing_collected():
            if are_many and self._tracker.without is None:
                waiting = self._read_quickly(waiting, readings)
            self._read(waiting, readings)
            self._mirror.update(news.time, readings.items())
        self._unknown = False

    def _read(self, waiting: _Waiting, readings: _Readings) -> None:
        """Note what is there under each name."""
        for database, names in waiting:
            if names:
                self._tracker.commands.select(database)
                found = self._reader.read(names, partial(self._known_dump, database))
                readings |= {(database, name): reading for name, reading in found}

    def _read_quickly(self, waiting: _Waiting, readings: _Readings) -> _Waiting:
        """Note what can be read so, and return what is to be read again."""
        left: _Waiting = []
        for database, names in waiting:
            self._tracker.commands.select(database)
            found = self._reader.read_quickly(names, partial(self._known_dump, database))
            readings |= {(database, name): reading for name, reading in found.items()}
            left.append((database, names - found.keys()))
        # Of what was changed while it was read, the parts may not belong together.
        news = self._tracker.news()
        if news.keys is None:
            readings.clear()
        return [*left, *self._changed(news, False, readings)]

    def _changed(self, news: News, unknown: bool, readings: _Readings) -> _Waiting:
        """Return the names to be read in each database, and note those that are gone."""
        places = self._mirror.expired(news.time)
        if news.streams:
            places |= self._mirror.streams
        if news.keys is not None:
            places |= {(database, key) for database in self._databases for key in news.keys}
        elif self._tracker.without is None:
            self._marker.leave_again(self._tracker.commands)
        waiting: _Waiting = []
        for database in self._databases:
            names = {key for of, key in places if of == database}
            if unknown or news.keys is None:
                self._tracker.commands.select(database)
                names = self._reader.names(self._prefix)
                # One that returns will be told of.
                readings |= dict.fromkeys(self._gone(database, names))
            waiting.append((database, names))
        return waiting

    def _gone(self, database: int, names: Set[bytes]) -> Iterator[Place]:
        """Yield the known places that are not among all names."""
        for place in self._mirror.version.entries:
            if place[0] == database and place[1] not in names:
                yield place

    def _known_dump(self, database: int, name: bytes) -> bytes | None:
        return self._mirror.known_dump((database, name))

    @property
    def _reader(self) -> Reader:
        return Reader(self._tracker.commands, self._server.version >= _WITH_EXPIRETIME)

    def _connect_again(self) -> None:
        self._tracker.close()
        self._tracker = Tracker(self._address, self._prefix, self._wanted)
        self._marker.name(self._tracker.commands)
        if self._info().get("run_id") != self._server.run_id:
            self._tracker.close()  # so that any further use ends here again
            raise SystemUnavailable(
                f"Redis {self._address} was started again since this adapter was created, so what "
                "it holds is not what the application left. Keep it running while the World lives."
            )

    def _write(self, plan: Plan) -> None:
        """Carry out a plan, all at once."""
        written: list[Place | None] = []
        commands: list[Command] = []
        selected = None
        for place in sorted(plan.commands):
            if place[0] != selected:
                selected = place[0]
                written.append(None)
                commands.append(("SELECT", selected))
            written += [place] * len(plan.commands[place])
            commands += plan.commands[place]
        if commands:
            self._unknown = True
            replies = self._tracker.commands.transaction(commands)
            self._tracker.commands.selected = selected
            _refuse_failures(zip(written, commands, replies, strict=True), self._tracker.commands)
            self._unknown = False
        self._mirror.wrote(plan)

    def _verify(self, plan: Plan) -> None:
        """Read what was written; the server tells which keys, and what others wrote meanwhile."""
        if not plan.commands:
            return
        found = self._look()
        self._mirror.verified()
        wrong = [
            place
            for place, here, want in found.entries.differences(plan.version.entries)
            if not same_data(here, want) and (want is None or not want.is_over(found.time))
        ]
        if wrong:
            self._unknown = True
            raise RollbackError(
                f"{self.name}: rolled back, but {_listed(wrong)} changed while it was done. "
                "Something goes on writing between the actions: stop it, or wait for it with "
                "World(..., settle=...)."
            )

    def _info(self) -> dict[str, str]:
        return info(self._tracker.commands)


def _refuse_failures(
    done: Iterable[tuple[Place | None, Command, Any]], connection: "Connection"
) -> None:
    failed = [
        (place, connection.refusal(command[:2], reply))
        for place, command, reply in done
        if isinstance(reply, Exception)
    ]
    if failed:
        raise RollbackError(
            f"{len(failed)} commands failed and the others were carried out, so the keys are those "
            f"of no checkpoint. {failed[0][1]} Not restored: "
            + _listed([place for place, _ in failed if place is not None])
        )


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Look for no garbage while many objects are made, none of which is any."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _listed(places: Sequence[Place]) -> str:
    shown = ", ".join(place_name(place) for place in places[:_SHOWN])
    return shown if len(places) <= _SHOWN else f"{shown} and {len(places) - _SHOWN} more"
