"""The system over moto, which keeps the objects of S3 as Python objects in this process."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from venomqa_hyp.adapters.mocks.loopback import cannot_listen
from venomqa_hyp.adapters.mocks.snapshots import ServedSystem
from venomqa_hyp.adapters.mocks.storage.copies import described, load, save
from venomqa_hyp.errors import SystemUnavailable

REGION = "us-east-1"

#: moto keeps its state in globals. Each MockStorage puts its own there while it is used.
_moto_is_used = threading.RLock()


class MockStorage(ServedSystem):
    """Buckets and objects, with an S3 endpoint for the application, rolled back as a whole.

    :meth:`serve` starts the endpoint: S3 as moto speaks it, with path-style addresses, any
    credentials and every region. In this process :meth:`put`, :meth:`get`, :meth:`delete` and
    :attr:`objects` do without it.

    A checkpoint copies everything that moto keeps for S3: all versions, delete markers, metadata,
    tags, ACLs, unfinished uploads, and the settings of buckets. So checkpoints cost as much as the
    store holds: keep it small. Version ids are random but roll back, and are the same in each run.

    The ``data`` of an observation is all of that as nested dicts, ``{"aws": {"buckets": {...}}}``.
    Left out are the times of objects and buckets, and the ids of unfinished uploads.

    Not covered: events to other services (SQS, SNS, Lambda), KMS keys, S3 Control and S3 Tables;
    the store that ``moto.mock_aws`` shows is another one.

    :raises SystemUnavailable: moto is not installed.
    """

    def __init__(self, *, name: str = "storage") -> None:
        super().__init__(name)
        self._moto = _Moto(name)

    @property
    def objects(self) -> dict[str, dict[str, bytes]]:
        """The present content: bucket -> key -> body."""
        with self._moto.used() as s3:
            return {
                bucket.name: {
                    key: versions[-1].value
                    for key, versions in dict.items(bucket.keys)
                    if hasattr(versions[-1], "value")  # a delete marker has none
                }
                for bucket in s3.buckets.values()
            }

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Store an object; a bucket that does not exist is created."""
        with self._moto.used() as s3:
            if bucket not in s3.buckets:
                s3.create_bucket(bucket, REGION)
            s3.put_object(bucket, key, body)

    def get(self, bucket: str, key: str) -> bytes:
        """Return the body of an object.

        :raises KeyError: there is no such bucket, or no such key in it.
        """
        return self.objects[bucket][key]

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object, as S3 does: nothing happens when there is none."""
        with self._moto.used() as s3:
            s3.delete_object(bucket, key)

    def close(self) -> None:
        """Stop the endpoint and drop all objects."""
        super().close()
        self._moto.close()

    def _start(self, host: str, port: int) -> "_Server":
        return _Server(self._moto, self.name, host, port)

    def _save(self) -> bytes:
        return self._moto.save()

    def _load(self, content: bytes) -> None:
        self._moto.load(content)

    def _describe(self) -> Mapping[str, Any]:
        return self._moto.described()

    def __repr__(self) -> str:
        return f"<MockStorage {self.name!r}>"


class _Moto:
    """The S3 state of one MockStorage, and its place in moto's globals while it is used."""

    def __init__(self, name: str) -> None:
        try:
            from moto.core.models import DEFAULT_ACCOUNT_ID
            from moto.moto_api._internal import mock_random
            from moto.s3 import models
            from moto.utilities.utils import PARTITION_NAMES
        except ImportError as error:
            raise _missing(name, error) from error
        self.account: str = DEFAULT_ACCOUNT_ID
        self._models = models
        self._random = mock_random
        self._tracking = _tracking(models)
        self._partitions = sorted(set(PARTITION_NAMES))
        self._chance: Any = type(mock_random)(0).getstate()
        self._buckets: dict[str, Any] = {}
        self._made: list[Any] = []
        self._content = self._empty()

    def _empty(self) -> dict[str, dict[str, Any]]:
        kind = self._models.S3Backend
        return {partition: vars(kind(partition, self.account)) for partition in self._partitions}

    @contextmanager
    def used(self) -> Iterator[Any]:
        """Put this state in moto's place for the length of a ``with`` block."""
        with _moto_is_used:
            models = self._models
            backends = models.s3_backends[self.account]
            objects = [backends[partition] for partition in self._partitions]
            outer = [vars(item) for item in objects]
            outer_buckets, models.s3_backends.bucket_accounts = (
                models.s3_backends.bucket_accounts,
                self._buckets,
            )
            outer_chance = self._random.getstate()
            self._random.setstate(self._chance)
            tracked = {kind: len(kind.instances_tracked) for kind in self._tracking}
            for item, partition in zip(objects, self._partitions, strict=True):
                item.__dict__ = self._content[partition]
            try:
                yield backends["aws"]
            finally:
                self._buckets = models.s3_backends.bucket_accounts
                self._chance = self._random.getstate()
                models.s3_backends.bucket_accounts = outer_buckets
                self._random.setstate(outer_chance)
                self._made += models.FakeKey.instances_tracked[tracked[models.FakeKey] :]
                for kind, length in tracked.items():
                    del kind.instances_tracked[length:]  # moto never lets go of them
                for item, attributes in zip(objects, outer, strict=True):
                    item.__dict__ = attributes

    def save(self) -> bytes:
        with self.used():
            return save((self._content, self._buckets, self._random.getstate()))

    def load(self, saved: bytes) -> None:
        self._dispose()
        with self.used():  # keys that are made are noted
            content, buckets, chance = load(saved)
        self._content, self._buckets, self._chance = content, buckets, chance

    def described(self) -> dict[str, Any]:
        with _moto_is_used:
            return {
                partition: described(content)
                for partition, content in self._content.items()
                if content["buckets"] or content["table_buckets"]
            }

    def close(self) -> None:
        with _moto_is_used:
            self._dispose()
            self._content, self._buckets = self._empty(), {}

    def _dispose(self) -> None:
        """Close the temporary files of all keys; moto warns of those that are left open."""
        for key in self._made:
            key.dispose()
        self._made = []


