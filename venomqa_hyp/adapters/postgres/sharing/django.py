"""Let a Django application work on a shared connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from venomqa_hyp.adapters.postgres.sharing.connection import SharedConnection
from venomqa_hyp.errors import DefinitionError


@contextmanager
def share_with_django(alias: str = "default") -> Iterator[SharedConnection]:
    """Make Django use one shared connection for the length of a block, in all threads.

        with share_with_django() as connection:
            world = World(WsgiClient(application), {"db": PostgresAdapter(connection)})

    Where it connects to is what Django itself uses for that alias: under a test runner that is the
    test database. ``atomic()``, ``on_commit`` and autocommit work as ever.

    :param alias: of the database, as in ``settings.DATABASES``.
    :raises DefinitionError: that database is no PostgreSQL, or is not reached with psycopg 3.
    """
    wrapper = _wrapper(alias)
    parameters = dict(wrapper.get_connection_params())
    connection = SharedConnection.connect(**parameters)
    kind = type(wrapper)
    connect = kind.get_new_connection

    def get_new_connection(self: Any, given: Any) -> Any:
        return connection if self.alias == alias else connect(self, given)

    wrapper.close()
    kind.get_new_connection = get_new_connection
    try:
        yield connection
    finally:
        kind.get_new_connection = connect
        wrapper.close()
        connection.disconnect()


def _wrapper(alias: str) -> Any:
    try:
        from django.db import connections  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise DefinitionError(
            "share_with_django needs Django, which is not installed: pip install 'Django>=4.2'"
        ) from error

    wrapper = connections[alias]
    module = getattr(getattr(wrapper, "Database", None), "__name__", "")
    if wrapper.vendor != "postgresql" or module != "psycopg":
        raise DefinitionError(
            f"share_with_django({alias!r}): that database is {wrapper.vendor} reached with "
            f"{module or 'an unknown driver'}, and only connections of psycopg 3 to PostgreSQL "
            "can be shared: pip install 'psycopg[binary]>=3.2' for Django 4.2 or later."
        )
    if wrapper.in_atomic_block:
        raise DefinitionError(
            f"share_with_django({alias!r}) was called inside of atomic(), or in a test case of "
            "Django that wraps each test in a transaction. Call it outside, such as in "
            "a TransactionTestCase or a pytest function marked django_db(transaction=True)."
        )
    return wrapper
