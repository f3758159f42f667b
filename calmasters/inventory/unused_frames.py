"""Group the unused frames of the inventory by what to do about them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from calmasters.frame import Status, Verdict

__all__ = ["ignored_by_reason", "refused_by_remedy"]


def refused_by_remedy(
    table: pd.DataFrame, verdicts: Mapping[str, Verdict]
) -> list[tuple[str, pd.DataFrame]]:
    """Group the refused frames by their remedy, the largest group first.

    Parameters
    ----------
    table : DataFrame
        As :func:`calmasters.inventory.table.inventory_table` builds it.
    verdicts : mapping of str to Verdict
        By path; the table has no column for the remedy.

    Returns
    -------
    list of (str, DataFrame)
        Each remedy with the rows of its frames.
    """
    refused = table[table["status"] == Status.REFUSED]
    remedies = pd.Series(
        [verdicts[path].remedy for path in refused.index], refused.index, dtype=object
    )
    return sorted(refused.groupby(remedies, sort=False), key=lambda group: -len(group[1]))


def ignored_by_reason(table: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> pd.Series:
    """Count the ignored frames by category, or by reason without one; the most frequent first.

    Parameters
    ----------
    table : DataFrame
    verdicts : mapping of str to Verdict

    Returns
    -------
    Series
        Counts (int64), indexed by text.
    """
    ignored = table.index[table["status"] == Status.IGNORED]
    reasons = pd.Series(
        [verdicts[path].remedy or verdicts[path].reason for path in ignored], dtype=object
    )
    counts = reasons.groupby(reasons, sort=False).size()
    # Equal counts stay in the order of the paths.
    return counts.sort_values(ascending=False, kind="stable")
