"""The inventory: a pandas DataFrame with one row per frame, stored in a CSV file.

Importing this module imports pandas; a run with nothing to do must not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date
from operator import attrgetter
from types import MappingProxyType
from typing import Any, BinaryIO, Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calmasters.frame import Frame, Traits, Verdict, format_value
from calmasters.headers.fits_cards import number_of
from calmasters.inventory.camera_keywords import camera_of

__all__ = [
    "COLUMNS",
    "column_text",
    "inventory_table",
    "keyword_cell",
    "read_inventory",
    "write_inventory",
]

_T = TypeVar("_T", bound=Hashable)

_KEYWORDS: Final = (
    "TYPE", "INSTRUME", "SET-TEMP", "GAIN", "OFFSET", "READOUTM", "DATE", "FILTER", "EXPOSURE",
)  # fmt: skip
_GEOMETRY: Final = ("width", "height", "xbinning", "ybinning", "bayerpat")

#: Columns of ``inventory.csv``; additional keywords of the configuration come before ``size``.
COLUMNS: Final = (
    "path", "status", "reason", "group", *_KEYWORDS, "CCD-TEMP", "DATE-OBS",
    *_GEOMETRY, "size", "mtime_ns", "sources", "warnings",
)  # fmt: skip

#: Columns of text, even if all values look like numbers.
_TEXT: Final = (
    "status", "reason", "group", "TYPE", "INSTRUME", "READOUTM", "FILTER",
    "bayerpat", "sources", "warnings",
)  # fmt: skip

#: Columns of float64, even if all values are integers.
_DECIMAL: Final = ("SET-TEMP", "EXPOSURE", "CCD-TEMP")

#: First characters that a spreadsheet interprets as a formula.
_FORMULA: Final = ("=", "+", "-", "@")

#: Characters that require quotes around a cell of a CSV file.
_SPECIAL: Final = re.compile('[,"\r\n]')


def inventory_table(
    frames: Iterable[Frame],
    verdicts: Mapping[str, Verdict],
    keywords: Iterable[str] = (),
    absent: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> pd.DataFrame:
    """Build the inventory.

    Parameters
    ----------
    frames : iterable of Frame
    verdicts : mapping of str to Verdict
        By path, one for every frame.
    keywords : iterable of str
        Additional keywords with a column: those that only the configuration names.
    absent : mapping of str to sequence of str
        Required keywords that a camera does not write, by camera: named in ``sources``.

    Returns
    -------
    DataFrame
        One row per frame, sorted by ``path``, which is the index (object). The dtypes are:

        - category for text, with the occurring values in sorted order; absent text is ``''``.
          (FILTER may be 'NA', and ``groupby`` keeps frames without a filter.)
        - float64 for SET-TEMP, EXPOSURE and CCD-TEMP, rounded as in names; absent is NaN.
        - datetime64[us] for DATE (the night) and DATE-OBS (UTC); absent is NaT.
        - Int64 for GAIN, OFFSET, the geometry, ``size`` and ``mtime_ns``; absent is NA. GAIN,
          OFFSET and additional keywords are float64 if a value has decimals.

        If a value does not fit the dtype (GAIN 'high', the date 2026-02-30), the complete column
        is a category of text.
    """
    frames = sorted(frames, key=attrgetter("path"))
    extra = [keyword for keyword in keywords if keyword not in COLUMNS]
    paths = [frame.path for frame in frames]
    # Frames share traits and verdicts: column values are computed once per object.
    traits, traits_rows = _distinct(frame.traits for frame in frames)
    distinct_verdicts, verdict_rows = _distinct(verdicts[path] for path in paths)
    columns = {
        name: _column(name, texts, verdict_rows)
        for name, texts in _verdict_texts(distinct_verdicts).items()
    }
    columns |= {
        name: _column(name, texts, traits_rows)
        for name, texts in _traits_texts(traits, (*_KEYWORDS, *extra), absent).items()
    }
    columns |= {
        "CCD-TEMP": _column(
            "CCD-TEMP", *_distinct(_text("CCD-TEMP", frame.ccd_temp_c) for frame in frames)
        ),
        "DATE-OBS": _column("DATE-OBS", *_distinct(frame.date_obs or "" for frame in frames)),
        "size": _whole_column("size", [frame.size for frame in frames]),
        "mtime_ns": _whole_column("mtime_ns", [frame.mtime_ns for frame in frames]),
    }
    at = COLUMNS.index("size")
    order = (*COLUMNS[1:at], *extra, *COLUMNS[at:])
    return _table(paths, {name: columns[name] for name in order})


def _verdict_texts(verdicts: Iterable[Verdict]) -> dict[str, list[str]]:
    """Return the texts of the columns that depend on the verdict, one per verdict."""
    return {
        "status": [verdict.status.value for verdict in verdicts],
        "reason": [verdict.reason for verdict in verdicts],
        "group": [verdict.group for verdict in verdicts],
    }


def _traits_texts(
    traits: Iterable[Traits], keywords: Iterable[str], absent: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return the texts of the columns that depend on traits, one per Traits object."""
    texts = {
        keyword: [
            format_value(keyword, each.keywords[keyword]) if keyword in each.keywords else ""
            for each in traits
        ]
        for keyword in keywords
    }
    texts |= {
        name: [str(getattr(each.geometry, name, None) or "") for each in traits]
        for name in _GEOMETRY
    }
    texts["sources"] = [_sources(each, absent) for each in traits]
    texts["warnings"] = ["; ".join(each.warnings) for each in traits]
    return texts


