"""Read the whole content of an image: every row with its exact type, in a fixed order.

The digest is made of one digest per table. A table none of whose pages changed keeps the digest
of the state before, so observing costs the size of the tables that changed.
"""

import hashlib
import marshal
import sqlite3
import struct
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

import attrs

from venomqa_hyp.adapters.sql import Choice, Rows
from venomqa_hyp.adapters.sqlite.catalog import Schema, Selection, describe, read_schema, readable
from venomqa_hyp.adapters.sqlite.driver import answer, rows
from venomqa_hyp.adapters.sqlite.image import Image, changed_pages, tree_pages
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.values.digest import digest

# Version 2 writes equal values of equal types as equal bytes; 3 and later write references to
# objects met before, which depend on identity.
_MARSHAL_VERSION = 2
_ROWS_AT_ONCE = 2000


Digests = Mapping[str, str]


@attrs.frozen
class Plan:
    """What is observed.

    :ivar queries: name -> SQL of the named queries.
    """

    system: str
    choice: Choice
    queries: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Content:
    """What was read out of one image, kept for the next state.

    :ivar schema: (type, name, table, sql) of all that is in the schema.
    :ivar roots: table or index -> page number of the root of its B-tree.
    :ivar digests: table -> digest of its rows.
    """

    plan: Plan
    schema: Schema
    roots: Mapping[str, int]
    tables: tuple[Selection, ...]
    digests: Digests
    observation: Observation


def open_for_reading(image: Image) -> sqlite3.Connection:
    """Return a connection to a copy of ``image`` that no statement can change."""
    connection = image.open()
    connection.execute("PRAGMA query_only = ON")
    return connection


def read(image: Image, plan: Plan, known: Image | None) -> Content:
    """Read what ``plan`` observes.

    :param known: an image that was read before; tables equal to its tables are not read again.
    :raises sqlite3.Error: a table or query cannot be read.
    """
    with closing(open_for_reading(image)) as connection:
        schema, roots = read_schema(connection)
        old = known.content if known is not None else None
        if old is not None and (old.plan != plan or old.schema != schema):
            old = None
        tables = old.tables if old is not None else _observed_tables(connection, schema, plan)
        kept = _unchanged(known, image, old, roots) if known is not None and old else {}
        digests = {
            table.name: kept.get(table.name) or _hash_rows(rows(connection, table.sql))
            for table in tables
        }
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "application_id")
        }
        answers = [answer(connection, sql) for _, sql in plan.queries]
        queries = {
            name: (columns, _hash_rows(found))
            for (name, _), (columns, found) in zip(plan.queries, answers, strict=True)
        }
    observation = _observation(image, plan, schema, settings, tables, digests, queries)
    return Content(plan, schema, roots, tables, digests, observation)


def _observed_tables(
    connection: sqlite3.Connection, schema: Schema, plan: Plan
) -> tuple[Selection, ...]:
    return tuple(
        describe(connection, name) for name in readable(schema) if plan.choice.observes(name)
    )


def _unchanged(known: Image, image: Image, old: Content, roots: Mapping[str, int]) -> Digests:
    """Return the digests of the tables that have no changed page."""
    changed = changed_pages(known, image)
    try:
        trees = {name: tree_pages(image, root) for name, root in roots.items()}
        schema = tree_pages(image, 1)
    except (IndexError, struct.error):
        return {}  # a damaged file: let SQLite say so
    # A changed page outside all trees may be an overflow page of any table.
    if not changed.issubset(schema.union(*trees.values())):
        return {}
    return {
        name: known_digest
        for name, known_digest in old.digests.items()
        if roots.get(name) == old.roots.get(name) and changed.isdisjoint(trees[name])
    }


def _hash_rows(found: list[tuple[Any, ...]]) -> str:
    content = hashlib.blake2b(digest_size=16)
    for start in range(0, len(found), _ROWS_AT_ONCE):
        content.update(marshal.dumps(found[start : start + _ROWS_AT_ONCE], _MARSHAL_VERSION))
    return content.hexdigest()


def _observation(
    image: Image,
    plan: Plan,
    schema: Schema,
    settings: Mapping[str, int],
    tables: tuple[Selection, ...],
    digests: Digests,
    queries: Mapping[str, tuple[tuple[str, ...], str]],
) -> Observation:
    shown = {
        table.name: ({"columns": table.columns, "key": table.key}, table.sql) for table in tables
    }
    answers = {name: ({"columns": queries[name][0]}, sql) for name, sql in plan.queries}
    # Keeping all rows of every state would take many times the memory of the changed pages.
    data = {
        "schema": {f"{kind} {name}": sql for kind, name, _, sql in schema},
        "settings": settings,
        "tables": Rows(shown, partial(_read_all, image, shown)),
        "queries": Rows(answers, partial(_read_all, image, answers)),
    }
    identity = [data["schema"], settings, digests, queries]
    left_out = sorted(set(readable(schema)).difference(shown))
    return Observation.create(
        plan.system,
        data,
        {"tables_left_out": left_out},
        known_digest=digest(identity, where=f"{plan.system} observation"),
    )


def _read_all(
    image: Image, statements: Mapping[str, tuple[Mapping[str, Any], str]]
) -> dict[str, Mapping[str, Any]]:
    with closing(open_for_reading(image)) as connection:
        return {
            name: {**head, "rows": rows(connection, sql)}
            for name, (head, sql) in statements.items()
        }
