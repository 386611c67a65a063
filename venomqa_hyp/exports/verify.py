"""Executes an export once against a fresh World, and says what was seen."""

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import attrs

from venomqa_hyp.core import Invariant, Redaction
from venomqa_hyp.core.script import CHECK, Script
from venomqa_hyp.explore.counterexample.replies import Replies
from venomqa_hyp.exports.follow import Outcome, follow
from venomqa_hyp.reporters.exports import script_in_har
from venomqa_hyp.reporters.exports.heading import AS_WITH_BUG, RULE_BROKEN
from venomqa_hyp.stateful import Run
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.failure_files import FailureFolder
from venomqa_hyp.stateful.saved import replay_saved
from venomqa_hyp.world import World

REPRODUCES = "reproduces: executed against a fresh World, where it failed"
#: Seconds that one export may take.
_TIMEOUT = 120
#: What the function says where it fails by the rule, and by the replies.
_MARKS = {True: RULE_BROKEN, False: AS_WITH_BUG}


@attrs.frozen
class Trial:
    """What is needed to execute the exports of one failure.

    :param open_world: returns a fresh World.
    :param rule: the invariant that was broken, where it is known.
    """

    script: Script
    open_world: Callable[[], World]
    rule: Invariant | None

    def shell(self, file: Path) -> str:
        """Return the verdict on a shell script."""
        if missing := [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]:
            return _not(f"{', '.join(missing)} is not installed here")
        return self._over_http(lambda url: self._ended(["bash", str(file)], url))

    def pytest(self, file: Path, *, opens_world: bool) -> str:
        """Return the verdict on a pytest function.

        :param opens_world: whether it opens a World itself.
        """
        command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "--color=no"]
        command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(file.parent)]

        def run(url: str) -> str:
            return self._ended([*command, str(file)], url, _MARKS[opens_world])

        if opens_world:
            return run("") or REPRODUCES
        return self._over_http(run)

    def har(self, file: Path) -> str:
        """Return the verdict on an archive."""

        def run(url: str) -> str:
            script = script_in_har(file.read_text(encoding="utf-8"))
            seen = follow(script, url, {**os.environ, **self.script.values})
            is_shown = seen.outcome is Outcome.AS_WITH_BUG
            return "" if is_shown else _not(f"{seen.outcome.value}: {seen.reason}")

        return self._over_http(run)

    def _ended(self, command: list[str], url: str, mark: str = "") -> str:
        """Return what speaks against it where a command does not end as one that fails."""
        try:
            ended = subprocess.run(
                command,
                env=self._variables(url),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return _not(f"it took more than {_TIMEOUT} s")
        if ended.returncode == 1 and mark in ended.stdout:
            return ""
        lines = [line for line in ended.stdout.splitlines() if line.strip()]
        last = Replies(Redaction(), self.script.values.values()).hidden(" / ".join(lines[-3:]))
        return _not(f"it ended with exit status {ended.returncode}: {last[-400:]}")

    def _variables(self, url: str) -> dict[str, str]:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        given = {**os.environ, **self.script.values, "PYTHONPATH": paths}
        return {**given, "BASE_URL": url} if url else given

    def _over_http(self, run: Callable[[str], str]) -> str:
        """Return the verdict on what sends requests to the API of a fresh World.

        :param run: ``(base URL) -> what speaks against it``.
        """
        with self.open_world() as world:
            if not world.api_is_apart:
                return _not("the API runs in this process; start it as a server, and set BASE_URL")
            start = world.checkpoint("export")
            try:
                return run(str(world.api.base_url)) or self._rule_agrees(world) or REPRODUCES
            finally:
                world.rollback(start)

    def _rule_agrees(self, world: World) -> str:
        """Return what speaks against it where the rule holds in the World after the requests."""
        # A rule that reads through the client of the World sees another session than the export.
        if self.rule is None or any(step.role == CHECK for step in self.script.steps):
            return ""
        if world.check(self.rule).holds:
            return _not("the replies were as they were with the bug, but the rule held")
        return ""


def failure_file(
    file: Path, name: str, definition: Definition, open_world: Callable[[], World]
) -> str:
    """Return the verdict on a failure file.

    :param name: of the failure; others may be met on its path.
    """
    run = Run(attrs.evolve(definition, world=open_world))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shutil.copy(file, folder)
        try:
            replay_saved(run, FailureFolder(Path(folder)))
            found = [item.failure for item in run.ledger.real]
        finally:
            run.close()
    if any(failure.name == name for failure in found):
        return REPRODUCES
    others = [f"{failure.name} failed instead" for failure in found]
    return _not("; ".join([*others, *run.fixed, *(str(item.message) for item in caught)]))


def _not(why: str) -> str:
    return f"not verified: {why}"
