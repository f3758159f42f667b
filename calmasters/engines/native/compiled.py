"""The compiled kernels, by name.

numba compiles each when it is first used on a machine. Importing numba takes longer than making a
small master, so the machine code is cached in a file and linked without numba: on x86-64 Linux by
``object_file.py``, on other systems by llvmlite. These try it once, in a process of its own. Where
it fails, numba loads the same functions from a cache of its own: the start takes some seconds
longer, the results are the same (``docs/decisions/0026-kernels-load-without-numba.md``).

``python -m calmasters.engines.native`` compiles all before the first job.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from calmasters.engines.native import object_file
from calmasters.engines.native.code_cache import (
    TRIED,
    MachineCode,
    cache_folders,
    cached,
    cached_by_numba,
    cached_or_built,
)

__all__ = ["SIGNATURES", "kernels", "prepare", "works_alone"]

Function: TypeAlias = Callable[..., None]

#: Argument types of each entry point: p address of an array, t address of a table of addresses, i
#: int64, d float64, f float32. Used by ctypes here and by numba in ``entries.py``.
SIGNATURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "decode": "pi",
        "unpack": "ppi",
        "calibrate": "piipipipf",
        "normalize": "piipp",
        "box_mean": "piip",
        "survey": "piffffpppp",
        "cold_moments": "ppiidp",
        "hot_moments": "ppifdp",
        "integrate": "ppiippppppp",
        "winsorize_codes": "piippppppt",
        "winsorize": "piippppppt",
    }
)

_C_TYPES: Final = {
    "p": ctypes.c_void_p,
    "t": ctypes.c_void_p,
    "i": ctypes.c_int64,
    "d": ctypes.c_double,
    "f": ctypes.c_float,
}

#: Symbols that compiled code refers to but never calls, since kernels neither allocate nor raise.
_NEVER_CALLED: Final = (
    *("NRT_Free", "NRT_MemInfo_call_dtor", "numba_do_raise", "numba_gil_ensure"),
    *("numba_gil_release", "numba_runtime_build_excinfo_struct", "numba_unpickle"),
)

#: Of the trial, which compiles the kernels and then takes seconds.
_TIMEOUT_S: Final = 900
#: Its result.
_PASSED: Final = "passed"

#: Modules whose change requires a new compilation.
_KERNEL_MODULES: Final = (
    *("entries", "exactly", "loading", "moments", "rejection", "scale"),
    *("settling", "sorting", "stack", "tiles", "workspace"),
)

#: The system and machine on which loading without numba is tested: no trial is needed there.
_TESTED: Final = ("Linux", "x86_64")
#: The lines of its /proc/cpuinfo that name the processor, and what it can do.
_PROCESSOR: Final = ("vendor_id", "cpu family", "model", "stepping", "flags")


@cache
def kernels(*, plain: bool = False) -> Any:
    """Return the kernels, each an attribute that takes arrays and numbers.

    A kernel is loaded at its first use, by one thread. It does not hold the interpreter lock:
    several threads can run it at once.

    Parameters
    ----------
    plain : bool
        Let numba load them even where it is not needed.
    """
    return _Kernels(plain)


def prepare(name: str) -> None:
    """Load a kernel: compile it if no job has used it before."""
    getattr(kernels(), name)


class _Kernels:
    def __init__(self, plain: bool) -> None:
        self._plain, self._lock = plain, Lock()

    def __getattr__(self, name: str) -> Function:
        if name not in SIGNATURES:
            raise AttributeError(name)
        with self._lock:
            if name not in vars(self):
                setattr(self, name, _by_address(_load(name, self._plain)))
        return vars(self)[name]  # type: ignore[no-any-return]


def _by_address(function: Function) -> Function:
    def call(*arguments: Any) -> None:
        function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))

    return call


def _load(name: str, plain: bool) -> Function:
    if TRIED in os.environ:
        return _link_by_llvmlite(name, _machine_code(name))
    without_numba = not plain and (_is_tested() or _has_passed_trial())
    return (without_numba and _load_object(name)) or _load_by_numba(name)


def _is_tested() -> bool:
    return (platform.system(), platform.machine()) == _TESTED


# Without numba ---------------------------------------------------------------------------


def _load_object(name: str) -> Function | None:
    """Link the machine code of a cache file into this process; None if that fails."""
    try:
        link = _link if _is_tested() else _link_by_llvmlite
        return link(name, _machine_code(name))
    except Exception as error:
        # The machine code comes from private interfaces of numba, which can change in any version
        # and can then raise any exception. The public interface is slower; results are the same.
        print(
            f"the native engine could not be loaded without numba ({error!r}); numba loads it, "
            "which takes some seconds more in every job: please report this error",
            file=sys.stderr,
        )
    return None


def _machine_code(name: str) -> MachineCode:
    """Return the machine code of a kernel from a cache file; compile it where there is none."""
    file = _cache_name(name)
    found = cached(file, cache_folders())
    return found or cached_or_built(file, cache_folders(), lambda: _build(name))


def _link(name: str, code: MachineCode) -> Function:
    symbol, file = code
    linked = object_file.link(file, symbol, _address_of)
    return _c_function(name, linked.address, linked.memory)


def _address_of(name: str) -> int:
    """Return the address of what Python or the system's library has."""
    if name in _NEVER_CALLED:
        name = "Py_FatalError"
    return ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name))


