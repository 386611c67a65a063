"""Queues: order, delivery, the HTTP face, and exact rollback."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from venomqa_hyp.adapters import MockQueue
from venomqa_hyp.errors import DefinitionError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable


def publish(queue: MockQueue, chance: random.Random) -> None:
    queue.publish(chance.choice(["mails", "jobs"]), {"n": chance.random()})


def receive(queue: MockQueue, chance: random.Random) -> None:
    taken = queue.receive("jobs")
    if taken is None:
        queue.publish("jobs", chance.random())
    elif chance.random() < 0.5:
        queue.acknowledge(taken.id)


def purge(queue: MockQueue, chance: random.Random) -> None:
    queue.publish("jobs", 1)
    queue.purge("jobs")


def test_keeps_the_contract() -> None:
    """Every rule of Rollbackable holds, served and not."""
    check_rollbackable(MockQueue, [publish, receive, purge])
    with httpx.Client() as client:

        def publish_by_http(queue: MockQueue, chance: random.Random) -> None:
            client.post(f"{queue.url}/queues/jobs", json=[chance.random()]).raise_for_status()

        check_rollbackable(lambda: MockQueue().serve(), [publish_by_http, receive], operations=50)


def test_messages_come_in_order_until_acknowledged() -> None:
    """A released message keeps its place; one in flight is not received again."""
    queue = MockQueue()
    first, second = queue.publish("jobs", "a"), queue.publish("jobs", "b")
    queue.publish("mails", "c")
    taken = queue.receive("jobs")
    assert taken is not None
    assert (taken.id, taken.body, taken.deliveries) == (first.id, "a", 1)
    other = queue.receive("jobs")
    assert other is not None
    assert other.id == second.id
    assert queue.receive("jobs") is None
    queue.release(first.id)
    again = queue.receive("jobs")
    assert again is not None
    assert (again.id, again.deliveries) == (first.id, 2)
    queue.acknowledge(second.id)
    assert [message.id for message in queue.messages("jobs")] == [first.id]


def test_bodies_are_copied() -> None:
    """Neither the publisher nor a receiver nor who looks changes what is queued."""
    queue, body = MockQueue(), {"list": [1]}
    handle = queue.checkpoint("empty")
    queue.publish("jobs", body).body["list"].append(2)
    body["list"].append(3)
    queue.messages()[0].body["list"].append(4)
    taken = queue.receive("jobs")
    assert taken is not None
    taken.body["list"].append(5)
    assert queue.messages()[0].body == {"list": [1]}
    queue.rollback(handle)
    assert queue.messages() == ()


def test_ids_begin_again_after_a_rollback() -> None:
    """The same steps give the same ids."""
    queue = MockQueue()
    handle = queue.checkpoint("empty")
    assert queue.publish("jobs", 1).id == 1
    queue.rollback(handle)
    assert queue.publish("jobs", 2).id == 1


def test_the_http_face() -> None:
    """All of the protocol that the class describes, over one connection."""
    with MockQueue().serve() as queue, httpx.Client(base_url=queue.url) as client:
        assert client.post("/queues/a%2Fb", json={"n": 1}).json() == {"id": 1}
        assert client.post("/queues/a%2Fb", content=iter([b"\xff", b"text"])).json() == {"id": 2}
        assert [message.body for message in queue.messages("a/b")] == [{"n": 1}, b"\xfftext"]
        received = client.post("/queues/a%2Fb/receive")
        assert received.json()["body"] == {"n": 1}
        assert client.post("/queues/a%2Fb/messages/1/release").status_code == 204
        assert client.post("/queues/a%2Fb/receive").json()["deliveries"] == 2
        assert "is in queue 'a/b'" in client.delete("/queues/b/messages/1").text
        assert client.delete("/queues/a%2Fb/messages/1").status_code == 204
        refused = client.delete("/queues/a%2Fb/messages/1")
        assert (refused.status_code, "not in flight" in refused.text) == (409, True)
        assert list(client.get("/queues").json()) == ["a/b"]
        assert client.delete("/queues/a%2Fb").status_code == 204
        assert client.post("/queues/a%2Fb/receive").status_code == 204
        assert client.get("/elsewhere").status_code == 404
        assert client.head("/elsewhere").content == b""


def test_a_message_that_is_not_in_flight_is_refused() -> None:
    """Acknowledging twice is a mistake of the application, and is told."""
    queue = MockQueue()
    queue.publish("jobs", 1)
    for refused in (queue.acknowledge, queue.release):
        with pytest.raises(LookupError, match="message 1 is not in flight"):
            refused(1)


@pytest.mark.parametrize("body", ["a", b"a", {"a": [1]}, None, 1.5, ("a",)])
def test_any_plain_value_is_observed(body: Any) -> None:
    """As its own type."""
    queue, other = MockQueue(), MockQueue()
    queue.publish("jobs", body)
    other.publish("jobs", [body])
    assert queue.observe() != other.observe()


def test_serving_is_refused_where_it_cannot_work() -> None:
    """Twice, or on a port in use."""
    with MockQueue().serve() as queue:
        with pytest.raises(DefinitionError, match="called before"):
            queue.serve()
        with pytest.raises(SystemUnavailable, match="Leave port out"):
            MockQueue().serve(port=queue.port)
    for ask in (lambda: queue.url, lambda: queue.host, lambda: queue.port):
        with pytest.raises(DefinitionError, match=r"is not served. Write MockQueue\(\)\.serve"):
            ask()


def test_a_server_that_is_never_closed_does_not_outlive_the_process(tmp_path: Path) -> None:
    """Not even while a client keeps its connection."""
    code = """
import http.client
from venomqa_hyp.adapters import MockQueue
queue = MockQueue().serve()
client = http.client.HTTPConnection(queue.host, queue.port)
client.request("GET", "/queues")
print(client.getresponse().read())
"""
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, cwd=tmp_path, check=True, timeout=60, stdout=subprocess.PIPE)
    assert shown.stdout == b"b'{}'\n"


def test_a_message_stands_for_its_id() -> None:
    """To acknowledge and release it, whatever its body."""
    queue = MockQueue()
    queue.publish("jobs", {"n": 1})
    taken = queue.receive("jobs")
    assert taken is not None
    queue.release(taken)
    assert queue.receive("jobs") is not None
    queue.acknowledge(taken)
    assert queue.messages() == ()
    with pytest.raises(LookupError, match="message 1 is not in flight"):
        queue.acknowledge(taken)
