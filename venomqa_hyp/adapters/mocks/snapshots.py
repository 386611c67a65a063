"""Systems made of plain Python values: their checkpoints are copies, and some are served."""

import threading
from collections.abc import Mapping
from typing import Any, Protocol, Self

from venomqa_hyp.adapters.handles import Handle, HandleOwner
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError


class SnapshotSystem(HandleOwner):
    """A ``Rollbackable`` over ``_save``, ``_load`` and ``_describe``.

    The three are called with :attr:`_lock` held, which guards the content against the threads of a
    server. What ``_save`` returns shares nothing with the system that may still change.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._lock = threading.RLock()

    def checkpoint(self, name: str) -> Handle:
        """Remember everything held now."""
        with self._lock:
            return self._handle(name, self._save())

    def rollback(self, handle: Handle) -> None:
        """Restore what was held at ``handle``.

        :raises RollbackError: the handle was forgotten, belongs to another system, or this one was
            closed.
        """
        content = self._content(handle)
        with self._lock:
            self._load(content)

    def observe(self) -> Observation:
        """Return everything held now; later changes do not reach it."""
        with self._lock:
            return Observation.create(self.name, self._describe())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _save(self) -> Any:
        raise NotImplementedError

    def _load(self, content: Any) -> None:
        raise NotImplementedError

    def _describe(self) -> Mapping[str, Any]:
        raise NotImplementedError


class Server(Protocol):
    """A server in a thread of this process.

    :ivar address: host and port that it listens on.
    """

    address: tuple[str, int]

    def close(self) -> None:
        """Stop it."""
        ...


class ServedSystem(SnapshotSystem):
    """A system that may start a server for applications in another process."""

    _scheme = "http"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._server: Server | None = None

    @property
    def host(self) -> str:
        """The address that the server listens on."""
        return self._served_at()[0]

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._served_at()[1]

    @property
    def url(self) -> str:
        """Both, as ``http://127.0.0.1:8080`` or ``smtp://127.0.0.1:2525``."""
        host, port = self._served_at()
        return f"{self._scheme}://{host}:{port}"

    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Start the server; :attr:`host` and :attr:`port` say where, :attr:`url` both.

        :param port: 0 takes a free one.
        :raises DefinitionError: it was started before.
        :raises SystemUnavailable: a package is not installed, or the port cannot be used.
        """
        if self._server is not None:
            raise DefinitionError(f"{self.name}: serve() was called before, and answers {self.url}")
        self._server = self._start(host, port)
        return self

    def close(self) -> None:
        """End the life of all handles and stop the server; the content stays as it is."""
        super().close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _start(self, host: str, port: int) -> Server:
        raise NotImplementedError

    def _served_at(self) -> tuple[str, int]:
        if self._server is None:
            kind = type(self).__name__
            raise DefinitionError(f"{self.name} is not served. Write {kind}().serve().")
        return self._server.address
