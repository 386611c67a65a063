"""The S3 store: a real S3 client, every kind of state moto keeps, and exact rollback."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from venomqa_hyp.adapters import MockStorage
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable
from venomqa_hyp.values.digest import canonical_text

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto")

NAMES = ["photos", "drafts"]
KEYS = ["a/b", "café", "d"]
_clients: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def closed_clients() -> Iterator[None]:
    yield
    for client in _clients.values():
        client.close()
    _clients.clear()


def s3(storage: MockStorage) -> Any:
    """Return an S3 client of the store, as an application would make it."""
    if storage.url not in _clients:
        _clients[storage.url] = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=storage.url,
            aws_access_key_id="any",
            aws_secret_access_key="secret",
        )
    return _clients[storage.url]


def bucket(storage: MockStorage, chance: random.Random) -> str:
    """Return a bucket, made when it is first wanted; that of the photos keeps versions."""
    name = chance.choice(NAMES)
    if name not in storage.objects:
        s3(storage).create_bucket(Bucket=name)
        if name == "photos":
            versioned = {"Status": "Enabled"}
            s3(storage).put_bucket_versioning(Bucket=name, VersioningConfiguration=versioned)
    return name


def put(storage: MockStorage, chance: random.Random) -> None:
    s3(storage).put_object(
        Bucket=bucket(storage, chance),
        Key=chance.choice(KEYS),
        Body=chance.randbytes(20),
        Metadata={"my_key": str(chance.random())},
        Tagging=f"tag={chance.randrange(9)}",
    )


def put_by_call(storage: MockStorage, chance: random.Random) -> None:
    storage.put("direct", chance.choice(KEYS), chance.randbytes(20))


def delete(storage: MockStorage, chance: random.Random) -> None:
    name = bucket(storage, chance)
    if not storage.objects[name]:
        return put(storage, chance)
    s3(storage).delete_object(Bucket=name, Key=chance.choice(list(storage.objects[name])))
    return None


def delete_version(storage: MockStorage, chance: random.Random) -> None:
    name = bucket(storage, chance)
    listed = s3(storage).list_object_versions(Bucket=name)
    versions = [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]
    if not versions:
        return put(storage, chance)
    gone = chance.choice(versions)
    s3(storage).delete_object(Bucket=name, Key=gone["Key"], VersionId=gone["VersionId"])
    return None


def upload(storage: MockStorage, chance: random.Random) -> None:
    """Take the next step of an upload in parts: begin it, upload a part, or complete it."""
    name, client = bucket(storage, chance), s3(storage)
    begun = client.list_multipart_uploads(Bucket=name).get("Uploads", [])
    if not begun:
        client.create_multipart_upload(Bucket=name, Key="film")
        return
    target = {"Bucket": name, "Key": "film", "UploadId": begun[0]["UploadId"]}
    parts = client.list_parts(**target).get("Parts", [])
    if not parts:
        client.upload_part(**target, PartNumber=1, Body=chance.randbytes(20))
        return
    done = [{"ETag": part["ETag"], "PartNumber": part["PartNumber"]} for part in parts]
    client.complete_multipart_upload(**target, MultipartUpload={"Parts": done})


def configure(storage: MockStorage, chance: random.Random) -> None:
    name, client = bucket(storage, chance), s3(storage)
    days = {"Days": chance.randrange(1, 10**6)}
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": days}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})


def test_keeps_the_contract() -> None:
    """Every rule of Rollbackable: versions, delete markers, tags, uploads in parts, settings."""
    mutations = [put, delete, delete_version, upload, put_by_call, configure]
    check_rollbackable(lambda: MockStorage().serve(), mutations, operations=40)
    check_rollbackable(MockStorage, put_by_call)


def test_an_upload_goes_on_after_a_rollback() -> None:
    """With the id it had, and to the end; also after it was completed in another branch."""
    with MockStorage().serve() as storage:
        client = s3(storage)
        client.create_bucket(Bucket="films")
        begun = client.create_multipart_upload(Bucket="films", Key="film")
        target = {"Bucket": "films", "Key": "film", "UploadId": begun["UploadId"]}
        part = client.upload_part(**target, PartNumber=1, Body=b"one")
        middle = storage.checkpoint("middle")
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        for _ in range(2):
            client.complete_multipart_upload(**target, MultipartUpload=parts)
            assert storage.objects == {"films": {"film": b"one"}}
            storage.rollback(middle)
            assert storage.objects == {"films": {}}


def test_versions_come_back() -> None:
    """All of them, with their ids, bodies and the delete marker on top."""
    with MockStorage().serve() as storage:
        client = s3(storage)
        client.create_bucket(Bucket="photos")
        versioned = {"Status": "Enabled"}
        client.put_bucket_versioning(Bucket="photos", VersioningConfiguration=versioned)
        for body in (b"one", b"two"):
            client.put_object(Bucket="photos", Key="cat", Body=body)
        client.delete_object(Bucket="photos", Key="cat")
        before = client.list_object_versions(Bucket="photos")
        handle = storage.checkpoint("deleted")
        for version in before["Versions"]:
            client.delete_object(Bucket="photos", Key="cat", VersionId=version["VersionId"])
        storage.rollback(handle)
        after = client.list_object_versions(Bucket="photos")
        for listed in (before, after):
            del listed["ResponseMetadata"]
        assert after == before
        for version, body in zip(before["Versions"], (b"two", b"one"), strict=True):
            found = client.get_object(Bucket="photos", Key="cat", VersionId=version["VersionId"])
            assert found["Body"].read() == body


def test_reading_changes_nothing() -> None:
    """A request that only reads leads to no new state."""
    with MockStorage().serve() as storage:
        chance = random.Random(1)
        for change in [put, put, put, put_by_call, upload, upload]:
            change(storage, chance)
        client, before = s3(storage), canonical_text(storage.observe().data)
        for name, held in storage.objects.items():
            client.list_objects_v2(Bucket=name, MaxKeys=1)
            client.list_object_versions(Bucket=name)
            client.list_multipart_uploads(Bucket=name)
            client.get_bucket_location(Bucket=name)
            for key in held:
                client.get_object(Bucket=name, Key=key)["Body"].read()
                client.head_object(Bucket=name, Key=key)
                client.get_object_tagging(Bucket=name, Key=key)
                client.get_object_acl(Bucket=name, Key=key)
        assert canonical_text(storage.observe().data) == before


def test_stores_are_apart() -> None:
    """Two in one process do not see each other, and neither does moto's own."""
    from moto import mock_aws

    with MockStorage().serve() as storage, MockStorage() as other:
        storage.put("photos", "cat", b"one")
        other.put("photos", "cat", b"two")
        with mock_aws():
            client = boto3.client(
                "s3", "us-east-1", aws_access_key_id="any", aws_secret_access_key="secret"
            )
            assert client.list_buckets()["Buckets"] == []
            client.create_bucket(Bucket="photos")
            client.close()
        assert storage.get("photos", "cat") == b"one"
        assert other.get("photos", "cat") == b"two"
        other.delete("photos", "cat")
        assert other.objects == {"photos": {}}
        with pytest.raises(KeyError):
            other.get("photos", "cat")


