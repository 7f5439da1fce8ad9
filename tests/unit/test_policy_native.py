"""Native slots: whose functions are taken, how their signatures are compared, what they get."""

import ctypes
from pathlib import Path

import foliot as fo
import numpy as np
import pytest
from foliot import _core
from foliot._policy_native import RUNNABLE_DTYPE, SIGNATURES, NativeSlot
from policy_support import (
    ANSWERED,
    DEFAULT,
    KERNEL_ERROR,
    LOAD,
    QUESTIONS,
    ask_all,
    runnables,
)

cffi = pytest.importorskip("cffi")

HEADER = """
typedef struct fol_runnable_view {
    uint32_t id, group, weight, latency;
    int32_t priority;
    uint32_t last_cpu;
    uint64_t job, context;
    int64_t period, release, deadline, expected, ran, since;
} fol_runnable_view;
typedef struct fol_ready {
    const uint32_t *ids;
    uint32_t count, stride;
    const fol_runnable_view *views;
} fol_ready;
typedef struct fol_policy_load {
    double frame_ns, busy_ns, parallelism, operations, in_flight;
    uint32_t current;
} fol_policy_load;
"""
POINTER, U32 = ctypes.c_void_p, ctypes.c_uint32
SPIN = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, U32, ctypes.POINTER(U32))


@pytest.fixture(scope="module")
def ffi():
    """The types of native slots, as the public header has them."""
    made = cffi.FFI()
    made.cdef(HEADER)
    return made


@pytest.fixture
def slot(ffi):
    """Makes a native slot of a Python function, which it is called as from C."""

    def make(name, function):
        signature = SIGNATURES[name].replace("const ", "")
        return ffi.callback(f"{signature.partition(' (')[0]} (*)({signature.partition('(')[2]}")(
            function
        )

    return make


def only(name, function, **options):
    """A probe of a policy with one native slot."""
    return _core.PolicyProbe(fo.Policy(slots={name: fo.native_slot(function, **options)}))


def test_dtype_of_runnables_is_their_layout_in_c(ffi):
    kind = ffi.typeof("fol_runnable_view")
    assert RUNNABLE_DTYPE.itemsize == ffi.sizeof(kind)
    assert [(name, RUNNABLE_DTYPE.fields[name][1]) for name in RUNNABLE_DTYPE.names] == [
        (name, field.offset) for name, field in kind.fields
    ]


def test_every_slot_may_be_native(slot, ffi):
    def pick(state, ready, cpu, now, place):
        assert (ready.count, cpu, now) == (3, 1, 7)
        assert [ready.ids[i] for i in range(3)] == [0, 1, 2]
        assert ready.stride == ffi.sizeof("fol_runnable_view")
        place[0] = 2
        return 0

    def set_to(value, place=-1):
        def function(*arguments):
            arguments[place][0] = value
            return 0

        return function

    def victims(state, worker, workers, order, count):
        order[0], order[1], count[0] = 3, 0, 2
        return 0

    def backend(state, load, choice):
        choice[0] = load.current + int(load.parallelism)
        return 0

    slots = {
        "enqueue": slot("enqueue", set_to(-3)),
        "pick": slot("pick", pick),
        "slice": slot("slice", set_to(8)),
        "admit": slot("admit", set_to(True)),
        "victims": slot("victims", victims),
        "spin_limit": slot("spin_limit", set_to(9)),
        "chunk_rows": slot("chunk_rows", set_to(10)),
        "backend": slot("backend", backend),
    }
    policy = fo.Policy(base="rm", slots=slots)
    assert policy.slots == tuple(slots)
    wanted = {
        "enqueue": (ANSWERED, -3),
        "pick": (ANSWERED, 2),
        "slice": (ANSWERED, 8),
        "admit": (ANSWERED, True),
        "victims": (ANSWERED, [3, 0]),
        "spin_limit": (ANSWERED, 9),
        "chunk_rows": (ANSWERED, 10),
        "backend": (ANSWERED, LOAD[5] + 3),
    }
    for live in (False, True):
        probe = _core.PolicyProbe(policy, live=live)
        assert ask_all(probe) == wanted
        assert probe.take_errors() == []


@pytest.mark.parametrize("name", SIGNATURES)
def test_native_slot_may_leave_the_decision_to_the_base(slot, name):
    probe = only(name, slot(name, lambda *arguments: DEFAULT))
    assert probe.ask(name, *QUESTIONS[name]) == (DEFAULT, None)
    assert probe.take_errors() == []


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize(("returned", "status"), [(-5, -5), (2, KERNEL_ERROR)])
def test_failure_of_a_native_slot_is_counted(slot, name, returned, status):
    probe = only(name, slot(name, lambda *arguments: returned))
    for _ in range(3):
        assert probe.ask(name, *QUESTIONS[name]) == (status, None)
    (error,) = probe.take_errors()
    assert isinstance(error, fo.KernelError)
    assert error.code == returned
    assert f"`{name}` returned {returned}, the last of 3 failures" in str(error)
    assert error.__notes__ == [f"in slot `{name}` of the policy Policy"]
    assert probe.take_errors() == []


