"""What all tests have: a hypothesis profile for each place, plots without a window, ways of I/O."""

import os

import hypothesis
import pytest
from faults.io_tools import WAY_NAMES, WAYS

os.environ.setdefault("MPLBACKEND", "Agg")

# A shared machine stalls now and then, so time is no reason to fail. FOLIOT_STRESS=1 looks longer;
# a run in CI prints the blob that reproduces a failure.
hypothesis.settings.register_profile("default", deadline=None, max_examples=60, print_blob=True)
hypothesis.settings.register_profile("stress", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("stress" if os.environ.get("FOLIOT_STRESS") == "1" else "default")


@pytest.fixture(params=WAYS, ids=WAY_NAMES)
def way(request):
    """Each backend with each engine of I/O that it can have."""
    return request.param
