"""A system over some indices of Elasticsearch: a complete adapter to start from.

    search = ElasticsearchAdapter("http://localhost:9200", "shop-test-*")
    world = World(HttpClient("http://localhost:8000"), {"search": search})

A checkpoint copies all documents into memory; a rollback writes back those that changed since. So
a checkpoint costs as much as the indices hold: use small ones, for tests only.

Rolled back and observed: documents with their routing, mappings, settings and aliases. Left out:
``_version`` and ``_seq_no``, which only grow, templates, pipelines and data streams. Needs
Elasticsearch 7.10 or newer, for points in time. It talks HTTP itself, so any version of the client
library may be installed, or none.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import httpx

from venomqa_hyp import Observation

_PAGE = 1000
#: Given to an index by the server.
_NO_SETTINGS = frozenset({"creation_date", "history", "provided_name", "uuid", "version"})


@attrs.frozen
class Index:
    """What one index held.

    :ivar definition: its mappings, settings and aliases.
    :ivar documents: id -> routing, an empty text for none -> source.
    """

    definition: Mapping[str, Any]
    documents: Mapping[str, Mapping[str, Any]]


class ElasticsearchAdapter:
    """Observe and roll back the indices that a pattern names.

    :param indices: names or patterns, separated by commas. Nothing else is touched.
    """

    def __init__(
        self, url: str, indices: str, *, name: str = "elasticsearch", timeout: float = 30.0
    ) -> None:
        self.name = name
        self._indices = indices
        self._http = httpx.Client(base_url=url, timeout=timeout)

    def checkpoint(self, name: str) -> dict[str, Index]:
        """Copy everything. The copy is the handle: it is freed when the World drops it."""
        return self._read()

    def rollback(self, handle: dict[str, Index]) -> None:
        """Write back what differs. Fields cannot be taken out of a mapping: then all is new."""
        present = self._read()
        for name, index in present.items():
            if name not in handle or handle[name].definition != index.definition:
                self._ask("DELETE", f"/{name}")
        operations: list[Mapping[str, Any]] = []
        for name, index in handle.items():
            held = present.get(name)
            if held is None or held.definition != index.definition:
                self._ask("PUT", f"/{name}", index.definition)
                held = Index({}, {})
            operations += _operations(name, held.documents, index.documents)
        if operations:
            self._write(operations)

    def observe(self) -> Observation:
        """Show every document, not a number of them: else different states would look alike."""
        indices = {name: attrs.asdict(index) for name, index in self._read().items()}
        return Observation.create(self.name, {"indices": indices})

    def close(self) -> None:
        """Close the connections; the indices stay as they are."""
        self._http.close()

    def _read(self) -> dict[str, Index]:
        found = self._ask("GET", f"/{self._indices}")
        if not found:
            return {}
        # What was written a moment ago is searched only after this.
        self._ask("POST", f"/{self._indices}/_refresh")
        documents: dict[str, dict[str, Any]] = {name: {} for name in found}
        for hit in self._hits():
            same_id = documents[hit["_index"]].setdefault(hit["_id"], {})
            same_id[hit.get("_routing", "")] = hit["_source"]
        return {name: Index(_definition(found[name]), documents[name]) for name in sorted(found)}

    def _hits(self) -> Iterator[Mapping[str, Any]]:
        """Yield all documents, page by page, as they are at this moment."""
        point = self._ask("POST", f"/{self._indices}/_pit?keep_alive=1m")["id"]
        query: dict[str, Any] = {
            "size": _PAGE,
            "pit": {"id": point, "keep_alive": "1m"},
            "sort": [{"_shard_doc": "asc"}],
        }
        try:
            while hits := self._ask("POST", "/_search", query)["hits"]["hits"]:
                yield from hits
                query["search_after"] = hits[-1]["sort"]
        finally:
            self._ask("DELETE", "/_pit", {"id": point})

    def _write(self, operations: list[Mapping[str, Any]]) -> None:
        lines = "".join(json.dumps(operation) + "\n" for operation in operations)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = self._http.post("/_bulk?refresh=true", content=lines, headers=headers)
        answer.raise_for_status()
        if answer.json()["errors"]:
            # A rollback that fails must raise, or the run would go on from a wrong state.
            raise RuntimeError(f"{self.name}: not everything was written back: {answer.text:.500}")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()


def _definition(found: Mapping[str, Any]) -> dict[str, Any]:
    settings = found["settings"]["index"]
    kept = {word: item for word, item in settings.items() if word not in _NO_SETTINGS}
    return {
        "aliases": found["aliases"],
        "mappings": found["mappings"],
        "settings": {"index": kept},
    }


def _operations(
    index: str, held: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a bulk request that make the documents held those wanted."""
    for number, routing in _keys(held) - _keys(wanted):
        yield {"delete": _target(index, number, routing)}
    for number, routing in sorted(_keys(wanted)):
        source = wanted[number][routing]
        if held.get(number, {}).get(routing) != source:
            yield {"index": _target(index, number, routing)}
            yield source


def _keys(documents: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(number, routing) for number, same_id in documents.items() for routing in same_id}


def _target(index: str, number: str, routing: str) -> dict[str, str]:
    return {"_index": index, "_id": number} | ({"routing": routing} if routing else {})
