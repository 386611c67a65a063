"""A failing path as something that runs without this library's exploration: one file per form."""

from venomqa_hyp.reporters.exports.har import script_in_har, to_har
from venomqa_hyp.reporters.exports.heading import Export, Reference
from venomqa_hyp.reporters.exports.pytest_function import to_pytest
from venomqa_hyp.reporters.exports.shell import to_shell

__all__ = ["Export", "Reference", "script_in_har", "to_har", "to_pytest", "to_shell"]
