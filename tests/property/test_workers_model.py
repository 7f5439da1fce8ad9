"""One result, whoever runs what: random schedules on every backend that has workers, and those
that have too little room on every backend there is.

The reference is the blocking backend. Digest, order of rows, order of custom commands, counts and
errors are compared after every frame.
"""

import foliot as fo
import pytest

pytest.importorskip("cffi")

from hypothesis import given
from hypothesis import strategies as st
from stress.cases import Case, cases, limited_cases, run_case

pytestmark = pytest.mark.stress

BACKENDS = ["stealing", "threadpool"]


def check(case: Case, backend: str, workers: int, seed: int) -> None:
    expected = run_case(case, "blocking", 1, seed=0)
    seen = run_case(case, backend, workers, seed)
    for want, have in zip(expected.frames, seen.frames, strict=True):
        assert have == want, f"{backend}, {workers} workers, seed {seed}"


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=cases(), workers=st.integers(1, 8), seed=st.integers(0, 2**64 - 1))
def test_a_random_schedule_has_one_result(backend, case, workers, seed):
    check(case, backend, workers, seed)


@pytest.mark.parametrize("backend", fo.BACKENDS)
@given(case=limited_cases(), workers=st.integers(1, 8), seed=st.integers(0, 2**64 - 1))
def test_a_schedule_without_room_refuses_the_same_commands(backend, case, workers, seed):
    check(case, backend, workers, seed)
