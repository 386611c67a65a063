"""What users do with a Kinto server, and what must hold whatever they do.

There is one bucket, ``blog``, with one collection, ``posts``. The administrator may do everything.
Ada and Bob create accounts and get permissions; ``anyone`` sends no credentials. Each action checks
its own answer against what the server showed before it: who has which permission, and which version
of a record is the present one.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from server import ADMIN, Kinto

from venomqa_hyp import Context, Severity, World, action, from_context, invariant
from venomqa_hyp.adapters import HttpClient, PostgresAdapter, RedisAdapter

BUCKET = "/buckets/blog"
POSTS = f"{BUCKET}/collections/posts"
RECORDS = f"{POSTS}/records"
PLURALS = {
    "account": "accounts",
    "bucket": "buckets",
    "collection": "collections",
    "history": "history",
    "record": "records",
}
USERS = ("ada", "bob")
TITLES = ("apples", "pears")
PASSWORDS = ("first-secret", "second-secret")
NEW_ONLY = {"If-None-Match": "*"}

# Of what is not there, Kinto answers 404 to those who may know that, and 403 to others. The
# administrator has no permission on a bucket before it is there. Without credentials it is 401.
MISSING = {403, 404}
REFUSED = {401, 403, 404}

OBJECTS = """
SELECT parent_id, resource_name, id, as_epoch(last_modified) AS last_modified, deleted FROM objects
"""
GRANTED = "SELECT object_id, permission, principal FROM access_control_entries"

a_user = st.sampled_from(USERS)
someone = st.sampled_from(["admin", "anyone", *USERS])
a_title = st.sampled_from(TITLES)
a_number = st.integers(0, 3)
A_RECORD = from_context("records")
AN_ETAG = from_context("etags")


# Accounts


@action(arguments={"name": a_user, "password": st.sampled_from(PASSWORDS)})
def create_account(api: HttpClient, context: Context, name: str, password: str) -> Any:
    """Create an account, unless there is one of that name."""
    body = {"data": {"password": password}}
    answer = api.put(f"/accounts/{name}", json=body, headers=NEW_ONLY)
    expect(answer, {412 if name in passwords(context) else 201})
    if answer.status_code == 201:
        context["passwords"] = passwords(context) | {name: password}
    return answer


@action(arguments={"name": a_user, "password": st.sampled_from(PASSWORDS)})
def change_password(api: HttpClient, context: Context, name: str, password: str) -> Any:
    """Change a password; from now on only the new one is valid."""
    old = credentials(context, name)
    body = {"data": {"password": password}}
    answer = api.patch(f"/accounts/{name}", json=body, auth=old)
    expect(answer, {200 if name in passwords(context) else 401})
    if answer.status_code == 200:
        context["passwords"] = passwords(context) | {name: password}
        valid = {word for word in PASSWORDS if "user" in api.get("/", auth=(name, word)).json()}
        assert valid == {password}, f"valid passwords of {name}: {sorted(valid)}"
    return answer


@action(arguments={"name": a_user})
def delete_account(api: HttpClient, context: Context, name: str) -> Any:
    """Delete one's account; after that its password is not valid."""
    own = credentials(context, name)
    answer = api.delete(f"/accounts/{name}", auth=own)
    expect(answer, {200 if name in passwords(context) else 401})
    left = {user: word for user, word in passwords(context).items() if user != name}
    context["passwords"] = left
    assert "user" not in api.get("/", auth=own).json(), f"{name} is deleted and still logs in"
    return answer


# Bucket and collection


@action
def create_bucket(api: HttpClient, context: Context) -> Any:
    """Create the bucket, unless it is there."""
    return expect(api.put(BUCKET, auth=ADMIN, headers=NEW_ONLY), {201, 412})


@action
def delete_bucket(api: HttpClient, context: Context) -> Any:
    """Delete the bucket and what is in it."""
    answer = expect(api.delete(BUCKET, auth=ADMIN), {200, *MISSING})
    expect(api.get(POSTS, auth=ADMIN), MISSING)
    return answer


@action(arguments={"who": someone})
def create_collection(api: HttpClient, context: Context, who: str) -> Any:
    """Create the collection, unless it is there."""
    allowed = may(api, context, who, {BUCKET: {"write", "collection:create"}})
    answer = api.put(POSTS, auth=credentials(context, who), headers=NEW_ONLY)
    return expect(answer, {201, 412} if allowed else REFUSED)


