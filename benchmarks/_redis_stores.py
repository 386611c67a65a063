"""Items, and where a service can keep them in Redis.

Each item has a value, of which the benchmark takes many kinds, and a status. In a store that
numbers its items each also has a slot, the smallest number that is free; in the others the value
alone identifies it.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import redis

from venomqa_hyp.adapters.redis import RedisAdapter

STATUSES = ("new", "paid", "done")
MOST_SLOTS = 3


@attrs.frozen
class Item:
    value: Any
    status: str
    slot: int | None = None


@attrs.frozen
class Place:
    """Where one process has its stores.

    :ivar postgres: the URL of a database of its own; empty where there is no server.
    :ivar redis: the URL of a server; empty where there is none.
    :ivar prefix: of the keys in Redis.
    """

    postgres: str = ""
    redis: str = ""
    prefix: str = "values:"

    def has(self, server: str) -> bool:
        """Return whether there is such a server; none is needed for ``""``."""
        return bool({"postgres": self.postgres, "redis": self.redis}.get(server, "none"))


class Store(Protocol):
    """Keeps items."""

    system: Any

    def read(self) -> list[Item]: ...
    def add(self, item: Item) -> None: ...
    def replace(self, old: Item, new: Item) -> None: ...
    def drop(self, item: Item) -> None: ...
    def close(self) -> None: ...


class Listed:
    """A list of all items, in memory or as JSON; in the order of slots or of creation."""

    def __init__(self, system: Any, load: Callable[[], Any], save: Callable[[Any], None]) -> None:
        self.system = system
        self._load, self._save = load, save

    def read(self) -> list[Item]:
        return [Item(row["ref"], row["status"], row.get("slot")) for row in self._load()]

    def add(self, item: Item) -> None:
        items = [*self.read(), item]
        if item.slot is not None:
            items.sort(key=lambda one: one.slot or 0)
        self._write(items)

    def replace(self, old: Item, new: Item) -> None:
        self._write([new if item == old else item for item in self.read()])

    def drop(self, item: Item) -> None:
        self._write([one for one in self.read() if one != item])

    def close(self) -> None:
        pass

    def _write(self, items: list[Item]) -> None:
        slots: list[dict[str, Any]] = [
            {} if item.slot is None else {"slot": item.slot} for item in items
        ]
        self._save(
            [
                {"ref": item.value, "status": item.status, **slot}
                for item, slot in zip(items, slots, strict=True)
            ]
        )


class InRedis:
    """What stores in Redis have in common."""

    def __init__(self, place: Place) -> None:
        self._client = redis.Redis.from_url(place.redis, decode_responses=True)
        self._prefix = place.prefix
        for key in self._client.scan_iter(f"{place.prefix}*", count=1000):
            self._client.delete(key)
        self.system = RedisAdapter(place.redis, prefix=place.prefix)

    def key(self, *parts: object) -> str:
        return self._prefix + ":".join(map(str, parts))

    def close(self) -> None:
        self._client.close()

    def replace(self, old: Item, new: Item) -> None:
        self.drop(old)
        self.add(new)

    def add(self, item: Item) -> None:
        raise NotImplementedError

    def drop(self, item: Item) -> None:
        raise NotImplementedError


class Strings(InRedis):
    """Two strings for each slot."""

    def read(self) -> list[Item]:
        found = [self._client.mget(*self._keys(slot)) for slot in range(MOST_SLOTS)]
        return [Item(*pair, slot) for slot, pair in enumerate(found) if pair[0] is not None]

    def add(self, item: Item) -> None:
        ref, status = self._keys(item.slot)
        self._client.mset({ref: item.value, status: item.status})

    def drop(self, item: Item) -> None:
        self._client.delete(*self._keys(item.slot))

    def _keys(self, slot: int | None) -> tuple[str, str]:
        return self.key("item", slot, "ref"), self.key("item", slot, "status")


class Hashes(InRedis):
    """A hash for each slot."""

    def read(self) -> list[Item]:
        found = [self._client.hgetall(self.key("item", slot)) for slot in range(MOST_SLOTS)]
        return [Item(row["ref"], row["status"], at) for at, row in enumerate(found) if row]

    def add(self, item: Item) -> None:
        row = {"ref": item.value, "status": item.status}
        self._client.hset(self.key("item", item.slot), mapping=row)

    def drop(self, item: Item) -> None:
        self._client.delete(self.key("item", item.slot))


class Fields(InRedis):
    """A hash for each slot, or one for all, with values as the names of fields."""

    def __init__(self, place: Place, numbered: bool) -> None:
        super().__init__(place)
        self._slots = range(MOST_SLOTS) if numbered else [None]

    def read(self) -> list[Item]:
        return [
            Item(ref, status, slot)
            for slot in self._slots
            for ref, status in self._client.hgetall(self.key("items", slot)).items()
        ]

    def add(self, item: Item) -> None:
        self._client.hset(self.key("items", item.slot), str(item.value), item.status)

    def drop(self, item: Item) -> None:
        self._client.hdel(self.key("items", item.slot), str(item.value))


class Members(InRedis):
    """A set of values for each status and slot; or a sorted set, by the time."""

    def __init__(self, place: Place, numbered: bool, *, scored: bool) -> None:
        super().__init__(place)
        self._slots = range(MOST_SLOTS) if numbered else [None]
        self._scored = scored

    def read(self) -> list[Item]:
        return [
            Item(ref, status, slot)
            for slot in self._slots
            for status in STATUSES
            for ref in self._members(self.key(status, slot))
        ]

    def add(self, item: Item) -> None:
        key = self.key(item.status, item.slot)
        if self._scored:
            self._client.zadd(key, {item.value: time.time()})
        else:
            self._client.sadd(key, item.value)

    def drop(self, item: Item) -> None:
        remove = self._client.zrem if self._scored else self._client.srem
        remove(self.key(item.status, item.slot), item.value)

    def _members(self, key: str) -> Any:
        return self._client.zrange(key, 0, -1) if self._scored else self._client.smembers(key)


class Stream(InRedis):
    """A stream with an entry for each slot, and a hash of statuses; entries are not changed."""

    def read(self) -> list[Item]:
        entries = self._client.xrange(self.key("stream"))
        statuses = self._client.hgetall(self.key("status"))
        return [
            Item(fields["ref"], statuses[str(slot)], slot)
            for slot, (_, fields) in enumerate(entries)
        ]

    def add(self, item: Item) -> None:
        self._client.xadd(self.key("stream"), {"ref": item.value})
        self.replace(item, item)

    def replace(self, old: Item, new: Item) -> None:
        self._client.hset(self.key("status"), str(old.slot), new.status)


class JsonText(InRedis, Listed):
    """JSON text in one string."""

    def __init__(self, place: Place) -> None:
        InRedis.__init__(self, place)
        Listed.__init__(self, self.system, self._load_text, self._save_text)

    add, replace, drop, close = Listed.add, Listed.replace, Listed.drop, InRedis.close

    def _load_text(self) -> Any:
        return json.loads(self._client.get(self.key("items")) or "[]")

    def _save_text(self, items: Any) -> None:
        if items:
            self._client.set(self.key("items"), json.dumps(items))
        else:
            self._client.delete(self.key("items"))
