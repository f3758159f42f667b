"""Public functions for scripts: read the canonical keywords of files and directories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath

from calmasters.errors import FrameError
from calmasters.frame import FRAME_EXTENSIONS, Value
from calmasters.headers.dialects import read_keywords
from calmasters.headers.image_header import read_cards
from calmasters.settings import HeaderRules

__all__ = ["get_fits_headers", "get_metadata_for_directory"]


def get_fits_headers(path: str | PurePath, rules: HeaderRules | None = None) -> dict[str, Value]:
    """Read the canonical keywords of one FITS or XISF file.

    Parameters
    ----------
    path : path-like
        The file; ``KEY_value`` tokens of the path are used for keywords missing in the header.
    rules : HeaderRules, optional
        How to read headers; the defaults if omitted.

    Returns
    -------
    dict of str to Value
        TYPE is in lower case, SET-TEMP and EXPOSURE are float, GAIN and OFFSET are int if
        integral, DATE is 'YYYY-MM-DD'. A missing keyword has no entry. TYPE of a master is
        ``master bias``…

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
    traits = read_keywords(cards, file, rules or HeaderRules()).traits
    keywords = dict(traits.keywords)
    if traits.master and "TYPE" in keywords:
        keywords["TYPE"] = f"master {keywords['TYPE']}"
    return keywords


def get_metadata_for_directory(
    directory: str | PurePath,
    filter_func: Callable[[Mapping[str, Value]], bool] | None = None,
    rules: HeaderRules | None = None,
) -> dict[str, dict[str, Value]]:
    """Read the canonical keywords of all FITS and XISF files and camera raws below a directory.

    Parameters
    ----------
    directory : path-like
        Searched recursively; hidden files and folders are skipped.
    filter_func : callable, optional
        Called with the keywords of a file; return True to include the file.
    rules : HeaderRules, optional
        How to read headers; the defaults if omitted.

    Returns
    -------
    dict of str to dict
        Path to keywords, as :func:`get_fits_headers` returns them, sorted by path. Files that
        cannot be read are omitted.

    Raises
    ------
    FrameError
        If the directory does not exist.
    """
    root = Path(directory)
    if not root.is_dir():
        raise FrameError(f"{root} is not a directory: give one with frames")
    keywords_by_path = {}
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or not path.name.lower().endswith(FRAME_EXTENSIONS):
            continue
        with suppress(FrameError):
            keywords = get_fits_headers(path, rules)
            if filter_func is None or filter_func(keywords):
                keywords_by_path[str(path)] = keywords
    return keywords_by_path
