"""How to call a pytest that has our plugin."""

from importlib.metadata import entry_points

_INSTALLED = any(item.value == "_venomqa_hyp_pytest" for item in entry_points(group="pytest11"))
#: What is installed may be older than the checkout, and then does not name the plugin.
PLUGIN = [] if _INSTALLED else ["-p", "_venomqa_hyp_pytest"]
