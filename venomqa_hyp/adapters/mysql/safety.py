"""Which databases may be overwritten: those of this machine that are marked for tests.

Only where the connection leads and the name of the database are looked at: no settings of the
application and no environment.
"""

from venomqa_hyp.adapters.marked import is_permitted, name_for_tests, problems
from venomqa_hyp.adapters.mysql.driver import Target
from venomqa_hyp.errors import DefinitionError


def check_destructive(target: Target, allow_destructive: str | None) -> None:
    """Refuse a database that is not plainly one for tests.

    :param allow_destructive: the exact name of the database, to use it all the same.
    :raises DefinitionError: says why, what would be touched, and how to permit it.
    """
    name = target.database
    permitted = is_permitted(allow_destructive, target.host, name, "URL")
    found = list(problems(target.host, name))
    if permitted or not found:
        return
    raise DefinitionError(
        f"MySQL database {name!r} on {target.host} is refused: {'; '.join(found)}. For the "
        "length of a run, triggers would be installed on all its tables and a second database "
        "beside it, and rows of every table would be deleted and written to set them back. Use a "
        "database of this machine whose name has the word test or venomqa (such as "
        f"{name_for_tests(name)}), or say by its name that it is meant to be overwritten: "
        f"allow_destructive={name!r}"
    )
