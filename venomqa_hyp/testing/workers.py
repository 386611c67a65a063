"""Names that no other worker and no other run has: for databases, schemas, keys and ports."""

import hashlib
import os
import re
from contextlib import AbstractContextManager
from uuid import uuid4

import attrs

from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.testing.process import reserved_port

#: The longest name of a database or schema in PostgreSQL; MySQL allows one more.
LONGEST_NAME = 63
_BASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN_RUN = uuid4().hex


@attrs.frozen
class WorkerNames:
    """Makes names for one worker of one run.

    :ivar worker: as pytest-xdist calls it, ``"gw0"``; ``"main"`` without it.
    :ivar run: eight hexadecimal digits, the same in all workers of a run, and in no other run.
    """

    worker: str
    run: str

    def name(self, base: str) -> str:
        """Return a name for a database or a schema: ``shop_test_3f2a91bc_gw0``.

        :raises DefinitionError: it would not be a plain name, or too long.
        """
        made = f"{base}_{self.run}_{self.worker}"
        if not _BASE.fullmatch(base) or len(made) > LONGEST_NAME:
            raise DefinitionError(
                f"name({base!r:.80}) would be {made!r:.160}, but a database is called by letters, "
                f"digits and underscores, {LONGEST_NAME} at most. Write name('shop_test')."
            )
        return made

    def prefix(self, base: str) -> str:
        """Return a prefix for keys: ``shop:3f2a91bc:gw0:``."""
        return f"{base}:{self.run}:{self.worker}:"

    def port(self) -> AbstractContextManager[int]:
        """Return a context with a port that is free, and that nobody else gets meanwhile."""
        return reserved_port(None)


def worker_names() -> WorkerNames:
    """Return what makes the names of this worker; it needs no fixture, and no running test."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", _OWN_RUN)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return WorkerNames(worker, hashlib.sha256(run.encode()).hexdigest()[:8])
