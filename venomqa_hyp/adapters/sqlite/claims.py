"""Which run uses a file, and what it needs to be undone where that run is killed.

Beside ``shop.db`` there is a folder ``shop.db-venomqa`` while a run uses it:

- ``lock``, an empty database on which the run has an exclusive lock. It ends with the process,
  however that ends, and is not passed on to processes that it forks.
- ``same`` and ``copy``, in mode ``copy``: another link to the file, and its content at the
  beginning. By the link a file that was deleted and created again is known, as its inode stays in
  use.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from venomqa_hyp.adapters.sqlite.image import Image
from venomqa_hyp.errors import SystemUnavailable

_LOCK, _SAME, _COPY, _UNFINISHED = "lock", "same", "copy", "copy-unfinished"
_ATTEMPTS = 10


class Claim:
    """The right of this process to roll back a file; several adapters of it share one.

    :ivar is_first: whether no other adapter of this process had it.
    :raises SystemUnavailable: another process has it, or the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))
        self._folder = Path(f"{self._path}-venomqa")
        self._is_held = True
        # A forked process has the memory of the one that has the lock, and not the lock.
        self._key = (os.getpid(), self._folder)
        lock, count = _HELD.get(self._key) or (self._lock(), 0)
        self.is_first = count == 0
        _HELD[self._key] = lock, count + 1

    def keep(self, image: Image) -> None:
        """Keep the content of the file until :meth:`drop` or :meth:`release`.

        Where the file system has no links, nothing is kept: the file could not be known again.
        """
        same, unfinished = self._folder / _SAME, self._folder / _UNFINISHED
        with contextlib.suppress(OSError):
            same.unlink(missing_ok=True)
            os.link(self._path, same)
            head = f"{image.journal_mode}\n".encode()
            unfinished.write_bytes(head + b"".join(image.pages))
            unfinished.replace(self._folder / _COPY)

    def kept(self) -> Image | None:
        """Return what was kept of this very file, and not of one that was there before it."""
        try:
            if not os.path.samefile(self._path, self._folder / _SAME):
                return None
            mode, _, raw = (self._folder / _COPY).read_bytes().partition(b"\n")
        except OSError:
            return None
        return Image.cut(raw, mode.decode(), None)

    def drop(self) -> None:
        """Keep nothing any more."""
        # In this order: without the link, a copy is never put back.
        for name in (_SAME, _COPY, _UNFINISHED):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)

    def release(self) -> None:
        """Give the file back, and leave nothing beside it; a second call does nothing."""
        if not self._is_held or os.getpid() != self._key[0]:
            return
        self._is_held = False
        lock, count = _HELD.pop(self._key)
        if count > 1:
            _HELD[self._key] = lock, count - 1
            return
        self.drop()
        if os.name == "nt":
            lock.close()  # an open file cannot be deleted there
        with contextlib.suppress(OSError):
            for name in (_LOCK, f"{_LOCK}-journal"):
                (self._folder / name).unlink(missing_ok=True)
            self._folder.rmdir()
        lock.close()

    def _lock(self) -> sqlite3.Connection:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                lock = self._locked()
                if (self._folder / _LOCK).exists():
                    return lock
                lock.close()  # who had it has removed it meanwhile
        raise SystemUnavailable(f"SQLite database {self._path}: {self._folder} is always removed.")

    def _locked(self) -> sqlite3.Connection:
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SystemUnavailable(
                f"SQLite database {self._path}: cannot create {self._folder} ({error.strerror}). "
                "The folder of the database has to be writable, as SQLite itself needs it."
            ) from error
        lock = sqlite3.connect(
            self._folder / _LOCK, isolation_level=None, timeout=0, check_same_thread=False
        )
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            lock.close()
            if not self._folder.exists():
                raise FileNotFoundError(self._folder) from error
            raise SystemUnavailable(
                f"SQLite database {self._path}: another process is rolling it back at this moment "
                f"({self._folder / _LOCK}: {error}). Let that run end, or give each run a file of "
                "its own."
            ) from error
        return lock


#: Process and folder -> its lock, and how many adapters share it.
_HELD: dict[tuple[int, Path], tuple[sqlite3.Connection, int]] = {}
