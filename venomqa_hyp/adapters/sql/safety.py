"""Which databases are plainly for tests: by what they are called, and where they are.

A forwarded port makes a production database look local, so the address alone is not enough.
"""

import ipaddress
import re
from collections.abc import Iterator

from venomqa_hyp.errors import DefinitionError

TEST_WORDS = frozenset({"test", "tests", "testing", "venomqa"})
PRODUCTION_WORDS = frozenset({"prod", "prd", "production", "live"})


def _problems(host: str, database: str, *, is_marked: bool = False) -> Iterator[str]:
    """Yield why a database is not to be overwritten; nothing where it may be.

    :param host: an address, or the folder of a socket.
    :param is_marked: whether something else than the name says that it is for tests.
    """
    words = _letters(database)
    if not is_local(host):
        yield f"its server is {host}, not this machine"
    if production := sorted(words & PRODUCTION_WORDS):
        yield f"its name has the word {production[0]!r}"
    if not is_marked and not words & TEST_WORDS:
        yield "it is not marked for tests"


def check_destructive(
    product: str,
    host: str,
    database: str,
    touches: str,
    allow_destructive: str | None,
    *,
    source: str,
    is_marked: bool = False,
    marking: str = "",
) -> None:
    """Refuse a database that is not plainly one for tests.

    :param product: such as ``PostgreSQL``.
    :param host: an address, or the folder of a socket.
    :param touches: a sentence that says what would be done to the database.
    :param allow_destructive: the exact name of the database, to use it all the same.
    :param source: what the author of the test wrote down to get there, such as ``URL``.
    :param is_marked: whether something else than the name says that it is for tests.
    :param marking: the statement that marks it, where the product has one.
    :raises DefinitionError: says why, what would be touched, and how to permit it; or
        ``allow_destructive`` is another name.
    """
    if allow_destructive not in (None, database):
        raise DefinitionError(
            f"allow_destructive={allow_destructive!r} is not the name of the database that the "
            f"{source} leads to: {database!r} on {host}. Write allow_destructive={database!r} if "
            f"that is the one you mean, else correct the {source}."
        )
    found = list(_problems(host, database, is_marked=is_marked))
    if allow_destructive is not None or not found:
        return
    is_enough = marking and not any(_problems(host, database, is_marked=True))
    or_mark = f", or mark a local one:\n\n    {marking}\n\nor," if is_enough else ", or,"
    raise DefinitionError(
        f"{product} database {database!r} on {host} is refused: {'; '.join(found)}. {touches} "
        "Use a database of this machine whose name has the word test or venomqa (such as "
        f"{name_for_tests(database)}){or_mark} if it is meant to be overwritten, say so by its "
        f"name: allow_destructive={database!r}"
    )


def name_for_tests(database: str) -> str:
    """Return a name like that of a database, for one that may be overwritten."""
    words = [word for word in re.split("[^A-Za-z0-9]+", database) if word]
    kept = [word for word in words if not _letters(word) & PRODUCTION_WORDS]
    if not any(_letters(word) & TEST_WORDS for word in kept):
        kept.append("test")
    return "_".join(kept)


def _letters(text: str) -> set[str]:
    return set(re.findall("[a-z]+", text.lower()))


def is_local(host: str) -> bool:
    """Return whether a server is reached by a socket or a loopback address."""
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
