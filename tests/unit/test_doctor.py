"""The doctor: what it finds here, and what it says about machines that lack something."""

import errno
import json
import resource
import tomllib
from pathlib import Path

import pytest
from foliot import _core, _doctor

ROOT = Path(__file__).parents[2]


def probe(**changes):
    working = {
        "available": True,
        "error": 0,
        "step": "done",
        "cure": "none",
        "cure_text": "",
        "setup_flags": ["single_issuer"],
        "features": ["nodrop"],
        "submission_entries": 8,
        "completion_entries": 32,
        "register_error": 0,
        "operations": ["nop", "read"],
        "attempts": [],
    }
    return {**working, **changes}


def topology(**changes):
    plain = {
        "source": "hwloc",
        "packages": 1,
        "cores": 4,
        "processors": 8,
        "numa_nodes": 1,
        "affinity": 8,
        "quota": None,
        "usable": 8,
        "caches": [
            {"level": 3, "type": "unified", "size": 8 << 20, "line_size": 64, "count": 1}
            | {"shared_by": 8}
        ],
    }
    return {**plain, **changes}


def finding(section, name):
    return next(found for found in section.findings if found.name == name)


def test_probe_and_topology_have_the_documented_keys():
    assert set(_core.probe_io_uring()) == set(probe())
    assert set(_core.topology()) == set(topology())


def test_report_survives_a_round_through_json():
    found = _doctor.report()
    assert json.loads(found.to_json()) == found.to_dict()


def test_text_names_every_section_and_finding():
    found = _doctor.report()
    text = found.to_text()
    assert max(map(len, text.splitlines())) <= 100
    for section in found.sections:
        assert section.title in text
        for item in section.findings:
            assert f"{item.name}:" in text


def test_every_lack_says_what_to_do():
    for section in _doctor.report().sections:
        for item in section.findings:
            assert item.level != "lack" or item.advice.endswith(".")


def test_main_prints_one_json_object(capsys):
    assert _doctor.main(as_json=True) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"kernel", "io_uring", "python"}


def test_main_prints_text(capsys):
    assert _doctor.main() == 0
    assert capsys.readouterr().out.startswith("kernel\n")


def test_refused_io_uring_is_a_lack_with_reason_and_cure():
    section = _doctor._io_uring(
        probe(available=False, error=errno.EPERM, step="submit", cure_text="Allow it.")
    )
    found = finding(section, "round trip")
    assert found.level == "lack"
    assert "Operation not permitted at submit" in found.value
    assert found.advice == "Allow it."


def test_steps_down_the_ladder_are_shown_with_their_reason():
    attempt = {"setup_flags": ["defer_taskrun"], "entries": 8, "step": "setup"}
    section = _doctor._io_uring(probe(attempts=[attempt | {"error": errno.EINVAL}]))
    assert "defer_taskrun: Invalid argument at setup" in finding(section, "stepped down from").value


def test_filtered_register_is_a_note():
    section = _doctor._io_uring(
        probe(register_error=errno.EPERM, operations=[], cure_text="Allow io_uring_register.")
    )
    assert finding(section, "operations").level == "note"


def test_quota_is_shown_beside_the_affinity(tmp_path):
    section = _doctor._processors(topology(quota=1.5, usable=2), tmp_path)
    assert finding(section, "usable").value == "2 (affinity 8, control group quota 1.5)"


def test_one_processor_is_noted(tmp_path):
    section = _doctor._processors(topology(affinity=1, usable=1), tmp_path)
    assert finding(section, "usable").level == "note"


def test_cache_is_described_with_size_and_sharers(tmp_path):
    section = _doctor._processors(topology(), tmp_path)
    text = finding(section, "L3 unified").value
    assert text == "1 x 8 MiB, lines of 64 bytes, shared by 8 processors"


def test_isolated_processors_are_read_from_sys(tmp_path):
    folder = tmp_path / "devices/system/cpu"
    folder.mkdir(parents=True)
    (folder / "isolated").write_text("2-3\n")
    (folder / "nohz_full").write_text("(null)\n")
    section = _doctor._processors(topology(), tmp_path)
    assert finding(section, "isolated").value == "2-3"
    assert "nohz_full" in finding(section, "nohz_full").advice


@pytest.mark.parametrize(
    ("release", "level"),
    [("6.18.1-generic", "ok"), ("5.15.0-91-generic", "note"), ("5.4.0", "lack"), ("odd", "lack")],
)
def test_kernel_release_is_judged(release, level):
    assert finding(_doctor._kernel(release, "x86_64"), "Linux").level == level


@pytest.mark.parametrize(
    ("can_nice", "limit", "level"),
    [(True, 0, "ok"), (False, 10, "ok"), (False, resource.RLIM_INFINITY, "ok"), (False, 0, "lack")],
)
def test_realtime_priority_needs_a_capability_or_a_limit(can_nice, limit, level):
    assert _doctor._nice_finding(can_nice, limit).level == level


@pytest.mark.parametrize(
    ("runtime_us", "level"), [(950_000, "ok"), (-1, "ok"), (0, "lack"), (None, "note")]
)
def test_realtime_throttling_is_judged(runtime_us, level):
    assert _doctor._throttle_finding(runtime_us, 1_000_000).level == level


def test_small_lock_limit_is_noted():
    assert _doctor._lock_finding(False, 8 << 20).level == "note"
    assert _doctor._lock_finding(True, 8 << 20).level == "ok"


def test_unreadable_proc_is_unknown_not_an_error(tmp_path):
    section = _doctor._realtime(tmp_path)
    assert finding(section, "realtime throttling").value == "unknown"
    assert section.details["cap_sys_nice"] is False


def test_every_extra_that_adds_to_the_package_is_looked_at():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for_users = {"native", "plot", "progress", "tune"}
    packages = {
        requirement.split(">=")[0]: extra for extra in for_users for requirement in extras[extra]
    }
    assert packages == _doctor._EXTRAS
    assert {found.name for found in _doctor._extras().findings} == set(packages)


def test_missing_extra_names_what_to_install(monkeypatch):
    monkeypatch.setattr(_doctor, "_EXTRAS", {"no_such_module_of_any_kind": "native"})
    (found,) = _doctor._extras().findings
    assert found.advice == "pip install 'foliot[native]' to use it."
