"""All numbers of all masters as a table: ``quality/metrics.csv``, one row a master."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from calmasters.atomic_files import replacing
from calmasters.frame import format_value
from calmasters.inventory.table import keyword_cell
from calmasters.quality.judgement import NUMBERS
from calmasters.reporting.masters import Master

__all__ = ["metrics_table", "write_metrics"]

#: Ends of the names of columns with uncertainties.
_UNCERTAINTY: Final = "_uncertainty"

#: Columns of every table, before the keywords and the numbers.
_ABOUT: Final = ("name", "type", "verdict", "night", "size", "master", "digest")


def metrics_table(masters: Sequence[Master], keywords: Iterable[str]) -> pd.DataFrame:
    """Collect the numbers of masters.

    Parameters
    ----------
    masters : sequence of Master
    keywords : iterable of str
        Keywords of the groups, each a column.

    Returns
    -------
    DataFrame
        One row a master, in their order. The columns are the same for the same ``keywords``:
        what the master is, its keywords, and each number of :data:`NUMBERS` with its uncertainty;
        NaN where a number was not measured. Other keywords of the masters follow, sorted.
    """
    named = [key for key in dict.fromkeys(keywords) if key != "TYPE"]
    columns = [*_ABOUT, *named]
    for number in NUMBERS:
        columns += [number, number + _UNCERTAINTY]
    found = {key for master in masters for key in master.job.keywords}
    further = sorted(found - {"TYPE", *columns})
    return pd.DataFrame([*map(_row, masters)], columns=[*columns, *further])


def _row(master: Master) -> Mapping[str, str | float]:
    about = (
        *(master.job.name, master.job.type.value, master.verdict, master.night),
        *(str(master.job.geometry), master.job.master, master.job.digest),
    )
    quality = master.quality
    return {
        **{
            key: keyword_cell(format_value(key, value))
            for key, value in master.job.keywords.items()
        },
        **dict(zip(_ABOUT, about, strict=True)),
        **quality.numbers,
        **{name + _UNCERTAINTY: value for name, value in quality.uncertainties.items()},
    }


def write_metrics(path: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV, whole or not at all."""
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.7g")
    with replacing(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
