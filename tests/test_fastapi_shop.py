"""The FastAPI example finds two of its three planted bugs, and nothing without them.

The third takes as long as all the others; run it with ``pytest examples/fastapi_shop -k stock``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

for needed in ("argon2", "asyncpg", "fastapi", "greenlet", "jwt", "sqlalchemy", "uvicorn"):
    pytest.importorskip(needed)

EXAMPLE = Path(__file__).parent.parent / "examples" / "fastapi_shop"


def test_the_fastapi_example_passes(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    """No run diverges; a bug is found by its shortest sequence."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    command += ["-k", "not stock", str(EXAMPLE)]
    servers = {"SHOP_TEST_POSTGRES": postgres_url, "SHOP_TEST_REDIS": redis_url}
    shown = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | servers,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert shown.returncode == 0, shown.stdout
    assert "3 passed" in shown.stdout
