"""What every test has: one hypothesis profile per place, and matplotlib without a window."""

import os

import hypothesis

os.environ.setdefault("MPLBACKEND", "Agg")

# A shared machine stalls now and then, so time is no reason to fail. FOLIOT_STRESS=1 looks longer;
# a run in CI prints the blob that reproduces a failure.
hypothesis.settings.register_profile("default", deadline=None, max_examples=60, print_blob=True)
hypothesis.settings.register_profile("stress", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("stress" if os.environ.get("FOLIOT_STRESS") == "1" else "default")
