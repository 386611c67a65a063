"""Let an application that uses SQLAlchemy work on a shared connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from venomqa_hyp.adapters.postgres.sharing.connection import SharedConnection
from venomqa_hyp.errors import DefinitionError

if TYPE_CHECKING:
    from sqlalchemy import Engine


@contextmanager
def share_engine(engine: "Engine", connection: SharedConnection) -> Iterator[None]:
    """Make an engine use a shared connection for the length of a block.

        with share_engine(app.engine, SharedConnection.connect(dsn)):

    What the engine's pool held before is closed. Sessions commit and roll back as ever; nothing
    has to be set on them (``join_transaction_mode`` concerns other ways to do this). An engine that
    is asked for a second connection while the first is out is refused, since both would be one.

    :raises DefinitionError: the engine does not use the synchronous driver psycopg 3.
    """
    from sqlalchemy import event  # there, since an engine is

    driver = f"{engine.dialect.name}+{engine.dialect.driver}"
    if driver != "postgresql+psycopg" or engine.dialect.is_async:
        raise DefinitionError(
            f"share_engine needs an engine of postgresql+psycopg and got one of {driver}"
            f"{' (asynchronous)' if engine.dialect.is_async else ''}: only psycopg 3 connections "
            "can be shared. Create it with create_engine('postgresql+psycopg://...'), or use mode "
            "'journal', which works with every driver."
        )

    def connect(*_: Any) -> SharedConnection:
        return connection

    def check_out(*_: Any) -> None:
        connection.check_out()

    def check_in(*_: Any) -> None:
        connection.check_in()

    hooks = [("do_connect", connect), ("checkout", check_out), ("checkin", check_in)]
    engine.dispose()
    for name, hook in hooks:
        event.listen(engine, name, hook)
    try:
        yield
    finally:
        for name, hook in hooks:
            event.remove(engine, name, hook)
        engine.dispose()
