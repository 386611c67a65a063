"""A small HTTP server in a thread of this process, for what applications reach by URL."""

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

from venomqa_hyp.errors import SystemUnavailable


@attrs.frozen
class Request:
    """One HTTP request.

    :ivar path: path and query, as in the request line.
    :ivar headers: (name, value) pairs as they came.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@attrs.frozen
class Answer:
    """What is answered to a request."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Answering = Callable[[Request], Answer]


class LoopbackServer:
    """Answer requests with a function, each connection in a thread of its own.

    :param port: 0 takes a free one.
    :raises SystemUnavailable: the port cannot be used.
    """

    def __init__(self, answer: Answering, what: str, *, host: str, port: int) -> None:
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise cannot_listen(what, host, port, error) from error
        self._server.answer = answer
        self.host = host
        self.port: int = self._server.server_address[1]
        self.address = host, self.port
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=what, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end the connections that clients keep open."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()


def cannot_listen(what: str, host: str, port: int, error: OSError) -> SystemUnavailable:
    """Return the error for a port that cannot be used."""
    return SystemUnavailable(
        f"{what}: cannot listen on {host}:{port}: {error}. Leave port out to take a free one."
    )


class _Server(ThreadingHTTPServer):
    answer: Answering
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        arguments = (request, client_address)
        # A daemon, or a server that nobody closes would keep the process alive.
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        with self._lock:
            threads = list(self._open.values())
            for connection in self._open:
                with suppress(OSError):  # the client was faster
                    # Reading ends, an answer that is being written does not.
                    connection.shutdown(socket.SHUT_RD)
        for thread in threads:
            thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave out connections that the client broke off; print the rest, as the base does."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body, or each answer waits for an acknowledgement
    server: _Server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # any method is answered
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        request = Request(self.command, self.path, tuple(self.headers.items()), self._body())
        answer = self.server.answer(request)
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(answer.body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: what happened is in the system."""
