"""Servers in processes of their own: they start, they answer, and nothing of them stays."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from venomqa_hyp.errors import DefinitionError, ServerNotAnswering
from venomqa_hyp.testing import process
from venomqa_hyp.testing.process import serve

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and sessions of POSIX")

HTTP_SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]

LISTEN = """
import os, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_server_answers_inside_the_block(tmp_path: Path) -> None:
    """The block begins when the server accepts connections, at the url it is given."""
    (tmp_path / "hello.txt").write_text("hello")
    with serve(HTTP_SERVER, cwd=tmp_path) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert httpx.get(f"{server.url}/hello.txt").text == "hello"
        assert server.exit_code is None


@posix_only
def test_process_and_port_are_gone_after_the_block() -> None:
    """The process is reaped, not left as a zombie, and its port can be bound at once."""
    with serve(HTTP_SERVER) as server:
        assert is_running(server.pid)
    assert not is_running(server.pid)
    assert server.exit_code is not None
    assert not is_listening(server.port)
    with serve(HTTP_SERVER, port=server.port) as again:
        assert again.port == server.port


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_server_stops_when_the_block_fails(error: type[BaseException]) -> None:
    """Whatever ends the block, the server ends with it, and the error goes on."""
    with pytest.raises(error), serve(HTTP_SERVER) as server:
        raise error
    assert not is_listening(server.port)


@posix_only
def test_server_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not end when asked to is ended."""
    monkeypatch.setattr(process, "STOP_TIMEOUT", 0.2)
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{LISTEN}time.sleep(60)"
    with serve(python(code, "{port}")) as server:
        pass
    assert server.exit_code == -signal.SIGKILL


@posix_only
def test_children_of_the_server_stop_with_it() -> None:
    """Workers that the server started and did not stop are gone as well."""
    code = f"{LISTEN}child = os.fork()\nif child: print(child, flush=True)\ntime.sleep(60)"
    with serve(python(code, "{port}")) as server:
        assert eventually(lambda: server.output().strip().isdigit())
        child = int(server.output())
        assert is_running(child)
    assert eventually(lambda: not is_running(child))
    assert not is_listening(server.port)


def test_output_can_be_read_during_and_after_the_block() -> None:
    """Both streams are captured, and what was last seen of them outlives the server."""
    code = f"{LISTEN}print('out')\nprint('err', file=sys.stderr)\ntime.sleep(60)"
    with serve(python(code, "{port}")) as server:
        assert eventually(lambda: server.output().split() == ["out", "err"])
    assert server.output().split() == ["out", "err"]


def test_output_never_blocks_the_server_and_only_its_end_is_kept() -> None:
    """More output than a pipe holds does not stop the server."""
    code = f"{LISTEN}print('x' * 1_000_000 + 'end', flush=True)\ntime.sleep(60)"
    with serve(python(code, "{port}")) as server:
        assert eventually(lambda: server.output().rstrip().endswith("end"))
        assert len(server.output()) == process.OUTPUT_TAIL


def test_env_is_added_and_may_hold_the_port() -> None:
    """Variables of this process stay, those given are added, the port is put in."""
    code = (
        "import os, socket, time\n"
        "listener = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
        "print('PATH' in os.environ, os.environ['GREETING'])\ntime.sleep(60)"
    )
    with serve(python(code), env={"PORT": "{port}", "GREETING": "hello"}) as server:
        assert eventually(lambda: server.output().strip() == "True hello")


def test_death_at_start_is_reported_with_exit_code_command_and_output() -> None:
    """A server that exits instead of listening shows why."""
    command = python("import sys; print('starting'); sys.exit('no database')", "{port}")
    with pytest.raises(ServerNotAnswering) as caught, serve(command):
        pass
    message = str(caught.value).splitlines()
    assert message[0] == "the server exited with code 1 before it listened"
    assert message[1].startswith("address: 127.0.0.1:")
    port = message[1].rpartition(":")[2]
    assert message[2] == f"command: {shlex.join([*command[:-1], port])}"
    assert message[3:] == ["last output:", "    starting", "    no database"]


@posix_only
def test_death_by_a_signal_names_the_signal() -> None:
    """A crash is told from an exit."""
    command = python("import os; os.abort()", "{port}")
    with pytest.raises(ServerNotAnswering, match="killed by SIGABRT before it"), serve(command):
        pass


def test_server_that_never_listens_is_reported_and_stopped(tmp_path: Path) -> None:
    """The wait is bounded, the error says how to lengthen it, the process does not stay."""
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    pid_file = tmp_path / "pid"
    command = python(f"{code}  # {{port}}", str(pid_file))
    with pytest.raises(ServerNotAnswering) as caught, serve(command, startup_timeout=1.0):
        pass
    assert "did not listen within 1 s" in str(caught.value)
    assert "startup_timeout=SECONDS" in str(caught.value)
    assert "    (none)" in str(caught.value)
    assert sys.platform == "win32" or not is_running(int(pid_file.read_text()))


def test_program_that_does_not_exist_is_reported() -> None:
    """A command that cannot be started is named."""
    with (
        pytest.raises(ServerNotAnswering, match=r"cannot be started(.|\n)*command: no-such-pro"),
        serve(["no-such-program", "{port}"]),
    ):
        pass


def test_port_of_another_process_is_refused() -> None:
    """Answers of a stale server would be mistaken for those of the server under test."""
    with (
        serve(HTTP_SERVER) as stale,
        pytest.raises(ServerNotAnswering, match=f"port {stale.port} is taken by another process"),
        serve(HTTP_SERVER, port=stale.port),
    ):
        pass


def test_free_port_lost_to_another_process_is_replaced(tmp_path: Path) -> None:
    """A server that finds its free port taken is started again on another one."""
    thief = (
        "import socket, sys, time\n"
        "taken = socket.socket(); taken.bind(('127.0.0.1', int(sys.argv[1])))\n"
        "print('taken', flush=True); time.sleep(60)"
    )
    code = (
        "import pathlib, subprocess, sys\n"
        "pid, thief, port = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
        "if not pid.exists():\n"
        "    command = [sys.executable, '-c', thief, port]\n"
        "    child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)\n"
        "    child.stdout.readline(); pid.write_text(f'{child.pid} {port}')\n"
        "sys.argv = ['-', port]\n"
    )
    pid_file = tmp_path / "pid"
    try:
        with serve(python(f"{code}{LISTEN}time.sleep(60)", str(pid_file), thief, "{port}")) as it:
            assert it.port != int(pid_file.read_text().split()[1])
    finally:
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGTERM)


def test_servers_started_at_once_get_ports_of_their_own() -> None:
    """Several processes that look for a free port at the same time never share one."""
    code = (
        "import sys; from venomqa_hyp.testing.process import serve\n"
        f"with serve({HTTP_SERVER}) as it:\n"
        "    print(it.port, flush=True); sys.stdin.read()"
    )
    starters = [
        subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    ports = {starter.stdout.readline() for starter in starters if starter.stdout}
    for starter in starters:
        starter.communicate()
    assert len(ports - {""}) == len(starters)


def test_command_without_a_port_is_refused() -> None:
    """A server that is not told its free port would listen elsewhere."""
    with pytest.raises(DefinitionError, match=r"\{port\}"), serve(["server"]):
        pass


def test_command_in_one_string_is_refused() -> None:
    """The message shows the list to write instead."""
    with pytest.raises(DefinitionError, match=r"serve\(\['a', 'b c'\]\)"), serve("a 'b c'"):
        pass
