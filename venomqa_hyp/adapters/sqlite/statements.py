"""Look into the text of CREATE statements, for what no PRAGMA tells."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]
    | (?P<skipped> --[^\n]* | /\*.*?(?:\*/|\Z) ) | (?P<space> \s+ ) | \w+ | .""",
    re.VERBOSE | re.DOTALL,
)
_EVENTS = frozenset(("INSERT", "UPDATE", "DELETE"))


def index_condition(sql: str) -> str:
    """Return the WHERE expression of a CREATE INDEX; empty if it has none."""
    rest: list[str] = []
    depth, closed = 0, False
    for token in _tokens(sql):
        if closed:
            rest.append(token)
        depth += {"(": 1, ")": -1}.get(token, 0)
        closed = closed or (token == ")" and depth == 0)
    return "".join(rest).strip()[len("WHERE") :].strip()


def trigger_head(sql: str) -> tuple[str, str]:
    """Return when and on what a trigger fires: ``("BEFORE", "UPDATE")``."""
    words = [token.upper() for token in _tokens(sql) if not token.isspace()]
    at = words.index("TRIGGER") + 1
    if words[at : at + 3] == ["IF", "NOT", "EXISTS"]:
        at += 3
    at += 3 if words[at + 1] == "." else 1
    if words[at] in _EVENTS:
        return "BEFORE", words[at]
    return words[at], words[at + 2 if words[at] == "INSTEAD" else at + 1]


def stops_half_way(sql: str) -> bool:
    """Tell whether a trigger can end a statement and leave what it has done so far."""
    words = [token.upper() for token in _tokens(sql) if not token.isspace()]
    return any(
        words[at : at + 2] == ["RAISE", "("] and words[at + 2 : at + 3] in (["IGNORE"], ["FAIL"])
        for at in range(len(words))
    )


def _tokens(sql: str) -> Iterator[str]:
    for found in _TOKEN.finditer(sql):
        yield " " if found["skipped"] or found["space"] else found[0]