def _sources(traits: Traits, absent: Mapping[str, Sequence[str]]) -> str:
    unwritten = absent.get(camera_of(traits.keywords), ()) if traits.keywords else ()
    sources = {key: "not written" for key in unwritten if key not in traits.keywords}
    return "; ".join(f"{key}: {text}" for key, text in {**traits.sources, **sources}.items())


def _table(paths: Iterable[str], columns: Mapping[str, Any]) -> pd.DataFrame:
    # dtype object, since paths may have bytes that are not text, which some string dtypes reject.
    return pd.DataFrame(columns, index=pd.Index([*paths], dtype=object, name="path"))


# --- columns --------------------------------------------------------------------------------------


def _distinct(values: Iterable[_T]) -> tuple[list[_T], NDArray[np.intp]]:
    """Return the distinct values in order of appearance, and the position of each row's value."""
    rows, distinct = pd.factorize(np.array([*values], object))
    return [*distinct], rows


def _column(name: str, texts: list[str], rows: NDArray[np.intp]) -> Any:
    """Build a typed column whose row ``i`` has the text ``texts[rows[i]]``."""
    typed = None if name in _TEXT else _typed(name, texts)
    if typed is not None:
        return typed.take(rows)
    categories = sorted(set(texts))
    codes = {text: code for code, text in enumerate(categories)}
    of_texts = np.array([codes[text] for text in texts], np.intp)
    return pd.Categorical.from_codes(of_texts.take(rows), pd.Index(categories, dtype=object))


def _whole_column(name: str, values: list[int]) -> Any:
    """Build a column of integers with few equal values."""
    try:
        return _whole(values)
    except OverflowError:
        return _column(name, *_distinct(map(str, values)))


def _typed(name: str, texts: list[str]) -> Any | None:
    """Convert texts to a typed array; None if it would not be written as the same texts."""
    try:
        if name in ("DATE", "DATE-OBS"):
            array = np.array(texts, "datetime64[us]")
            values = _dates(name, array)
        else:
            values, dtype = _numbers(name, texts)
            array = _whole(values) if dtype == "Int64" else np.array(values, dtype)
    except (ValueError, OverflowError):
        return None
    return array if [_text(name, value) for value in values] == texts else None


def _dates(name: str, array: Any) -> Any:
    """Convert to a list of dates for DATE, else of datetimes; absent values are None."""
    unit = "D" if name == "DATE" else "us"
    return array.astype(f"datetime64[{unit}]").tolist()


def _numbers(name: str, texts: list[str]) -> tuple[list[Any], str]:
    """Return the numbers, and the dtype that fits all of them."""
    whole = name not in _DECIMAL and not any("." in text or "e" in text for text in texts)
    read, dtype = (int, "Int64") if whole else (_decimal, "float64")
    return [read(text) if text else None for text in texts], dtype


def _decimal(text: str) -> float:
    if (number := number_of(text)) is None:
        raise ValueError(f"{text} is not a finite number")
    return number


