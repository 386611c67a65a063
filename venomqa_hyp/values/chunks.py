"""Texts whose random parts cannot be told by their looks: whole chunks of them are taken for atoms.

A token of chance letters now and then looks like a word, or like a word and a token. Where two
executions showed that :func:`~venomqa_hyp.values.atoms.split` cuts such texts differently, the
*shapes* of what differed are remembered for that place: others of these shapes are atoms there.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from venomqa_hyp.values.atoms import ID, UUID, Atom, Encoded, Name, Parts, split

#: What differed: ``"chunk"`` of letters, digits, ``-`` and ``_``, ``"run"`` of base64, with its
#: length; or ``"number"``.
Shape = tuple[str, int]
NUMBER: Shape = ("number", 0)
IsAtom = Callable[[str, str], bool]

_CHUNK = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_RUN = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_SHORTEST_RUN = 16
_UUID_NAME = re.compile(f"{ID}{UUID}")
#: What counts on: a word with a number, as a serial number has it.
_SERIAL = re.compile(r"[A-Za-z]+[-_]?\d{1,9}")
_WORDS = re.compile(r"(?:[a-z]+|[A-Z]+|(?:[A-Z]?[a-z]{2,})+)(?:[-_](?:[A-Z]?[a-z]{2,})+)*")
_MEANT_ALL = 3


@lru_cache(maxsize=5_000)
def split_coarsely(text: str, shapes: frozenset[Shape]) -> Parts:
    """Return the parts of a text, where chunks of these shapes or of new ones are atoms."""
    return _cut(text, lambda kind, chunk: (kind, len(chunk)) in shapes or _is_new(kind, chunk))


@lru_cache(maxsize=5_000)
def split_wholly(text: str, whole: frozenset[str]) -> Parts:
    """Return the parts of a text in which some chunks are atoms, and the others as always."""
    if not whole:
        return split(text)
    parts: list[str | Atom | Encoded] = []
    for part in _cut(text, lambda kind, chunk: chunk in whole):
        parts += split(part) if isinstance(part, str) else [part]
    return tuple(parts)


def chunks(text: str) -> Iterator[str]:
    """Yield everything in a text that may be taken for one atom."""
    for pattern in (_CHUNK, _RUN):
        yield from pattern.findall(text)


def shapes_of(texts: Sequence[str]) -> frozenset[Shape]:
    """Return the shapes of what differs between texts that several executions left at one place.

    Of two texts what differs has to look random; of more it has to be another each time.

    :return: nothing where that is not so.
    """
    rows = [[part if isinstance(part, str) else "" for part in _segments(text)] for text in texts]
    if len({len(row) for row in rows}) > 1:
        return frozenset()
    found: set[Shape] = set()
    for segments in zip(*rows, strict=True):
        if len(set(segments)) > 1:
            shapes = _aligned(segments) or _runs(segments) or _chunked(segments)
            if not shapes:
                return frozenset()
            found |= shapes
    return frozenset(found)


def vary(values: Sequence[Any]) -> bool:
    """Return whether numbers vary as chance makes them: they do not just go up or down."""
    rises = {one < other for one, other in pairwise(values)}
    most = len(set(values)) if isinstance(values[0], int) else len(values)
    return len(rises) == 2 and most == len(values) and len(set(values)) >= _MEANT_ALL


def _aligned(texts: Sequence[str]) -> set[Shape]:
    return _shapes("chunk", texts, _CHUNK, same_lengths=True)


def _chunked(texts: Sequence[str]) -> set[Shape]:
    return _shapes("chunk", texts, _CHUNK, same_lengths=False)


def _runs(texts: Sequence[str]) -> set[Shape]:
    return _shapes("run", texts, _RUN, same_lengths=True)


def _shapes(
    kind: str, texts: Sequence[str], pattern: re.Pattern[str], *, same_lengths: bool
) -> set[Shape]:
    rows = [pattern.findall(text) for text in texts]
    between = {tuple(pattern.split(text)) for text in texts}
    if len(between) > 1 or len({len(row) for row in rows}) > 1:
        return set()
    found: set[Shape] = set()
    for column in zip(*rows, strict=True):
        if len(set(column)) == 1:
            continue
        lengths = {len(chunk) for chunk in column}
        if (len(lengths) > 1 and same_lengths) or not _may_be_random(kind, column):
            return set()
        found |= {(kind, length) for length in lengths}
    return found


def _may_be_random(kind: str, column: Sequence[str]) -> bool:
    if kind == "run":
        one, other, *_ = column
        return len(one) >= _SHORTEST_RUN and not _share_path(one, other)
    if len(column) > 2:
        return len(set(column)) == len(column)
    plausible = [is_plausible(chunk) for chunk in column]
    return all(plausible) or (any(plausible) and len(column[0]) == len(column[1]))


def _share_path(one: str, other: str) -> bool:
    """Return whether two runs begin, or end, with the same part of a path."""
    for first, second in ((one, other), (one[::-1], other[::-1])):
        same = next(
            (at for at, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]),
            0,
        )
        if "/" in first[:same]:
            return True
    return False


def is_plausible(chunk: str) -> bool:
    """Return whether a chunk that came out differently may be an atom: no word and no count."""
    return len(chunk) >= 6 and not _SERIAL.fullmatch(chunk) and not _WORDS.fullmatch(chunk)


def _is_new(kind: str, chunk: str) -> bool:
    return kind == "chunk" and is_plausible(chunk)


def _cut(text: str, is_atom: IsAtom) -> Parts:
    found: list[str | Atom | Encoded] = []
    for part in _segments(text):
        found += _cut_open(part, is_atom) if isinstance(part, str) else [part]
    return tuple(found)


def _cut_open(text: str, is_atom: IsAtom) -> Iterator[str | Atom]:
    at = 0
    for start, chunk in _candidates(text, is_atom):
        yield text[at:start]
        yield Atom(_name(chunk), chunk)
        at = start + len(chunk)
    yield text[at:]


def _candidates(text: str, is_atom: IsAtom) -> Iterator[tuple[int, str]]:
    for run in _RUN.finditer(text):
        if not _CHUNK.fullmatch(run[0]) and is_atom("run", run[0]):
            yield run.start(), run[0]
        else:
            for chunk in _CHUNK.finditer(run[0]):
                if is_atom("chunk", chunk[0]):
                    yield run.start() + chunk.start(), chunk[0]


def _name(chunk: str) -> Name:
    """Return the name of a chunk: the one it has anyway, where it is read as a whole."""
    known = [part for part in split(chunk) if part]
    is_whole = len(known) == 1 and isinstance(known[0], Atom)
    return known[0].name if is_whole and isinstance(known[0], Atom) else ID + chunk


def _segments(text: str) -> list[str | Atom | Encoded]:
    """Return a text in which only what is certain is taken apart: times, UUIDs, hashes, JSON."""
    found: list[str | Atom | Encoded] = [""]
    for part in split(text):
        if not isinstance(part, str) and _is_certain(part):
            found += [part, ""]
        else:
            found[-1] = f"{found[-1]}{part if isinstance(part, str) else part.spelled}"
    return found


def _is_certain(part: Atom | Encoded) -> bool:
    if isinstance(part, Encoded):
        return True
    return _UUID_NAME.fullmatch(part.name) is not None or (
        part.name[0] != ID and not part.spelled.isdecimal()
    )
