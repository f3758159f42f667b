"""Link machine code on x86-64 Linux: place an object file in memory and put in its addresses.

llvmlite can do it on any system, but its library takes 47 MB and a twentieth of a second in each
job. Kernels are compiled for any distance between their parts (the large code model), so their
object files have complete addresses only. The format: System V Application Binary Interface,
*Object Files*, and its AMD64 supplement, *Relocation*.
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
#: In its header: where the table of sections starts; their number, and which one has their names.
_TABLE, _COUNTS = Struct("<40xQ"), Struct("<60xHH")
_SECTION: Final = Struct("<IIQQQQIIQQ")
_SYMBOL: Final = Struct("<IBBHQQ")
_RELOCATION: Final = Struct("<QQq")
_ADDRESS: Final = Struct("<Q")

#: Types of sections.
_SYMBOLS, _RELOCATIONS = 2, 4
#: Flags of sections.
_IS_WRITABLE, _IN_MEMORY = 1, 2
#: The section for exceptions, which kernels do not raise.
_UNWINDING: Final = ".eh_frame"
#: The type of a relocation: an address of 64 bits.
_TO_ADDRESS: Final = 1


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
    name: str
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
        memory[offset : offset + sections[index].size] = _content(code, sections[index])
    symbols = [*_symbols(code, sections)]

    def address_of(symbol: _Symbol) -> int:
        if symbol.section in offsets:
            return start + offsets[symbol.section] + symbol.value
        return find(symbol.name)

    for section in sections:
        if section.type == _RELOCATIONS and section.info in offsets:
            for at, info, addend in _RELOCATION.iter_unpack(_content(code, section)):
                symbol, kind = divmod(info, 1 << 32)
                if kind != _TO_ADDRESS:
                    raise LookupError(f"an object file has relocations of type {kind}")
                address = address_of(symbols[symbol]) + addend
                _ADDRESS.pack_into(memory, offsets[section.info] + at, address)
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
        if section.flags & _IN_MEMORY and section.size and section.name != _UNWINDING:
            if section.flags & _IS_WRITABLE:
                raise LookupError("an object file has variables")
            offsets[index] = size + -size % max(section.alignment, 1)
            size = offsets[index] + section.size
    return offsets, size


def _symbols(code: bytes, sections: Sequence[_Section]) -> Iterator[_Symbol]:
    (table,) = (section for section in sections if section.type == _SYMBOLS)
    names = _content(code, sections[table.link])
    for name, _, _, section, value, _ in _SYMBOL.iter_unpack(_content(code, table)):
        yield _Symbol(_text(names, name), section, value)


def _sections(code: bytes) -> Iterator[_Section]:
    if not code.startswith(_MAGIC):
        raise LookupError("no object file of 64 bits")
    (table,), (count, named_by) = _TABLE.unpack_from(code), _COUNTS.unpack_from(code)
    read = [_SECTION.unpack_from(code, table + n * _SECTION.size) for n in range(count)]
    names = _content(code, _Section(*read[named_by]))
    for name, *rest in read:
        yield _Section(_text(names, name), *rest)


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode()


def _content(code: bytes, section: _Section) -> bytes:
    return code[section.offset : section.offset + section.size]


def _make_executable(start: int, size: int) -> None:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory cannot be made executable")