def test_native_and_python_slots_stand_side_by_side(slot):
    class Mixed(fo.Policy):
        spin_limit = fo.native_slot(slot("spin_limit", lambda state, worker, limit: 1))

        def slice(self, runnable, *, now):
            return now

    probe = _core.PolicyProbe(Mixed())
    assert probe.facts["slots"] == ["slice", "spin_limit"]
    assert probe.ask("slice", runnables(1), 4) == (ANSWERED, 4)
    assert probe.ask("spin_limit", 0) == (DEFAULT, None)


def test_pointer_in_the_class_is_a_native_slot_by_itself(slot):
    class Mine(fo.Policy):
        spin_limit = slot("spin_limit", lambda state, worker, limit: 1)

    assert _core.PolicyProbe(Mine()).ask("spin_limit", 0) == (DEFAULT, None)


def test_each_native_slot_gets_its_own_user_data(slot, ffi):
    def read(state, worker, limit):
        limit[0] = int(ffi.cast("double *", state)[0]) + worker
        return 0

    numbers = np.array([40.0])
    probe = only("spin_limit", slot("spin_limit", read), user_data=numbers)
    assert probe.ask("spin_limit", 2) == (ANSWERED, 42)
    numbers[0] = 50.0
    assert probe.ask("spin_limit", 2) == (ANSWERED, 52)


def test_user_data_outlives_the_caller(slot, ffi):
    def read(state, worker, limit):
        limit[0] = ffi.cast("uint32_t *", state)[0]
        return 0

    probe = only("spin_limit", slot("spin_limit", read), user_data=np.array([7], "u4"))
    assert probe.ask("spin_limit", 0) == (ANSWERED, 7)


def test_state_is_null_without_user_data(slot, ffi):
    seen = []

    def read(state, worker, limit):
        seen.append(state == ffi.NULL)
        return 1

    only("spin_limit", slot("spin_limit", read)).ask("spin_limit", 0)
    assert seen == [True]


# Whose functions.


def spin(state, worker, limit):
    limit[0] = worker + 1
    return 0


def test_ctypes_function_is_taken():
    with pytest.warns(RuntimeWarning, match="callback into Python"):
        probe = only("spin_limit", SPIN(spin))
    assert probe.ask("spin_limit", 5) == (ANSWERED, 6)


def test_ctypes_pointers_to_structs_may_be_void():
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, POINTER, POINTER, ctypes.c_int64, ctypes.POINTER(ctypes.c_bool)
    )

    def admit(state, runnable, now, is_taken):
        view = np.ctypeslib.as_array(
            ctypes.cast(runnable, ctypes.POINTER(ctypes.c_ubyte)), (RUNNABLE_DTYPE.itemsize,)
        ).view(RUNNABLE_DTYPE)
        is_taken[0] = bool(view["expected"][0] < now)
        return 0

    with pytest.warns(RuntimeWarning, match="callback into Python"):
        probe = only("admit", kind(admit))
    assert probe.ask("admit", runnables(1, expected=5), 6) == (ANSWERED, True)
    assert probe.ask("admit", runnables(1, expected=5), 5) == (ANSWERED, False)


def test_address_with_its_signature_is_taken(slot, ffi):
    callback = slot("spin_limit", spin)
    address = int(ffi.cast("uintptr_t", callback))
    probe = only("spin_limit", address, signature=fo.policy_signature("spin_limit"))
    assert probe.ask("spin_limit", 1) == (ANSWERED, 2)


def test_capsule_named_by_its_signature_is_taken(slot, ffi):
    callback = slot("spin_limit", spin)
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [POINTER, ctypes.c_char_p, POINTER]
    name = fo.policy_signature("spin_limit").encode()
    capsule = make(int(ffi.cast("uintptr_t", callback)), name, None)
    assert only("spin_limit", capsule).ask("spin_limit", 1) == (ANSWERED, 2)


def test_numba_functions_are_taken():
    numba = pytest.importorskip("numba")

    @numba.cfunc(fo.policy_signature("slice", form="numba"))
    def cut(state, runnable, now, result):
        view = numba.carray(runnable, 1, RUNNABLE_DTYPE)
        result[0] = view[0].weight // 2 + now
        return 0

    @numba.cfunc(fo.policy_signature("chunk_rows", form="numba"))
    def rows(state, system, rows, chunk):
        chunk[0] = rows // 4
        return 0

    probe = _core.PolicyProbe(fo.Policy(slots={"slice": cut, "chunk_rows": rows}))
    assert probe.ask("slice", runnables(1, weight=100), 3) == (ANSWERED, 53)
    assert probe.ask("chunk_rows", 0, 1000) == (ANSWERED, 250)


