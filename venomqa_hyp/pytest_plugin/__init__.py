"""The pytest plugin; ``_venomqa_hyp_pytest`` is what pytest loads."""

from venomqa_hyp.pytest_plugin.plugin import Plugin

__all__ = ["Plugin"]
