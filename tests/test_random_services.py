"""On random services a run says what brute force says: nothing false, nothing lost, no more steps.

``VENOMQA_RANDOM_SERVICES`` sets how many services are tried, beside those that once went wrong.
"""

import os
import sys

import pytest
from fuzz_services import run_service
from random_services import make_service

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no alarms")
SERVICES = int(os.environ.get("VENOMQA_RANDOM_SERVICES", "100"))
CHUNK = 10
#: Services of which something was lost, false or not the shortest, at one time or another.
KEPT = [1104, 1630, 1784, 1867, 5062, 5115, 5548, 5888, 5896, 5989, 6057, 6473]


def assert_as_brute_force_says(number: int) -> None:
    outcome = run_service(number)
    assert not outcome.problems, number
    # What nobody observes may decide which steps are needed, and then the record cannot know.
    if make_service(number).leak == "none":
        longer = {name: both for name, both in outcome.lengths.items() if both[0] != both[1]}
        assert not longer, f"{number}: length and least length {longer}"


@pytest.mark.parametrize("number", KEPT)
def test_a_service_that_once_went_wrong(number: int) -> None:
    """Each of these was a bug in the engine."""
    assert_as_brute_force_says(number)


@pytest.mark.parametrize("first", range(50_000, 50_000 + SERVICES, CHUNK))
def test_random_services(first: int) -> None:
    """Every failure is real, none that was seen is lost, and paths are as short as can be."""
    for number in range(first, first + CHUNK):
        assert_as_brute_force_says(number)