def test_the_same_steps_give_the_same_versions() -> None:
    """Version ids are no reason for two runs to differ."""
    observed = []
    for _ in range(2):
        with MockStorage().serve() as storage:
            chance = random.Random(3)
            for change in [put, put, put, put, delete, put]:
                change(storage, chance)
            observed.append(storage.observe())
    assert observed[0] == observed[1]


def test_a_closed_store_is_empty() -> None:
    """Its objects are gone, and a handle cannot bring them back."""
    storage = MockStorage()
    storage.put("photos", "cat", b"purr")
    handle = storage.checkpoint("cat")
    storage.close()
    assert storage.objects == {}
    with pytest.raises(RollbackError, match="closed"):
        storage.rollback(handle)


def test_no_temporary_file_is_left_open(tmp_path: Path) -> None:
    """moto warns of each that is; the copies of a rollback are closed too."""
    code = """
import gc
from venomqa_hyp.adapters import MockStorage
storage = MockStorage()
for number in range(3):
    handle = storage.checkpoint("start")
    storage.put("photos", "cat", b"%d" % number)
    storage.rollback(handle)
    storage.put("photos", "cat", b"%d" % number)
storage.close()
del storage, handle
gc.collect()
"""
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (shown.returncode, shown.stdout) == (0, "")


def test_serving_is_refused_where_it_cannot_work() -> None:
    """Twice, or on a port in use."""
    with MockStorage().serve() as storage, MockStorage() as other:
        with pytest.raises(DefinitionError, match="called before"):
            storage.serve()
        with pytest.raises(SystemUnavailable, match="Leave port out"):
            other.serve(port=storage.port)
        with pytest.raises(DefinitionError, match="not served"):
            _ = other.url


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "moto.s3", None)
    with pytest.raises(SystemUnavailable, match=r"pip install --upgrade 'venomqa-hyp\[s3\]'"):
        MockStorage()
