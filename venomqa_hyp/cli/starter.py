"""``venomqa init``: a first test, which runs at once."""

from pathlib import Path
from urllib.parse import urlsplit

from venomqa_hyp.adapters.diagnosis import shown_location
from venomqa_hyp.cli.stores import sqlite_path
from venomqa_hyp.errors import DefinitionError, WorldError

_ADAPTERS = {
    "postgres": "PostgresAdapter",
    "postgresql": "PostgresAdapter",
    "mysql": "MySQLAdapter",
    "mariadb": "MySQLAdapter",
    "redis": "RedisAdapter",
    "rediss": "RedisAdapter",
}

TEMPLATE = '''\
"""A first test of {url} over {store}.

    venomqa run {file}
    pytest {file}
"""

import os

from hypothesis import strategies as st

from venomqa_hyp import World, action, from_context, invariant, venom_machine
from venomqa_hyp.adapters import {adapter}, HttpClient

URL = os.environ.get("API_URL", {url!r})
DSN = os.environ.get("DATABASE_URL", {dsn!r})


def checked(reply):
    """Refuse what no request may lead to."""
    assert reply.status_code < 500, f"the server failed: {{reply.status_code}} {{reply.text:.200}}"
    return reply


# What may be done. Replace these by requests of your API.
@action
def read_root(api, context):
    return checked(api.get("/"))


@action(arguments={{"amount": st.integers(1, 100)}})
def create_order(api, context, amount):
    reply = checked(api.post("/orders", json={{"amount": amount}}))
    if reply.status_code == 201:
        context["orders"] = [*context.get("orders", []), reply.json()["id"]]
    return reply


# This one is not executed while there is no order.
@action(arguments={{"order": from_context("orders")}})
def read_order(api, context, order):
    return checked(api.get(f"/orders/{{order}}"))


# What must hold after each step.
@invariant(description="What was created can be read.")
def orders_are_there(world):
    for order in world.context.get("orders", []):
        status = world.api.get(f"/orders/{{order}}").status_code
        if status != 200:
            return f"GET /orders/{{order}} answered {{status}}"
    return True


def open_world():
    return World(HttpClient(URL), {{"db": {adapter}(DSN)}})


TestApi = venom_machine(
    open_world, [read_root, create_order, read_order], [orders_are_there], name="Api"
).TestCase
'''


def write_first_test(path: Path, dsn: str, url: str) -> str:
    """Write a test, and return what to do next.

    :raises DefinitionError: the file exists, or an argument is wrong.
    :raises WorldError: it cannot be written.
    """
    text = _text(path, dsn, url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise DefinitionError(
            f"{str(path)!r} exists, and is not overwritten. Write --output with another name, or "
            "delete it."
        ) from None
    except OSError as error:
        raise WorldError(f"{path} cannot be written: {error.strerror or error}.") from error
    return f"written: {path}\nNext: venomqa run {path}"


def _text(path: Path, dsn: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DefinitionError(
            f"--url is {url!r}, but it is the address of the API. Write http://127.0.0.1:8000."
        )
    path_of_file = sqlite_path(dsn)
    scheme = dsn.partition("://")[0].partition("+")[0].lower()
    adapter = "SQLiteAdapter" if path_of_file else _ADAPTERS.get(scheme)
    if adapter is None:
        raise DefinitionError(
            f"--dsn is {shown_location(dsn)!r}, which is no known store. Write "
            "postgresql://user@127.0.0.1:5432/shop_test, mysql://..., redis://127.0.0.1:6379/0 or "
            "the path of a SQLite file."
        )
    return TEMPLATE.format(
        url=url,
        dsn=path_of_file or dsn,
        store=adapter.removesuffix("Adapter"),
        adapter=adapter,
        file=path,
    )