def _tracking(models: Any) -> list[Any]:
    """Return the classes that keep a list of their instances."""
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type)]
    return [kind for kind in kinds if hasattr(kind, "instances_tracked")]


class _Server:
    """moto's S3 application on werkzeug's server, in a thread of its own."""

    def __init__(self, moto: _Moto, name: str, host: str, port: int) -> None:
        try:
            from moto.moto_server import werkzeug_app
            from werkzeug.serving import WSGIRequestHandler, make_server
        except ImportError as error:
            raise _missing(name, error) from error

        # Newer versions of moto have their own, for metadata with an underscore in its name.
        known: Any = getattr(werkzeug_app, "MotoRequestHandler", WSGIRequestHandler)

        class Handler(known):  # type: ignore[misc]
            def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
                """Log nothing: what happened is in the store."""

        application = werkzeug_app.create_backend_app("s3")

        def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = moto.account
            with moto.used():
                body = application(environ, start_response)
                try:
                    return [b"".join(body)]
                finally:
                    getattr(body, "close", lambda: None)()

        try:
            # werkzeug ends the process when it cannot listen.
            listening = socket.create_server((host, port), backlog=128)
        except OSError as error:
            raise cannot_listen(name, host, port, error) from error
        with listening:
            self.address: tuple[str, int] = host, listening.getsockname()[1]
            self._server = make_server(
                *self.address,
                answer,
                threaded=True,
                request_handler=Handler,
                fd=listening.fileno(),
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="venomqa-s3", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _missing(name: str, error: ImportError) -> SystemUnavailable:
    return SystemUnavailable(
        f"{name}: an S3 store needs moto 5.2, which is not there: {error}. "
        "Run: pip install --upgrade 'venomqa-hyp[s3]'"
    )
