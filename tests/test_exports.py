"""Exports of a failure: executed, they fail on the service with the bug, and pass without it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import jsonschema
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import run_state_machine_as_test
from outcomes import by_machine, store_of
from test_counterexample import ACTIONS, PLANTED, SHOP, UUID, money, report_of

from venomqa_hyp import Action, ExplorationResult, Invariant, Violation, World, venom_machine
from venomqa_hyp.adapters import HttpClient, MemoryAdapter, SQLiteAdapter, WsgiClient
from venomqa_hyp.core.script import Script, filled
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.exports import Exported, Outcome, export, replay_har
from venomqa_hyp.exports.verify import failure_file
from venomqa_hyp.reporters.exports import script_in_har
from venomqa_hyp.testing.process import serve
from venomqa_hyp.values.encoding import Undecodable

needs_shell = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq") and shutil.which("bash")),
    reason="curl, jq or bash is not installed",
)


def open_shop() -> World:
    """Return the World of the shop that runs; exported functions import this one."""
    systems = {"db": SQLiteAdapter(os.environ["SHOP_DATABASE"])}
    context = {"db_password": PLANTED["initial context"]}
    return World(HttpClient(os.environ["SHOP_URL"]), systems, context=context)


refunds_within_payment = Invariant("refunds_within_payment", money)
# What is exported for it sees nothing but replies, as nobody can import it.
FORMS = ["pytest", "shell", "har", "failure file"]
RULES = {"by rule": refunds_within_payment, "by replies": Invariant("private", lambda w: money(w))}


@attrs.frozen
class Found:
    """A failure and its exports, by form."""

    machine: Any
    violation: Violation
    exports: dict[str, Exported]
    folder: Path

    @property
    def script(self) -> Script:
        assert self.violation.counterexample is not None
        assert self.violation.counterexample.script is not None
        return self.violation.counterexample.script

    def text(self, form: str) -> str:
        path = self.exports[form].path
        assert path is not None
        return path.read_text()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """Serve the shop with its bug and without; what is returned chooses one."""
    folder = tmp_path_factory.mktemp("shops")
    environ = dict(os.environ)

    def command(name: str) -> list[str]:
        return [sys.executable, str(SHOP), str(folder / name), "{port}"]

    with serve(command("buggy")) as buggy, serve([*command("fixed"), "--fixed"]) as fixed:
        urls = {"buggy": buggy.url, "fixed": fixed.url}

        def choose(name: str) -> None:
            os.environ.update(SHOP_URL=urls[name], SHOP_DATABASE=str(folder / name))

        yield choose
    for name in ("SHOP_URL", "SHOP_DATABASE"):
        os.environ.pop(name, environ.get(name))


by_replies = pytest.mark.parametrize("found", ["by replies"], indirect=True)


@pytest.fixture(scope="module", params=RULES)
def found(
    request: pytest.FixtureRequest,
    served: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Found]:
    """Find the bug of the shop, and export it."""
    folder, before = tmp_path_factory.mktemp("exports"), Path.cwd()
    served("buggy")
    machine = seed(0)(venom_machine(open_shop, ACTIONS, [RULES[request.param]]))
    kept = settings(
        max_examples=15,
        stateful_step_count=8,
        database=DirectoryBasedExampleDatabase(folder / "examples"),
        suppress_health_check=list(HealthCheck),
    )
    os.chdir(folder)
    try:
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=kept)
        assert machine.last_run is not None
        (violation,) = machine.last_run.violations
        forms = ["pytest"] if request.param == "by rule" else FORMS
        made = export(violation, "out", machine=machine, forms=forms)
        exports = {item.form: item for item in made}
        exports = {
            form: attrs.evolve(item, path=item.path and item.path.absolute())
            for form, item in exports.items()
        }
        yield Found(machine, violation, exports, folder)
    finally:
        os.chdir(before)


def run(found: Found, form: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Execute an export as a user would."""
    commands = {
        "pytest": [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", "."],
        "shell": ["bash"],
    }
    given = {**os.environ, **found.script.values, "BASE_URL": os.environ["SHOP_URL"]}
    given["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [*commands[form], str(found.exports[form].path)]
    return subprocess.run(
        command,
        env={**given, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=found.folder,
    )


@needs_shell
@by_replies
def test_every_export_was_executed_and_reproduces(found: Found) -> None:
    """Each says so in its own text, but the failure file, which is the one of the run."""
    assert {form: item.verdict for form, item in found.exports.items()} == dict.fromkeys(
        FORMS,
        "reproduces: executed against a fresh World, where it failed",
    )
    assert all("reproduces: executed" in found.text(form) for form in ("pytest", "shell", "har"))


def test_a_pytest_function_passes_where_the_bug_is_fixed(
    found: Found, served: Callable[[str], None]
) -> None:
    """It checks the rule in a World where both can be imported, and needs httpx alone elsewhere."""
    served("fixed")
    ended = run(found, "pytest")
    assert (ended.returncode, "1 passed" in ended.stdout) == (0, True), ended.stdout
    checks_rule = "world.check(refunds_within_payment)" in found.text("pytest")
    assert checks_rule == (found.violation.name == "refunds_within_payment")
    assert ("venomqa_hyp" in found.text("pytest")) is False


@needs_shell
@by_replies
def test_a_shell_script_exits_with_0_where_the_bug_is_fixed(
    found: Found, served: Callable[[str], None]
) -> None:
    """With 2, not with 1, where a secret is missing or no service answers."""
    served("fixed")
    ended = run(found, "shell")
    assert ended.returncode == 0, ended.stdout
    assert "answer is 409, not 201 as with the bug" in ended.stdout
    missing, silent = run(found, "shell", PASSWORD=""), run(found, "shell", BASE_URL="http://x:1")
    assert (missing.returncode, "set PASSWORD" in missing.stdout) == (2, True)
    assert silent.returncode == 2


@by_replies
def test_an_archive_can_be_replayed(found: Found, served: Callable[[str], None]) -> None:
    """With the values that replies make now; the secrets are given."""
    served("fixed")
    text, url = found.text("har"), os.environ["SHOP_URL"]
    assert replay_har(text, url, found.script.values) is Outcome.OTHERWISE
    assert replay_har(text, url, {}) is Outcome.NOT_REACHED
    entries = json.loads(text)["log"]["entries"]
    assert [item["response"]["status"] for item in entries] == [201, 201, 201, 201]
    assert entries[1]["response"]["content"]["text"].startswith('{"id": "')


@by_replies
def test_a_failure_file_is_fixed_where_the_bug_is(
    found: Found, served: Callable[[str], None]
) -> None:
    """As a run would say."""
    served("fixed")
    path, definition = found.exports["failure file"].path, found.machine.venom_definition
    assert path is not None
    verdict = failure_file(path, found.violation.name, definition, open_shop)
    assert "does not fail any more" in verdict


@by_replies
def test_no_export_holds_a_value_that_the_server_made(found: Found) -> None:
    """Ids and tokens are bound; the archive alone shows ids, being what was sent and answered."""
    for form in ("pytest", "shell"):
        assert not UUID.search(found.text(form))
    lines = found.text("shell").splitlines()
    assert """token_1=$(json 'getpath(["token"])')""" in lines
    assert """order_1=$(json 'getpath(["id"])')""" in lines
    assert 'send POST "/orders/${order_1}/refunds" \\' in lines
    assert 'f"/orders/{order_1}/refunds"' in found.text("pytest")


@by_replies
def test_no_export_and_no_record_holds_a_secret(found: Found) -> None:
    """They are read from the environment; the token has a name, and is redacted in the archive."""
    record = json.dumps(found.machine.last_run.to_dict()["violations"][0]["counterexample"])  # type: ignore[index]
    forms = [form for form in found.exports if form != "failure file"]
    shown = "".join([record, repr(found.script), *map(found.text, forms)])
    assert [name for name, secret in PLANTED.items() if secret in shown] == []
    assert not re.search(r"Bearer (?!\{|\$|\[)\S", shown)
    assert found.script.secrets == ("PASSWORD", "API_KEY", "X_API_KEY")


@by_replies
def test_the_script_is_part_of_the_record(found: Found) -> None:
    """And the JSON Schema describes it; the values of secrets stay in the process."""
    document = found.machine.last_run.to_dict()
    schema = files("venomqa_hyp.reporters") / "schema" / "result.json"
    jsonschema.validate(document, json.loads(schema.read_text()))
    (again,) = ExplorationResult.from_dict(document).violations
    assert again.counterexample == found.violation.counterexample
    assert again.counterexample is not None
    assert again.counterexample.script is not None
    assert again.counterexample.script.values == {}


# A service in which everything has to be bound.


class Ledger(BaseHTTPRequestHandler):
    """Numbers, ETags, cookies, form fields, texts around ids; the second booking is not refused."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self.answer(200, {"open": self.server.open})  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        state: Any = self.server
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/accounts":
            state.number += 7
            state.version, state.ticket = (
                f'"v{state.number}"',
                f"a+b/{state.number}c9d8e7f6a5b4c3==",
            )
            cookie = f"seat=s{state.number}; Path=/"
            extra = {"Location": f"/accounts/{state.number}", "ETag": state.version}
            self.answer(201, {"ticket": state.ticket}, {**extra, "Set-Cookie": cookie})
        elif path == f"/accounts/{state.number}/bookings":
            right = (
                self.headers["If-Match"] == state.version
                and self.headers["Cookie"] == f"seat=s{state.number}"
                and query == {"ticket": [state.ticket]}
                and parse_qs(sent) == {"account": [str(state.number)], "text": ["$(x) 'ü' {y}"]}
            )
            state.open += right
            self.answer(200 if right else 400, {"booked": right, "account": {"id": state.number}})
        else:
            self.answer(404, {})

    def answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def open_account(api: Any, context: Any) -> Any:
    reply = api.post("/accounts")
    context["account"] = reply.headers["Location"].rpartition("/")[2]
    context["version"], context["ticket"] = reply.headers["ETag"], reply.json()["ticket"]
    return reply


def book(api: Any, context: Any, text: str) -> Any:
    return api.post(
        f"/accounts/{context['account']}/bookings",
        params={"ticket": context["ticket"]},
        headers={"If-Match": context["version"]},
        data={"account": context["account"], "text": text},
    )


def nothing_is_open(world: World) -> bool:
    return bool(world.api.get("/open").json()["open"] == 0)


LEDGER_ACTIONS = [
    Action("open_account", open_account, max_calls=1),
    Action(
        "book",
        book,
        arguments={"text": st.just("$(x) 'ü' {y}")},
        preconditions=["open_account"],
        max_calls=1,
    ),
]


@pytest.fixture
def ledger() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Ledger)
    server.number, server.open, server.version, server.ticket = 10, 0, "", ""
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@needs_shell
def test_numbers_etags_cookies_and_parts_of_texts_are_bound(ledger: Any, tmp_path: Path) -> None:
    """Each World begins with other numbers; the check of the rule is the last request."""

    def open_ledger() -> World:
        ledger.open, ledger.number = 0, ledger.number + 100
        api = HttpClient(f"http://127.0.0.1:{ledger.server_port}")
        return World(api, {"ledger": Attributes(ledger)})

    rule = Invariant("nothing_is_open", nothing_is_open)
    outcome = by_machine(open_ledger, LEDGER_ACTIONS, [rule], examples=10)
    (violation,) = outcome.violations
    script = report_of(outcome).script
    assert script is not None
    exports = export(violation, tmp_path, world=open_ledger, invariants=[rule])
    assert [item.reproduces for item in exports] == [True, True, True, False], exports
    opened, booked, checked = script.steps
    assert [(item.name, item.source) for item in opened.bindings][:1] == [("account_1", "header")]
    assert booked.url.startswith("/accounts/{account_1}/bookings?ticket={")
    assert ("if-match", "{etag_1}") in booked.headers
    assert not any(name == "cookie" for name, _ in booked.headers)
    assert booked.body == [("account", "{account_1}"), ("text", "$(x) 'ü' {{y}}")]
    assert (checked.role, checked.url, checked.expected[0].value) == ("check", "/open", 1)


class Attributes:
    """The attributes of the server, as a system."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def checkpoint(self, name: str) -> dict[str, Any]:
        return {key: getattr(self._server, key) for key in ("open", "number", "version", "ticket")}

    def rollback(self, handle: dict[str, Any]) -> None:
        vars(self._server).update(handle)

    def observe(self) -> Any:
        return MemoryAdapter(self.checkpoint(""), name="ledger").observe()


# What cannot be exported, or not be verified.


def test_a_path_without_requests_is_not_exported(tmp_path: Path) -> None:
    """Nothing is written, and each form says why."""

    def count(api: Any, context: Any) -> None:
        api["n"] += 1

    outcome = by_machine(
        store_of(n=0), [Action("count", count)], [Invariant("zero", lambda w: w.api["n"] == 0)]
    )
    exports = export(outcome.violations[0], tmp_path)
    assert [item.path for item in exports] == [None] * 4
    assert exports[0].verdict == "not verified: the path sent no request"
    assert list(tmp_path.iterdir()) == []


def answer_ok(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


def test_a_step_that_sends_nothing_is_an_obstacle(tmp_path: Path) -> None:
    """As waiting, with a clock that is a system: requests alone do not lead to the failure."""

    def wait(api: Any, context: Any) -> None:
        context.world.systems["clock"]["hour"] = 1

    def ask(api: Any, context: Any) -> None:
        api.get("/")
        assert context.world.systems["clock"]["hour"] == 0, f"it is {'late'}"

    def open_world() -> World:
        return World(WsgiClient(answer_ok), {"clock": MemoryAdapter({"hour": 0})})

    outcome = by_machine(open_world, [Action("wait", wait), Action("ask", ask)])
    (pytest_function,) = export(outcome.violations[0], tmp_path, world=open_world, forms=["pytest"])
    why = "not verified: step 1 (wait) changed something without a request"
    assert pytest_function.verdict == why
    assert pytest_function.path is not None
    text = pytest_function.path.read_text()
    assert why in text
    assert compile(text, "test_ask.py", "exec")


def test_an_api_in_this_process_is_not_reached_by_a_script(tmp_path: Path) -> None:
    """And without a function that opens a World nothing is executed."""

    def ask(api: Any, context: Any) -> None:
        assert api.get("/").status_code == 201

    def open_world() -> World:
        return World(WsgiClient(answer_ok))

    (violation,) = by_machine(open_world, [Action("ask", ask)]).violations
    (tried,) = export(violation, tmp_path, world=open_world, forms=["har"])
    assert "the API runs in this process" in tried.verdict
    (untried,) = export(violation, tmp_path, forms="har")
    assert untried.verdict == "not verified: no function that opens a fresh World was given"


def test_a_rule_that_is_not_known_is_not_verified(tmp_path: Path) -> None:
    """Replies alone do not say that a rule over the stores is broken."""

    def ask(api: Any, context: Any) -> None:
        api.get("/")

    def asked(world: World) -> bool:
        return not world.api.history

    outcome = by_machine(
        lambda: World(WsgiClient(answer_ok)), [Action("ask", ask)], [Invariant("asked", asked)]
    )
    (script,) = export(
        outcome.violations[0], tmp_path, world=lambda: World(WsgiClient(answer_ok)), forms="shell"
    )
    assert script.verdict == "not verified: asked is not among the invariants given"


def test_an_archive_needs_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other forms are written without it."""

    def ask(api: Any, context: Any) -> None:
        assert api.get("/").status_code == 201

    (violation,) = by_machine(lambda: World(WsgiClient(answer_ok)), [Action("ask", ask)]).violations
    monkeypatch.setitem(sys.modules, "harfile", None)
    script, archive = export(violation, tmp_path, forms=["shell", "har"])
    assert (script.path, archive.path) == (tmp_path / "ask.sh", None)
    assert "pip install 'venomqa-hyp[har]'" in archive.verdict


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    """An unknown form, and a TestCase in place of its machine."""
    violation: Any = None
    with pytest.raises(DefinitionError, match="'curl'"):
        export(violation, tmp_path, forms=["curl"])
    with pytest.raises(DefinitionError, match="not its TestCase"):
        export(violation, tmp_path, machine=object())
    with pytest.raises(Undecodable, match="not exported by venomqa-hyp"):
        script_in_har('{"log": {}}')


def test_templates_keep_braces_types_and_encodings() -> None:
    """A value alone keeps its type; within a URL it is encoded."""
    values = {"order_1": 7, "token_1": "a/b"}
    tree = {"id": "{order_1:json}", "text": "{{}} {order_1}", "list": ["{token_1}"]}
    assert filled(tree, values) == {"id": 7, "text": "{} 7", "list": ["a/b"]}
    assert filled("/x/{token_1:url}", values) == "/x/a%2Fb"
    assert filled({"pin": "{PIN:number}"}, {"PIN": "0.5"}) == {"pin": 0.5}
