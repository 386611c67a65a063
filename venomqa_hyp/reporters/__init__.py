"""Outputs over plain records, one file each."""

from venomqa_hyp.reporters.drawing import to_dot, to_mermaid

__all__ = ["to_dot", "to_mermaid"]