@action
def delete_collection(api: HttpClient, context: Context) -> Any:
    """Delete the collection and its records."""
    return expect(api.delete(POSTS, auth=ADMIN), {200, *MISSING})


@action(
    arguments={
        "place": st.sampled_from([BUCKET, POSTS]),
        "permission": st.sampled_from(["read", "write"]),
        "principals": st.sampled_from([(), ("system.Everyone",), ("account:ada",)]),
    }
)
def share(
    api: HttpClient, context: Context, place: str, permission: str, principals: tuple[str, ...]
) -> Any:
    """Replace who has a permission on the bucket or the collection."""
    body = {"permissions": {permission: list(principals)}}
    answer = expect(api.patch(place, json=body, auth=ADMIN), {200, *MISSING})
    if answer.status_code == 200:
        granted = set(permissions(api, place).get(permission, []))
        # Who changes an object may go on changing it.
        expected = {*principals, "account:admin"} if permission == "write" else {*principals}
        assert granted == expected, f"granted {granted}, expected {expected}"
    return answer


# Records


@action(arguments={"who": someone, "title": a_title, "votes": a_number}, max_calls=4)
def create_record(api: HttpClient, context: Context, who: str, title: str, votes: int) -> Any:
    """Create a record and remember its id."""
    allowed = may(api, context, who, {BUCKET: {"write"}, POSTS: {"write", "record:create"}})
    exists = bool(permissions(api, POSTS))
    body = {"data": {"title": title, "votes": votes}}
    answer = api.post(RECORDS, json=body, auth=credentials(context, who))
    expect(answer, ({201} if exists else {404}) if allowed else REFUSED)
    if answer.status_code == 201:
        context["records"] = [*context.get("records", []), answer.json()["data"]["id"]]
        remember_etag(context, answer)
    return answer


@action(arguments={"who": someone, "record": A_RECORD})
def read_record(api: HttpClient, context: Context, who: str, record: str) -> Any:
    """Read a record."""
    path = f"{RECORDS}/{record}"
    right = {"read", "write"}
    allowed = may(api, context, who, {BUCKET: right, POSTS: right, path: right})
    answer = api.get(path, auth=credentials(context, who))
    expect(answer, {200, 404} if allowed else REFUSED)
    if answer.status_code == 200:
        remember_etag(context, answer)
    return answer


@action(arguments={"record": A_RECORD, "title": a_title})
def replace_record(api: HttpClient, context: Context, record: str, title: str) -> Any:
    """Replace a record, or create one that was deleted anew."""
    before = version(api, record)
    answer = api.put(f"{RECORDS}/{record}", json={"data": {"title": title}}, auth=ADMIN)
    if not expect(answer, {200, 201, *MISSING}).is_error:
        assert answer.status_code == (200 if before else 201), f"version before: {before}"
        assert "votes" not in answer.json()["data"]
        newer(before, answer)
        remember_etag(context, answer)
    return answer


@action(arguments={"record": A_RECORD, "title": a_title, "etag": AN_ETAG})
def replace_unchanged(api: HttpClient, context: Context, record: str, title: str, etag: str) -> Any:
    """Replace a record if it is still of that version."""
    before = version(api, record)
    body, match = {"data": {"title": title}}, {"If-Match": etag}
    answer = api.put(f"{RECORDS}/{record}", json=body, auth=ADMIN, headers=match)
    if before:
        expect(answer, {200 if etag == before else 412})
        newer(before, answer)
    else:
        expect(answer, {412, *MISSING})
    return answer


@action(arguments={"who": someone, "record": A_RECORD, "votes": a_number})
def vote(api: HttpClient, context: Context, who: str, record: str, votes: int) -> Any:
    """Change one field of a record."""
    path = f"{RECORDS}/{record}"
    right = {"write"}
    allowed = may(api, context, who, {BUCKET: right, POSTS: right, path: right})
    before = version(api, record)
    answer = api.patch(path, json={"data": {"votes": votes}}, auth=credentials(context, who))
    expect(answer, {200 if before else 404} if allowed else REFUSED)
    if answer.status_code == 200:
        assert answer.json()["data"]["votes"] == votes
        newer(before, answer)
        remember_etag(context, answer)
    return answer


@action(arguments={"who": someone, "record": A_RECORD})
def delete_record(api: HttpClient, context: Context, who: str, record: str) -> Any:
    """Delete a record, which leaves a tombstone."""
    path = f"{RECORDS}/{record}"
    right = {"write"}
    allowed = may(api, context, who, {BUCKET: right, POSTS: right, path: right})
    before = version(api, record)
    answer = api.delete(path, auth=credentials(context, who))
    expect(answer, {200 if before else 404} if allowed else REFUSED)
    if answer.status_code == 200:
        assert answer.json()["data"]["deleted"]
        newer(before, answer)
    return answer


