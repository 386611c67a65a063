"""The first execution that succeeds may write later than those after it."""

import itertools
import threading
from typing import Any
from uuid import uuid4

import attrs
import pytest
from outcomes import by_agent, by_machine

from venomqa_hyp import Action, Context, World
from venomqa_hyp.adapters import MemoryAdapter


class Service(MemoryAdapter):
    transport_errors = (ConnectionError,)  # as HttpClient has: it is in another process


@attrs.frozen
class Reply:
    status_code: int


@pytest.mark.parametrize("explore", [by_machine, by_agent])
@pytest.mark.parametrize("number", range(3))
def test_an_action_that_was_refused_first_may_write_late(explore: Any, number: int) -> None:
    """It is no divergence that its first success was observed too early."""
    service, count = Service(), itertools.count()

    def begin(api: Service, context: Context) -> Reply:
        api["open"] = 1
        return Reply(201)

    def note(api: Service, context: Context) -> Reply:
        if not api.get("open"):
            return Reply(409)
        api["notes"] = [*api.get("notes", []), str(uuid4())]

        def write() -> None:
            api["mails"] = [*api.get("mails", []), str(uuid4())]

        threading.Timer(0.01 if next(count) else 0.15, write).start()
        return Reply(201)

    actions = [Action("begin", begin, max_calls=1), Action("note", note, max_calls=3)]
    told = explore(World(service, {"service": service}), actions, number=number)
    assert told.raised is None, told.text
    assert told.record is not None
    assert told.record.divergence is None
    assert told.record.late_writes
