"""Hot pixels of frames: those of one camera stay at their places.

Frames of another camera, of another subframe, or that are shifted or flipped have others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["HotPixels", "find_hot_pixels", "frames_with_others", "relative_heights"]

Places: TypeAlias = NDArray[np.intp]

#: A hot pixel exceeds its neighbours by this many times the noise, and by this many ADU.
_HOT_NOISES: Final = 12.0
_HOT_ADU: Final = 20.0

#: Largest number of hot pixels of a frame, and of places at which frames are compared.
_BRIGHTEST: Final = 256
_PLACES: Final = 2048

#: A column of which more than this share is warm is one defect, which may come and go as one.
_COLUMN: Final = 0.25

#: Fewer hot pixels say nothing.
_FEWEST: Final = 8

#: Shares of the hot pixels of a frame that are found in another: of one camera from the first on,
#: of different ones up to the second.
_LIKE: Final = 0.6
_UNLIKE: Final = 0.2

#: Share of like frames in which a hot pixel is found that is there to stay, unlike cosmic rays and
#: random telegraph noise.
_LASTING: Final = 0.9

#: Fewer like frames, as a share of all, are like by chance.
_MAIN_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class HotPixels:
    """Places of the hot pixels in the rows of a frame that are read.

    Attributes
    ----------
    hot : array of int
        The brightest.
    warm : array of int
        All from half the limit on, also these.
    heights_adu : array of float32
        Of the warm pixels, above their neighbours.
    """

    hot: Places
    warm: Places
    heights_adu: NDArray[np.float32]


def find_hot_pixels(
    rows: NDArray[np.float32 | np.int16], noise: float, one_adu: float
) -> HotPixels:
    """Find samples that exceed both neighbours of their colour in the row.

    Parameters
    ----------
    rows : (rows, columns) array of float32 or int16
    noise : float
        Of a sample.
    one_adu : float
    """
    samples = rows[:, 2:-2]
    heights = samples - np.minimum(samples, np.maximum(rows[:, :-4], rows[:, 4:]))
    if heights.dtype == np.int16:
        heights = heights.view(np.uint16)  # a difference may exceed the range of int16
    limit = max(_HOT_NOISES * noise, _HOT_ADU * one_adu)
    warm = np.flatnonzero(heights > np.float32(min(limit / 2, 65535)).astype(heights.dtype))
    columns = warm % max(1, heights.shape[1])
    warm = warm[np.bincount(columns)[columns] <= max(1, _COLUMN * len(rows))]
    height = heights.reshape(-1)[warm].astype(np.float32)
    brightest = np.argsort(-height, kind="stable")[:_BRIGHTEST]
    hot = warm[brightest[height[brightest] > limit]]
    return HotPixels(hot, warm, height / np.float32(one_adu))


def relative_heights(frames: Sequence[HotPixels]) -> NDArray[np.float64]:
    """Compare how bright hot pixels are: as much as the dark current and the exposure.

    Only places that are warm in most frames count: cosmic rays are elsewhere in each.

    Parameters
    ----------
    frames : sequence of HotPixels

    Returns
    -------
    (frames,) array of float64
        Median of the heights relative to those of all frames; 1 where few places say nothing.
    """
    places, counts = np.unique(np.concatenate([each.warm for each in frames]), return_counts=True)
    places = places[2 * counts > len(frames)][:_PLACES]
    if len(places) < _FEWEST:
        return np.ones(len(frames))
    found = [np.isin(places, each.warm, assume_unique=True) for each in frames]
    heights = np.full((len(frames), len(places)), np.nan)
    for row, frame, is_warm in zip(heights, frames, found, strict=True):
        row[is_warm] = frame.heights_adu[np.isin(frame.warm, places, assume_unique=True)]
    ratios = heights / np.nanmedian(heights, axis=0)
    is_known = np.sum(found, axis=1) >= max(_FEWEST, _LIKE * len(places))
    return np.array(
        [np.nanmedian(row) if known else 1.0 for row, known in zip(ratios, is_known, strict=True)]
    )


def frames_with_others(frames: Sequence[HotPixels]) -> Mapping[int, str]:
    """Find frames that do not have the hot pixels of the largest number of like frames.

    Only places that are hot in two frames are compared: cosmic rays are elsewhere in each. Frames
    are unlike only if hardly any pixel of the one is found in the other, in both directions: if
    they were taken at another temperature, those of the colder one are found in the warmer one.

    Parameters
    ----------
    frames : sequence of HotPixels

    Returns
    -------
    mapping of int to str
        How these frames differ, by their index.
    """
    places, counts = np.unique(np.concatenate([each.hot for each in frames]), return_counts=True)
    most = np.argsort(-counts, kind="stable")[: min(_PLACES, np.count_nonzero(counts > 1))]
    places = places[most]
    hot = np.array([np.isin(places, each.hot) for each in frames], np.float32)
    warm = np.array([np.isin(places, each.warm) for each in frames], np.float32)
    number = hot.sum(axis=1)
    is_enough = number >= _FEWEST
    shares = (is_enough / np.maximum(number, 1))[:, np.newaxis] * (hot @ warm.T)
    is_like = np.maximum(shares, shares.T) >= _LIKE
    main = is_like[is_like.sum(axis=1).argmax()]
    if main.sum() < max(2, _MAIN_SHARE * len(frames)):
        return {}
    lasting = (hot[main].sum(axis=0) > 1) & (warm[main].mean(axis=0) >= _LASTING)
    expected = int(lasting.sum())
    if expected < _FEWEST:
        return {}
    there = warm[:, lasting].sum(axis=1)
    is_apart = (there <= _UNLIKE * expected) & (shares[:, main].max(axis=1) <= _UNLIKE)
    return {
        frame: f"hot pixels at other places, {there[frame]:.0f} of {expected} where the others "
        "have theirs: another camera or subframe, or a shifted or flipped image"
        for frame in np.flatnonzero(is_apart & ~main).tolist()
        if len(frames[frame].hot) >= _FEWEST
    }
