"""Outputs over plain records, one file each."""

from venomqa_hyp.core.counterexample_text import to_text
from venomqa_hyp.reporters.document import to_json
from venomqa_hyp.reporters.drawing import to_dot, to_mermaid
from venomqa_hyp.reporters.github import to_github_annotations, to_step_summary
from venomqa_hyp.reporters.junit import to_junit
from venomqa_hyp.reporters.markdown import to_markdown
from venomqa_hyp.reporters.page import to_html

__all__ = [
    "to_dot",
    "to_github_annotations",
    "to_html",
    "to_json",
    "to_junit",
    "to_markdown",
    "to_mermaid",
    "to_step_summary",
    "to_text",
]