@action(arguments={"record": A_RECORD, "etag": AN_ETAG})
def delete_unchanged(api: HttpClient, context: Context, record: str, etag: str) -> Any:
    """Delete a record if it is still of that version."""
    before = version(api, record)
    answer = api.delete(f"{RECORDS}/{record}", auth=ADMIN, headers={"If-Match": etag})
    if before:
        return expect(answer, {200 if etag == before else 412})
    return expect(answer, MISSING)


@action(arguments={"title": a_title})
def delete_titled(api: HttpClient, context: Context, title: str) -> Any:
    """Delete all records of a title with one request."""
    before = listed(api)
    answer = expect(api.delete(f"{RECORDS}?title={title}", auth=ADMIN), {200, *MISSING})
    if answer.status_code == 200:
        deleted = {record["id"] for record in answer.json()["data"]}
        assert deleted == {record["id"] for record in before if record["title"] == title}
    return answer


# Lists


@action(arguments={"title": a_title, "votes": a_number})
def list_filtered(api: HttpClient, context: Context, title: str, votes: int) -> Any:
    """List the records of a title with so many votes or more, most votes first."""
    question = f"?title={title}&min_votes={votes}&_sort=-votes"
    answer = expect(api.get(RECORDS + question, auth=ADMIN), {200, *MISSING})
    if answer.status_code == 200:
        found = answer.json()["data"]
        expected = [
            record["id"]
            for record in listed(api)
            if record["title"] == title and record.get("votes", -1) >= votes
        ]
        # What is said here is about the records that have the field.
        assert {record["id"] for record in found if "votes" in record} == set(expected)
        given = [record["votes"] for record in found if "votes" in record]
        assert given == sorted(given, reverse=True)
    return answer


@action(arguments={"etag": AN_ETAG})
def list_changes(api: HttpClient, context: Context, etag: str) -> Any:
    """List what changed since a version, tombstones included."""
    answer = api.get(RECORDS, params={"_since": etag}, auth=ADMIN)
    if expect(answer, {200, *MISSING}).status_code == 200:
        all_changes = api.get(RECORDS, params={"_since": '"0"'}, auth=ADMIN).json()["data"]
        since = int(etag.strip('"'))
        assert answer.json()["data"] == [
            change for change in all_changes if change["last_modified"] > since
        ]
    return answer


@action
def list_in_pages(api: HttpClient, context: Context) -> Any:
    """Follow the pages of a list, one record each."""
    answer = first = api.get(f"{RECORDS}?_limit=1", auth=ADMIN)
    if expect(first, {200, *MISSING}).status_code == 200:
        found = first.json()["data"]
        while following := answer.headers.get("Next-Page"):
            answer = expect(api.get(following, auth=ADMIN), {200})
            found += answer.json()["data"]
        assert found == listed(api)
    return first


@action(arguments={"etag": AN_ETAG})
def list_if_changed(api: HttpClient, context: Context, etag: str) -> Any:
    """List the records unless nothing changed since that version."""
    present = api.head(RECORDS, auth=ADMIN).headers.get("ETag")
    answer = api.get(RECORDS, auth=ADMIN, headers={"If-None-Match": etag})
    expected = MISSING if present is None else {304 if etag == present else 200}
    return expect(answer, expected)


@action(arguments={"title": a_title})
def batch(api: HttpClient, context: Context, title: str) -> Any:
    """Create a record and list the records, in one request."""
    create = {"method": "POST", "path": RECORDS, "body": {"data": {"title": title}}}
    requests = [create, {"method": "GET", "path": RECORDS}]
    answer = expect(api.post("/batch", json={"requests": requests}, auth=ADMIN), {200})
    created, found = answer.json()["responses"]
    assert created["status"] in {201, *MISSING}, created
    if created["status"] == 201:
        assert created["body"]["data"] in found["body"]["data"]
        # Otherwise the records would never be of a number that was seen before.
        assert api.delete(f"{RECORDS}/{created['body']['data']['id']}", auth=ADMIN).is_success
    return answer


