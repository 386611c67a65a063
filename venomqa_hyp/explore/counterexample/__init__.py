"""A failing path as people read it: what each step sent and changed, with named values."""

from venomqa_hyp.explore.counterexample.build import counterexample_of
from venomqa_hyp.explore.counterexample.transcript import Transcript

__all__ = ["Transcript", "counterexample_of"]
