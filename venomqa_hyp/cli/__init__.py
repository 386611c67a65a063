"""The ``venomqa`` command."""

from venomqa_hyp.cli.command import main

__all__ = ["main"]
