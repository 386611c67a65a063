"""The few requests of Elasticsearch that the example adapter and its test make.

This is NOT Elasticsearch: it has no shards, no analysis, no types, and learns of mappings only that
a field is there. What the example does beyond that was not run against a real server.
"""

import fnmatch
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from venomqa_hyp.adapters.mocks.loopback import Answer, LoopbackServer, Request


class FakeElasticsearch:
    """Indices of documents, behind a URL.

    A document is searched only after a refresh, and a point in time stays as it was.
    """

    def __init__(self) -> None:
        self.indices: dict[str, dict[str, Any]] = {}
        self.points: dict[str, list[dict[str, Any]]] = {}
        self.opened = 0
        self._server = LoopbackServer(self._answer, "elasticsearch", host="127.0.0.1", port=0)
        self.url = self._server.url

    def close(self) -> None:
        self._server.close()

    def _answer(self, request: Request) -> Answer:
        address = urlsplit(request.path)
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        body = request.body.decode()
        match request.method, parts:
            case "POST", ["_bulk"]:
                return _json(200, self._bulk(body, "refresh" in parse_qs(address.query)))
            case "POST", ["_search"]:
                return _json(200, self._search(json.loads(body)))
            case "DELETE", ["_pit"]:
                del self.points[json.loads(body)["id"]]
                return _json(200, {"succeeded": True})
            case "GET", [pattern]:
                return _json(200, {name: self._shown(name) for name in self._named(pattern)})
            case "PUT", [name] if name not in self.indices:
                self._make(name, json.loads(body or "{}"))
                return _json(200, {"acknowledged": True})
            case "DELETE", [name] if name in self.indices:
                del self.indices[name]
                return _json(200, {"acknowledged": True})
            case "POST", [pattern, "_refresh"]:
                self._refresh(pattern)
                return _json(200, {})
            case "POST", [pattern, "_pit"]:
                return _json(200, {"id": self._open_point(pattern)})
        return _json(400, {"error": f"{request.method} {request.path} is not known here"})

    def _named(self, pattern: str) -> list[str]:
        patterns = pattern.split(",")
        return [n for n in self.indices if any(fnmatch.fnmatch(n, part) for part in patterns)]

    def _make(self, name: str, given: dict[str, Any]) -> None:
        settings = {"number_of_shards": "1", **given.get("settings", {}).get("index", {})}
        self.indices[name] = {
            "mappings": given.get("mappings", {}),
            "aliases": given.get("aliases", {}),
            "settings": settings,
            "documents": {},
            "searched": {},
        }

    def _shown(self, name: str) -> dict[str, Any]:
        index = self.indices[name]
        server_made = {"uuid": f"{id(index)}", "provided_name": name, "creation_date": "1"}
        settings = {"index": {**index["settings"], **server_made}}
        return {**{w: index[w] for w in ("mappings", "aliases")}, "settings": settings}

    def _refresh(self, pattern: str) -> None:
        for name in self._named(pattern):
            self.indices[name]["searched"] = dict(self.indices[name]["documents"])

    def _bulk(self, body: str, refresh: bool) -> dict[str, Any]:
        lines = iter([json.loads(line) for line in body.splitlines()])
        items = []
        for line in lines:
            ((operation, target),) = line.items()
            if target["_index"] not in self.indices:
                self._make(target["_index"], {})
            index = self.indices[target["_index"]]
            key = (target["_id"], target.get("routing"))
            if operation == "delete":
                items.append({operation: {"status": 200 if key in index["documents"] else 404}})
                index["documents"].pop(key, None)
                continue
            source = next(lines)
            index["documents"][key] = source
            fields = {name: {"type": "keyword"} for name in source}
            index["mappings"] = {"properties": index["mappings"].get("properties", {}) | fields}
            items.append({operation: {"status": 201}})
        if refresh:
            self._refresh("*")
        return {"errors": False, "items": items}

    def _open_point(self, pattern: str) -> str:
        self.opened += 1
        self.points[str(self.opened)] = [
            {"_index": name, "_id": number, "_source": source}
            | ({} if routing is None else {"_routing": routing})
            for name in self._named(pattern)
            for (number, routing), source in self.indices[name]["searched"].items()
        ]
        return str(self.opened)

    def _search(self, query: dict[str, Any]) -> dict[str, Any]:
        assert query["sort"] == [{"_shard_doc": "asc"}]
        start = query.get("search_after", [-1])[0] + 1
        hits = self.points[query["pit"]["id"]][start : start + query["size"]]
        shown = [{**hit, "sort": [start + at]} for at, hit in enumerate(hits)]
        return {"hits": {"hits": shown}}


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value).encode(), (("Content-Type", "application/json"),))
