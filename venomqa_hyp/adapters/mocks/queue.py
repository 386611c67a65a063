"""Message queues in this process, with an HTTP face for applications in another one."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from venomqa_hyp.adapters.mocks.bodies import observed_body
from venomqa_hyp.adapters.mocks.loopback import Answer, LoopbackServer, Request
from venomqa_hyp.adapters.mocks.snapshots import ServedSystem
from venomqa_hyp.values.digest import snapshot

_JSON = (("Content-Type", "application/json"),)


@attrs.frozen
class QueueMessage:
    """One message.

    :ivar id: 1, 2, 3... over all queues; rolled back, so the same steps give the same ids.
    :ivar body: a plain value; bytes where it came by HTTP and is no JSON.
    :ivar deliveries: how often it was received.
    :ivar in_flight: received, and neither acknowledged nor released.
    """

    id: int
    queue: str
    body: Any
    deliveries: int = 0
    in_flight: bool = False


class MockQueue(ServedSystem):
    """Named queues, first in first out, each message received until it is acknowledged.

    An application in this process calls :meth:`publish`, :meth:`receive`, :meth:`acknowledge` and
    :meth:`release`. For any other, :meth:`serve` starts an HTTP server on this machine::

        POST   /queues/mails                      the body is the message -> 201 {"id": 1}
        POST   /queues/mails/receive              -> 200 {"id": 1, "body": ..., "deliveries": 1}
                                                  -> 204 when nothing is ready
        POST   /queues/mails/messages/1/release   -> 204, ready again, in its old place
        DELETE /queues/mails/messages/1           acknowledges -> 204
        DELETE /queues/mails                      removes all messages -> 204
        GET    /queues                            -> 200 {"mails": [{"id": 1, ...}]}

    A body is JSON there, or any text. Nothing is delivered by itself or after a time.

    The ``data`` of an observation::

        {"queues": {"mails": [{"id": 1, "body": ..., "deliveries": 0, "in_flight": False}]},
         "next_id": 2}
    """

    def __init__(self, *, name: str = "queue") -> None:
        super().__init__(name)
        self._messages: dict[int, QueueMessage] = {}
        self._next_id = 1

    def publish(self, queue: str, body: Any) -> QueueMessage:
        """Add a message at the end of a queue; ``body`` is a plain value, and is copied."""
        with self._lock:
            message = QueueMessage(self._next_id, queue, snapshot(body))
            self._next_id += 1
            self._messages[message.id] = message
        return _copied(message)

    def receive(self, queue: str) -> QueueMessage | None:
        """Take the first message that is ready, or nothing."""
        with self._lock:
            held = self._messages.values()
            ready = (item for item in held if item.queue == queue and not item.in_flight)
            if (first := next(ready, None)) is None:
                return None
            taken = attrs.evolve(first, deliveries=first.deliveries + 1, in_flight=True)
            self._messages[taken.id] = taken
        return _copied(taken)

    def acknowledge(self, message: QueueMessage | int) -> None:
        """Remove a message that was received.

        :param message: it, or its id.
        :raises LookupError: it is not in flight.
        """
        with self._lock:
            del self._messages[self._in_flight(message).id]

    def release(self, message: QueueMessage | int) -> None:
        """Make a message that was received ready again, in its old place.

        :param message: it, or its id.
        :raises LookupError: it is not in flight.
        """
        with self._lock:
            held = self._in_flight(message)
            self._messages[held.id] = attrs.evolve(held, in_flight=False)

    def purge(self, queue: str) -> None:
        """Remove all messages of a queue, also those in flight."""
        with self._lock:
            kept = self._messages.values()
            self._messages = {item.id: item for item in kept if item.queue != queue}

    def messages(self, queue: str | None = None) -> tuple[QueueMessage, ...]:
        """Return the messages of a queue, or of all, oldest first; nothing is received."""
        with self._lock:
            held = tuple(self._messages.values())
        return tuple(_copied(message) for message in held if queue in (None, message.queue))

    def _start(self, host: str, port: int) -> LoopbackServer:
        return LoopbackServer(self._answer, self.name, host=host, port=port)

    def _in_flight(self, message: QueueMessage | int) -> QueueMessage:
        number = message.id if isinstance(message, QueueMessage) else message
        held = self._messages.get(number)
        if held is None or not held.in_flight:
            raise LookupError(
                f"{self.name}: message {number} is not in flight: it was never received, or "
                "was acknowledged or released since."
            )
        return held

    def _checked(self, queue: str, number: str) -> int:
        message = self._messages.get(int(number))
        if message is not None and message.queue != queue:
            raise LookupError(f"{self.name}: message {number} is in queue {message.queue!r}.")
        return int(number)

    def _save(self) -> tuple[int, dict[int, QueueMessage]]:
        return self._next_id, dict(self._messages)

    def _load(self, content: tuple[int, dict[int, QueueMessage]]) -> None:
        self._next_id, self._messages = content[0], dict(content[1])

    def _describe(self) -> Mapping[str, Any]:
        queues: dict[str, list[Any]] = {}
        for message in self._messages.values():
            queues.setdefault(message.queue, []).append(_described(message))
        return {"queues": queues, "next_id": self._next_id}

    def _answer(self, request: Request) -> Answer:
        parts = [unquote(part) for part in urlsplit(request.path).path.strip("/").split("/")]
        try:
            match request.method, parts:
                case "GET", ["queues"]:
                    return self._listed()
                case "POST", ["queues", queue]:
                    message = self.publish(queue, _parsed(request.body))
                    return _json(201, {"id": message.id})
                case "POST", ["queues", queue, "receive"]:
                    received = self.receive(queue)
                    return _json(200, _shown(received)) if received else Answer(204)
                case "POST", ["queues", queue, "messages", number, "release"]:
                    self.release(self._checked(queue, number))
                    return Answer(204)
                case "DELETE", ["queues", queue, "messages", number]:
                    self.acknowledge(self._checked(queue, number))
                    return Answer(204)
                case "DELETE", ["queues", queue]:
                    self.purge(queue)
                    return Answer(204)
        except (LookupError, ValueError) as error:
            return _json(409, {"error": str(error)})
        return _json(404, {"error": f"no such request: {request.method} {request.path}"})

    def _listed(self) -> Answer:
        queues: dict[str, list[Any]] = {}
        for message in self.messages():
            queues.setdefault(message.queue, []).append(_shown(message))
        return _json(200, queues)

    def __repr__(self) -> str:
        return f"<MockQueue {self.name!r}: {len(self._messages)} messages>"


def _copied(message: QueueMessage) -> QueueMessage:
    return attrs.evolve(message, body=snapshot(message.body))


def _described(message: QueueMessage) -> dict[str, Any]:
    body = snapshot(message.body)
    return {
        "id": message.id,
        "body": observed_body(body) if isinstance(body, bytes) else body,
        "deliveries": message.deliveries,
        "in_flight": message.in_flight,
    }


def _shown(message: QueueMessage) -> dict[str, Any]:
    shown = attrs.asdict(message)
    if isinstance(message.body, bytes):
        shown["body"] = message.body.decode("utf-8", "replace")
    return shown


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value, default=repr).encode(), _JSON)
