"""The example with mail and time finds what it says it finds."""

import subprocess
import sys
from pathlib import Path

import pytest

for needed in ("aiosmtpd", "flask", "time_machine"):
    pytest.importorskip(needed)

EXAMPLE = Path(__file__).parent.parent / "examples" / "password_reset"


def test_the_password_reset_example_passes(tmp_path: Path) -> None:
    """Its tests find the bug, and none in the fixed service; no run diverges."""
    warnings = ["-W", "error::venomqa_hyp.stateful.DivergenceWarning"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *warnings, str(EXAMPLE)]
    shown = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert shown.returncode == 0, shown.stdout
    assert "2 passed" in shown.stdout
