"""What the systems have in common that may start a server for applications in another process."""

from venomqa_hyp.adapters.snapshots import SnapshotSystem
from venomqa_hyp.errors import DefinitionError


class ServedSystem(SnapshotSystem):
    """A system that knows where its server is, once there is one."""

    _scheme = "http"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._address: tuple[str, int] | None = None

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

    def _refuse_second_server(self) -> None:
        if self._address is not None:
            raise DefinitionError(f"{self.name}: serve() was called before, and answers {self.url}")

    def _served_at(self) -> tuple[str, int]:
        if self._address is None:
            kind = type(self).__name__
            raise DefinitionError(f"{self.name} is not served. Write {kind}().serve().")
        return self._address
