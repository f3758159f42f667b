"""Files that are no frames for this project, but probably contain some: what to do about them."""

from __future__ import annotations

from typing import Final

from calmasters.headers.camera_raw import is_camera_raw, missing_reader

__all__ = ["OTHER_EXTENSIONS", "is_system_folder", "problem_of_format"]

#: Videos of capture programs. MP4 and MOV are left out: telescopes write such files as previews.
_VIDEOS: Final = ("ser", "avi", "adv")
#: PNG and JPEG are left out: capture programs write such files as previews.
_IMAGES: Final = ("tif", "tiff")
#: Extension of a compressed file, and the program that unpacks it.
_PACKED: Final = {
    "z": "uncompress", "zst": "zstd -d", "xz": "unxz", "lzma": "unlzma", "lz4": "lz4 -d",
    "zip": "unzip", "7z": "7z x", "rar": "unrar x",
}  # fmt: skip
#: Compressed files that are read, but only as FITS.
_PACKED_XISF: Final = {"gz": "gunzip", "bz2": "bunzip2"}
_FRAMES: Final = ("fits", "fit", "fts", "xisf")

_VIDEO: Final = (
    "is a video ({}) with many frames in one file; split videos into FITS files, for example with "
    "the command convert of Siril, and take calibration frames as FITS"
)
_IMAGE: Final = (
    "is a TIFF image, whose header does not say how it was taken; save frames as FITS in the "
    'capture program, and exclude processed images: ["*.{}"]'
)
_COMPRESSED: Final = (
    "is compressed in a format that is not read ({}); unpack it with {}; FITS files may be packed "
    "as .gz, .bz2 or .fz"
)


def _problems() -> dict[str, str]:
    """Return the problem of each extension, with what to do."""
    packed = {f"{frame}.{end}": program for frame in _FRAMES for end, program in _PACKED.items()}
    packed |= {f"xisf.{end}": program for end, program in _PACKED_XISF.items()}
    return {
        **{end: _VIDEO.format(end.upper()) for end in _VIDEOS},
        **{end: _IMAGE.format(end) for end in _IMAGES},
        **{end: _COMPRESSED.format(f".{end}", program) for end, program in packed.items()},
    }


_PROBLEMS: Final = {f".{end}": problem for end, problem in _problems().items()}
#: Extensions of such files, in lower case.
OTHER_EXTENSIONS: Final = tuple(_PROBLEMS)

#: Folders of operating systems and network drives, in lower case; hidden ones are never entered.
_SYSTEM_FOLDERS: Final = frozenset({
    "#recycle", "@recycle", "$recycle.bin", "recycler", "recycled", "recycle.bin",
    "system volume information", "lost+found", "@eadir", "@recently-snapshot", "#snapshot",
    "network trash folder", "temporary items", "__macosx",
})  # fmt: skip


def is_system_folder(name: str) -> bool:
    """Return whether a folder is a recycle bin or belongs to the system, in any letter case."""
    return name.casefold() in _SYSTEM_FOLDERS


def problem_of_format(name: str) -> str:
    """Return why a file is not read and what to do; empty if it is no such file.

    >>> problem_of_format("bias.ser").partition(";")[0]
    'is a video (SER) with many frames in one file'
    """
    if is_camera_raw(name):
        return missing_reader(name)
    name = name.lower()
    return next((problem for ending, problem in _PROBLEMS.items() if name.endswith(ending)), "")
