"""Link machine code on x86-64 Linux: place an object file in memory and put in its addresses.

llvmlite can do it on any system, but its library takes 47 MB and a twentieth of a second in each
job. Kernels are compiled for any distance between their parts (the large code model), so their
object files have two kinds of places for addresses only. The format: System V Application Binary
Interface, *Object Files*, and its AMD64 supplement, *Relocation*.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple

__all__ = ["Linked", "link"]

#: The start of a file: ELF, 64 bits, little-endian.
_MAGIC: Final = b"\x7fELF\x02\x01"
#: In its header: where the table of sections starts; the number of sections.
_TABLE, _COUNT = (Struct("<40xQ"), Struct("<60xH"))
_SECTION: Final = Struct("<IIQQQQIIQQ")
_SYMBOL: Final = Struct("<IBBHQQ")
_RELOCATION: Final = Struct("<QQq")
_ADDRESS: Final = Struct("<Q")

#: Types of sections; of these, a section without content is not in the file.
_SYMBOLS, _RELOCATIONS, _NO_CONTENT = 2, 4, 8
#: Flags of sections.
_IS_WRITABLE, _IN_MEMORY = 1, 2
#: Types of relocations: an address; the distance to one.
_TO_ADDRESS, _TO_DISTANCE = 1, 24


class Linked(NamedTuple):
    """A function in memory.

    Attributes
    ----------
    address : int
    memory : mmap
        It is there as long as this object exists.
    """

    address: int
    memory: mmap.mmap


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def link(code: bytes, name: str, find: Callable[[str], int]) -> Linked:
    """Place an object file in memory that can be executed.

    Parameters
    ----------
    code : bytes
        The object file.
    name : str
        The function whose address is returned.
    find : callable
        Gives the address of a function or object that is not in the file.

    Raises
    ------
    LookupError
        If the function is not in the file, or the file has what kernels do not have.
    LookupError, ValueError, struct.error
        If the file is damaged.
    OSError
        If the system refuses memory that can be executed.
    """
    sections = [*_sections(code)]
    offsets, size = _layout(sections)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for index, offset in offsets.items():
        section = sections[index]
        if section.type != _NO_CONTENT:
            memory[offset : offset + section.size] = _content(code, section)
    symbols = [*_symbols(code, sections)]

    def address_of(symbol: _Symbol) -> int:
        if symbol.section in offsets:
            return start + offsets[symbol.section] + symbol.value
        return find(symbol.name)

    for section in sections:
        if section.type == _RELOCATIONS and section.info in offsets:
            for at, info, addend in _RELOCATION.iter_unpack(_content(code, section)):
                place, kind = offsets[section.info] + at, info & 0xFFFFFFFF
                if kind not in (_TO_ADDRESS, _TO_DISTANCE):
                    raise LookupError(f"an object file has relocations of type {kind}")
                origin = start + place if kind == _TO_DISTANCE else 0
                target = address_of(symbols[info >> 32]) + addend
                _ADDRESS.pack_into(memory, place, (target - origin) % 2**64)
    _make_executable(start, size)
    found = [each for each in symbols if each.name == name and each.section in offsets]
    if not found:
        raise LookupError(f"an object file lacks {name}")
    return Linked(address_of(found[0]), memory)


def _layout(sections: Sequence[_Section]) -> tuple[dict[int, int], int]:
    """Return where each section that the code needs is in memory, and the size of all."""
    offsets: dict[int, int] = {}
    size = 0
    for index, section in enumerate(sections):
        if section.flags & _IN_MEMORY and section.size:
            if section.flags & _IS_WRITABLE:
                raise LookupError("an object file has variables")
            offsets[index] = size + -size % max(section.alignment, 1)
            size = offsets[index] + section.size
    return offsets, size


def _symbols(code: bytes, sections: Sequence[_Section]) -> Iterator[_Symbol]:
    (table,) = (section for section in sections if section.type == _SYMBOLS)
    names = _content(code, sections[table.link])
    for at, _, _, section, value, _ in _SYMBOL.iter_unpack(_content(code, table)):
        yield _Symbol(names[at : names.index(b"\0", at)].decode(), section, value)


def _sections(code: bytes) -> Iterator[_Section]:
    if not code.startswith(_MAGIC):
        raise LookupError("no object file of 64 bits")
    (table,), (count,) = _TABLE.unpack_from(code), _COUNT.unpack_from(code)
    for number in range(count):
        yield _Section(*_SECTION.unpack_from(code, table + number * _SECTION.size))


def _content(code: bytes, section: _Section) -> bytes:
    return code[section.offset : section.offset + section.size]


def _make_executable(start: int, size: int) -> None:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory cannot be made executable")
