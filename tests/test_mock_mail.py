"""The mailbox: real SMTP clients, exact rollback, and states that random headers do not split."""

import random
import smtplib
import socket
import sys
import uuid
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import World, action, venom_machine
from venomqa_hyp.adapters import MockMail
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable, volatile_places

pytest.importorskip("aiosmtpd")


def written(subject: str, text: str = "Thank you.\n", **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Shop <shop@example.com>"
    message["To"] = "ada@example.com, charles@example.com"
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def send_by_smtp(mail: MockMail, chance: random.Random) -> None:
    with smtplib.SMTP(mail.host, mail.port, timeout=10) as client:
        client.send_message(written(f"order {chance.randrange(1000)}"))


def send_by_call(mail: MockMail, chance: random.Random) -> None:
    mail.send_message(written(f"Größe {chance.randrange(1000)}"))


def test_keeps_the_contract() -> None:
    """Every rule of Rollbackable holds, served and not."""
    check_rollbackable(lambda: MockMail().serve(), [send_by_smtp, send_by_call], operations=80)
    check_rollbackable(MockMail, send_by_call)


def test_a_mail_by_smtp_is_in_the_outbox() -> None:
    """With envelope, headers, text and HTML; any user may log in."""
    with MockMail().serve() as mail:
        message = written("Größe", "Grüße\n", Bcc="secret@example.com")
        message.add_alternative("<b>Grüße</b>\n", subtype="html")
        with smtplib.SMTP(mail.host, mail.port, timeout=10) as client:
            client.login("any", "password")
            client.send_message(message)
        (caught,) = mail.outbox
    assert mail.name == mail.observe().system == "mail"
    assert caught.sender == "shop@example.com"
    assert caught.recipients == ("ada@example.com", "charles@example.com", "secret@example.com")
    assert (caught.subject, caught.text, caught.html) == ("Größe", "Grüße\n", "<b>Grüße</b>\n")
    assert "Bcc" not in caught.message


def test_a_call_catches_what_smtp_would() -> None:
    """The same message shows the same, whichever way it came, but for its line ends."""
    message = written("one", "text\n", Bcc="secret@example.com")
    with MockMail().serve() as served, smtplib.SMTP(served.host, served.port, timeout=10) as client:
        client.send_message(message)
        called = MockMail()
        called.send_message(message)
        (by_smtp,), (by_call,) = served.outbox, called.outbox
    assert by_call.sender == by_smtp.sender
    assert by_call.recipients == by_smtp.recipients
    assert by_call.raw == by_smtp.raw.replace(b"\r\n", b"\n")


def test_a_connection_survives_a_rollback() -> None:
    """An application that keeps its connection open goes on sending."""
    with MockMail().serve() as mail, smtplib.SMTP(mail.host, mail.port, timeout=10) as client:
        client.send_message(written("one"))
        one = mail.checkpoint("one")
        client.send_message(written("two"))
        mail.rollback(one)
        client.send_message(written("three"))
        assert [item.subject for item in mail.outbox] == ["one", "three"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no headers at all",
        b"Subject: =?no-such-charset?q?=ff?=\nMessage-ID: <\nDate: never\n\n\xff\xfe",
        b"Content-Type: text/plain; charset=nonsense\n\nfew",
        b"Content-Type: multipart/mixed; boundary=x\n\nno part",
        b"Content-Transfer-Encoding: base64\n\nn=t base64!",
        b"Content-Type: message/rfc822\n\nSubject: inner\n\ntext",
    ],
)
def test_broken_mails_are_observed(raw: bytes) -> None:
    """What no mail program would write is told apart, too."""
    mail, other = MockMail(), MockMail()
    mail.deliver("", ["ada@example.com"], raw)
    other.deliver("", ["ada@example.com"], raw + b"more")
    assert mail.observe() != other.observe()


def test_random_headers_and_tokens_hide_nothing_else() -> None:
    """Sent twice, only id, date, boundary and token differ, and each is left out on its own."""

    def outbox(text: str, moment: float) -> Any:
        mail = MockMail()
        message = written("Reset", text, Message_ID=make_msgid(), Date=formatdate(moment))
        message.add_alternative("<b>Reset</b>", subtype="html")
        mail.send_message(message)
        return mail.observe().data

    first = outbox(f"Open https://shop/reset?token={uuid.uuid4().hex}1 now.", 1_000_000_000)
    second = outbox(f"Open https://shop/reset?token={uuid.uuid4().hex}1 now.", 1_000_000_777)
    assert volatile_places(first, second)
    other = outbox(f"Open https://shop/login?token={uuid.uuid4().hex}1 now.", 1_000_000_000)
    assert volatile_places(first, other) is None


def test_a_run_goes_on_with_its_record() -> None:
    """An application that writes random ids into its mails is no divergence."""

    def send(api: MockMail, context: Any, subject: str) -> None:
        token = uuid.uuid4().hex + "1"
        api.send_message(written(subject, f"code {token}", Message_ID=make_msgid()))

    def open_world() -> World:
        mail = MockMail()
        return World(mail, {"mail": mail})

    first = action(max_calls=1, name="first")(lambda api, context: send(api, context, "first"))
    second = action(max_calls=1, name="second")(lambda api, context: send(api, context, "second"))
    machine = venom_machine(open_world, [first, second])
    # A DivergenceWarning would be an error here.
    run_state_machine_as_test(machine, settings=settings(max_examples=20))
    assert machine.last_run is not None
    assert machine.last_run.states_visited == 5
    assert any("message-id" in place for place in machine.last_run.volatile)


def test_serving_twice_and_a_port_in_use_are_refused() -> None:
    """With what to do instead."""
    with MockMail().serve() as mail:
        with pytest.raises(DefinitionError, match="called before"):
            mail.serve()
        with pytest.raises(SystemUnavailable, match="Leave port out"):
            MockMail().serve(port=mail.port)
    with pytest.raises(DefinitionError, match=r"MockMail\(\).serve\(\)"):
        _ = mail.url


def test_close_ends_handles_and_server() -> None:
    """The outbox stays to be looked at."""
    mail = MockMail().serve()
    address = (mail.host, mail.port)
    handle = mail.checkpoint("before")
    mail.send_message(written("one"))
    with socket.create_connection(address, timeout=10) as connection:
        assert connection.recv(100).startswith(b"220 localhost")
        mail.close()
        assert connection.recv(100) == b""
    with pytest.raises(RollbackError, match="closed"):
        mail.rollback(handle)
    with pytest.raises(ConnectionError):
        socket.create_connection(address, timeout=10)
    assert len(mail.outbox) == 1


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without aiosmtpd only the server is missing."""
    monkeypatch.setitem(sys.modules, "aiosmtpd.smtp", None)
    mail = MockMail()
    mail.send_message(written("one"))
    with pytest.raises(SystemUnavailable, match=r"pip install 'venomqa-hyp\[mail\]'"):
        mail.serve()


def test_what_sendmail_takes_is_delivered() -> None:
    """Text or bytes, and one recipient or several."""
    mail = MockMail()
    mail.deliver("shop@example.com", "ada@example.com", "Subject: Größe\n\n42")
    mail.deliver("shop@example.com", ["ada@example.com"], b"Subject: two\n\n")
    assert [one.recipients for one in mail.outbox] == [("ada@example.com",)] * 2
    assert mail.outbox[0].raw == "Subject: Größe\n\n42".encode()
    assert mail.outbox[1].subject == "two"
    assert len(mail.observe().data["outbox"]) == 2
