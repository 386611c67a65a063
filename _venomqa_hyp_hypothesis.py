"""Registers the Hypothesis backend while ``import hypothesis`` runs.

A top-level module, because the entry point would otherwise import the package, and with it
parts of Hypothesis that are not there yet.
"""


def register() -> None:
    """Store where the backend is; Hypothesis imports it when a test asks for it."""
    try:
        from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS
    except ImportError:
        # Raising here would break `import hypothesis` for every test of this environment. A test
        # with backend="venomqa" still learns from Hypothesis that the backend is not there.
        return
    AVAILABLE_PROVIDERS["venomqa"] = "venomqa_hyp.stateful.internals.VenomProvider"
