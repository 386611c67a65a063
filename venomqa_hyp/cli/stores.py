"""``venomqa doctor`` and ``venomqa clean``: stores, by their DSNs."""

import textwrap
from collections.abc import Callable, Iterator

from venomqa_hyp.adapters import mysql, postgres, redis, sqlite
from venomqa_hyp.adapters.diagnosis import Diagnosis, Part, Verdict, shown_location
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.reporters.terminal import Terminal

_STYLES = {
    Verdict.ROLLED_BACK: "good",
    Verdict.LEFT_OUT: "changed",
    Verdict.REFUSED: "broken",
    Verdict.NOTE: "label",
}
_HEADS = ("what", "rolled back", "how, or why not")
_WIDEST_NAME = 30
_DIAGNOSES: dict[str, Callable[[str], Diagnosis]] = {
    "postgres": postgres.diagnose,
    "postgresql": postgres.diagnose,
    "mysql": mysql.diagnose,
    "mariadb": mysql.diagnose,
    "redis": redis.diagnose,
    "rediss": redis.diagnose,
    "unix": redis.diagnose,
}


def sqlite_path(dsn: str) -> str:
    """Return the path that is meant; empty where a server is."""
    if dsn.startswith("sqlite:///"):
        return dsn.removeprefix("sqlite:///")
    return "" if "://" in dsn or "=" in dsn else dsn


def diagnose(dsn: str) -> Diagnosis:
    """Return what of a store can be rolled back.

    :raises DefinitionError: the DSN is of no known store.
    :raises SystemUnavailable: the store cannot be reached.
    """
    if path := sqlite_path(dsn):
        return sqlite.diagnose(path)
    scheme = dsn.partition("://")[0].partition("+")[0].lower()
    if "://" not in dsn:  # PostgreSQL's own form: host=127.0.0.1 dbname=shop_test
        return postgres.diagnose(dsn)
    if scheme not in _DIAGNOSES:
        raise DefinitionError(
            f"{shown_location(dsn)!r} begins with {scheme!r}, which is no known store. Write "
            "postgresql://user@127.0.0.1:5432/shop_test, mysql://..., redis://127.0.0.1:6379/0 or "
            "the path of a SQLite file."
        )
    return _DIAGNOSES[scheme](dsn)


def clean(dsn: str) -> str:
    """Remove what a killed run left, and say what was done."""
    if path := sqlite_path(dsn):
        done = [sqlite.clean(path)]
    elif dsn.startswith(("mysql:", "mariadb:")):
        done = [mysql.remove_journal(dsn)]
    else:
        done = [postgres.remove_journal(dsn)]
        done += [f"removed database {name}" for name in postgres.remove_copies(dsn)]
    return "\n".join(filter(None, done)) or "nothing was left behind"


def show(diagnosis: Diagnosis, terminal: Terminal) -> None:
    """Write the table."""
    usable = diagnosis.is_usable and bool(diagnosis.mode)
    mode = f", mode {diagnosis.mode}" if diagnosis.mode else ""
    terminal.show((diagnosis.where, "heading"), mode)
    names = [len(part.what) for part in diagnosis.parts] + [len(_HEADS[0])]
    wide = min(max(names), _WIDEST_NAME)
    terminal.show((f"  {_HEADS[0]:<{wide}}  {_HEADS[1]:<11}  {_HEADS[2]}", "label"))
    for part in diagnosis.parts:
        for number, (name, why) in enumerate(_rows(part, wide, terminal.width)):
            word = part.verdict.value if number == 0 else ""
            terminal.show(f"  {name:<{wide}}  ", (f"{word:<11}", _STYLES[part.verdict]), f"  {why}")
    good, bad = "A run can use it.", "A run would not begin; nothing was changed."
    terminal.show((good, "good") if usable else (bad, "broken"))


def _rows(part: Part, wide: int, width: int) -> Iterator[tuple[str, str]]:
    """Yield name and reason, wrapped into their columns."""
    names = textwrap.wrap(part.what, wide) or [""]
    reasons = textwrap.wrap(
        " ".join(part.why.split()),
        max(20, width - wide - 17),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for at in range(max(len(names), len(reasons))):
        yield names[at] if at < len(names) else "", reasons[at] if at < len(reasons) else ""
