"""Look into the text of CREATE statements, for what no PRAGMA tells."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]
    | (?P<skipped> --[^\n]* | /\*.*?(?:\*/|\Z) ) | (?P<space> \s+ ) | \w+ | .""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANT = re.compile(
    r"""'(?:[^']|'')*' | x'[0-9a-f]*' | [-+]?[0-9.]+(?:e[-+]?[0-9]+)? | [-+]?0x[0-9a-f]+
    | null | true | false | current_(?:date|time|timestamp)""",
    re.VERBOSE | re.IGNORECASE,
)
_EVENTS = frozenset(("INSERT", "UPDATE", "DELETE"))


def index_parts(sql: str) -> tuple[list[str], str]:
    """Return the indexed terms of a CREATE INDEX, and its WHERE expression, if it has one."""
    terms: list[list[str]] = []
    rest: list[str] = []
    depth, closed = 0, False
    for token in _tokens(sql):
        if closed:
            rest.append(token)
            continue
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token == "(" and depth == 1:
            terms.append([])
        elif token == ")" and depth == 0:
            closed = True
        elif token == "," and depth == 1:
            terms.append([])
        elif terms:
            terms[-1].append(token)
    where = "".join(rest).strip()
    return [_without_order(term) for term in terms], where[len("WHERE") :].strip()


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


def is_constant(default: str) -> bool:
    """Tell whether the default of a column is the same for all rows of a statement."""
    return _CONSTANT.fullmatch(default.strip()) is not None


def _tokens(sql: str) -> Iterator[str]:
    for found in _TOKEN.finditer(sql):
        yield " " if found["skipped"] or found["space"] else found[0]


def _without_order(term: list[str]) -> str:
    return re.sub(r"\s+(?:ASC|DESC)$", "", "".join(term).strip(), flags=re.IGNORECASE)
