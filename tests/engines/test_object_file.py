"""Machine code of kernels is linked without LLVM on x86-64 Linux."""

from __future__ import annotations

import platform
import struct
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from calmasters.engines.native import compiled, object_file

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != compiled._TESTED, reason="llvmlite links them here"
)


@pytest.fixture
def small_code() -> tuple[str, bytes]:
    """The machine code of the kernel that decodes."""
    return compiled._machine_code("decode")


@pytest.mark.parametrize("link", [compiled._link, compiled._link_by_llvmlite])
def test_a_linked_kernel_does_its_work(
    link: Callable[..., Callable[..., None]], small_code: tuple[str, bytes]
) -> None:
    stored = np.array([0x0080, 0xFF7F, 0x3412], np.uint16)
    link("decode", small_code)(stored.ctypes.data, 3)
    assert stored.tolist() == [0, 0xFFFF, 0x1234 ^ 0x8000]


def test_a_cut_object_file_is_refused(small_code: tuple[str, bytes]) -> None:
    symbol, code = small_code
    for size in range(0, len(code), 97):
        with pytest.raises((LookupError, ValueError, struct.error)):
            object_file.link(code[:size], symbol, compiled._address_of)


def test_an_object_file_with_other_relocations_or_variables_is_refused(
    small_code: tuple[str, bytes],
) -> None:
    symbol, code = small_code
    (table,), (count,) = struct.unpack_from("<Q", code, 40), struct.unpack_from("<H", code, 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + 64 * n) for n in range(count)]
    relocations = next(each for each in sections if each[1] == 4 and sections[each[7]][2] & 4)
    text = relocations[7]
    other = bytearray(code)
    struct.pack_into("<I", other, relocations[4] + 8, 10)  # 32 bits
    with pytest.raises(LookupError, match="relocations of type 10"):
        object_file.link(bytes(other), symbol, compiled._address_of)
    writable = bytearray(code)
    struct.pack_into("<Q", writable, table + 64 * text + 8, sections[text][2] | 1)
    with pytest.raises(LookupError, match="variables"):
        object_file.link(bytes(writable), symbol, compiled._address_of)
    with pytest.raises(LookupError, match="lacks no_such_function"):
        object_file.link(code, "no_such_function", compiled._address_of)
    with pytest.raises(LookupError, match="no object file of 64 bits"):
        object_file.link(code[:4] + b"\1" + code[5:], symbol, compiled._address_of)


def test_a_job_does_not_load_the_library_of_llvmlite() -> None:
    program = (
        "from calmasters.engines.native.compiled import SIGNATURES, kernels\n"
        "[getattr(kernels(), name) for name in SIGNATURES]\n"
        "print(open('/proc/self/maps').read().lower().count('llvm'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr
