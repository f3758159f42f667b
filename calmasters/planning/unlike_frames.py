"""What a person should know of groups of frames that may not belong together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from math import log
from pathlib import PurePath
from typing import Final

from calmasters.frame import FrameType, format_value
from calmasters.planning.grouping import Group, mixed_keywords

__all__ = ["superseded_sentences", "unlike_frames"]

#: Exposures of two clusters differ at least by this factor between the clusters, and by the square
#: root of that inside: exposures of sky flats change from frame to frame.
_FACTOR: Final = 1.5
#: Frames in the smaller cluster.
_FEWEST: Final = 2


def unlike_frames(groups: Mapping[str, Group], short_names: Mapping[str, str]) -> Iterator[str]:
    """Write a sentence for each keyword in which frames of one master differ.

    Parameters
    ----------
    groups : mapping of str to Group
        By the name of the master.
    short_names : mapping of str to str
        The master's name for people, by its name.
    """
    mixed: dict[tuple[str, bool], list[str]] = defaultdict(list)
    exposures: dict[str, list[str]] = defaultdict(list)
    for name, group in groups.items():
        is_flat = group.type is FrameType.FLAT
        if differing := mixed_keywords(group):
            mixed[", ".join(differing), is_flat].append(short_names[name])
        if is_flat and (clusters := _exposure_clusters(group)):
            keyword = next(_splitting_keywords(group, clusters), "EXPOSURE")
            texts = " and ".join(map(_cluster_text, clusters))
            exposures[keyword].append(f"{short_names[name]}: {texts}")
    for (keywords, is_flat), names in mixed.items():
        lists = f"add {keywords} to required_keywords and master_match_keywords"
        yield (
            f"{_masters(len(names))} frames that differ in {keywords}, such as {names[0]}; "
            f"to make one master of each, {'set mixed: split' if is_flat else lists}"
        )
    for keyword, names in exposures.items():
        yield (
            f"{_masters(len(names))} flats of two different exposures, such as {names[0]}; if "
            f"they do not belong together, add {keyword} to required_keywords.flat"
        )


def superseded_sentences(masters: Sequence[str]) -> Iterator[str]:
    """Report masters that are moved away because their frames make several masters now."""
    if masters:
        name = PurePath(masters[0]).stem
        what = (
            f"{name} was" if len(masters) == 1 else f"{len(masters)} masters, such as {name}, were"
        )
        yield (f"{what} made of frames that make several masters now: moved to output_dir/orphans")


def _masters(count: int) -> str:
    return "1 master is of" if count == 1 else f"{count} masters are of"


def _exposure_clusters(group: Group) -> list[list[float]]:
    """Return the exposures of a group as two clusters; none where they are one."""
    counts = Counter(frame.traits for frame in group.frames)
    exposures = {traits: _exposure(traits.keywords) for traits in counts}
    ordered = sorted(
        chain.from_iterable(
            [exposures[each]] * counts[each] for each in counts if exposures[each] > 0
        )
    )
    if not ordered or ordered[-1] < ordered[0] * _FACTOR:
        return []
    gaps = [log(after / before) for before, after in pairwise(ordered)]
    start = gaps.index(max(gaps)) + 1
    clusters = [ordered[:start], ordered[start:]]
    inside = max(log(cluster[-1] / cluster[0]) for cluster in clusters)
    is_clear = max(gaps) >= max(log(_FACTOR), 2 * inside)
    return clusters if is_clear and min(map(len, clusters)) >= _FEWEST else []


def _splitting_keywords(group: Group, clusters: Sequence[Sequence[float]]) -> Iterator[str]:
    """Yield keywords whose values differ between the clusters and not inside them."""
    limit = clusters[0][-1]
    traits = {frame.traits for frame in group.frames}
    short = [each.keywords for each in traits if _exposure(each.keywords) <= limit]
    long = [each.keywords for each in traits if _exposure(each.keywords) > limit]
    for keyword in sorted({key for each in traits for key in each.keywords} - {"EXPOSURE"}):
        values = [{each.get(keyword) for each in side} for side in (short, long)]
        if all(len(side) == 1 for side in values) and values[0] != values[1]:
            yield keyword


def _exposure(keywords: Mapping[str, object]) -> float:
    value = keywords.get("EXPOSURE")
    return value if isinstance(value, float) else 0.0


def _cluster_text(exposures_s: Iterable[float]) -> str:
    ordered = sorted(exposures_s)
    ends = dict.fromkeys(
        format_value("EXPOSURE", value).rstrip("0").rstrip(".")
        for value in (ordered[0], ordered[-1])
    )
    return f"{' to '.join(ends)} s ({len(ordered)} frames)"