def _link_by_llvmlite(name: str, code: MachineCode) -> Function:
    import llvmlite.binding as llvm

    # Each kernel has a linker of its own: names of functions inside are unique only in one process
    # that compiles.
    symbol, file = code
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(file))
    engine.finalize_object()
    return _c_function(name, engine.get_function_address(symbol), engine)


def _machine() -> Any:
    """Return a target of llvmlite's linker, which takes a new one each time."""
    import llvmlite.binding as llvm

    _prepare_linker()
    return llvm.Target.from_default_triple().create_target_machine(jit=True)


@cache
def _prepare_linker() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name in _NEVER_CALLED:
        llvm.add_symbol(name, _address_of(name))


def _c_function(name: str, address: int, code: object) -> Function:
    if not address:
        raise LookupError(name)
    types = [_C_TYPES[code] for code in SIGNATURES[name]]
    function: Any = ctypes.CFUNCTYPE(None, *types)(address)
    function.keeps_alive = code
    return function  # type: ignore[no-any-return]


def _build(name: str) -> MachineCode:
    """Compile a kernel."""
    from calmasters.engines.native.entries import machine_code

    symbol, code = machine_code(name, SIGNATURES[name])
    _require_self_contained(code)
    return symbol, code


@cache
def _has_passed_trial() -> bool:
    """Return the result of this machine's trial; try once."""
    file = _cache_name("trial")
    result, _ = cached(file, cache_folders()) or cached_or_built(file, cache_folders(), _trial)
    return result == _PASSED


def _trial() -> MachineCode:
    """Return the result of a trial in the form of machine code, as the cache keeps it."""
    return _PASSED if works_alone(cache_folders()) else "failed", b""


def works_alone(folders: Iterable[Path]) -> bool:
    """Return whether kernels run without numba here, with the results of the reference.

    Parameters
    ----------
    folders : iterable of Path
        Where machine code is, or is kept after its compilation.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "calmasters.engines.native.trial"],
            env={**os.environ, TRIED: os.pathsep.join(map(str, folders))},
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _require_self_contained(code: bytes) -> None:
    """Raise LookupError if machine code calls numba's runtime, which only numba provides."""
    calls = {name.decode() for name in re.findall(rb"\0((?:NRT|numba)_\w+)", code)}
    if unknown := calls - {*_NEVER_CALLED, "NRT_incref", "NRT_decref"}:
        raise LookupError(f"kernels call {', '.join(unknown)} of numba's runtime")


def _cache_name(name: str) -> str:
    """Return the name of a kernel's cache file."""
    return f"{name}-{_machine_digest()}.bin"


@cache
def _machine_digest() -> str:
    """Return a digest of everything that machine code depends on."""
    wanted = [f"{name}={text}" for name, text in os.environ.items() if name.startswith("NUMBA_CPU")]
    return _digest(_version("llvmlite"), sys.version, _processor(), *sorted(wanted))


def _processor() -> str:
    if _is_tested():
        # Without the library of llvmlite.
        first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")
        return "\n".join(line for line in first.splitlines() if line.startswith(_PROCESSOR))
    import llvmlite.binding as llvm

    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def _version(package: str) -> str:
    """Return the content of the file that has the version of a package, which is not imported."""
    found = importlib.util.find_spec(package)
    file = Path(found.origin).with_name("_version.py") if found and found.origin else None
    return file.read_text(encoding="utf-8") if file else ""


def _digest(*parts: str) -> str:
    """Return a digest of the kernels, the version of numba, and more."""
    digest = hashlib.sha256()
    for module in _KERNEL_MODULES:
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    for part in (_version("numba"), *parts):
        digest.update(part.encode())
    return digest.hexdigest()[:16]


# By numba --------------------------------------------------------------------------------


def _load_by_numba(name: str) -> Function:
    # numba's cache knows versions of numba and processors, but only changes of the entry points'
    # own module: so each version of a kernel has a folder of its own.
    folder = f"{name}-numba-{_digest(sys.version)}"
    return cached_by_numba(folder, cache_folders(), lambda cache_dir: _by_numba(name, cache_dir))


def _by_numba(name: str, folder: Path | None) -> Function:
    import numba

    from calmasters.engines.native.entries import compiled

    if folder:
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    return compiled(name, SIGNATURES[name], is_cached=folder is not None)
