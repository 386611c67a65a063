"""What the scripts ``venomqa`` and ``venomqa-hyp`` call."""

import sys
from collections.abc import Sequence

MISSING = """\
venomqa: the command line needs {name}, which is not installed:

    pip install 'venomqa-hyp[cli]'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ``venomqa`` command and return its exit code."""
    try:
        from venomqa_hyp.cli.command import venomqa
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(MISSING.format(name=error.name))
        return 2
    try:
        venomqa(None if arguments is None else list(arguments), prog_name="venomqa")
    except SystemExit as ended:  # click always ends so
        return ended.code if isinstance(ended.code, int) else 1
    return 0
