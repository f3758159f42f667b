"""Names of filters that are spelled in different ways: Ha, HA, H-alpha, Ha 7nm."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

__all__ = ["FilterName", "filters_in_names", "spellings"]

_NANOMETRES: Final = re.compile(r"(\d+(?:[.,]\d+)?)[\s_-]*nm(?![a-z])")
#: From here on a number is a wavelength and no bandwidth, in nm.
_SHORTEST_WAVELENGTH: Final = 100.0

_LINES: Final[Mapping[str, str]] = {
    "halpha": "ha",
    "hydrogenalpha": "ha",
    "hbeta": "hb",
    "hydrogenbeta": "hb",
    "o3": "oiii",
    "oxygeniii": "oiii",
    "s2": "sii",
    "sulfurii": "sii",
    "sulphurii": "sii",
    "n2": "nii",
    "nitrogenii": "nii",
}
#: Words for the filters of colour images.
_COLOURS: Final[Mapping[str, str]] = {
    "lum": "l",
    "luminance": "l",
    "red": "R",
    "green": "G",
    "blue": "B",
}
_LINE_AND_NUMBER: Final = re.compile(
    rf"({'|'.join(sorted({*_LINES, *_LINES.values()}, key=len, reverse=True))})(\d*)"
)
#: Names without case that are filters where a part of a file's or folder's name is nothing else.
_IN_NAMES: Final = frozenset(
    [
        *("l", "r", "g", "b", "u", "v", "i", "z"),
        *("ha", "hb", "oiii", "sii", "nii"),
    ]
)

#: Bands of photometry: Johnson B, V, R, I are not Stroemgren b, v or Sloan r, i.
_CASE_COUNTS: Final = frozenset("ubvygriz")


class FilterName(NamedTuple):
    """What a filter is called, whatever its spelling.

    Attributes
    ----------
    base : str
        Without case, separators and bandwidth; empty if nothing is left.
    bandwidth_nm : float or None
        None where the name does not have it.
    """

    base: str
    bandwidth_nm: float | None

    @classmethod
    def of(cls, text: str) -> FilterName:
        """Read a value of FILTER.

        >>> FilterName.of("H-alpha 7nm"), FilterName.of("HA")
        (FilterName(base='ha', bandwidth_nm=7.0), FilterName(base='ha', bandwidth_nm=None))
        """
        folded = text.casefold().replace("\u03b1", "alpha").replace("\u03b2", "beta")
        numbers = (float(each.replace(",", ".")) for each in _NANOMETRES.findall(folded))
        bandwidth = next((each for each in numbers if each < _SHORTEST_WAVELENGTH), None)
        base = re.sub(r"[\W_]+", "", _NANOMETRES.sub("", folded)).replace("filter", "")
        if base in _CASE_COUNTS:
            return cls(next(char for char in text if char.isalpha()), bandwidth)
        base = _COLOURS.get(base, base)
        if line := _LINE_AND_NUMBER.fullmatch(base):
            base = _LINES.get(line[1], line[1])
            if line[2] and bandwidth is None:
                bandwidth = float(line[2])
        return cls(base, bandwidth)

    def may_be(self, other: FilterName) -> bool:
        """Return whether two names may be of one filter."""
        bandwidths = {self.bandwidth_nm, other.bandwidth_nm} - {None}
        return bool(self.base) and self.base == other.base and len(bandwidths) < 2


def spellings(values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield values of FILTER that may be of one filter, several at a time, in their order.

    Where filters of two bandwidths have one name, a value without a bandwidth may be of either, and
    is left out.
    """
    by_base: dict[str, list[str]] = defaultdict(list)
    for value in values:
        by_base[FilterName.of(value).base].append(value)
    for base, alike in by_base.items():
        by_bandwidth: dict[float | None, list[str]] = defaultdict(list)
        for value in alike:
            by_bandwidth[FilterName.of(value).bandwidth_nm].append(value)
        known = [values for bandwidth, values in by_bandwidth.items() if bandwidth is not None]
        for several in known if len(known) > 1 else [alike]:
            if base and len(several) > 1:
                yield several


def filters_in_names(paths: Iterable[str]) -> Mapping[str, int]:
    """Return the filters that names of files and folders say, with their numbers of files.

    Empty unless each path says one filter, and not all the same: parts that all paths have are not
    what makes the difference.

    >>> dict(filters_in_names(["Flats/L_1.fits", "Flats/L_2.fits", "Flats/Ha_1.fits"]))
    {'L': 2, 'Ha': 1}
    """
    found = [
        {
            FilterName.of(part).base.casefold(): part
            for part in re.split(r"[\W_]+", str(PurePosixPath(path).with_suffix("")))
        }
        for path in paths
    ]
    said = [{base for base in parts if base in _IN_NAMES} for parts in found]
    common = set.intersection(*said) if said else set()
    differing = [bases - common for bases in said]
    if not all(len(bases) == 1 for bases in differing):
        return {}
    names = [parts[base] for parts, (base,) in zip(found, map(tuple, differing), strict=True)]
    spelled = {FilterName.of(name).base.casefold(): name for name in reversed(names)}
    return Counter(spelled[FilterName.of(name).base.casefold()] for name in names)
