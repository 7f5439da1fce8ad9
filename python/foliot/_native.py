"""Native kernels: what is taken as one, and how its C signature is compared.

A kernel is an address, one of two signatures, and an owner that keeps the code alive. Whatever
library made it, its signature is first written as C text, then normalised (no parameter names, no
qualifiers, one name for each width of integer), then compared.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import types
import warnings
from typing import TYPE_CHECKING, NamedTuple, cast

from foliot import _core
from foliot._errors import KernelSignatureError

if TYPE_CHECKING:
    from typing import Any

SIGNATURE_COLUMNS = "int (void **columns, ptrdiff_t rows, void *user)"
SIGNATURE_CHUNK = "int (const fol_chunk *chunk, void *user)"

_QUALIFIERS = frozenset(
    "const volatile restrict __restrict __restrict__ register struct static extern inline".split()
)
_TYPE_WORDS = frozenset({"char", "short", "int", "long", "signed", "unsigned", "double"})
_INTEGERS = {
    "int": "int",
    "signed": "int",
    "signed int": "int",
    "int signed": "int",
    "int32_t": "int",
    **dict.fromkeys(
        (
            *("ptrdiff_t", "intptr_t", "ssize_t", "Py_ssize_t", "npy_intp", "int64_t"),
            *("long", "long int", "signed long", "long long", "long long int"),
        ),
        "ptrdiff_t",
    ),
}
_FUNCTION = re.compile(
    r"(?P<result>[\w\s*]+?)\s*(?:\(\s*\*?\s*\w*\s*\)\s*)?\((?P<arguments>[^()]*)\)\s*;?"
)
_PYTHON_API_FLAG = 4  # FUNCFLAG_PYTHONAPI of ctypes: the function expects the interpreter lock.


class Kernel(NamedTuple):
    """A native function that foliot can call."""

    address: int
    takes_chunk: bool
    owner: object


def normalise_type(text: str) -> str:
    """One C type without qualifiers and without what it declares, as ``word **``."""
    stars = text.count("*") + text.count("[")
    before_bounds = text.partition("[")[0]
    words = [word for word in re.findall(r"\w+", before_bounds) if word not in _QUALIFIERS]
    # The first word that continues no type is the name of a parameter or of the function.
    base = " ".join([*words[:1], *itertools.takewhile(_TYPE_WORDS.__contains__, words[1:])])
    return _INTEGERS.get(base, base) + (" " + "*" * stars if stars else "")


@functools.lru_cache(maxsize=256)
def normalise(signature: str) -> str:
    """The one form in which two signatures can be compared, or "" when it is no function.

    Example:
        >>> normalise("int damp(void *columns[], intptr_t rows, void *user)")
        'int (void **, ptrdiff_t, void *)'
    """
    match = _FUNCTION.fullmatch(signature.strip())
    if match is None:
        return ""
    arguments = [normalise_type(part) for part in match["arguments"].split(",")]
    return f"{normalise_type(match['result'])} ({', '.join(arguments)})"


_ACCEPTED = {normalise(SIGNATURE_COLUMNS): False, normalise(SIGNATURE_CHUNK): True}


def takes_chunk(signature: str, what: str) -> bool:
    """Which of the two signatures it is; KernelSignatureError when it is neither."""
    found = _ACCEPTED.get(normalise(signature))
    if found is None:
        raise KernelSignatureError(
            f"{what} has the signature {signature!r}; "
            f"a kernel is {SIGNATURE_COLUMNS!r} or {SIGNATURE_CHUNK!r}."
        )
    return found


def _cffi_text(ctype: Any) -> str:
    """The C text of a cffi function type."""
    if ctype.ellipsis:
        return f"{ctype.cname} with variable arguments"
    arguments = ", ".join(argument.cname for argument in ctype.args)
    return f"{ctype.result.cname} ({arguments or 'void'})"


def _from_cffi(kernel: Any, what: str) -> tuple[int, str]:
    """Address and signature of a cffi function pointer or of ``lib.f``, whatever the mode."""
    import _cffi_backend

    ffi = _cffi_backend.FFI()
    ctype = ffi.typeof(kernel)
    if ctype.kind != "function":
        raise KernelSignatureError(f"{what} is a cffi {ctype.cname!r}, not a function.")
    return int(ffi.cast("uintptr_t", kernel)), _cffi_text(ctype)


def _ctypes_type_text(kind: Any) -> str:
    """The C text of a ctypes type."""
    import ctypes

    stars = ""
    while isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
        stars += "*"
        kind = kind._type_
    if kind is None:
        text = "void"
    elif kind is ctypes.c_void_p:
        text, stars = "void", stars + "*"
    elif isinstance(kind, type) and issubclass(kind, ctypes._SimpleCData):
        code = str(getattr(kind, "_type_", ""))
        signed = {"b": "signed char", "h": "short", "i": "int", "l": "long", "q": "long long"}
        text = signed.get(code, kind.__name__)
    else:
        text = getattr(kind, "__name__", repr(kind))
    return f"{text} {stars}" if stars else text


def _from_ctypes(kernel: Any, what: str) -> tuple[int, str]:
    """Address and signature of a ctypes function pointer; "" for one that states none."""
    import ctypes

    if type(kernel)._flags_ & _PYTHON_API_FLAG:
        raise KernelSignatureError(
            f"{what} is called under the interpreter lock (PyDLL or PYFUNCTYPE); "
            "a kernel runs without it: use CDLL or CFUNCTYPE."
        )
    address = ctypes.cast(kernel, ctypes.c_void_p).value or 0
    held = (kernel._objects or {}).values()
    if any(type(item).__name__ == "CThunkObject" for item in held):
        warnings.warn(
            f"{what} is a ctypes callback into Python: it works, but runs under the interpreter "
            "lock; use fo.system for Python code.",
            RuntimeWarning,
            stacklevel=4,
        )
    if kernel.argtypes is None:
        return address, ""
    arguments = ", ".join(_ctypes_type_text(kind) for kind in kernel.argtypes)
    return address, f"{_ctypes_type_text(kernel.restype)} ({arguments or 'void'})"


def _from_numba(kernel: Any) -> tuple[int, str]:
    """Address and signature of what ``numba.cfunc`` made."""
    names = {"int32": "int", "int64": "ptrdiff_t", "none": "void"}

    def text(kind: Any) -> str:
        shown = str(kind)
        base = shown.rstrip("*")
        stars = shown[len(base) :]
        return names.get(base, base) + (" " + stars if stars else "")

    arguments = ", ".join(text(kind) for kind in kernel._sig.args)
    return int(kernel.address), f"{text(kernel._sig.return_type)} ({arguments or 'void'})"


def _is_cffi(kernel: object) -> bool:
    """Whether it is cffi data, or a function of an API-mode library (a builtin of that library)."""
    kind = type(kernel)
    if isinstance(kernel, types.BuiltinFunctionType):
        kind = type(kernel.__self__)
    return kind.__module__ == "_cffi_backend"


def _is_ctypes_function(kernel: object) -> bool:
    ctypes = sys.modules.get("ctypes")
    return ctypes is not None and isinstance(kernel, ctypes._CFuncPtr)


def _is_numba(kernel: object) -> bool:
    kind = type(kernel)
    return kind.__name__ == "CFunc" and kind.__module__.partition(".")[0] == "numba"


def _describe(kernel: object) -> tuple[int, str, str]:
    """Address, stated signature ("" for none) and a name for messages."""
    kind = type(kernel)
    if isinstance(kernel, int) and not isinstance(kernel, bool):
        return kernel, "", f"the kernel at address {kernel:#x}"
    if _is_cffi(kernel):
        return *_from_cffi(kernel, f"the kernel {kernel!r}"), f"the kernel {kernel!r}"
    if _is_ctypes_function(kernel):
        what = f"the kernel {getattr(kernel, '__name__', repr(kernel))}"
        return *_from_ctypes(kernel, what), what
    if _is_numba(kernel):
        return *_from_numba(kernel), f"the kernel {cast('Any', kernel).native_name!r}"
    if kind.__name__ == "PyCapsule":
        address, name = _core.capsule_contents(kernel)
        return address, name, "the kernel in a capsule"
    hint = "; Python functions are declared by fo.system" if callable(kernel) else ""
    raise TypeError(
        "a kernel is a cffi function, a ctypes function pointer, a numba cfunc, a PyCapsule "
        f"named by its C signature, or an int address with signature=; got {kernel!r}{hint}."
    )


def read_kernel(kernel: object, signature: str | None) -> Kernel:
    """Check a kernel; ``signature`` states what the object itself does not."""
    if signature is not None and not isinstance(signature, str):
        raise TypeError(f"signature is C text such as {SIGNATURE_COLUMNS!r}, got {signature!r}.")
    address, stated, what = _describe(kernel)
    if not 0 < address < 1 << 64:
        raise ValueError(f"{what} has no usable address.")
    if not stated and signature is None:
        cure = "set its argtypes and restype, or " if _is_ctypes_function(kernel) else ""
        raise KernelSignatureError(
            f"{what} does not state its signature; {cure}pass signature={SIGNATURE_COLUMNS!r} "
            f"or signature={SIGNATURE_CHUNK!r}."
        )
    is_chunk = takes_chunk(stated or cast("str", signature), what)
    if stated and signature is not None and takes_chunk(signature, "signature=") != is_chunk:
        raise KernelSignatureError(
            f"{what} has the signature {stated!r}, but signature={signature!r} was given."
        )
    return Kernel(address, is_chunk, kernel)


def read_user_data(user_data: object) -> int | None:
    """The address of user data that is a pointer; None for what has to be exported as a buffer."""
    if user_data is None:
        return 0
    if isinstance(user_data, int) and not isinstance(user_data, bool):
        if not 0 <= user_data < 1 << 64:
            raise ValueError(f"user_data={user_data} is no address.")
        return user_data
    if type(user_data).__module__ == "_cffi_backend":
        return _cffi_address(user_data)
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None:
        pointers = (ctypes._Pointer, ctypes.c_void_p, ctypes.c_char_p, ctypes._CFuncPtr)
        if isinstance(user_data, pointers):
            return ctypes.cast(user_data, ctypes.c_void_p).value or 0
    return None


def _cffi_address(user_data: Any) -> int:
    import _cffi_backend

    ffi = _cffi_backend.FFI()
    kind = ffi.typeof(user_data).kind
    if kind in {"struct", "union"}:
        user_data = ffi.addressof(user_data)
    elif kind not in {"pointer", "array", "function"}:
        raise TypeError(f"user_data={user_data!r} is neither a pointer nor an array.")
    return int(ffi.cast("uintptr_t", user_data))


def numba_signature() -> Any:
    """The first kernel signature for ``numba.cfunc``: ``int (void **, ptrdiff_t, void *)``.

    Columns come as untyped pointers; ``numba.carray(columns[0], rows, dtype)`` makes an array of
    one. Needs numba: ``pip install foliot[native]``.

    Example:
        >>> print(numba_signature())
        (void**, int64, void*) -> int32
    """
    try:
        from numba import types as nb
    except ImportError as error:
        raise ImportError(
            "fo.numba_signature needs numba; install it with: pip install 'foliot[native]'"
        ) from error
    pointer: Any = nb.CPointer
    return nb.int32(pointer(nb.voidptr), nb.intp, nb.voidptr)
