"""The inventory: one row a frame, what it is and what became of it, as CSV and as a table."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, BinaryIO, Final

from calmasters.frame import Frame, Geometry, Traits, Verdict, format_value
from calmasters.headers.fits_cards import number_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "read_inventory", "write_inventory"]

_KEYWORDS: Final = (
    *("TYPE", "INSTRUME", "SET-TEMP", "GAIN", "OFFSET", "READOUTM", "DATE", "FILTER", "EXPOSURE"),
)
_GEOMETRY: Final = tuple(field.name for field in fields(Geometry))

#: Columns of ``inventory.csv``; keywords that only the configuration names come before ``size``.
COLUMNS: Final = (
    *("path", "status", "reason", "group", *_KEYWORDS, "CCD-TEMP", "DATE-OBS"),
    *(*_GEOMETRY, "size", "mtime_ns", "sources", "warnings"),
)

_TEXT: Final = (
    *("path", "status", "reason", "group", "TYPE", "INSTRUME", "READOUTM", "FILTER"),
    *("bayerpat", "sources", "warnings"),
)

#: Paths that need no quotes, and are no formula.
_PLAIN: Final = re.compile(r"\w[\w ./+-]*")

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@")


def write_inventory(
    file: BinaryIO,
    frames: Iterable[Frame],
    verdicts: Mapping[str, Verdict],
    keywords: Iterable[str] = (),
) -> None:
    """Write the inventory as CSV: one row a frame, sorted by path; what is absent is empty.

    Parameters
    ----------
    file : binary file
    frames : iterable of Frame
    verdicts : mapping of str to Verdict
        By path, one for every frame.
    keywords : iterable of str
        Further keywords to give a column, those that only the configuration names.
    """
    extra = [keyword for keyword in keywords if keyword not in COLUMNS]
    at = COLUMNS.index("size")
    lines = _lines(sorted(frames, key=attrgetter("path")), verdicts, extra)
    text = "\n".join((_line((*COLUMNS[:at], *extra, *COLUMNS[at:])), *lines, ""))
    # Names of files that are no text come back as the bytes they are.
    file.write(text.encode("utf-8", "surrogateescape"))


def _lines(
    frames: Iterable[Frame], verdicts: Mapping[str, Verdict], extra: Sequence[str]
) -> Iterator[str]:
    """Write a line a frame, of parts that are written once for all frames that share them."""
    by_traits: dict[Traits, tuple[str, str, str]] = {}
    by_verdict: dict[Verdict, str] = {}
    for path, size, mtime_ns, traits, temperature, date_obs, *_ in frames:
        verdict = verdicts[path]
        if traits not in by_traits:
            by_traits[traits] = _parts(traits, extra)
        if verdict not in by_verdict:
            by_verdict[verdict] = _line((verdict.status.value, verdict.reason, verdict.group))
        keywords, image, remarks = by_traits[traits]
        place = path if _PLAIN.fullmatch(path) else _line([_place(path)])
        told_c = "" if temperature is None else format_value("CCD-TEMP", temperature)
        yield (
            f"{place},{by_verdict[verdict]},{keywords},{told_c},{date_obs or ''},"
            f"{image},{size},{mtime_ns},{remarks}"
        )


def _parts(traits: Traits, extra: Sequence[str]) -> tuple[str, str, str]:
    """Write what traits have for the columns of keywords, of the image, and for the last."""
    keywords = {key: _cell(format_value(key, value)) for key, value in traits.keywords.items()}
    geometry = (str(getattr(traits.geometry, name, None) or "") for name in _GEOMETRY)
    sources = "; ".join(f"{key}: {source}" for key, source in traits.sources.items())
    return (
        _line(keywords.get(key, "") for key in _KEYWORDS),
        _line((*geometry, *(keywords.get(key, "") for key in extra))),
        _line((sources, "; ".join(traits.warnings))),
    )


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()[:-1]


def _place(path: str) -> str:
    """Write a path so that a spreadsheet takes none for a formula, and it is still a path."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def _cell(text: str) -> str:
    """Keep a spreadsheet from taking the text of a header for a formula."""
    formula = text.startswith(_FORMULA) and number_of(text) is None
    return f"'{text}" if formula else text


def read_inventory(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read ``inventory.csv`` as a table, indexed by path.

    Returns
    -------
    DataFrame
        Of a row a frame. Text is text, absent or not (``''``); DATE and DATE-OBS are datetimes
        (UTC), absent ones NaT; other columns are numbers where all that is in them are, absent
        ones NaN.

    Examples
    --------
    >>> table = read_inventory("output/inventory.csv")  # doctest: +SKIP
    >>> table[table["status"] == "used"].groupby(["TYPE", "EXPOSURE"]).size()  # doctest: +SKIP
    """
    import pandas as pd

    names = pd.read_csv(path, nrows=0, encoding_errors="surrogateescape").columns
    return pd.read_csv(
        path,
        index_col="path",
        dtype=dict.fromkeys(_TEXT, "object"),
        # FILTER may well be NA.
        keep_default_na=False,
        na_values={name: [""] for name in names if name not in _TEXT},
        parse_dates=["DATE", "DATE-OBS"],
        date_format="ISO8601",
        encoding_errors="surrogateescape",
    )
