"""The inventory: one row a frame, what it is and what became of it, as CSV and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from calmasters.cards import number_of
from calmasters.frames import Frame, Geometry, Traits, Verdict, format_value

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
    # Names of files that are no text come back as the bytes they are.
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS[:at], *extra, *COLUMNS[at:]))
    writer.writerows(_rows(sorted(frames, key=attrgetter("path")), verdicts, extra))
    text.detach()


def _rows(
    frames: Iterable[Frame], verdicts: Mapping[str, Verdict], extra: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    cells: dict[Traits, tuple[tuple[str, ...], ...]] = {}
    for frame in frames:
        verdict, traits, temperature = verdicts[frame.path], frame.traits, frame.ccd_temp_c
        if traits not in cells:
            cells[traits] = _cells(traits, extra)
        keywords, image, remarks = cells[traits]
        yield (
            *(_place(frame.path), verdict.status.value, verdict.reason, verdict.group),
            *keywords,
            "" if temperature is None else format_value("CCD-TEMP", temperature),
            frame.date_obs or "",
            *(*image, frame.size, frame.mtime_ns, *remarks),
        )


def _cells(traits: Traits, extra: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Write what traits have for the columns of keywords, of the image, and for the last."""
    keywords = {key: _cell(format_value(key, value)) for key, value in traits.keywords.items()}
    geometry = (str(getattr(traits.geometry, name, None) or "") for name in _GEOMETRY)
    sources = "; ".join(f"{key}: {source}" for key, source in traits.sources.items())
    return (
        tuple(keywords.get(key, "") for key in _KEYWORDS),
        (*geometry, *(keywords.get(key, "") for key in extra)),
        (sources, "; ".join(traits.warnings)),
    )


def _place(path: str) -> str:
    """Write a path so that a spreadsheet takes none for a formula, and it is still a path."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def _cell(text: str) -> str:
    """Keep a spreadsheet from taking the text of a header for a formula."""
    formula = text.startswith(_FORMULA) and number_of(text) is None
    return f"'{text}" if formula else text


def read_inventory(path: Path) -> pd.DataFrame:
    """Read ``inventory.csv`` as a table, indexed by path.

    Returns
    -------
    DataFrame
        Of a row a frame. Text is text, absent or not (``''``); DATE and DATE-OBS are datetimes
        (UTC), absent ones NaT; other columns are numbers where all that is in them are, absent
        ones NaN.

    Examples
    --------
    >>> table = read_inventory(Path("output/inventory.csv"))  # doctest: +SKIP
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
