"""What the schema was and what it is now, and the difference in words."""

import json
from collections.abc import Iterable, Iterator, Mapping

import attrs

from venomqa_hyp.adapters.postgres.catalog import JOURNAL, Catalog
from venomqa_hyp.adapters.postgres.driver import Connection
from venomqa_hyp.adapters.postgres.schema_catalogs import FIRST_OBJECT, KINDS

_AT_MOST = 5
_SHORT = 200
_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", JOURNAL)
_READ_WHOLE = {kind.catalog for kind in KINDS if kind.whole}
_ORDER = {kind.catalog: place for place, kind in enumerate(KINDS)}

#: Catalog, address of the object, rest of the key.
Key = tuple[str, str, str]


@attrs.frozen
class Definition:
    """A row of a catalog.

    :ivar owner: address of the object that this one is a part of, if any.
    :ivar namespace: OID of its schema; None where that is the owner's, and where it has none.
    :ivar name: kind and name.
    :ivar row: its columns as JSON.
    """

    owner: str | None
    namespace: int | None
    name: str
    row: str


Schema = Mapping[Key, Definition]


def read(connection: Connection, query: str) -> Schema:
    """Read the definition of each object.

    :param query: as ``schema_catalogs.snapshot_query`` returns it.
    """
    return {
        (catalog, address, rest): Definition(*definition)
        for catalog, address, rest, *definition in connection.execute(query)
    }


def differences(before: Schema, after: Schema, catalog: Catalog) -> list[str]:
    """Return what was changed, a line for each object, those that matter most first.

    Temporary objects do not count, nor does what is in a schema that is not covered.
    """
    changed = {
        key
        for key in before.keys() | after.keys()
        if _text(before, key) != _text(after, key) and not _is_outside(key, before, after, catalog)
    }
    whole = {
        key[1]: key for key in changed if _is_whole(key) and (key not in before or key not in after)
    }
    shown = [key for key in changed if not _is_implied(key, whole, before, after)]
    shown.sort(key=lambda key: (_ORDER.get(key[0], -1), _definition(key, before, after).name))
    return list(dict.fromkeys(_line(key, before, after) for key in shown))


def in_words(lines: list[str]) -> str:
    """Return the first lines, and the number of the others."""
    more = f"; and {len(lines) - _AT_MOST} more" if len(lines) > _AT_MOST else ""
    return "; ".join(lines[:_AT_MOST]) + more


def _text(schema: Schema, key: Key) -> str | None:
    return schema[key].row if key in schema else None


def _definition(key: Key, before: Schema, after: Schema) -> Definition:
    return after[key] if key in after else before[key]


def _is_whole(key: Key) -> bool:
    """Tell whether a row is an object, and not a part or property of one."""
    return key[0] == _catalog_of(key[1]) and key[2] == "0"


def _catalog_of(address: str) -> str:
    """Return the catalog that has the row of an object."""
    return address.split()[0].replace("pg_largeobject", "pg_largeobject_metadata")


def _is_implied(key: Key, whole: Mapping[str, Key], before: Schema, after: Schema) -> bool:
    """Tell whether the object that this one belongs to is new or gone as a whole."""
    if key in before and key in after:
        return False
    seen = {key[1]} if _is_whole(key) else set()
    address = key[1] if not seen else _owner_of(key[1], before, after)
    while address is not None and address not in seen:
        if address in whole:
            return True
        seen.add(address)
        address = _owner_of(address, before, after)
    return False


def _owner_of(address: str, before: Schema, after: Schema) -> str | None:
    """Return the address of what an object is a part of, in the end its schema."""
    key = (_catalog_of(address), address, "0")
    if key not in before and key not in after:
        return None
    found = _definition(key, before, after)
    if found.owner is None and found.namespace is not None:
        return f"pg_namespace {found.namespace}"
    return found.owner


def _is_outside(key: Key, before: Schema, after: Schema, catalog: Catalog) -> bool:
    namespace = _namespace(key, before, after)
    if namespace is None or namespace in catalog.schemas:
        return False
    schema = ("pg_namespace", f"pg_namespace {namespace}", "0")
    if schema not in before and schema not in after:
        return False
    name = json.loads(_definition(schema, before, after).row)["nspname"]
    if name.startswith(("pg_temp", "pg_toast")):
        return True
    return not catalog.covers_all and name not in _SYSTEM_SCHEMAS


def _namespace(key: Key, before: Schema, after: Schema) -> int | None:
    seen: set[Key] = set()
    while key not in seen and (key in before or key in after):
        seen.add(key)
        found = _definition(key, before, after)
        if found.namespace is not None or found.owner is None:
            return found.namespace
        key = (_catalog_of(found.owner), found.owner, "0")
    return None


def _line(key: Key, before: Schema, after: Schema) -> str:
    name = _definition(key, before, after).name or key[1]
    if key not in before:
        # Most objects of the system are read only once they were written.
        unread = int(key[1].split()[-1]) < FIRST_OBJECT and key[0] not in _READ_WHOLE
        return f"{name}: {'changed' if unread else 'new'}"
    if key not in after:
        return f"{name}: gone"
    return f"{name}: {', '.join(_changes(before[key].row, after[key].row))}"


def _changes(before: str, after: str) -> Iterator[str]:
    was, now = json.loads(before), json.loads(after)
    for column in sorted(was.keys() | now.keys(), key=lambda name: (name not in _LABELS, name)):
        if was.get(column) != now.get(column):
            old, new = _shown(was.get(column)), _shown(now.get(column))
            label = _LABELS.get(column, column)
            if max(len(old), len(new)) <= _SHORT:
                yield f"{label} was {old}, is {new}"
            else:
                yield f"{label} changed"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    if isinstance(value, list):
        return "{" + ", ".join(map(_shown, value)) + "}"
    return " ".join(str(value).split())


def _labels(*pairs: tuple[str, Iterable[str]]) -> dict[str, str]:
    return {column: label for label, columns in pairs for column in columns}


_LABELS = _labels(
    ("row security", ["relrowsecurity"]),
    ("forced row security", ["relforcerowsecurity"]),
    ("persistence", ["relpersistence"]),
    ("replica identity", ["relreplident"]),
    ("options", ["reloptions", "attoptions", "fdwoptions", "srvoptions", "ftoptions", "umoptions"]),
    ("options of TOAST", ["reltoastrelid"]),
    ("tablespace", ["reltablespace"]),
    ("value", ["adbin"]),
    ("definition", ["conbin", "ev_action", "prosrc", "prosqlbody", "indexprs"]),
    ("condition", ["polqual", "tgqual", "indpred", "prqual"]),
    ("check", ["polwithcheck"]),
    ("roles", ["polroles"]),
    ("not null", ["attnotnull"]),
    ("type", ["atttypid"]),
    ("storage", ["attstorage"]),
    ("statistics target", ["attstattarget", "stxstattarget"]),
    ("enabled", ["tgenabled", "ev_enabled", "evtenabled", "subenabled"]),
    ("clustered on", ["indisclustered"]),
    ("comment", ["description"]),
    ("settings", ["setconfig"]),
    ("version", ["extversion"]),
    ("content", ["written"]),
    ("partition bound", ["relpartbound"]),
    (
        "name",
        ["relname", "attname", "conname", "typname", "proname", "tgname", "polname", "rulename"],
    ),
    (
        "owner",
        ["relowner", "typowner", "proowner", "nspowner", "datdba", "lomowner", "pubowner"],
    ),
    (
        "privileges",
        ["relacl", "attacl", "proacl", "typacl", "nspacl", "datacl", "lomacl", "defaclacl"],
    ),
)
