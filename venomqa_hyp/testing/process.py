"""Run the server under test in a process of its own, and stop it whatever happens.

    with serve([sys.executable, "service.py", "--port", "{port}"]) as server:
        world = World(api=HttpClient(server.url), ...)

The server gets a session of its own, so a Ctrl-C in the terminal reaches the tests, which then stop
the server, and not both at once. Its workers are stopped with it, unless they leave the session. If
this process is killed by a signal that Python cannot handle, the server stays.
"""

import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from venomqa_hyp.errors import DefinitionError, ServerNotAnswering

HOST = "127.0.0.1"
PLACEHOLDER = "{port}"
POLL_INTERVAL = 0.02
STOP_TIMEOUT = 5.0
START_ATTEMPTS = 3
OUTPUT_TAIL = 16 * 1024
ERROR_LINES = 20
NEW_GROUP_ON_WINDOWS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)

logger = logging.getLogger(__name__)


class ServerProcess:
    """A server under test, running in a process of its own.

    Get one from ``serve``, which also waits for it and stops it.
    """

    def __init__(
        self, command: Sequence[str], port: int, env: Mapping[str, str], cwd: Path | None
    ) -> None:
        """Start *command*, which is to listen on *port*; return without waiting for that."""
        self.command = tuple(command)
        self.port = port
        self._directory = tempfile.TemporaryDirectory(prefix="venomqa-server-")
        self._output = Path(self._directory.name, "output.txt")
        self._last_output = ""
        try:
            self._process = self._start(env, cwd)
        except OSError as error:
            self._directory.cleanup()
            raise ServerNotAnswering(
                f"the server cannot be started: {error}\ncommand: {shlex.join(command)}"
            ) from error

    def _start(self, env: Mapping[str, str], cwd: Path | None) -> subprocess.Popen[bytes]:
        # A file, not a pipe: a server blocks when nobody empties its pipe.
        with self._output.open("ab") as output:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                creationflags=NEW_GROUP_ON_WINDOWS,
            )

    @property
    def url(self) -> str:
        """Return the base address, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Return the id of the process that was started."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, or None while the server runs."""
        return self._process.poll()

    def output(self) -> str:
        """Return the end of what the server wrote to stdout and stderr, at most 16 KiB."""
        with suppress(FileNotFoundError), self._output.open("rb") as file:
            file.seek(max(0, self._output.stat().st_size - OUTPUT_TAIL))
            self._last_output = file.read().decode(errors="replace")
        return self._last_output

    def accepts_connections(self) -> bool:
        """Return whether something listens on the port."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                # Connecting to a free port of the ephemeral range may, by chance, use that same
                # port as the source, and then TCP connects the socket to itself.
                return bool(connection.getsockname() != connection.getpeername())
        except OSError:
            return False

    def stop(self) -> None:
        """End the process and its children: ask first, force after 5 seconds."""
        try:
            self._signal_group(forced=False)
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            logger.warning("server %d ignored the request to stop and is killed", self.pid)
        finally:  # also after a second Ctrl-C while waiting
            self._kill()

    def _kill(self) -> None:
        self._signal_group(forced=True)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            logger.error("server %d is still there %s s after SIGKILL", self.pid, STOP_TIMEOUT)
        self.output()
        with suppress(OSError):  # Windows: a child may still hold the file
            self._directory.cleanup()

    def _signal_group(self, *, forced: bool) -> None:
        if sys.platform == "win32":
            with suppress(OSError):
                self._process.send_signal(signal.SIGTERM if forced else signal.CTRL_BREAK_EVENT)
            return
        # macOS answers EPERM for a group of which only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL if forced else signal.SIGTERM)


@contextmanager
def serve(
    command: Sequence[str],
    *,
    port: int | None = None,
    startup_timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Iterator[ServerProcess]:
    """Run a server for the length of the block, and wait until it accepts connections.

    Args:
        command: program and arguments; ``"{port}"`` inside an argument becomes the port. The
            server must listen on 127.0.0.1.
        port: the port; None takes a free one.
        startup_timeout: how long the server may take until it listens, in seconds.
        env: variables added to those of this process; ``"{port}"`` is replaced here as well.
        cwd: the directory it starts in.

    Raises:
        DefinitionError: the command is one string, or nothing tells the server its port.
        ServerNotAnswering: the server could not be started, exited, or did not listen in time;
            or another process listens on *port*.
    """
    _check_command(command, port, env or {})
    server = _start_listening(command, port, startup_timeout, env or {}, cwd)
    try:
        yield server
    finally:
        server.stop()


def _check_command(command: Sequence[str], port: int | None, env: Mapping[str, str]) -> None:
    if isinstance(command, str):
        raise DefinitionError(
            f"command must be a list of arguments, not one string; "
            f"write serve({shlex.split(command)!r})"
        )
    told = any(PLACEHOLDER in part for part in (*command, *env.values()))
    if port is None and not told:
        raise DefinitionError(
            f"nothing tells the server its port: no argument of {shlex.join(command)!r} contains "
            '"{port}"; write it where the port belongs, as in ["--port", "{port}"] or '
            'env={"PORT": "{port}"}, or give the port it listens on: serve(..., port=8000)'
        )


def _start_listening(
    command: Sequence[str],
    port: int | None,
    timeout: float,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None,
) -> ServerProcess:
    """Start the server; where another process was faster to take a free port, take another."""
    for attempts_left in reversed(range(START_ATTEMPTS)):
        with reserved_port(port) as chosen:
            server = _start_on(chosen, command, env, cwd)
            try:
                _wait_until_listening(server, timeout)
            except BaseException as error:
                server.stop()
                lost_race = port is None and server.exit_code != 0 and _is_taken(chosen)
                if isinstance(error, ServerNotAnswering) and lost_race and attempts_left:
                    continue
                raise
            return server
    raise AssertionError("unreachable: the last attempt returns or raises")


def _start_on(
    port: int,
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None,
) -> ServerProcess:
    arguments = [part.replace(PLACEHOLDER, str(port)) for part in command]
    # A Python server that is killed would lose the output it has buffered.
    variables = {"PYTHONUNBUFFERED": "1"} | os.environ
    variables |= {name: value.replace(PLACEHOLDER, str(port)) for name, value in env.items()}
    return ServerProcess(arguments, port, variables, None if cwd is None else Path(cwd))


def _wait_until_listening(server: ServerProcess, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        listens = server.accepts_connections()
        # After the connection: whoever answers for a server that is gone is not this server.
        if server.exit_code is not None:
            raise ServerNotAnswering(
                _failure(server, f"the server {_ending(server.exit_code)} before it listened")
            )
        if listens:
            return
        if time.monotonic() >= deadline:
            raise ServerNotAnswering(
                _failure(
                    server,
                    f"the server did not listen within {timeout:g} s; if it needs longer, "
                    "write serve(..., startup_timeout=SECONDS)",
                )
            )
        time.sleep(POLL_INTERVAL)


def _failure(server: ServerProcess, what: str) -> str:
    lines = server.output().splitlines()[-ERROR_LINES:]
    output = "\n".join(f"    {line}" for line in lines) or "    (none)"
    return (
        f"{what}\naddress: {HOST}:{server.port}\ncommand: {shlex.join(server.command)}\n"
        f"last output:\n{output}"
    )


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


@contextmanager
def reserved_port(port: int | None) -> Iterator[int]:
    """Yield *port*, which must be free, or a free one that no other ``serve`` takes meanwhile."""
    if port is not None:
        if _is_taken(port):
            raise ServerNotAnswering(
                f"port {port} is taken by another process, whose answers would be mistaken for "
                "those of the server under test; stop that process, or leave out port= and "
                'write "{port}" in the command'
            )
        yield port
        return
    # The same number of the UDP range is the mark: the operating system gives it to one process
    # at a time, drops it with the process, and the server can bind TCP all the while.
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mark:
            mark.bind((HOST, 0))
            chosen = int(mark.getsockname()[1])
            if not _is_taken(chosen):
                yield chosen
                return


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":  # there the option would allow two listeners
            # Connections of an earlier server that are only timing out do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False
