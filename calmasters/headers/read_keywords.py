"""Files to canonical keywords: the package as a library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath

from calmasters.errors import FrameError
from calmasters.frame import IMAGE_EXTENSIONS, Value
from calmasters.headers.image_header import read_cards
from calmasters.headers.keywords import describe
from calmasters.settings import HeaderRules

__all__ = ["get_fits_headers", "get_metadata_for_directory"]


def get_fits_headers(path: str | PurePath, rules: HeaderRules | None = None) -> dict[str, Value]:
    """Read the canonical keywords of one FITS or XISF file.

    Parameters
    ----------
    path : path-like
        The file; ``KEY_value`` tokens in it serve for keywords the header lacks.
    rules : HeaderRules, optional
        How to read; the defaults where left out.

    Returns
    -------
    dict of str to Value
        TYPE in lower case, SET-TEMP and EXPOSURE float, GAIN and OFFSET int when integral, DATE
        'YYYY-MM-DD'; absent keywords are absent. TYPE of a master is ``master bias``…

    Raises
    ------
    FrameError
        If the file cannot be read.

    Examples
    --------
    >>> get_fits_headers("bias_0001.fits")["SET-TEMP"]  # doctest: +SKIP
    -10.0
    """
    file = Path(path)
    try:
        cards = read_cards(file)
    except FrameError as error:
        raise FrameError(f"{file} {error}") from error
    found = describe(cards, file, rules or HeaderRules())
    keywords = dict(found.traits.keywords)
    if found.traits.master and "TYPE" in keywords:
        keywords["TYPE"] = f"master {keywords['TYPE']}"
    return keywords


def get_metadata_for_directory(
    directory: str | PurePath,
    filter_func: Callable[[Mapping[str, Value]], bool] | None = None,
    rules: HeaderRules | None = None,
) -> dict[str, dict[str, Value]]:
    """Read the canonical keywords of all FITS and XISF files below a directory.

    Parameters
    ----------
    directory : path-like
        Searched recursively; hidden files and folders are passed over.
    filter_func : callable, optional
        Called with the keywords of a file; the file is kept where it returns True.
    rules : HeaderRules, optional
        How to read; the defaults where left out.

    Returns
    -------
    dict of str to dict
        Path to keywords, as :func:`get_fits_headers` returns them, sorted by path. Files that
        cannot be read are left out.

    Raises
    ------
    FrameError
        If the directory does not exist.
    """
    root = Path(directory)
    if not root.is_dir():
        raise FrameError(f"{root} is not a directory: no headers to read")
    found = {}
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or not path.name.lower().endswith(IMAGE_EXTENSIONS):
            continue
        with suppress(FrameError):
            keywords = get_fits_headers(path, rules)
            if filter_func is None or filter_func(keywords):
                found[str(path)] = keywords
    return found