@action(arguments={"name": a_user})
def write_to_own_bucket(api: HttpClient, context: Context, name: str) -> Any:
    """Write to the user's own bucket, which is made with its collection by the first request."""
    path = "/buckets/default/collections/notes/records/only"
    answer = api.put(path, json={"data": {"of": name}}, auth=credentials(context, name))
    return expect(answer, {200, 201} if name in passwords(context) else {401})


ACTIONS = [
    create_account,
    change_password,
    delete_account,
    create_bucket,
    delete_bucket,
    create_collection,
    delete_collection,
    share,
    create_record,
    read_record,
    replace_record,
    replace_unchanged,
    vote,
    delete_record,
    delete_unchanged,
    delete_titled,
    list_filtered,
    list_changes,
    list_in_pages,
    list_if_changed,
    batch,
    write_to_own_bucket,
]


def expect(answer: Any, permitted: set[int]) -> Any:
    """Return *answer*, which must have a *permitted* status."""
    request = answer.request
    assert answer.status_code in permitted, (
        f"{request.method} {request.url.raw_path.decode()} answered {answer.status_code}, "
        f"permitted: {sorted(permitted)}; {answer.text}"
    )
    return answer


def passwords(context: Context) -> dict[str, str]:
    """Return the password of each user who has an account."""
    found: dict[str, str] = context.get("passwords", {})
    return found


def credentials(context: Context, who: str) -> tuple[str, str] | None:
    """Return what *who* sends; someone without an account sends a password all the same."""
    if who == "anyone":
        return None
    return ADMIN if who == "admin" else (who, passwords(context).get(who, PASSWORDS[0]))


def permissions(api: HttpClient, path: str) -> dict[str, list[str]]:
    """Return who has which permission on an object; nothing where there is no such object."""
    answer = api.get(path, auth=ADMIN)
    found: dict[str, list[str]] = answer.json()["permissions"] if answer.is_success else {}
    return found


def may(api: HttpClient, context: Context, who: str, rights: dict[str, set[str]]) -> bool:
    """Return whether *who* has one of the permissions on one of the objects."""
    principals = {"system.Everyone"}
    if who == "admin" or who in passwords(context):
        principals |= {"system.Authenticated", f"account:{who}"}
    return any(
        principals & set(permissions(api, path).get(permission, []))
        for path, permitted in rights.items()
        for permission in permitted
    )


def listed(api: HttpClient) -> list[dict[str, Any]]:
    """Return all records that are not deleted."""
    answer = api.get(RECORDS, auth=ADMIN)
    found: list[dict[str, Any]] = answer.json()["data"] if answer.is_success else []
    return found


def version(api: HttpClient, record: str) -> str | None:
    """Return the ETag of a record, or None where it is not there."""
    answer = api.get(f"{RECORDS}/{record}", auth=ADMIN)
    return answer.headers["ETag"] if answer.is_success else None


def newer(before: str | None, answer: Any) -> None:
    """Assert that a change that succeeded made a later version."""
    if before and answer.is_success:
        modified = answer.json()["data"]["last_modified"]
        assert modified > int(before.strip('"')), f"{modified} after {before}"


def remember_etag(context: Context, answer: Any) -> None:
    """Remember the last two versions that were seen."""
    known = [etag for etag in context.get("etags", []) if etag != answer.headers["ETag"]]
    context["etags"] = [*known[-1:], answer.headers["ETag"]]


# Invariants


def objects(world: World, parent: str | None = None, kind: str | None = None) -> list[Any]:
    """Return (parent, kind, id, last_modified, deleted) of the stored objects."""
    rows = world.systems["db"].observe().data["queries"]["objects"]["rows"]
    return [row for row in rows if parent in (None, row[0]) and kind in (None, row[1])]


def has_collection(world: World) -> bool:
    """Return whether there is a collection, from the database itself."""
    return any(row[2] == "posts" and not row[4] for row in objects(world, BUCKET, "collection"))


@invariant(when=has_collection)
def total_is_the_number_of_records(world: World) -> str | None:
    """The total that a list announces, its length and the rows are the same number."""
    stored = sum(not row[4] for row in objects(world, POSTS, "record"))
    total = int(world.api.head(RECORDS, auth=ADMIN).headers["Total-Objects"])
    found = len(listed(world.api))
    if not stored == total == found:
        return f"{stored} rows, a total of {total}, {found} in the list"
    return None


@invariant(when=has_collection)
def etag_is_the_last_change(world: World) -> str | None:
    """The ETag of a list is the version of what changed last, tombstones included."""
    changes = [row[3] for row in objects(world, POSTS, "record")]
    etag = int(world.api.head(RECORDS, auth=ADMIN).headers["ETag"].strip('"'))
    if changes and etag != max(changes):
        return f"the ETag is {etag}, the last change {max(changes)}"
    return None


