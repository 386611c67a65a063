"""``venomqa replay``: execute a saved failure, and look at the stores before a step of it."""

import code
import sys
from collections.abc import Callable
from pathlib import Path

from venomqa_hyp.cli.targets import with_identity
from venomqa_hyp.core import Redaction
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.reporters.console import Console
from venomqa_hyp.stateful.failure_files import DEFAULT_FOLDER, SavedFailure, read_failure
from venomqa_hyp.stateful.replaying import Replayed, replayed

BANNER = (
    "world, api, context and systems are the World after the steps; steps are those steps.\n"
    "Leave with Ctrl-D: then everything is rolled back."
)


def replay(
    file: Path, console: Console, *, until: int | None, shell: bool, where: tuple[str, ...]
) -> bool:
    """Execute a failure file, and return whether it still fails.

    :param until: stop before this step, from 1.
    :param shell: open a Python prompt with the World.
    :param where: the targets in which to look for the machine.
    """
    saved = _read(file)
    if until is not None and not 1 <= until <= len(saved.steps):
        raise DefinitionError(
            f"--until {until} is no step of {file}: it has {len(saved.steps)}, numbered from 1. "
            f"Write --until {len(saved.steps)} to stop before the last one."
        )
    target = with_identity(saved.machine, where)
    console.terminal.show((f"{saved.name}", "heading"), f", replayed with {target.name}")
    steps = None if until is None else until - 1
    with replayed(target.definition, saved, steps) as found:
        _show(found, saved, until, console)
        if shell:
            _open_shell(found)
        elif until is not None:
            _wait(console)
    return bool(found.counterexamples)


def _read(file: Path) -> SavedFailure:
    try:
        return read_failure(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DefinitionError(
            f"{str(file)!r} cannot be read as a failure: {reason or error}. Pass a file of "
            f"{DEFAULT_FOLDER}, which a run that finds something writes."
        ) from None


def _show(found: Replayed, saved: SavedFailure, until: int | None, console: Console) -> None:
    show = console.terminal.show
    for counterexample in found.counterexamples:
        show()
        console.show_counterexample(counterexample)
    if found.left_out:
        asked = len(saved.steps) if until is None else until - 1
        raise DefinitionError(
            f"{found.left_out} of {asked} steps cannot run any more, so nobody can say whether "
            f"{saved.name} holds after them."
        )
    if until is not None and found.counterexamples:
        until = len(found.steps) + 1
    if until is None:
        if not found.counterexamples:
            show()
            show(("It does not fail any more:", "good"), f" {saved.name} holds after these steps.")
        return
    show()
    show((f"Stopped before step {until} of {len(saved.steps)}:", "heading"))
    for number, call in enumerate(_calls(saved), 1):
        show(f"  {'>' if number == until else ' '}{number:>3}. {call}")
    _show_stores(found, show)


def _calls(saved: SavedFailure) -> list[str]:
    """Return the steps in words, without secrets."""
    known = saved.counterexample
    if known is not None and len(known.steps) == len(saved.steps):
        return [step.call for step in known.steps]
    return [step.action for step in saved.steps]


def _show_stores(found: Replayed, show: Callable[..., None]) -> None:
    show()
    show(("The stores are as they are before that step:", "heading"))
    world = found.world
    stores = {"api": getattr(world.api, "base_url", "")} | {
        name: getattr(system, "location", "") for name, system in world.systems.items()
    }
    kinds = {"api": world.api} | dict(world.systems)
    for name, address in stores.items():
        how = Redaction().text(str(address)) or "in this process: use --shell"
        show(f"  {name:<10} {type(kinds[name]).__name__:<16} {how}")


def _wait(console: Console) -> None:
    console.terminal.show()
    console.terminal.show("Press Enter to roll back and end.")
    sys.stdin.readline()


def _open_shell(found: Replayed) -> None:
    world = found.world
    names = {
        "world": world,
        "api": world.api,
        "context": world.context,
        "systems": world.systems,
        "steps": found.steps,
    }
    code.interact(BANNER, local=names, exitmsg="")
