"""Records of explorations that found nothing, by the fingerprint of what was explored.

One JSON file each, named after the fingerprint. Nothing that a file names is imported or executed.
"""

import datetime
import json
import os
import secrets
import warnings
from pathlib import Path

import attrs

from venomqa_hyp.core import ExplorationResult
from venomqa_hyp.core.documents import field

#: How many records are kept in a directory: the newest ones.
KEPT = 20

#: What ends an exploration that would end so again.
_COMPLETE = ("max_steps", "exhausted", "coverage_target", "strategy")

Directory = str | os.PathLike[str]


class CacheWarning(UserWarning):
    """A record could not be read or written; the exploration runs as if there were no cache."""


def load(cache_dir: Directory, fingerprint: str) -> ExplorationResult | None:
    """Return the record of an earlier exploration, which says so in ``skipped``.

    ``None`` where there is none. A file that is none is left alone, with a :class:`CacheWarning`.
    """
    path = _path(cache_dir, fingerprint)
    try:
        with open(path, encoding="utf-8") as stream:
            stored = json.load(stream)
        when = datetime.datetime.fromisoformat(field(stored, "stored", str))
        result = ExplorationResult.from_dict(field(stored, "result", dict))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        warn(f"{path} is not the record of an exploration ({error}), so it is ignored. Delete it.")
        return None
    skipped = (
        f"nothing changed since {when:%Y-%m-%d %H:%M} ({result.states_visited} states, "
        f"{result.steps_executed} steps); exploration skipped"
    )
    return attrs.evolve(result, skipped=skipped)


def store(cache_dir: Directory, fingerprint: str, result: ExplorationResult) -> bool:
    """Keep the record of an exploration, and return whether it was kept.

    Only of one that found nothing, reached what it must and came to its end: there is no
    divergence, no time limit ended it, no worker was lost, and it was not skipped itself. A file
    that cannot be written is named in a :class:`CacheWarning`.
    """
    flaws = result.violations, result.divergence, result.worker_failures, result.skipped
    if any(flaws) or result.unmet or result.ended_by not in _COMPLETE:
        return False
    now = datetime.datetime.now().isoformat(timespec="seconds")
    path = _path(cache_dir, fingerprint)
    try:
        _write(path, json.dumps({"stored": now, "result": result.to_dict()}, allow_nan=False))
        _remove_oldest(path.parent)
    except OSError as error:
        warn(f"{path} cannot be written ({error.strerror}), so the next run will not be skipped.")
        return False
    return True


def _path(cache_dir: Directory, fingerprint: str) -> Path:
    return Path(cache_dir) / f"{fingerprint}.json"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_oldest(directory: Path) -> None:
    found = []
    for path in directory.glob("*.json"):
        try:
            found.append((path.stat().st_mtime, path))
        except FileNotFoundError:
            continue  # another run removed it
    for _, path in sorted(found)[:-KEPT]:
        path.unlink(missing_ok=True)


def warn(text: str) -> None:
    """Warn of something that keeps the cache from being of use."""
    warnings.warn(text, CacheWarning, stacklevel=4)