@invariant(when=has_collection)
def deleted_records_are_tombstones(world: World) -> str | None:
    """Asked for all changes, a list has the deleted records, marked as such, and the others."""
    changes = world.api.get(RECORDS, params={"_since": '"0"'}, auth=ADMIN).json()["data"]
    shown = {(change["id"], change.get("deleted", False)) for change in changes}
    stored = {(row[2], row[4]) for row in objects(world, POSTS, "record")}
    return f"stored {stored}, shown {shown}" if shown != stored else None


@invariant(severity=Severity.CRITICAL, when=has_collection)
def permissions_are_enforced(world: World) -> str | None:
    """Without credentials one is shown the records that everyone may read, and no other."""
    granted = world.systems["db"].observe().data["queries"]["granted"]["rows"]
    readable = {
        path
        for path, permission, principal in granted
        if principal == "system.Everyone" and permission in {"read", "write"}
    }
    everything = not readable.isdisjoint({BUCKET, POSTS})
    permitted = {
        record["id"]
        for record in listed(world.api)
        if everything or f"{RECORDS}/{record['id']}" in readable
    }
    answer = world.api.get(RECORDS)
    shown = {record["id"] for record in answer.json()["data"]} if answer.is_success else set()
    return None if shown == permitted else f"shown {shown}, permitted {permitted}"


@invariant
def versions_are_unique(world: World) -> str | None:
    """No two objects of a list have the same version."""
    versions = [(row[0], row[1], row[3]) for row in objects(world)]
    twice = {version for version in versions if versions.count(version) > 1}
    return f"twice: {twice}" if twice else None


@invariant
def nothing_is_orphaned(world: World) -> str | None:
    """With a bucket or a collection goes everything below it, permissions included."""
    stored = objects(world)
    living = {f"{row[0]}/{PLURALS[row[1]]}/{row[2]}" for row in stored if not row[4]}
    parents = {row[0] for row in stored if row[0].startswith("/")}
    granted = world.systems["db"].observe().data["queries"]["granted"]["rows"]
    parents |= {path for path, _, _ in granted if path.startswith("/buckets/")}
    orphans = parents - living
    return f"without an object: {sorted(orphans)}" if orphans else None


@invariant(when=has_collection)
def history_has_the_last_change(world: World) -> str | None:
    """The newest entry about each record, living or deleted, is of its present version."""
    entries = world.api.get(f"{BUCKET}/history?resource_name=record", auth=ADMIN).json()["data"]
    newest: dict[str, int] = {}
    for entry in entries:  # the newest first
        newest.setdefault(entry["record_id"], entry["target"]["data"]["last_modified"])
    for _, _, record, modified, _ in objects(world, POSTS, "record"):
        if newest.get(record) != modified:
            return f"record {record} is of {modified}, its newest entry of {newest.get(record)}"
    return None


@invariant(severity=Severity.CRITICAL)
def no_server_error(world: World) -> str | None:
    """No request of this path was answered with a status of 500 or above."""
    for request in world.api.history:
        if request.status is not None and request.status >= 500:
            return f"{request.method} {request.url} answered {request.status}"
    return None


INVARIANTS = [
    total_is_the_number_of_records,
    etag_is_the_last_change,
    deleted_records_are_tombstones,
    permissions_are_enforced,
    versions_are_unique,
    nothing_is_orphaned,
    history_has_the_last_change,
    no_server_error,
]


def open_kinto(kinto: Kinto) -> World:
    """Return a World of a running Kinto, its database and its cache."""
    api = HttpClient(kinto.url)
    # Kinto caches for a while who has logged in; hashing a password takes a fifth of a second.
    expect(api.get("/", auth=ADMIN), {200})
    for path in (BUCKET, POSTS):  # so that no example spends a step on them
        expect(api.put(path, auth=ADMIN, headers=NEW_ONLY), {201, 412})
    db = PostgresAdapter(kinto.database)
    db.add_observation_query("objects", OBJECTS)
    db.add_observation_query("granted", GRANTED)
    return World(api, {"db": db, "cache": RedisAdapter(kinto.cache, prefix=kinto.prefix)})


def kinto_world(kinto: Kinto) -> Callable[[], World]:
    """Return a function that opens a World of a running Kinto."""
    return lambda: open_kinto(kinto)
