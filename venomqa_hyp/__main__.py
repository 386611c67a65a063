"""``python -m venomqa_hyp`` is the command ``venomqa``."""

import sys

from venomqa_hyp.cli import main

if __name__ == "__main__":
    sys.exit(main())
