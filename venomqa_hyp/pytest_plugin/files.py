"""The reports of a session: which files, and what is in them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from venomqa_hyp import reporters
from venomqa_hyp.core import ExplorationResult

Report = Callable[[str, ExplorationResult], str]


def rendered(
    paths: Iterable[Path], results: Mapping[str, ExplorationResult]
) -> Iterator[tuple[Path, str]]:
    """Yield files with their texts: one of all runs, or one of each where a kind holds one."""
    for path in paths:
        if path.suffix == ".xml":
            yield path, reporters.to_junit(results)
        elif path.suffix == ".md":
            texts = (reporters.to_markdown(item, name=name) for name, item in results.items())
            yield path, "\n".join(texts)
        else:
            for name, result in results.items():
                yield _path_of(path, name, len(results) == 1), KINDS[path.suffix](name, result)


def _path_of(path: Path, name: str, is_alone: bool) -> Path:
    plain = re.sub(r"[^\w.]+", "-", name).strip("-")
    return path if is_alone else path.with_name(f"{path.stem}-{plain}{path.suffix}")


KINDS: Mapping[str, Report] = {
    ".md": lambda name, result: reporters.to_markdown(result, name=name),
    ".xml": lambda name, result: reporters.to_junit({name: result}),
    ".json": lambda name, result: reporters.to_json(result),
    ".html": lambda name, result: reporters.to_html(result, name=name),
    ".dot": lambda name, result: reporters.to_dot(result.graph, result.violations),
    ".mmd": lambda name, result: reporters.to_mermaid(result.graph, result.violations),
}
