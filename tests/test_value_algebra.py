"""Random contents: what random ids are called makes no difference, and everything else does.

``VENOMQA_VALUE_CASES`` sets how many contents are tried.
"""

import base64
import copy
import json
import os
import secrets
import uuid
from collections.abc import Callable
from itertools import combinations
from random import Random
from typing import Any

import pytest

from venomqa_hyp.values import Knowledge, Sealed, canonical_text, digest, rename, template_of

CASES = int(os.environ.get("VENOMQA_VALUE_CASES", "20000"))
CHUNKS = 20
WORDS = ["paid", "open", "north", "c1", "c2", "standard1", "premium22", "EUR", "1.2.3", "ab-12"]

MAKERS: list[Callable[[Random], Any]] = [
    lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    lambda chance: chance.randbytes(16).hex(),
    lambda chance: chance.randbytes(20).hex(),
    lambda chance: chance.randrange(10**17, 10**18),
    lambda chance: f"ord_{chance.randbytes(12).hex()}",
]


def as_text(value: Any, chance: Random) -> str:
    """Return an id in one of the places of a text."""
    return chance.choice(
        [f"{value}", f"/collections/c1/records/{value}", f"Bearer {value}", f"{value}?page=2"]
    )


class Content:
    """A random tree, with ids by number, so that it can be made again with others."""

    def __init__(self, chance: Random) -> None:
        self.ids = chance.randint(1, 5)
        self.kinds = [chance.choice(MAKERS) for _ in range(self.ids)]
        self.seed = chance.getrandbits(32)
        self.has_encoded = False

    def fresh(self, chance: Random) -> list[Any]:
        return [make(chance) for make in self.kinds]

    def tree(self, ids: list[Any]) -> dict[str, Any]:
        shape = Random(self.seed)
        return {f"part{number}": self._node(shape, ids, 0) for number in range(shape.randint(2, 4))}

    def with_two_ids_in_one(self, ids: list[Any]) -> dict[str, Any] | None:
        """Return the tree with the second id of a kind in place of the first, if it has both."""
        tree = canonical_text(self.tree(ids))
        for number, other in combinations(range(self.ids), 2):
            merged = [ids[number] if at == other else item for at, item in enumerate(ids)]
            alone = [ids[other] if at == number else item for at, item in enumerate(ids)]
            changes = (canonical_text(self.tree(item)) != tree for item in (merged, alone))
            if self.kinds[number] is self.kinds[other] and all(changes):
                return self.tree(merged)
        return None

    def _node(self, shape: Random, ids: list[Any], depth: int) -> Any:
        kind = shape.choice(["id", "id", "text", "content"] if depth > 2 else SHAPES)
        size = shape.randint(1, 3)
        if kind == "id":
            return shape.choice(ids)
        if kind == "text":
            return as_text(shape.choice(ids), shape)
        if kind == "content":
            return shape.choice([shape.randrange(1000), shape.choice(WORDS), None, True])
        if kind == "list":
            return [self._node(shape, ids, depth + 1) for _ in range(size)]
        if kind == "keys":
            key = shape.choice(ids)
            return {str(key): self._node(shape, ids, depth + 1), "size": shape.randrange(9)}
        inner = {f"k{number}": self._node(shape, ids, depth + 1) for number in range(size)}
        if kind == "json":
            return json.dumps(inner)
        if kind == "encoded":
            self.has_encoded = True
            return base64.urlsafe_b64encode(json.dumps({"in": inner}).encode()).decode().rstrip("=")
        return inner


SHAPES = ["id", "text", "content", "list", "mapping", "mapping", "keys", "json", "encoded"]


def shown(tree: Any) -> dict[str, tuple[str, Any]]:
    return {"store": (digest(tree), tree)}


def identity(tree: Any, ids: list[Any]) -> str:
    """Return what identifies a content in which these ids were made by steps."""
    knowledge = Knowledge()
    for value in ids:
        knowledge.fresh.update(dict.fromkeys(knowledge.atoms_in(value), ""))
    return knowledge.identify(shown(tree)).identity


def changed(tree: Any, chance: Random) -> Any:
    """Return a content with one word or number more, somewhere at the top."""
    other = copy.deepcopy(tree)
    other[chance.choice([*other])] = [other[chance.choice([*other])], chance.randrange(1000, 9999)]
    return other


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_ids_make_no_difference_and_content_does(chunk: int) -> None:
    """Renamed by a bijection it is the same; with one value changed, or two ids in one, another."""
    for number in range(CASES // CHUNKS):
        chance = Random(chunk * 1_000_003 + number)
        content = Content(chance)
        one, other = content.fresh(chance), content.fresh(chance)
        tree, renamed = content.tree(one), content.tree(other)
        known = identity(tree, one)
        assert identity(renamed, other) == known, (chunk, number)
        assert identity(changed(tree, chance), one) != known, (chunk, number)
        if taken_for_one := content.with_two_ids_in_one(one):
            assert identity(taken_for_one, one) != known, (chunk, number)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_ids_are_exchanged_wherever_they_stand(chunk: int) -> None:
    """In keys, texts and JSON: the same as if the content had been made with the others."""
    for number in range(CASES // CHUNKS):
        chance = Random(chunk * 7_000_003 + number)
        content = Content(chance)
        one, other = content.fresh(chance), content.fresh(chance)
        knowledge = Knowledge()
        names = {
            old: new
            for first, second in zip(one, other, strict=True)
            for old, new in zip(knowledge.atoms_in(first), knowledge.atoms_in(second), strict=True)
        }
        try:
            found = rename(content.tree(one), names)
        except Sealed:
            assert content.has_encoded  # it may be signed, so no part of it is exchanged
            continue
        assert canonical_text(found) == canonical_text(content.tree(other)), (chunk, number)


def test_what_is_random_here_is_random() -> None:
    """Two contents made with other ids are not equal as they stand."""
    content = Content(Random(1))
    ids = [secrets.token_hex(16) for _ in range(content.ids)]
    assert content.tree(ids) != content.tree(content.fresh(Random(2)))


@pytest.mark.parametrize("form", ["urn:uuid:{}", "user:42:{}", "a.b.{}", "rl:login:{}:x"])
def test_an_id_behind_words_is_read_alike_whatever_it_is(form: str) -> None:
    """By chance an id may look less random than others; its template is the same."""
    for make in (lambda: str(uuid.uuid4()), lambda: secrets.token_hex(16)):
        assert len({template_of(form.format(make())) for _ in range(3_000)}) == 1
