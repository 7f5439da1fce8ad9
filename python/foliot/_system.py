"""Systems: a function or a kernel together with everything it declares to touch.

A system is a value: it may stand in any number of schedules, and declaring one registers nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, overload

from foliot import _core
from foliot._budget import Group, SchedulingContext
from foliot._checks import text, whole
from foliot._native import read_kernel, read_user_data

if TYPE_CHECKING:
    from foliot._core import Context

    _Function: TypeAlias = Callable[[Context], object]
    _Components: TypeAlias = type | Iterable[type] | None
    _Names: TypeAlias = "str | System | Iterable[str | System] | None"
    _Gil: TypeAlias = Literal["hold", "release"]
    _Budget: TypeAlias = SchedulingContext | Group | None

DEFAULT_PHASE = "update"
MAX_ROWS = 2**32 - 1


def component_name(component: type) -> str:
    """The name of a component or resource, as messages show it."""
    return _core.component_facts(component)[0]


def read_components(given: object, what: str) -> tuple[type, ...]:
    """One class or an iterable of them as a tuple without repetitions."""
    if given is None:
        return ()
    if isinstance(given, type):
        given = (given,)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise TypeError(f"{what} takes component or resource classes, got {given!r}.")
    found = tuple(dict.fromkeys(given))
    for item in found:
        if not isinstance(item, type):
            raise TypeError(f"{what} takes component or resource classes, got {item!r}.")
    return found


def read_names(given: object, what: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """One name (or system) or an iterable of them as a tuple."""
    if given is None:
        return ()
    if isinstance(given, kinds):
        return (given,)
    takes = "systems, names or set names" if System in kinds else "names"
    if not isinstance(given, Iterable):
        raise TypeError(f"{what} takes {takes}, got {given!r}.")
    found = tuple(given)
    # One pass in C over the types: declarations with a thousand names are common in total orders.
    if not set(map(type, found)) <= set(kinds):
        for item in found:
            if not isinstance(item, kinds):
                raise TypeError(f"{what} takes {takes}, got {item!r}.")
    return found


@dataclass(frozen=True)
class Query:
    """Which rows a system goes over, beside those of its default query.

    Args:
        reads: components whose columns are read.
        writes: components whose columns are written.
        with_: components a row has as well.
        without: components a row does not have.
        changed: components that changed, or were added, since the system last ran.
        added: components that were added since the system last ran.

    Each takes one component or several. A query of nothing goes over every row.

    Example:
        >>> import foliot as fo
        >>> Wall = fo.tag("Wall")
        >>> fo.Query(with_=Wall)
        Query(with_=[Wall])
    """

    reads: Any = field(default=(), kw_only=True)
    writes: Any = field(default=(), kw_only=True)
    with_: Any = field(default=(), kw_only=True)
    without: Any = field(default=(), kw_only=True)
    changed: Any = field(default=(), kw_only=True)
    added: Any = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("reads", "writes", "with_", "without", "changed", "added"):
            components = read_components(getattr(self, name), f"{name}= of a query")
            for component in components:
                shown, is_resource, _ = _core.component_facts(component)
                if is_resource:
                    raise ValueError(
                        f"{shown} is a resource: only the reads and writes of a system take it, "
                        f"{name}= of a query takes components."
                    )
            object.__setattr__(self, name, components)
        wanted = {*self.reads, *self.writes, *self.with_, *self.changed, *self.added}
        for component in self.without:
            if component in wanted:
                raise ValueError(
                    f"{component_name(component)} is both wanted and refused (without=): no row "
                    "can match."
                )

    def __repr__(self) -> str:
        parts = [
            f"{name}=[{', '.join(map(component_name, getattr(self, name)))}]"
            for name in ("reads", "writes", "with_", "without", "changed", "added")
            if getattr(self, name)
        ]
        return f"Query({', '.join(parts)})"

    @property
    def has_terms(self) -> bool:
        """Whether it names any component."""
        return bool(
            self.reads or self.writes or self.with_ or self.without or self.changed or self.added
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class System:
    """A unit of work with what it declares; made by ``fo.system`` and ``fo.native``.

    Calling one calls its function, so that it can be tested without a scheduler.
    """

    name: str
    function: _Function | None
    kernel: _core.Kernel | None
    default_query: Query
    queries: Mapping[str, Query]
    resource_reads: tuple[type, ...]
    resource_writes: tuple[type, ...]
    phase: str
    before: tuple[str | System, ...]
    after: tuple[str | System, ...]
    sets: tuple[str, ...]
    run_if: _Function | None
    exclusive: bool
    commands: bool
    io: bool
    gil: _Gil
    max_rows: int
    budget: SchedulingContext | Group | None
    # Columns come in the order of writes, then reads; resources stand among them.
    column_writes: tuple[type, ...]
    column_reads: tuple[type, ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.function is None:
            raise TypeError(f"`{self.name}` is a native system: only a scheduler can call it.")
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        kind = "native system" if self.kernel is not None else "system"
        return f"<{kind} {self.name!r} of phase {self.phase!r}>"

    @property
    def is_native(self) -> bool:
        """Whether it is a kernel, which never takes the interpreter lock."""
        return self.kernel is not None

    @property
    def reads(self) -> tuple[type, ...]:
        """Components and resources it reads, as declared."""
        return self.column_reads

    @property
    def writes(self) -> tuple[type, ...]:
        """Components and resources it writes, as declared."""
        return self.column_writes


def _split(classes: tuple[type, ...]) -> tuple[tuple[type, ...], tuple[type, ...]]:
    """Components and resources apart."""
    resources = tuple(item for item in classes if _core.component_facts(item)[1])
    return tuple(item for item in classes if item not in resources), resources


def _check_flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{what} is True or False, got {value!r}.")
    return value


def _check_budget(name: str, budget: object) -> _Budget:
    if budget is None or isinstance(budget, SchedulingContext | Group):
        return budget
    raise TypeError(
        f"budget= of `{name}` is a fo.SchedulingContext, a fo.Group or None, got {budget!r}."
    )


def _read_queries(name: str, queries: object) -> Mapping[str, Query]:
    if queries is None:
        return {}
    if not isinstance(queries, Mapping):
        raise TypeError(f"queries= of `{name}` maps names to fo.Query, got {queries!r}.")
    for key, query in queries.items():
        text(key, f"a query's name in `{name}`")
        if not isinstance(query, Query):
            raise TypeError(f"query `{key}` of `{name}` is a fo.Query, got {query!r}.")
    return dict(queries)


def _read_sets(name: str, sets: object) -> tuple[str, ...]:
    found = dict.fromkeys(read_names(sets, f"sets= of `{name}`", (str,)))
    return tuple(text(item, f"a set's name in `{name}`") for item in found)


def _make_system(
    *,
    name: str,
    function: _Function | None,
    kernel: _core.Kernel | None,
    reads: object,
    writes: object,
    with_: object,
    without: object,
    changed: object,
    added: object,
    queries: object,
    phase: object,
    before: object,
    after: object,
    sets: object,
    run_if: object,
    exclusive: object,
    commands: object,
    io: object,
    gil: _Gil,
    max_rows: int,
    budget: object,
) -> System:
    """Check every option and make the system; nothing is made when one is wrong."""
    text(name, "a system's name")
    write_classes = read_components(writes, f"writes= of `{name}`")
    read_classes = read_components(reads, f"reads= of `{name}`")
    if kernel is None:
        # Whoever writes may read as well.
        read_classes = tuple(item for item in read_classes if item not in write_classes)
    component_writes, resource_writes = _split(write_classes)
    component_reads, resource_reads = _split(read_classes)
    try:
        default_query = Query(
            reads=component_reads,
            writes=component_writes,
            with_=read_components(with_, f"with_= of `{name}`"),
            without=read_components(without, f"without= of `{name}`"),
            changed=read_components(changed, f"changed= of `{name}`"),
            added=read_components(added, f"added= of `{name}`"),
        )
    except ValueError as error:
        raise ValueError(f"system `{name}`: {error}") from None
    if gil not in ("hold", "release"):
        raise ValueError(f"gil= of `{name}` is 'hold' or 'release', got {gil!r}.")
    if run_if is not None and not callable(run_if):
        raise TypeError(f"run_if= of `{name}` is a function of the context, got {run_if!r}.")
    return System(
        name=name,
        function=function,
        kernel=kernel,
        default_query=default_query,
        queries=_read_queries(name, queries),
        resource_reads=resource_reads,
        resource_writes=resource_writes,
        phase=text(phase, f"phase= of `{name}`"),
        before=read_names(before, f"before= of `{name}`", (str, System)),
        after=read_names(after, f"after= of `{name}`", (str, System)),
        sets=_read_sets(name, sets),
        run_if=cast("_Function | None", run_if),
        exclusive=_check_flag(exclusive, f"exclusive= of `{name}`"),
        commands=_check_flag(commands, f"commands= of `{name}`"),
        io=_check_flag(io, f"io= of `{name}`"),
        gil=gil,
        max_rows=max_rows,
        budget=_check_budget(name, budget),
        column_writes=write_classes,
        column_reads=read_classes,
    )


def _check_function(function: object) -> _Function:
    if isinstance(function, System):
        raise TypeError(f"`{function.name}` is a system already.")
    if not callable(function):
        raise TypeError(f"fo.system decorates a function of the context, got {function!r}.")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{getattr(function, '__name__', function)} is a coroutine or generator function: a "
            "system is an ordinary function that returns when its work is done."
        )
    return cast("_Function", function)


@overload
def system(function: _Function, /) -> System: ...


@overload
def system(
    function: None = None,
    /,
    *,
    reads: _Components = ...,
    writes: _Components = ...,
    with_: _Components = ...,
    without: _Components = ...,
    changed: _Components = ...,
    added: _Components = ...,
    queries: Mapping[str, Query] | None = ...,
    phase: str = ...,
    before: _Names = ...,
    after: _Names = ...,
    sets: str | Iterable[str] | None = ...,
    run_if: _Function | None = ...,
    exclusive: bool = ...,
    commands: bool = ...,
    gil: _Gil = ...,
    budget: _Budget = ...,
    io: bool = ...,
    name: str | None = ...,
) -> Callable[[_Function], System]: ...


def system(
    function: Any = None,
    /,
    *,
    reads: Any = None,
    writes: Any = None,
    with_: Any = None,
    without: Any = None,
    changed: Any = None,
    added: Any = None,
    queries: Any = None,
    phase: str = DEFAULT_PHASE,
    before: Any = None,
    after: Any = None,
    sets: Any = None,
    run_if: Any = None,
    exclusive: bool = False,
    commands: bool = False,
    gil: Any = "hold",
    budget: _Budget = None,
    io: bool = False,
    name: str | None = None,
) -> Any:
    """Make a Python function a system.

    A system that names no component goes over every row when it iterates its context, as the last
    merge left them; one that must see what earlier systems record says so with
    ``queries={"all": fo.Query()}``.

    Args:
        function: called as ``function(ctx)`` once a frame; what it returns is ignored.
        reads: components and resources it reads.
        writes: components and resources it writes (and may read).
        with_: components that rows of its default query have as well.
        without: components that they do not have.
        changed: go only over rows where these changed, or were added, since it last ran.
        added: go only over rows where these were added since it last ran.
        queries: further queries by name, reached as ``ctx.query(name)``.
        phase: the phase it runs in.
        before: systems, names or set names it runs before.
        after: systems, names or set names it runs after.
        sets: names of the sets it is in.
        run_if: called with the context; the system is skipped when it says no.
        exclusive: it runs alone and gets ``ctx.world``.
        commands: it records commands through ``ctx.commands``.
        gil: "release" when it spends its time in code that drops the interpreter lock.
        budget: what its time is charged to: a ``fo.SchedulingContext`` bounds it, in a
            ``fo.Group`` it shares the workers.
        io: it asks for I/O through ``ctx.io``.
        name: by default the function's name.

    Example:
        >>> import foliot as fo
        >>> Position, Velocity = fo.component("Position", "f8"), fo.component("Velocity", "f8")
        >>> @fo.system(reads=[Velocity], writes=[Position])
        ... def move(ctx):
        ...     for chunk in ctx:
        ...         chunk[Position] += chunk[Velocity] * ctx.dt
        >>> move
        <system 'move' of phase 'update'>
    """

    def declare(target: Any) -> System:
        run = _check_function(target)
        shown = name if name is not None else getattr(run, "__name__", type(run).__name__)
        made = _make_system(
            name=shown,
            function=run,
            kernel=None,
            reads=reads,
            writes=writes,
            with_=with_,
            without=without,
            changed=changed,
            added=added,
            queries=queries,
            phase=phase,
            before=before,
            after=after,
            sets=sets,
            run_if=run_if,
            exclusive=exclusive,
            commands=commands,
            io=io,
            gil=gil,
            max_rows=0,
            budget=budget,
        )
        for attribute in ("__doc__", "__module__", "__name__", "__qualname__"):
            if hasattr(run, attribute):
                object.__setattr__(made, attribute, getattr(run, attribute))
        object.__setattr__(made, "__wrapped__", run)
        return made

    return declare if function is None else declare(function)


def _check_native_access(made: System) -> None:
    """What a kernel cannot be given."""
    for component in (*made.column_writes, *made.column_reads):
        shown, _, storage = _core.component_facts(component)
        if storage == "object":
            raise ValueError(
                f"native system `{made.name}`: {shown} holds Python objects, which only Python "
                "systems may declare."
            )
        # With I/O it is the delivery that writes them.
        if storage == "bytes" and component in made.column_writes and not made.io:
            raise ValueError(
                f"native system `{made.name}`: {shown} holds bytes, which a kernel may read but "
                "not write; with io=True it may ask for them to be read into."
            )
    for component in made.column_reads:
        if component in made.column_writes:
            raise ValueError(
                f"native system `{made.name}`: {component_name(component)} stands in reads and "
                "in writes; a kernel gets its columns once, so name it in one of them."
            )


def _kernel_name(kernel: object) -> str | None:
    """The name a kernel goes by where it was made."""
    # A numba cfunc knows its Python function; others carry a name of their own.
    for source in (kernel, getattr(kernel, "_pyfunc", None)):
        found = getattr(source, "__name__", None)
        # cffi calls its pointers <cdata>, which is no name for a system.
        if isinstance(found, str) and found.isidentifier():
            return found
    return None


def _read_chunk_rows(chunk_rows: object, name: str) -> int:
    if chunk_rows == "auto":
        return 0
    return whole(chunk_rows, f"chunk_rows= of `{name}`", 1, MAX_ROWS)


def native(
    kernel: object,
    *,
    writes: _Components = None,
    reads: _Components = None,
    with_: _Components = None,
    without: _Components = None,
    changed: _Components = None,
    added: _Components = None,
    phase: str = DEFAULT_PHASE,
    before: _Names = None,
    after: _Names = None,
    sets: str | Iterable[str] | None = None,
    run_if: _Function | None = None,
    commands: bool = False,
    io: bool = False,
    budget: _Budget = None,
    name: str | None = None,
    user_data: object = None,
    signature: str | None = None,
    chunk_rows: int | Literal["auto"] = "auto",
) -> System:
    """Make a native kernel a system; it never takes the interpreter lock.

    Args:
        kernel: a cffi function or pointer, a ctypes function pointer, a numba ``cfunc``, a
            PyCapsule named by its C signature, or an int address with ``signature``. It is
            ``int (void **columns, ptrdiff_t rows, void *user)``, where columns are the fields of
            ``writes`` in order, then of ``reads``, or ``int (const fol_chunk *chunk, void *user)``
            of ``foliot/system.h``. It returns 0, or any other number to fail with that code.
        writes: components and resources it writes.
        reads: components and resources it reads. A resource is a column of one row.
        with_: components that its rows have as well.
        without: components that they do not have.
        changed: go only over rows where these changed since it last ran.
        added: go only over rows where these were added since it last ran.
        phase: the phase it runs in.
        before: systems, names or set names it runs before.
        after: systems, names or set names it runs after.
        sets: names of the sets it is in.
        run_if: a Python function of the context; the system is skipped when it says no.
        commands: the kernel records commands through its chunk.
        io: the kernel asks for I/O through its chunk.
        budget: what its time is charged to, as in ``fo.system``; looked at between chunks.
        name: by default the kernel's name where it has one.
        user_data: the kernel's last argument: an address, a cffi or ctypes pointer, or an object
            with a buffer, which is kept alive.
        signature: the C signature of a kernel that does not state its own.
        chunk_rows: the longest run of rows of one call.

    The kernel may be called on several workers at once, each with rows of its own; what
    ``user_data`` points at is shared by all these calls. A system that writes a resource is never
    cut like that.

    KernelSignatureError: the kernel has another signature.

    Example:
        >>> import cffi
        >>> import foliot as fo
        >>> ffi = cffi.FFI()
        >>> @ffi.callback("int (void **columns, ptrdiff_t rows, void *user)")
        ... def halve(columns, rows, user):
        ...     mass = ffi.cast("double *", columns[0])
        ...     for i in range(rows):
        ...         mass[i] *= 0.5
        ...     return 0
        >>> fo.native(halve, writes=fo.component("Mass", "f8"), name="halve")
        <native system 'halve' of phase 'update'>
    """
    shown = name if name is not None else _kernel_name(kernel)
    if shown is None:
        raise ValueError("a kernel without a name of its own needs name=.")
    found = read_kernel(kernel, signature)
    for option, given, use in (("commands", commands, "records them"), ("io", io, "asks for it")):
        if given is True and not found.takes_chunk:
            raise ValueError(
                f"native system `{shown}`: {option}=True needs the kernel signature that takes a "
                f"fol_chunk, through which it {use}."
            )
    rows = _read_chunk_rows(chunk_rows, shown)
    made = _make_system(
        name=shown,
        function=None,
        kernel=_core.Kernel(
            found.address, found.takes_chunk, found.owner, user_data, read_user_data(user_data)
        ),
        reads=reads,
        writes=writes,
        with_=with_,
        without=without,
        changed=changed,
        added=added,
        queries=None,
        phase=phase,
        before=before,
        after=after,
        sets=sets,
        run_if=run_if,
        exclusive=False,
        commands=commands,
        io=io,
        gil="hold",
        max_rows=rows,
        budget=budget,
    )
    _check_native_access(made)
    return made
