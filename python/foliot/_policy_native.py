"""Native slots of policies: which C signature each has, and what is taken as one.

A slot is an address, the user data it gets as its state, and an owner that keeps the code alive.
Signatures are compared as those of kernels are, with one more spelling for each unsigned integer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from foliot import _core, _native
from foliot._errors import KernelSignatureError

if TYPE_CHECKING:
    from typing import Any

_VIEW = "const fol_runnable_view *runnable"
# The C signature of each slot, in the order of `fol_policy_slot`.
SIGNATURES = {
    "enqueue": f"int (void *state, {_VIEW}, int64_t now, int64_t *rank)",
    "pick": "int (void *state, const fol_ready *ready, uint32_t cpu, int64_t now, uint32_t *place)",
    "slice": f"int (void *state, {_VIEW}, int64_t now, int64_t *slice)",
    "admit": f"int (void *state, {_VIEW}, int64_t now, bool *is_taken)",
    "victims": (
        "int (void *state, uint32_t worker, uint32_t workers, uint32_t *order, uint32_t *count)"
    ),
    "spin_limit": "int (void *state, uint32_t worker, uint32_t *limit)",
    "chunk_rows": "int (void *state, uint32_t system, uint64_t rows, uint64_t *chunk)",
    "backend": "int (void *state, const fol_policy_load *load, uint32_t *choice)",
}
_INTEGERS = {
    "ptrdiff_t": "int64_t",
    **dict.fromkeys(("unsigned", "unsigned int", "c_uint", "c_uint32", "uint32"), "uint32_t"),
    **dict.fromkeys(
        (
            *("unsigned long", "unsigned long int", "unsigned long long", "size_t", "uintptr_t"),
            *("c_ulong", "c_ulonglong", "c_size_t", "uint64"),
        ),
        "uint64_t",
    ),
    **dict.fromkeys(("_Bool", "c_bool", "boolean", "bool"), "bool"),
}
# `fol_runnable_view`, for numba.carray and for arrays of them.
RUNNABLE_DTYPE = np.dtype(
    [
        *((name, "u4") for name in ("id", "group", "weight", "latency")),
        *(("priority", "i4"), ("last_cpu", "u4"), ("job", "u8"), ("context", "u8")),
        *((name, "i8") for name in ("period", "release", "deadline", "expected", "ran", "since")),
    ]
)
_STRUCTS = frozenset({"fol_runnable_view *", "fol_ready *", "fol_policy_load *"})


class NativeSlot:
    """A native function as a slot of a policy; made by ``fo.native_slot``."""

    __slots__ = ("_kernel", "_signature", "function")

    def __init__(self, function: object, user_data: object, signature: str | None) -> None:
        if signature is not None and not isinstance(signature, str):
            raise TypeError(
                f"signature is C text such as {SIGNATURES['pick']!r}, got {signature!r}."
            )
        is_address = isinstance(function, int) and not isinstance(function, bool)
        if not is_address and not is_native(function):
            raise TypeError(
                "a native slot is a cffi function, a ctypes function pointer, a numba cfunc, a "
                "PyCapsule named by its C signature, or an int address with signature=; got "
                f"{function!r}. Python functions are methods of a fo.Policy."
            )
        address, stated, what = _native._describe(function)
        if not 0 < address < 1 << 64:
            raise ValueError(f"{what} has no usable address.")
        if not stated and signature is None:
            raise KernelSignatureError(
                f"{what} does not state its signature; pass signature=fo.policy_signature(slot)."
            )
        if stated and signature is not None and _normalise(stated) != _normalise(signature):
            raise KernelSignatureError(
                f"{what} has the signature {stated!r}, but signature={signature!r} was given."
            )
        self.function = function
        self._signature = stated or cast("str", signature)
        self._kernel = _core.Kernel(
            address, False, function, user_data, _native.read_user_data(user_data)
        )

    def __repr__(self) -> str:
        return f"fo.native_slot({self.function!r})"

    def kernel_for(self, slot: str) -> _core.Kernel:
        """The kernel, when its signature is that of the slot."""
        found, wanted = _parts(self._signature), _parts(SIGNATURES[slot])
        is_right = len(found) == len(wanted) and all(
            given == needed or (given == "void *" and needed in _STRUCTS)
            for given, needed in zip(found, wanted, strict=True)
        )
        if not is_right:
            raise KernelSignatureError(
                f"{self!r} has the signature {self._signature!r}; "
                f"the slot {slot} is {SIGNATURES[slot]!r}."
            )
        return self._kernel


def _parts(signature: str) -> list[str]:
    """Result and parameters of a signature, in one spelling; [] for what is no function."""
    result, _, rest = _native.normalise(signature).partition("(")
    parts = [part.strip() for part in (result, *rest.rstrip(") ").split(","))] if rest else []
    return [_spell(part) for part in parts]


def _spell(part: str) -> str:
    base, space, stars = part.partition(" *")
    return _INTEGERS.get(base, base) + space + stars


def _normalise(signature: str) -> str:
    return ", ".join(_parts(signature))


def is_native(value: object) -> bool:
    """Whether it is a native function rather than one of Python."""
    return (
        _native._is_cffi(value)
        or _native._is_ctypes_function(value)
        or _native._is_numba(value)
        or type(value).__name__ == "PyCapsule"
    )


def _numba_signature(slot: str) -> Any:
    """The signature with pointers to structs as ``void *``, which numba reads by ``carray``."""
    try:
        from numba import types as nb
    except ImportError as error:
        raise ImportError(
            "fo.policy_signature(form='numba') needs numba; install it with: "
            "pip install 'foliot[native]'"
        ) from error
    known = {
        "int": nb.int32,
        "int64_t": nb.int64,
        "uint32_t": nb.uint32,
        "uint64_t": nb.uint64,
        "bool": nb.boolean,
    }

    def kind(part: str) -> Any:
        base = part.partition(" *")[0]
        if base not in known:
            return nb.voidptr
        pointer: Any = nb.CPointer
        return pointer(known[base]) if part.endswith("*") else known[base]

    result, *arguments = map(kind, _parts(SIGNATURES[slot]))
    return result(*arguments)


def native_slot(
    function: object, *, user_data: object = None, signature: str | None = None
) -> NativeSlot:
    """A native function for a slot of a policy, as a class attribute or in ``Policy(slots=…)``.

    Args:
        function: What ``fo.native`` takes: a cffi function or pointer, a ctypes function pointer, a
            numba ``cfunc``, a ``PyCapsule`` named by its C signature, or an address with
            ``signature``.
        user_data: What the function gets as ``state``: an address, a cffi or ctypes pointer, or an
            object with a contiguous buffer; kept alive.
        signature: The C signature, for what does not state it.

    Raises:
        KernelSignatureError: The signature is missing here, or not that of the slot where it is
            used. A pointer to a struct may be stated as ``void *``.

    Example:
        >>> import cffi
        >>> import foliot as fo
        >>> ffi = cffi.FFI()
        >>> @ffi.callback("int (void *, uint32_t, uint32_t *)")
        ... def patient(state, worker, limit):
        ...     limit[0] = 1000
        ...     return 0
        >>> class Patient(fo.Policy):
        ...     spin_limit = fo.native_slot(patient)
        >>> Patient().slots
        ('spin_limit',)

    """
    return NativeSlot(function, user_data, signature)


def policy_signature(slot: str, *, form: Literal["c", "numba"] = "c") -> Any:
    """The signature of a native slot: C text, or what ``numba.cfunc`` takes.

    Raises:
        ValueError: No slot has this name, or there is no such form.
        ImportError: ``form="numba"`` without numba; the extra ``native`` has it.

    Example:
        >>> import foliot as fo
        >>> fo.policy_signature("spin_limit")
        'int (void *state, uint32_t worker, uint32_t *limit)'

    """
    if slot not in SIGNATURES:
        raise ValueError(f"slot is one of {', '.join(SIGNATURES)}, got {slot!r}.")
    if form == "c":
        return SIGNATURES[slot]
    if form != "numba":
        raise ValueError(f"form is 'c' or 'numba', got {form!r}.")
    return _numba_signature(slot)
