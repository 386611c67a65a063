"""What the examples show is true."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("waitress")

ORDERS = Path(__file__).parent.parent / "examples" / "orders"


def test_the_orders_example_passes(tmp_path: Path) -> None:
    """Its tests find both bugs, and none in the fixed service."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(ORDERS)]
    shown = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert shown.returncode == 0, shown.stdout
    assert "3 passed" in shown.stdout
