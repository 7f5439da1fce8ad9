"""Which kernels are taken, by whatever library they were made, and how others are refused."""

import ctypes
import warnings

import foliot as fo
import pytest
from foliot import _core
from foliot._native import normalise, read_kernel

cffi = pytest.importorskip("cffi")

COLUMNS = "int (void **, ptrdiff_t, void *)"
CHUNK = "int (fol_chunk *, void *)"
FIRST = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
)


class fol_chunk(ctypes.Structure):
    pass


SECOND = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(fol_chunk), ctypes.c_void_p)


@pytest.mark.parametrize(
    "text",
    [
        "int (void **columns, ptrdiff_t rows, void *user)",
        "int(void**,ptrdiff_t,void*)",
        "int (*)(void * *, ptrdiff_t, void *)",
        "int damp(void *columns[], intptr_t rows, void *user);",
        "static int damp(void *const *restrict columns, ssize_t rows, void *user)",
        "int32_t (void **, long, void *)",
        "signed int (void **, int64_t, void *)",
        " int ( void ** , long long int rows , void * ) ",
        "int (void **, Py_ssize_t n, const void *)",
    ],
)
def test_signatures_that_mean_the_first(text):
    assert normalise(text) == COLUMNS


@pytest.mark.parametrize(
    "text",
    [
        "int (const fol_chunk *chunk, void *user)",
        "int (struct fol_chunk *, void *)",
        "int kernel(const struct fol_chunk *const chunk, void *user)",
    ],
)
def test_signatures_that_mean_the_second(text):
    assert normalise(text) == CHUNK


@pytest.mark.parametrize(
    "text",
    [
        "void (void **, ptrdiff_t, void *)",
        "int (void *, ptrdiff_t, void *)",
        "int (void **, int, void *)",
        "int (void **, size_t, void *)",
        "int (void **, unsigned long, void *)",
        "int (void **, ptrdiff_t)",
        "double (void **, ptrdiff_t, void *)",
        "int (float **, ptrdiff_t, void *)",
        "long (void **, ptrdiff_t, void *)",
        "nonsense",
        "",
        "int (fol_chunk, void *)",
        "int (void (*f)(void), void *)",
    ],
)
def test_other_signatures_are_refused_with_both_texts(text):
    with pytest.raises(fo.KernelSignatureError) as caught:
        read_kernel(4096, text)
    assert "int (void **columns, ptrdiff_t rows, void *user)" in str(caught.value)
    assert "int (const fol_chunk *chunk, void *user)" in str(caught.value)
    assert text in str(caught.value)


def test_address_needs_a_signature():
    with pytest.raises(fo.KernelSignatureError, match="pass signature="):
        fo.native(4096, name="a")


def test_address_with_a_signature():
    assert fo.native(4096, name="a", signature=COLUMNS).kernel.address == 4096


@pytest.mark.parametrize("address", [0, -1, 2**64])
def test_address_is_one(address):
    with pytest.raises(ValueError, match="no usable address"):
        fo.native(address, name="a", signature=COLUMNS)


def test_signature_is_text():
    with pytest.raises(TypeError, match="signature is C text"):
        fo.native(4096, name="a", signature=3)


@pytest.mark.parametrize("kernel", [None, "damp", 3.5, object(), True])
def test_other_objects_are_no_kernels(kernel):
    with pytest.raises(TypeError, match="a kernel is a cffi function"):
        fo.native(kernel, name="a")


def test_python_function_is_sent_to_system():
    with pytest.raises(TypeError, match=r"declared by fo\.system"):
        fo.native(lambda ctx: None, name="a")


def test_kernel_without_a_name_needs_one():
    with pytest.raises(ValueError, match="needs name="):
        fo.native(4096, signature=COLUMNS)