def _whole(values: Iterable[int | None]) -> Any:
    """Build an Int64 array; OverflowError for a number beyond 64 bits."""
    absent = np.array([value is None for value in values], bool)
    return pd.arrays.IntegerArray(np.array([value or 0 for value in values], np.int64), absent)


def _text(name: str, value: date | float | None) -> str:
    """Return a value as text, as in names; an absent value is empty."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int) else format_value(name, value)


def column_text(column: pd.Series) -> pd.Series:
    """Return the values of a column as text.

    Parameters
    ----------
    column : Series
        A column of the inventory, or of some of its rows.

    Returns
    -------
    Series
        Texts (dtype object), written as in names; absent values are ``''``.
    """
    texts, rows = _texts(column)
    values = np.array(texts, object).take(rows)
    return pd.Series(values, index=column.index, name=column.name, dtype=object)


def _texts(column: pd.Series) -> tuple[list[str], NDArray[np.intp]]:
    """Return the distinct texts of a column, and the position of each row's text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [*column.cat.categories], column.cat.codes.to_numpy(np.intp)
    name = str(column.name)
    rows, distinct = pd.factorize(column)
    values = _dates(name, distinct.to_numpy()) if column.dtype.kind == "M" else distinct.tolist()
    texts = [_text(name, value) for value in values]
    return [*texts, ""], rows  # rows of absent values are -1, the last text


# --- the file -------------------------------------------------------------------------------------


def write_inventory(file: BinaryIO, table: pd.DataFrame) -> None:
    """Write the inventory as CSV; values are written as in names, absent values are empty.

    Parameters
    ----------
    file : binary file
    table : DataFrame
        As :func:`inventory_table` builds it.
    """
    columns = [[_quoted(_path_cell(path)) for path in table.index]]
    for name in table:
        texts, rows = _texts(table[name])
        if _is_keyword(name):
            texts = [keyword_cell(text) for text in texts]
        # Quoted once per distinct text; DataFrame.to_csv checks every cell.
        columns.append(np.array([*map(_quoted, texts)], object).take(rows).tolist())
    header = ",".join(map(_quoted, (table.index.name, *table)))
    text = "\n".join((header, *map(",".join, zip(*columns, strict=True)), ""))
    # Names that are not text are written as their original bytes.
    file.write(text.encode("utf-8", "surrogateescape"))


def read_inventory(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read ``inventory.csv``.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    DataFrame
        Equal to the table of :func:`inventory_table`: columns, dtypes, categories and values.

    Examples
    --------
    >>> table = read_inventory("output/inventory.csv")  # doctest: +SKIP
    >>> used = table[table["status"] == "used"]  # doctest: +SKIP
    >>> used.groupby(["TYPE", "EXPOSURE"], observed=True).size()  # doctest: +SKIP
    """
    cells = pd.read_csv(path, dtype=object, na_filter=False, encoding_errors="surrogateescape")
    columns = {}
    for name in cells.columns.drop("path"):
        texts, rows = _distinct(cells[name])
        if _is_keyword(name):
            texts = [_keyword_of_cell(text) for text in texts]
        columns[name] = _column(name, texts, rows)
    return _table(map(_path_of_cell, cells["path"]), columns)


def _quoted(text: str) -> str:
    if _SPECIAL.search(text):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


def _path_cell(path: str) -> str:
    """Write a path that a spreadsheet does not interpret as a formula, and that is still valid."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def _path_of_cell(text: str) -> str:
    path = text.removeprefix("./")
    return path if path.startswith(_FORMULA) else text


def _is_keyword(column: str) -> bool:
    """Return whether the text of a column comes from headers."""
    return column in _KEYWORDS or column not in COLUMNS


def keyword_cell(text: str) -> str:
    """Write a header's text so that a spreadsheet does not interpret it as a formula.

    A text that already has the prefix ``'`` gets another one, so that both can be read back.
    """
    formula = text.lstrip("'").startswith(_FORMULA) and number_of(text) is None
    return f"'{text}" if formula else text


def _keyword_of_cell(text: str) -> str:
    quoted = text.startswith("'") and text.lstrip("'").startswith(_FORMULA)
    return text[1:] if quoted else text
