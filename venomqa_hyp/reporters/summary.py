"""What every report says of a run, in the same words: the verdict, the figures, the notes."""

import re
from collections import Counter

import attrs

from venomqa_hyp.core import ExplorationResult, InvariantCounts, Severity, Violation
from venomqa_hyp.core.counterexample_text import to_text
from venomqa_hyp.core.redaction import Redaction

#: What XML 1.0 does not allow (section 2.2, Char): most control characters, and surrogates, which
#: no UTF-8 file can hold either.
_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@attrs.frozen
class Note:
    """One thing that a reader must know beside the violations.

    :ivar items: in words; at least one.
    """

    title: str
    items: tuple[str, ...]

    @property
    def text(self) -> str:
        """The items, each on a line of its own, without secrets."""
        return printable(Redaction().text("\n".join(self.items)))


def printable(text: str) -> str:
    """Return a text in which U+FFFD stands for what no XML or UTF-8 file can hold."""
    return _NOT_ALLOWED.sub("\ufffd", text)


def verdict(result: ExplorationResult) -> str:
    """Return in one sentence what came of a run."""
    if result.violations:
        counts = Counter(item.severity for item in result.violations)
        kinds = ", ".join(f"{counts[kind]} {kind.value}" for kind in Severity if counts[kind])
        return f"{_counted(len(result.violations), 'violation')} found: {kinds}."
    if result.divergence or result.refuted:
        return "No violation found, but the World does not repeat itself."
    if result.worker_failures:
        return "No violation found, but not all workers ended well."
    if result.unmet:
        return "No violation found, but the run did not reach what it must."
    return "No violation found."


def figures(result: ExplorationResult) -> dict[str, str]:
    """Return name -> value of what was executed and what it cost; durations are in seconds."""
    executed = len(result.actions) - len(never_executed(result))
    of_all = f" ({executed} of {len(result.actions)} actions)" if result.actions else ""
    shown = {
        "executions": f"{result.steps_executed:,}",
        "executions repeated": f"{result.steps_repeated:,}",
        "recalled": f"{result.steps_recalled:,}",
        "states": f"{result.states_visited:,}",
        "transitions": f"{result.transitions_taken:,}",
        "test cases": f"{result.test_cases:,}" if result.test_cases else "",
        "duration": f"{result.duration:.2f} s",
        "action coverage": f"{result.action_coverage:.0%}{of_all}",
        "ended by": result.ended_by,
        "explored": result.exhausted or "",
        "skipped": result.skipped or "",
    }
    return {name: printable(value) for name, value in shown.items() if value}


def worst_first(result: ExplorationResult) -> list[Violation]:
    """Return the violations by severity, then by name, then the shortest first."""
    severities = list(Severity)
    return sorted(
        result.violations,
        key=lambda item: (
            severities.index(item.severity),
            item.name,
            len(item.reproduction_path),
            item.origin,
        ),
    )


def never_executed(result: ExplorationResult) -> tuple[str, ...]:
    """Return the names of the actions that were not executed."""
    return tuple(name for name in result.actions if not result.executions.get(name))


def counts_of_actions(result: ExplorationResult) -> dict[str, dict[str, str]]:
    """Return action -> name of a count -> its value."""
    return {
        name: {
            "enabled": f"{counts.enabled:,} of {counts.tried:,}",
            "executed": f"{counts.executed:,}",
            "recalled": f"{counts.recalled:,}",
            # Without a record nobody compares states.
            "changed the state": f"{counts.changed:,}" if result.transitions_taken else "not known",
            "outcomes": printable(counts.outcomes_text),
        }
        for name, counts in result.actions.items()
    }


def counts_of_invariants(result: ExplorationResult) -> dict[str, dict[str, str]]:
    """Return invariant -> name of a count -> its value."""
    return {
        name: {
            "checked": f"{counts.checked:,}",
            "vacuous": f"{counts.vacuous:,}",
            "held": f"{counts.held:,}",
            "did not hold": f"{counts.violated:,}",
            "kind": _kind(counts),
        }
        for name, counts in result.invariants.items()
    }


def _kind(counts: InvariantCounts) -> str:
    if counts.sometimes:
        return "sometimes"
    return "at the end" if counts.at_end else "always"


def divergence_text(result: ExplorationResult) -> str:
    """Return what the World did not repeat, without secrets; empty where it did."""
    return "\n".join(note.text for note in _of_divergence(result) if note.items)


def notes(result: ExplorationResult) -> tuple[Note, ...]:
    """Return what else there is to say of a run; what is empty is left out."""
    known = (
        *_of_divergence(result),
        Note("Not reached", result.unmet),
        Note("Actions that did not repeat themselves", result.distrusted),
        Note("Actions that were never executed", never_executed(result)),
        Note("Actions that lead nowhere", result.loops),
        Note("Late writes", result.late_writes),
        Note("Volatile places", result.volatile),
        Note("Worker failures", result.worker_failures),
        Note("Fixed since an earlier run", result.fixed),
    )
    return tuple(note for note in known if note.items)


def seen(violation: Violation) -> str:
    """Return what was seen where a rule was broken, without secrets."""
    known = violation.counterexample
    return printable(Redaction().text(violation.message) if known is None else known.message)


def violation_title(violation: Violation) -> str:
    """Return severity and name, as ``[HIGH] within_payment``."""
    return printable(f"[{violation.severity.name}] {violation.name}")


def violation_text(violation: Violation) -> str:
    """Return the whole of a violation, without secrets.

    Where the failure was not confirmed there is no counterexample, and only its steps are known.
    """
    if violation.counterexample is not None:
        return printable(to_text(violation.counterexample))
    steps = [f"{number:>2}. {step}" for number, step in enumerate(violation.reproduction_path, 1)]
    text = Redaction().text("\n".join(["Not confirmed:", *steps]))
    return printable(f"{text}\n\n{violation_title(violation)}\n  seen:     {seen(violation)}")


def _of_divergence(result: ExplorationResult) -> tuple[Note, Note]:
    divergence = () if result.divergence is None else (str(result.divergence),)
    return Note("Divergence", divergence), Note("Seen once, and not again", result.refuted)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
