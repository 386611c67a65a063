"""The ``venomqa`` command."""

from venomqa_hyp.cli.entry import main

__all__ = ["main"]
