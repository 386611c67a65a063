"""Exact copies of a database, which share the pages they have in common.

An image is what ``sqlite3_serialize`` returns, cut into pages. The image of the next state keeps
the page objects of the one before it wherever they are equal, so a checkpoint costs the memory of
the pages that changed, not of the database.

File format: https://www.sqlite.org/fileformat2.html
"""

import sqlite3
import struct
from contextlib import closing
from operator import is_
from typing import Any

import attrs

# Bytes 18 and 19 of the header say whether the file uses a write-ahead log (2) or not (1). A copy
# in memory cannot have one: SQLite refuses to open it, so every image says 1. The backup into a
# file in WAL mode writes the 2 again.
_LOG_VERSIONS = slice(18, 20)
_NO_LOG = b"\x01\x01"

_INDEX_INTERIOR, _TABLE_INTERIOR = 2, 5
_HEADER_SIZE = 100
_CHILD_POINTERS = 12


@attrs.define(eq=False)
class Image:
    """One state of a database.

    :ivar pages: in order of their numbers, which start at 1.
    :ivar journal_mode: what the file has; a copy in memory has none.
    :ivar content: what a reader has read out of this image and keeps with it, or None.
    """

    pages: tuple[bytes, ...] = attrs.field(repr=lambda pages: f"<{len(pages)} pages>")
    journal_mode: str
    content: Any = attrs.field(default=None, repr=False)

    @classmethod
    def cut(cls, raw: bytes, journal_mode: str, previous: "Image | None") -> "Image":
        """Cut the serialized database into pages, keeping those equal to ``previous``'s.

        Returns ``previous`` itself where nothing changed.
        """
        if not raw:
            empty = cls((), journal_mode)
            return previous if previous is not None and previous.equals(empty) else empty
        size = int.from_bytes(raw[16:18], "big")
        size = 65536 if size == 1 else size
        first = bytearray(raw[:size])
        first[_LOG_VERSIONS] = _NO_LOG
        pages = [bytes(first), *[raw[at : at + size] for at in range(size, len(raw), size)]]
        if previous is None:
            return cls(tuple(pages), journal_mode)
        common = [
            old if old == new else new for old, new in zip(previous.pages, pages, strict=False)
        ]
        image = cls((*common, *pages[len(common) :]), journal_mode)
        return previous if previous.equals(image) else image

    def equals(self, other: "Image") -> bool:
        """Tell whether the other image consists of the same page objects, in the same mode."""
        return (
            self.journal_mode == other.journal_mode
            and len(self.pages) == len(other.pages)
            and all(map(is_, self.pages, other.pages))
        )

    def open(self) -> sqlite3.Connection:
        """Return a private connection to a copy in memory; the caller closes it."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        if self.pages:
            connection.deserialize(b"".join(self.pages))
        return connection

    def restore(self, target: sqlite3.Connection) -> None:
        """Make the main database of ``target`` equal to this image.

        Waits for the locks of other connections as long as the busy timeout of ``target`` says.

        :raises sqlite3.Error: nothing was changed.
        """

        def give_up_on_lock(status: int, _remaining: int, _total: int) -> None:
            # SQLite has waited for the busy timeout by now; Connection.backup would wait for ever.
            if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise sqlite3.OperationalError("database is locked")

        with closing(self.open()) as source:
            source.backup(target, progress=give_up_on_lock, sleep=0)


def changed_pages(before: Image, after: Image) -> set[int]:
    """Return the numbers of the pages of ``after`` that ``before`` does not have alike."""
    pairs = zip(before.pages, after.pages, strict=False)
    changed = {
        number for number, (old, new) in enumerate(pairs, 1) if old is not new and old != new
    }
    return changed.union(range(len(before.pages) + 1, len(after.pages) + 1))


def tree_pages(image: Image, root: int) -> set[int]:
    """Return the interior and leaf pages of the B-tree at page ``root``.

    Overflow pages are not among them: their numbers are inside the cells of the leaves.
    """
    found: set[int] = set()
    waiting = [root]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += _children(image.pages[number - 1], _HEADER_SIZE if number == 1 else 0)
    return found


def _children(page: bytes, start: int) -> list[int]:
    if page[start] not in (_INDEX_INTERIOR, _TABLE_INTERIOR):
        return []
    (cells,) = struct.unpack_from(">H", page, start + 3)
    offsets = struct.unpack_from(f">{cells}H", page, start + _CHILD_POINTERS)
    children = [int.from_bytes(page[at : at + 4], "big") for at in offsets]
    return [*children, int.from_bytes(page[start + 8 : start + 12], "big")]
