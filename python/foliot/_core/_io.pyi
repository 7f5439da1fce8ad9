from collections.abc import Iterable
from os import PathLike, stat_result
from types import GenericAlias
from typing import (
    Any,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    final,
    overload,
)

import numpy.typing as npt
from typing_extensions import Buffer

_R_co = TypeVar("_R_co", covariant=True)
_Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]
_Descriptor: TypeAlias = int | _HasFileno
_Wait: TypeAlias = Literal["stage", "phase", "none"]
_Place: TypeAlias = tuple[int, type[Any]] | type[Any]

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

@final
class Operation(Generic[_R_co]):
    @property
    def kind(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def done(self) -> bool: ...
    @property
    def cancelled(self) -> bool: ...
    @property
    def result(self) -> _R_co: ...
    @property
    def error(self) -> OSError | None: ...
    def take(self) -> list[Any]: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Operations:
    @property
    def done(self) -> bool: ...
    @property
    def paths(self) -> tuple[str | bytes, ...]: ...
    @property
    def results(self) -> list[Any]: ...
    @property
    def errors(self) -> dict[int, OSError]: ...
    def __len__(self) -> int: ...

@final
class Io:
    @overload
    def read(
        self,
        path_or_fd: _Path | _Descriptor,
        size: int | None = None,
        offset: int | None = 0,
        into: None = None,
        *,
        to: None = None,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[bytes]: ...
    @overload
    def read(
        self,
        path_or_fd: _Path | _Descriptor,
        size: int | None = None,
        offset: int | None = 0,
        into: Buffer | list[Buffer] | tuple[Buffer, ...] | None = None,
        *,
        to: _Place | None = None,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[int]: ...
    def write(
        self,
        path_or_fd: _Path | _Descriptor,
        data: Buffer | list[Buffer] | tuple[Buffer, ...],
        offset: int | None = 0,
        *,
        mode: int = 0o666,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[int]: ...
    def fsync(
        self,
        fd: _Descriptor,
        data_only: bool = False,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
    ) -> Operation[None]: ...
    def open(
        self,
        path: _Path,
        flags: int = 0,
        mode: int = 0o666,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[int]: ...
    def close(
        self, fd: _Descriptor, *, wait: _Wait = "stage", timeout: float | None = None
    ) -> Operation[None]: ...
    def stat(
        self,
        path_or_fd: _Path | _Descriptor,
        *,
        follow_symlinks: bool = True,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[stat_result]: ...
    def rename(
        self, old: _Path, new: _Path, *, wait: _Wait = "stage", timeout: float | None = None
    ) -> Operation[None]: ...
    def unlink(
        self,
        path: _Path,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[None]: ...
    def mkdir(
        self,
        path: _Path,
        mode: int = 0o777,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[None]: ...
    def rmdir(
        self,
        path: _Path,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operation[None]: ...
    def socket(
        self,
        family: int,
        type: int = 1,  # noqa: A002
        proto: int = 0,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
    ) -> Operation[int]: ...
    def connect(
        self,
        fd: _Descriptor,
        address: tuple[Any, ...] | _Path,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
    ) -> Operation[None]: ...
    def accept(
        self,
        fd: _Descriptor,
        many: bool = False,
        *,
        wait: _Wait = ...,
        timeout: float | None = None,
    ) -> Operation[int]: ...
    @overload
    def recv(
        self,
        fd: _Descriptor,
        size: int | None = 65536,
        *,
        whole: bool = False,
        many: bool = False,
        into: None = None,
        to: None = None,
        wait: _Wait = ...,
        timeout: float | None = None,
    ) -> Operation[bytes]: ...
    @overload
    def recv(
        self,
        fd: _Descriptor,
        size: int | None = 65536,
        *,
        whole: bool = False,
        many: bool = False,
        into: Buffer | None = None,
        to: _Place | None = None,
        wait: _Wait = ...,
        timeout: float | None = None,
    ) -> Operation[int]: ...
    def send(
        self,
        fd: _Descriptor,
        data: Buffer,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
    ) -> Operation[int]: ...
    def shutdown(
        self,
        fd: _Descriptor,
        how: int = 2,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
    ) -> Operation[None]: ...
    def poll(
        self,
        fd: _Descriptor,
        events: int,
        *,
        wait: _Wait = "stage",
        timeout: float | None = None,
    ) -> Operation[int]: ...
    def timeout(self, seconds: float, *, wait: _Wait = "stage") -> Operation[None]: ...
    def cancel(
        self, operation: Operation[Any], *, wait: _Wait = "stage", timeout: float | None = None
    ) -> Operation[bool]: ...
    def nop(self, *, wait: _Wait = "stage", timeout: float | None = None) -> Operation[None]: ...
    def read_many(
        self,
        paths: Iterable[_Path],
        size: int | None = None,
        *,
        to: tuple[Iterable[int] | npt.NDArray[Any], type[Any]] | None = None,
        wait: _Wait = "stage",
        timeout: float | None = None,
        dir_fd: _Descriptor | None = None,
    ) -> Operations: ...