@pytest.mark.parametrize("name", SIGNATURES)
def test_numba_has_a_signature_for_each_slot(name):
    numba = pytest.importorskip("numba")
    made = fo.policy_signature(name, form="numba")
    compiled = numba.cfunc(made)(
        {
            3: lambda a, b, c: 1,
            4: lambda a, b, c, d: 1,
            5: lambda a, b, c, d, e: 1,
        }[len(made.args)]
    )
    assert only(name, compiled).ask(name, *QUESTIONS[name]) == (DEFAULT, None)


# Which signatures.


@pytest.mark.parametrize(
    "text",
    [
        "int (void *state, uint32_t worker, uint32_t *limit)",
        "int(void*,unsigned int,unsigned*)",
        "int32_t spin(const void *, unsigned worker, uint32_t limit[])",
    ],
)
def test_signatures_that_mean_the_same(text):
    fo.Policy(slots={"spin_limit": fo.native_slot(4096, signature=text)})


@pytest.mark.parametrize(
    "text",
    [
        "int (void *, struct fol_ready *, uint32_t, long, uint32_t *)",
        "int (void *, void *, unsigned, int64_t, unsigned *)",
        "int pick(void *, const fol_ready *const ready, uint32_t cpu, long long now, uint32_t *)",
    ],
)
def test_signatures_that_mean_pick(text):
    fo.Policy(slots={"pick": fo.native_slot(4096, signature=text)})


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("other", [*SIGNATURES, "void (void)", "nonsense", "int (void *)"])
def test_other_signatures_are_refused_with_what_is_wanted(name, other):
    text = SIGNATURES.get(other, other)
    if text.replace("slice", "rank") == SIGNATURES[name].replace("slice", "rank"):
        # Ranks and slices are asked for alike.
        fo.Policy(slots={name: fo.native_slot(4096, signature=text)})
        return
    with pytest.raises(fo.KernelSignatureError) as caught:
        fo.Policy(slots={name: fo.native_slot(4096, signature=text)})
    assert SIGNATURES[name] in str(caught.value)
    assert f"the slot {name} is" in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "int (void *, int32_t, uint32_t *)",
        "int (void *, uint64_t, uint32_t *)",
        "int (void *, uint32_t, int32_t *)",
        "int (void *, uint32_t, void *)",
        "int (void *, uint32_t, uint32_t **)",
        "long (void *, uint32_t, uint32_t *)",
        "int (void *, uint32_t, uint32_t *, ...)",
    ],
)
def test_near_misses_are_refused(text):
    with pytest.raises(fo.KernelSignatureError, match="the slot spin_limit is"):
        fo.Policy(slots={"spin_limit": fo.native_slot(4096, signature=text)})


def test_wrong_slot_in_a_class_is_refused_when_bound(slot):
    class Wrong(fo.Policy):
        pick = fo.native_slot(slot("spin_limit", spin))

    with pytest.raises(fo.KernelSignatureError, match="the slot pick is"):
        _core.PolicyProbe(Wrong())


def test_signature_beside_a_stated_one_has_to_agree(slot):
    pointer = slot("spin_limit", spin)
    fo.native_slot(pointer, signature=SIGNATURES["spin_limit"])
    with pytest.raises(fo.KernelSignatureError, match="but signature="):
        fo.native_slot(pointer, signature=SIGNATURES["pick"])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((4096,), {}, fo.KernelSignatureError, "does not state its signature"),
        ((0,), {"signature": SIGNATURES["pick"]}, ValueError, "no usable address"),
        ((-1,), {"signature": SIGNATURES["pick"]}, ValueError, "no usable address"),
        ((2**64,), {"signature": SIGNATURES["pick"]}, ValueError, "no usable address"),
        ((4096,), {"signature": 3}, TypeError, "signature is C text"),
        ((print,), {}, TypeError, "Python functions are methods of a fo.Policy"),
        (("x",), {}, TypeError, "cffi function"),
        ((4096,), {"signature": SIGNATURES["pick"], "user_data": object()}, TypeError, "user_data"),
        ((4096,), {"signature": SIGNATURES["pick"], "user_data": -1}, ValueError, "no address"),
    ],
)
def test_what_is_no_native_function_is_refused(arguments, options, error, text):
    with pytest.raises(error, match=text):
        fo.native_slot(*arguments, **options)


@pytest.mark.parametrize("name", ["pike", "", None])
def test_signature_of_no_slot_is_refused(name):
    with pytest.raises(ValueError, match="slot is one of enqueue, pick"):
        fo.policy_signature(name)


def test_signature_has_two_forms():
    with pytest.raises(ValueError, match="form is 'c' or 'numba'"):
        fo.policy_signature("pick", form="rust")


def test_native_slot_shows_its_function():
    assert "4096" in repr(fo.native_slot(4096, signature=SIGNATURES["pick"]))
    assert isinstance(fo.native_slot(4096, signature=SIGNATURES["pick"]), NativeSlot)


def test_header_declares_the_signatures():
    text = " ".join(Path(fo.get_include(), "foliot/policy.h").read_text().split())
    for name, signature in SIGNATURES.items():
        wanted = f"(*{name}){signature.removeprefix('int ')};"
        assert wanted in text, wanted