def test_cffi_callback():
    ffi = cffi.FFI()
    callback = ffi.callback("int(void **, ptrdiff_t, void *)", lambda c, n, u: 0)
    made = fo.native(callback, name="a")
    assert made.kernel.address == int(ffi.cast("uintptr_t", callback))
    assert not made.kernel.takes_chunk


def test_cffi_callback_of_a_chunk():
    ffi = cffi.FFI()
    ffi.cdef("typedef struct fol_chunk fol_chunk;")
    callback = ffi.callback("int(const fol_chunk *, void *)", lambda c, u: 0)
    assert fo.native(callback, name="a").kernel.takes_chunk


def test_cffi_callback_of_another_signature():
    callback = cffi.FFI().callback("int(double)", lambda x: 0)
    with pytest.raises(fo.KernelSignatureError, match=r"int \(double\)"):
        fo.native(callback, name="a")


def test_cffi_data_is_no_function():
    with pytest.raises(fo.KernelSignatureError, match="not a function"):
        fo.native(cffi.FFI().new("int *"), name="a")


def test_variable_arguments_are_refused():
    ffi = cffi.FFI()
    ffi.cdef("int printf(const char *format, ...);")
    with pytest.raises(fo.KernelSignatureError, match="variable arguments"):
        fo.native(ffi.dlopen(None).printf, name="a")


def test_ctypes_pointers_state_their_types():
    address = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p).value
    assert not fo.native(FIRST(address), name="a").kernel.takes_chunk
    assert fo.native(SECOND(address), name="a").kernel.takes_chunk


def test_ctypes_pointer_of_other_types():
    wrong = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(4096)
    with pytest.raises(fo.KernelSignatureError, match=r"c_double \(c_double\)"):
        fo.native(wrong, name="a")


def test_ctypes_function_without_types_says_how_to_state_them():
    function = ctypes.CDLL(None).abs
    with pytest.raises(fo.KernelSignatureError, match="set its argtypes and restype"):
        fo.native(function)
    assert fo.native(function, signature=COLUMNS).name == "abs"


def test_ctypes_callback_into_python_warns():
    with pytest.warns(RuntimeWarning, match="ctypes callback into Python"):
        fo.native(FIRST(lambda columns, rows, user: 0), name="a")


def test_ctypes_function_that_wants_the_lock_is_refused():
    kind = ctypes.PYFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
    )
    with pytest.raises(fo.KernelSignatureError, match="without it: use CDLL or CFUNCTYPE"):
        fo.native(kind(4096), name="a")


def make_capsule(name):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(4096, name, None)


def test_capsule_is_named_by_its_signature():
    name = b"int (void **columns, ptrdiff_t rows, void *user)"
    assert fo.native(make_capsule(name), name="a").kernel.address == 4096


def test_capsule_of_another_name_is_refused():
    name = b"double (double)"
    with pytest.raises(fo.KernelSignatureError, match="in a capsule"):
        fo.native(make_capsule(name), name="a")


def test_capsule_contents_takes_capsules():
    with pytest.raises(TypeError, match="PyCapsule"):
        _core.capsule_contents(3)


def test_stated_signature_and_given_one_must_agree():
    with pytest.raises(fo.KernelSignatureError, match="but signature="):
        fo.native(FIRST(4096), name="a", signature=CHUNK)


def test_numba_cfunc():
    numba = pytest.importorskip("numba")

    @numba.cfunc(fo.numba_signature())
    def damp(columns, rows, user):
        return 0

    made = fo.native(damp)
    assert made.name == "damp"
    assert made.kernel.address == damp.address


def test_numba_cfunc_of_another_signature():
    numba = pytest.importorskip("numba")

    @numba.cfunc("float64(float64)")
    def half(x):
        return x / 2

    with pytest.raises(fo.KernelSignatureError, match=r"float64 \(float64\)"):
        fo.native(half)


