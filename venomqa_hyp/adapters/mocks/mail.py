"""A mailbox that catches what an application sends, by SMTP or by a call."""

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from functools import cached_property
from typing import Any, cast

import attrs

from venomqa_hyp.adapters.mocks.bodies import observed_body
from venomqa_hyp.adapters.mocks.loopback import cannot_listen
from venomqa_hyp.adapters.mocks.snapshots import ServedSystem
from venomqa_hyp.errors import SystemUnavailable

_ADDRESSES = ("To", "Cc", "Bcc")


@attrs.frozen
class Mail:
    """One message as it was handed over.

    :ivar sender: address of the envelope, not of the ``From`` header.
    :ivar recipients: addresses of the envelope, with those of ``Bcc``.
    :ivar raw: the message, byte for byte.
    """

    sender: str
    recipients: tuple[str, ...]
    raw: bytes = attrs.field(repr=False)

    @cached_property
    def message(self) -> EmailMessage:
        """The parsed message, for reading only."""
        return BytesParser(policy=policy.default).parsebytes(self.raw)

    @property
    def subject(self) -> str:
        """The decoded ``Subject``, or an empty text."""
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain text, or an empty text where there is none."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML, or an empty text where there is none."""
        return self._body("html")

    @cached_property
    def _observed(self) -> dict[str, Any]:
        # The policy of `message` fails on headers that break the rules; this one keeps them.
        part = _part(message_from_bytes(self.raw))
        return {"sender": self.sender, "recipients": list(self.recipients), **part}

    def _body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n")


class MockMail(ServedSystem):
    """Catch the mails of an application, and roll them back.

    An application in this process calls :meth:`send_message`, as that of ``smtplib.SMTP``. For any
    other, :meth:`serve` starts an SMTP server on this machine; it accepts every sender, recipient,
    user and password, and offers no TLS. A mail is in the outbox before the server says so.

    The ``data`` of an observation::

        {"outbox": [{"sender": "shop@example.com", "recipients": ["ada@example.com"],
                     "headers": {"subject": ["Your order"], "date": [datetime(...)], ...},
                     "body": "Thank you."}]}

    In a mail of several parts ``body`` is a list of such parts. The order of headers with different
    names, and the boundary between parts, are left out. A text with parts that may be random is
    split, so that a random ``Message-ID`` or token does not hide the rest.
    """

    _scheme = "smtp"

    def __init__(self, *, name: str = "mail") -> None:
        super().__init__(name)
        self._outbox: tuple[Mail, ...] = ()

    @property
    def outbox(self) -> tuple[Mail, ...]:
        """All mails caught so far, oldest first."""
        return self._outbox

    def send_message(
        self,
        message: Message,
        from_addr: str | None = None,
        to_addrs: str | Iterable[str] | None = None,
    ) -> None:
        """Catch a message; sender and recipients are taken from its headers where not given."""
        sender = from_addr or _addresses(message, ("Sender",)) or _addresses(message, ("From",))
        recipients = to_addrs or _addresses(message, _ADDRESSES)
        copied = message_from_bytes(message.as_bytes())
        del copied["Bcc"]
        self.deliver(
            sender if isinstance(sender, str) else "".join(sender[:1]),
            recipients,
            copied.as_bytes(),
        )

    def deliver(self, sender: str, recipients: str | Iterable[str], raw: str | bytes) -> None:
        """Catch a message that is text or bytes already, as ``smtplib.SMTP.sendmail`` sends it."""
        receivers = (recipients,) if isinstance(recipients, str) else tuple(recipients)
        content = raw.encode() if isinstance(raw, str) else raw
        with self._lock:
            self._outbox = (*self._outbox, Mail(sender, receivers, content))

    def _start(self, host: str, port: int) -> "_SmtpServer":
        return _SmtpServer(self, host, port)

    def _save(self) -> tuple[Mail, ...]:
        return self._outbox

    def _load(self, content: tuple[Mail, ...]) -> None:
        self._outbox = content

    def _describe(self) -> Mapping[str, Any]:
        return {"outbox": [mail._observed for mail in self._outbox]}

    def __repr__(self) -> str:
        return f"<MockMail {self.name!r}: {len(self._outbox)} mails>"


def _addresses(message: Message, names: Iterable[str]) -> list[str]:
    headers = [str(value) for name in names for value in message.get_all(name, [])]
    return [address for _, address in getaddresses(headers) if address]


def _part(message: Message) -> dict[str, Any]:
    headers: dict[str, list[Any]] = {}
    for name, value in message.items():
        headers.setdefault(name.lower(), []).append(_header(name.lower(), str(value)))
    boundary = message.get_param("boundary")
    if boundary is not None:
        message.del_param("boundary")
        headers["content-type"] = [str(message["content-type"])]
    if message.is_multipart():
        parts = cast(list[Message], message.get_payload())
        return {"headers": headers, "body": [_part(part) for part in parts]}
    content = cast(bytes, message.get_payload(decode=True))
    return {"headers": headers, "body": observed_body(content, message.get_content_charset())}


def _header(name: str, value: str) -> Any:
    if name == "date":
        with contextlib.suppress(ValueError):  # not a date: a text as any other
            return parsedate_to_datetime(value)
    return value


class _SmtpServer:
    """aiosmtpd on an event loop and a thread of its own."""

    def __init__(self, mail: MockMail, host: str, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            create = self._loop.create_server(_protocol(mail, self._loop), host, port)
            self._server = self._loop.run_until_complete(create)
        except OSError as error:
            self._loop.close()
            raise cannot_listen(mail.name, host, port, error) from error
        except BaseException:
            self._loop.close()
            raise
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="venomqa-smtp", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        sessions = asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)


def _protocol(mail: MockMail, loop: asyncio.AbstractEventLoop) -> Any:
    """Return what makes the protocol of one connection."""
    try:
        from aiosmtpd.smtp import SMTP, AuthResult, Session
    except ImportError as error:
        raise SystemUnavailable(
            f"{mail.name}: an SMTP server needs aiosmtpd, which is not installed. "
            "Run: pip install 'venomqa-hyp[mail]'"
        ) from error

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            mail.deliver(envelope.mail_from or "", envelope.rcpt_tos, envelope.content)
            return "250 OK"

    class QuietSession(Session):
        # aiosmtpd sets this at each log-in, and logs a warning that it should not.
        login_data: Any = None

    class Protocol(SMTP):
        def _create_session(self) -> Session:
            return QuietSession(loop)

    def accept(*_: object) -> AuthResult:
        return AuthResult(success=True)

    def protocol() -> SMTP:
        return Protocol(
            Handler(),
            loop=loop,
            hostname="localhost",
            enable_SMTPUTF8=True,
            authenticator=accept,
            auth_require_tls=False,
        )

    return protocol
