"""A system over one MongoDB database: a complete adapter to start from.

    from pymongo import MongoClient

    mongo = MongoDBAdapter(MongoClient("mongodb://localhost:27017")["shop_test"])
    world = World(HttpClient("http://localhost:8000"), {"mongo": mongo})

A checkpoint copies the whole database into memory, and a rollback writes back the collections that
changed since. So both cost as much as the database holds: use one that is small and for tests only.

Rolled back and observed: all documents, in their natural order, and all indexes. Left out: the
order of fields inside a document, and the options of a collection (validators, collation, capped).
A collection that the application drops comes back without them. A database with views or time
series is refused by MongoDB when it is written to.
"""

import json
from typing import Any

import attrs
import bson
from bson import json_util

from venomqa_hyp import Observation

_OBSERVED = json_util.CANONICAL_JSON_OPTIONS


@attrs.frozen
class Copy:
    """What one collection held.

    :ivar documents: each as BSON, which is exact for every type, and cannot change any more.
    :ivar indexes: name -> what MongoDB says of it.
    """

    documents: tuple[bytes, ...]
    indexes: dict[str, dict[str, Any]]


class MongoDBAdapter:
    """Observe and roll back a database of pymongo."""

    def __init__(self, database: Any, *, name: str = "mongodb") -> None:
        self.database = database
        self.name = name

    def checkpoint(self, name: str) -> dict[str, Copy]:
        """Copy everything. The copy is the handle: it is freed when the World drops it."""
        return self._read()

    def rollback(self, handle: dict[str, Copy]) -> None:
        """Write back every collection that differs from its copy."""
        present = self._read()
        for collection in present.keys() - handle.keys():
            self.database.drop_collection(collection)
        for collection, copy in handle.items():
            if collection not in present:
                self.database.create_collection(collection)
            if present.get(collection) != copy:
                self._write(self.database[collection], copy)

    def observe(self) -> Observation:
        """Show every document, not a number of them: else different states would look alike."""
        collections = {
            collection: {
                "documents": [_shown(bson.decode(document)) for document in copy.documents],
                "indexes": _shown(copy.indexes),
            }
            for collection, copy in self._read().items()
        }
        return Observation.create(self.name, {"collections": collections})

    def _read(self) -> dict[str, Copy]:
        names = sorted(self.database.list_collection_names())
        return {
            name: Copy(
                tuple(bson.encode(document) for document in self.database[name].find()),
                self.database[name].index_information(),
            )
            for name in names
            if not name.startswith("system.")
        }

    def _write(self, collection: Any, copy: Copy) -> None:
        # All of it, not the difference: documents that are put back one by one come last.
        collection.delete_many({})
        present = collection.index_information()
        for name, index in present.items():
            if copy.indexes.get(name) != index:
                collection.drop_index(name)
        for name, index in copy.indexes.items():
            if present.get(name) != index:
                options = {word: item for word, item in index.items() if word not in _NO_OPTIONS}
                collection.create_index(index["key"], name=name, **options)
        if copy.documents:
            collection.insert_many([bson.decode(document) for document in copy.documents])


#: What MongoDB says of an index, and does not take when it is made.
_NO_OPTIONS = frozenset({"key", "ns", "v"})


def _shown(value: Any) -> Any:
    """Return a document as plain values: ``{"_id": {"$oid": "65f0..."}}``.

    The types of MongoDB stay apart, and a random id stands where it can be left out alone.
    """
    return json.loads(json_util.dumps(value, json_options=_OBSERVED))
