"""Which databases are plainly for tests: by what they are called, and where they are.

A forwarded port makes a production database look local, so the address alone is not enough.
"""

import ipaddress
import re
from collections.abc import Iterator

from venomqa_hyp.errors import DefinitionError

TEST_WORDS = frozenset({"test", "tests", "testing", "venomqa"})
PRODUCTION_WORDS = frozenset({"prod", "prd", "production", "live"})


def problems(host: str, database: str, *, is_marked: bool = False) -> Iterator[str]:
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


def is_permitted(allow_destructive: str | None, host: str, database: str, source: str) -> bool:
    """Return whether the author of a test says by its name that a database may be overwritten.

    :param source: what the author wrote down to get there, such as ``URL``.
    :raises DefinitionError: the name is another one.
    """
    if allow_destructive not in (None, database):
        raise DefinitionError(
            f"allow_destructive={allow_destructive!r} is not the name of the database that the "
            f"{source} leads to: {database!r} on {host}. Write allow_destructive={database!r} if "
            f"that is the one you mean, else correct the {source}."
        )
    return allow_destructive is not None


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
