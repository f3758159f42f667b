"""The compiled kernels, by name.

numba compiles them once on each machine. Importing numba takes longer than making a small master,
so the machine code is cached in a file and loaded by llvmlite alone. Systems on which that was not
tested try it once, in a process of its own. Where it fails, numba loads the same functions from a
cache of its own: the start takes some seconds longer, the results are the same
(``docs/decisions/0026-kernels-load-without-numba.md``).

``python -m calmasters.engines.native`` compiles before the first job.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import marshal
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final, TypeAlias

import numpy as np

from calmasters.atomic_files import temporary_folder
from calmasters.engines.native.code_cache import (
    TRIED,
    Objects,
    cache_folders,
    cached,
    cached_by_numba,
    cached_or_built,
)

__all__ = ["SIGNATURES", "kernels", "works_alone"]

Function: TypeAlias = Callable[..., None]

#: Argument types of each entry point: p address of an array, i int64, d float64, f float32. Used
#: by ctypes here and by numba in ``entries.py``.
SIGNATURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unpack": "piipii",
        "calibrate": "piipipipf",
        "normalize": "piipp",
        "box_mean": "piip",
        "survey": "piddddpp",
        "count_below": "pidddp",
        "cold_moments": "ppiidpp",
        "hot_moments": "ppifdp",
        "integrate": "ppiippppppp",
        "winsorize": "piippppppp",
        "workspace_size": "ip",
    }
)

_C_TYPES: Final = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int64,
    "d": ctypes.c_double,
    "f": ctypes.c_float,
}

#: Symbols that compiled code refers to but never calls, since kernels neither allocate nor raise.
_NEVER_CALLED: Final = (
    *("NRT_Free", "NRT_MemInfo_call_dtor", "numba_do_raise", "numba_gil_ensure"),
    *("numba_gil_release", "numba_runtime_build_excinfo_struct", "numba_unpickle"),
)

#: Of the trial, which takes seconds.
_TIMEOUT_S: Final = 120

#: Modules whose change requires a new compilation.
_KERNEL_MODULES: Final = (
    *("entries", "lanes", "loading", "moments"),
    *("rejection", "settling", "stack", "tiles"),
)

#: The system and machine on which loading without numba is tested: no trial is needed there.
_TESTED: Final = ("Linux", "x86_64")


@cache
def kernels(*, plain: bool = False) -> Any:
    """Load the kernels, each an attribute that takes arrays and numbers.

    They do not hold the interpreter lock: several threads can run them at once.

    Parameters
    ----------
    plain : bool
        Let numba load them even where llvmlite can.
    """
    functions = (not plain and _load_objects()) or _load_by_numba()
    return SimpleNamespace(**{name: _by_address(call) for name, call in functions.items()})


def _by_address(function: Function) -> Function:
    def call(*arguments: Any) -> None:
        function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))

    return call


# By llvmlite -----------------------------------------------------------------------------


def _load_objects() -> Mapping[str, Function] | None:
    """Link the machine code of the cache file into this process; None if that fails."""
    if tried := os.environ.get(TRIED):
        return _link(marshal.loads(Path(tried).read_bytes()))
    try:
        name = _cache_name()
        objects = cached(name, cache_folders())
        if objects is None:
            objects = cached_or_built(name, cache_folders(), _build)
        # Without any, a trial has failed here.
        return _link(objects) if objects else None
    except Exception as error:
        # The machine code comes from private interfaces of numba, which can change in any version
        # and can then raise any exception. The public interface is slower; results are the same.
        print(
            f"the native engine could not be loaded without numba ({error!r}); numba loads it, "
            "which takes some seconds more in every job: please report this error",
            file=sys.stderr,
        )
    return None


def _link(objects: Objects) -> Mapping[str, Function]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    dead_end = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value
    for name in _NEVER_CALLED:
        llvm.add_symbol(name, dead_end)
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for _, code in objects.values():
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return {
        name: _c_function(name, engine.get_function_address(symbol), engine)
        for name, (symbol, _) in objects.items()
    }


def _c_function(name: str, address: int, engine: object) -> Function:
    if not address:
        raise LookupError(name)
    types = [_C_TYPES[code] for code in SIGNATURES[name]]
    function: Any = ctypes.CFUNCTYPE(None, *types)(address)
    function.keeps_alive = engine
    return function  # type: ignore[no-any-return]


def _build() -> Objects:
    """Compile all kernels; return none where they do not work without numba."""
    from calmasters.engines.native.entries import machine_code

    objects = {name: machine_code(name, codes) for name, codes in SIGNATURES.items()}
    for _, code in objects.values():
        _require_self_contained(code)
    is_tested = (platform.system(), platform.machine()) == _TESTED
    return objects if is_tested or works_alone(objects) else {}


def works_alone(objects: Objects) -> bool:
    """Return whether machine code runs without numba here, with the results of the reference."""
    with temporary_folder() as folder:
        file = Path(folder, "kernels.bin")
        file.write_bytes(marshal.dumps(objects))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "calmasters.engines.native.trial"],
                env={**os.environ, TRIED: str(file)},
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


@cache
def _cache_name() -> str:
    """Return the name of the cache file: a digest of everything that machine code depends on."""
    import llvmlite
    import llvmlite.binding as llvm

    versions = (llvmlite.__version__, sys.version)
    processor = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    return f"kernels-{_digest(*versions, *processor)}.bin"


def _digest(*parts: str) -> str:
    """Return a digest of the kernels, the version of numba, and more."""
    digest = hashlib.sha256()
    for module in _KERNEL_MODULES:
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    numba = importlib.util.find_spec("numba")
    if numba and numba.origin:
        digest.update(Path(numba.origin).with_name("_version.py").read_bytes())
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()[:16]


# By numba --------------------------------------------------------------------------------


def _load_by_numba() -> Mapping[str, Function]:
    # numba's cache knows versions of numba and processors, but only changes of the entry points'
    # own module: so each version of the kernels has a folder of its own.
    return cached_by_numba(f"numba-{_digest(sys.version)}", cache_folders(), _by_numba)


def _by_numba(folder: Path | None) -> Mapping[str, Function]:
    import numba

    from calmasters.engines.native.entries import compiled

    if folder:
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    return {
        name: compiled(name, codes, is_cached=folder is not None)
        for name, codes in SIGNATURES.items()
    }
