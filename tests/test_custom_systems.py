"""The adapters of the examples keep the contract, on what can run here.

MongoDB is played by mongomock, Elasticsearch by a fake of the requests that are made. Neither is
the real server.
"""

import importlib.util
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from fake_elasticsearch import FakeElasticsearch

from venomqa_hyp.testing import check_rollbackable, volatile_places

EXAMPLES = Path(__file__).parent.parent / "examples" / "custom_systems"


def example(name: str) -> ModuleType:
    """Load an example under a name of its own: there are packages called like it."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class TestMongoDB:
    """On mongomock."""

    @pytest.fixture
    def mongo(self) -> Any:
        pytest.importorskip("mongomock")
        return self.open()

    @staticmethod
    def open() -> Any:
        import mongomock

        return example("mongodb").MongoDBAdapter(mongomock.MongoClient()["shop"])

    def test_keeps_the_contract(self) -> None:
        """Documents of several types, updates, deletions, indexes, collections that come and go."""
        pytest.importorskip("mongomock")
        import bson

        def number(chance: random.Random) -> Any:
            return bson.ObjectId(chance.randbytes(12))

        def insert(mongo: Any, chance: random.Random) -> None:
            big = bson.Int64(2**40 + chance.randrange(9))
            values = [chance.random(), "text", None, b"bytes", [1, {"a": 2}], big]
            document = {"_id": number(chance), "value": chance.choice(values)}
            mongo.database[chance.choice(["orders", "users"])].insert_one(document)

        def update(mongo: Any, chance: random.Random) -> None:
            held = list(mongo.database.orders.find())
            if not held:
                return insert(mongo, chance)
            change = {"$set": {"value": chance.random()}}
            mongo.database.orders.update_one({"_id": chance.choice(held)["_id"]}, change)
            return None

        def delete(mongo: Any, chance: random.Random) -> None:
            held = list(mongo.database.users.find())
            if not held:
                return insert(mongo, chance)
            mongo.database.users.delete_one({"_id": chance.choice(held)["_id"]})
            return None

        def drop(mongo: Any, chance: random.Random) -> None:
            mongo.database.users.insert_one({"_id": number(chance)})
            mongo.database.drop_collection("users")
            mongo.database.log.insert_one({"_id": number(chance)})

        def index(mongo: Any, chance: random.Random) -> None:
            if "total" in mongo.database.orders.index_information():
                mongo.database.orders.drop_index("total")
            else:
                mongo.database.orders.create_index([("total", -1), ("x", 1)], name="total")

        check_rollbackable(self.open, [insert, update, delete, drop, index], operations=100)

    def test_a_unique_index_rules_again(self, mongo: Any) -> None:
        """It is put back before the documents, with its options."""
        from pymongo.errors import DuplicateKeyError

        mongo.database.users.create_index("name", unique=True)
        mongo.database.users.insert_one({"_id": 1, "name": "ada"})
        handle = mongo.checkpoint("unique")
        mongo.database.users.drop_index("name_1")
        mongo.database.users.insert_one({"_id": 2, "name": "ada"})
        mongo.rollback(handle)
        with pytest.raises(DuplicateKeyError):
            mongo.database.users.insert_one({"_id": 2, "name": "ada"})

    def test_the_natural_order_comes_back(self, mongo: Any) -> None:
        """A document that was deleted is not the last one afterwards."""
        mongo.database.users.insert_many([{"_id": 1}, {"_id": 2}])
        handle = mongo.checkpoint("two")
        mongo.database.users.delete_one({"_id": 1})
        mongo.rollback(handle)
        assert [document["_id"] for document in mongo.database.users.find()] == [1, 2]

    def test_random_ids_are_left_out_alone(self, mongo: Any) -> None:
        """An ObjectId is made anew each time; the rest of the document counts."""
        empty, observed = mongo.checkpoint("empty"), []
        for _ in range(2):
            mongo.database.users.insert_one({"name": "ada"})
            observed.append(mongo.observe().data)
            mongo.rollback(empty)
        places = volatile_places(*observed)
        assert places == ("collections.users.documents.*._id.$oid",)


class TestElasticsearch:
    """On a fake of the requests that the adapter makes."""

    @pytest.fixture
    def server(self) -> Iterator[FakeElasticsearch]:
        fake = FakeElasticsearch()
        yield fake
        fake.close()

    @pytest.fixture
    def client(self, server: FakeElasticsearch) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=server.url) as made:
            yield made

    def test_keeps_the_contract(self, server: FakeElasticsearch, client: httpx.Client) -> None:
        """Documents with routing, new fields, and indices that come and go."""
        adapter = example("elasticsearch").ElasticsearchAdapter

        def bulk(operation: dict[str, Any], *source: dict[str, Any]) -> None:
            lines = "".join(json.dumps(line) + "\n" for line in (operation, *source))
            client.post("/_bulk", content=lines).raise_for_status()

        def put(search: Any, chance: random.Random) -> None:
            target = {"_index": f"shop-{chance.randrange(2)}", "_id": str(chance.randrange(4))}
            if chance.random() < 0.5:
                target["routing"] = "r"
            bulk({"index": target}, {"total": chance.random()})

        def add_field(search: Any, chance: random.Random) -> None:
            target = {"_index": "shop-0", "_id": "fields"}
            bulk({"index": target}, {f"field{chance.randrange(10**6)}": chance.random()})

        def delete(search: Any, chance: random.Random) -> None:
            held = search.observe().data["indices"].get("shop-0", {"documents": {}})["documents"]
            if not held:
                return put(search, chance)
            number = chance.choice(sorted(held))
            routing = chance.choice(sorted(held[number]))
            target = {"_index": "shop-0", "_id": number} | ({"routing": routing} if routing else {})
            bulk({"delete": target})
            return None

        def drop(search: Any, chance: random.Random) -> None:
            if client.delete("/shop-1").status_code != 200:
                put(search, chance)

        def empty() -> Any:
            server.indices.clear()
            client.put("/other")  # that of someone else is left alone
            return adapter(server.url, "shop-*")

        check_rollbackable(empty, [put, add_field, delete, drop], operations=20)

    def test_every_page_is_read(
        self, server: FakeElasticsearch, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A page ends in the middle; the point in time is closed in the end."""
        module = example("elasticsearch")
        monkeypatch.setattr(module, "_PAGE", 3)
        lines = "".join(f'{{"index": {{"_index": "a", "_id": "{n}"}}}}\n{{}}\n' for n in range(10))
        client.post("/_bulk", content=lines).raise_for_status()
        search = module.ElasticsearchAdapter(server.url, "a")
        assert len(search.observe().data["indices"]["a"]["documents"]) == 10
        assert server.points == {}
        search.close()

    def test_a_write_that_failed_is_told(
        self, server: FakeElasticsearch, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Elasticsearch answers 200 to a bulk request of which parts failed."""
        search = example("elasticsearch").ElasticsearchAdapter(server.url, "a")
        handle = search.checkpoint("empty")
        client.put("/a")
        full = search.checkpoint("index")
        client.post("/_bulk", content='{"index": {"_index": "a", "_id": "1"}}\n{}\n')
        monkeypatch.setattr(server, "_bulk", lambda *_: {"errors": True, "items": []})
        filled = search.checkpoint("filled")
        search.rollback(full)
        with pytest.raises(RuntimeError, match="not everything was written back"):
            search.rollback(filled)
        search.rollback(handle)
        search.close()