def test_owner_of_the_kernel_is_kept_alive():
    import gc
    import weakref

    ffi = cffi.FFI()
    callback = ffi.callback("int(void **, ptrdiff_t, void *)", lambda c, n, u: 0)
    alive = weakref.ref(callback)
    made = fo.native(callback, name="a")
    del callback
    gc.collect()
    assert alive() is not None
    del made
    gc.collect()
    assert alive() is None


def user_address(user_data):
    return fo.native(4096, name="a", signature=COLUMNS, user_data=user_data).kernel.user_address


def test_user_data_may_be_nothing_or_an_address():
    assert user_address(None) == 0
    assert user_address(12345) == 12345


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_user_data_address_is_one(bad):
    with pytest.raises(ValueError, match="no address"):
        user_address(bad)


def test_user_data_may_be_a_cffi_pointer_array_or_struct():
    ffi = cffi.FFI()
    ffi.cdef("struct pair { int a, b; };")
    pointer = ffi.new("struct pair *")
    array = ffi.new("double[4]")
    assert user_address(pointer) == int(ffi.cast("uintptr_t", pointer))
    assert user_address(pointer[0]) == int(ffi.cast("uintptr_t", pointer))
    assert user_address(array) == int(ffi.cast("uintptr_t", array))


def test_user_data_may_be_a_ctypes_pointer_or_structure():
    value = ctypes.c_double(1.0)
    assert user_address(ctypes.pointer(value)) == ctypes.addressof(value)
    assert user_address(value) == ctypes.addressof(value)
    assert user_address(ctypes.c_void_p(77)) == 77


def test_user_data_with_a_buffer_is_exported_and_held():
    data = bytearray(16)
    made = fo.native(4096, name="a", signature=COLUMNS, user_data=data)
    assert made.kernel.user_address != 0
    with pytest.raises(BufferError):
        data.append(1)
    del made
    data.append(1)


def test_user_data_may_be_read_only():
    assert user_address(b"constant") != 0


@pytest.mark.parametrize("bad", [object(), "text", 1.5, True])
def test_other_user_data_is_refused(bad):
    with pytest.raises(TypeError, match="user_data is None, an address"):
        user_address(bad)


Mass = fo.component("Mass", "f8")
Note = fo.component("Note", object)
Text = fo.component("Text", fo.Bytes)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"reads": Note}, "Note holds Python objects"),
        ({"writes": Note}, "Note holds Python objects"),
        ({"reads": [type("Log", (), {})]}, "Log holds Python objects"),
        ({"writes": Text}, "Text holds bytes, which a kernel may read but"),
        ({"reads": Mass, "writes": Mass}, "Mass stands in reads and in writes"),
        ({"commands": True}, "takes a fol_chunk"),
        ({"chunk_rows": 0}, "chunk_rows= of `a` is from 1"),
    ],
)
def test_what_a_kernel_cannot_have_is_refused(options, text):
    with pytest.raises(ValueError, match=text):
        fo.native(4096, name="a", signature=COLUMNS, **options)


def test_kernel_that_does_io_may_have_bytes_filled():
    chunked = "int (const fol_chunk *, void *)"
    made = fo.native(4096, name="a", signature=chunked, writes=Text, io=True)
    assert made.writes == (Text,)


@pytest.mark.parametrize("bad", ["all", 1.5, True])
def test_chunk_rows_is_a_number_or_auto(bad):
    with pytest.raises(TypeError, match="chunk_rows="):
        fo.native(4096, name="a", signature=COLUMNS, chunk_rows=bad)


def test_bytes_may_be_read():
    fo.native(4096, name="a", signature=COLUMNS, reads=Text)


def test_native_system_is_not_called_from_python():
    with pytest.raises(TypeError, match="native system"):
        fo.native(4096, name="a", signature=COLUMNS)()


def test_numba_signature_without_numba_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r"foliot\[native\]"):
        fo.numba_signature()


def test_nothing_warns_for_real_kernels():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fo.native(4096, name="a", signature=COLUMNS)
