"""io_uring that a filter refuses, in each place, before and in the middle of its use."""

import contextlib
import errno
import io

import foliot as fo
import pytest
from faults.io_tools import (
    ENTER,
    REGISTER,
    SETUP,
    WAY_NAMES,
    WAYS,
    bounded_child,
    mixed_work,
    nothing_left,
    refuse,
    wishes_ring,
)
from foliot import _doctor

pytestmark = pytest.mark.faults

ERRORS = [errno.EPERM, errno.ENOSYS]


def doctor():
    """What ``python -m foliot doctor`` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        _doctor.main(as_json=False)
    return " ".join(printed.getvalue().split())


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the work gives where nothing is refused."""
    return mixed_work(tmp_path_factory.mktemp("expected"), ("blocking", "uring"))[:2]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("call", "step"), [(SETUP, "setup"), (ENTER, "submit")])
def test_refused_ring_is_told_with_its_cure_and_the_pool_does_the_same(
    call, step, error, expected, tmp_path
):
    def check():
        refuse([call], error)
        report = fo.io.probe()
        assert not report.available
        assert report.engine == "pool"
        assert step in report.reason
        assert "io_uring" in report.cure
        text = doctor()
        assert " ".join(report.cure.split()) in text
        for way in WAYS:
            folder = tmp_path / "-".join(way)
            folder.mkdir()
            with nothing_left():
                results, digest, info = mixed_work(folder, way)
            assert (results, digest) == expected, way
            assert info.engine == "pool"
            if wishes_ring(way):
                assert report.cure in info.reason

    bounded_child(check)


@pytest.mark.parametrize("error", ERRORS)
def test_ring_without_register_does_the_same_and_the_lack_is_told(error, expected, tmp_path):
    def check():
        refuse([REGISTER], error)
        report = fo.io.probe()
        assert "register" in report.reason
        assert "io_uring_register" in report.cure
        assert " ".join(report.cure.split()) in doctor()
        for way in WAYS:
            folder = tmp_path / "-".join(way)
            folder.mkdir()
            with nothing_left():
                results, digest, _ = mixed_work(folder, way)
            assert (results, digest) == expected, way

    bounded_child(check)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("calls", [[ENTER], [ENTER, REGISTER], [SETUP, ENTER, REGISTER]])
@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_ring_refused_with_operations_in_flight_hands_them_to_the_pool(
    way, calls, error, expected, tmp_path
):
    def check():
        with nothing_left():
            results, digest, info = mixed_work(tmp_path, way, lambda: refuse(calls, error))
        assert (results, digest) == expected
        assert info.engine == "pool"
        if wishes_ring(way):
            assert "io_uring is not used" in info.reason
            assert "io_uring_enter" in info.reason

    bounded_child(check)


@pytest.mark.parametrize("way", [("uring", "auto"), ("stealing", "uring")])
def test_register_refused_in_flight_is_not_noticed(way, expected, tmp_path):
    def check():
        with nothing_left():
            results, digest, info = mixed_work(tmp_path, way, lambda: refuse([REGISTER], 1))
        assert (results, digest) == expected
        assert info.engine == "uring"

    bounded_child(check)
